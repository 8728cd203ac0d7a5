//! [`SinkUnderTest`]: a sink, and what it has to hold.

use std::fmt::Debug;
use std::sync::Arc;

use super::doubles::{MemorySink, MemoryStore, Numbered};
use super::fuse::Fuse;
use super::report::{Broken, Check, Checked, Named, Report, Seen, Verdict, ensure, holds, not_applicable, same};
use super::rig::{Finished, Rig, Shape, until};
use super::source::moments;
use super::tap::{Journal, Tap};
use crate::contracts::{Cause, Checkpoint, Sink, SinkFactory, SinkTraits, StoreFactory};
use crate::data::Bytes;
use crate::plan::Policy;
use crate::runtime::Ended;

/// A sink with a place of its own to write to: made anew for each run of the suite, and used over all restarts in it.
pub struct Specimen<F: SinkFactory> {
    declare: Arc<dyn Fn() -> F + Send + Sync>,
    read: Option<Read<In<F>>>,
    untouched: Option<Arc<dyn Fn() -> bool + Send + Sync>>,
}

type In<F> = <<F as SinkFactory>::Sink as Sink>::In;
type Read<T> = Arc<dyn Fn() -> Vec<T> + Send + Sync>;

impl<F: SinkFactory> Specimen<F> {
    /// The sink that `declare` declares, each time over the same place.
    pub fn new(declare: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self { declare: Arc::new(declare), read: None, untouched: None }
    }

    /// Reads back what the place holds, while it is being written to as well: whole records that are there for others to
    /// see, in their order; what lies behind the last whole one is left out. Default: nothing can be read back, and most
    /// checks are not applicable.
    #[must_use]
    pub fn reads(self, read: impl Fn() -> Vec<In<F>> + Send + Sync + 'static) -> Self {
        Self { read: Some(Arc::new(read)), ..self }
    }

    /// Whether the place is as nobody has touched it. Default: `declaring_opens_nothing` doesn't look.
    #[must_use]
    pub fn untouched(self, untouched: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { untouched: Some(Arc::new(untouched)), ..self }
    }
}

/// A sink, and what it is given.
///
/// The suite gives it records made from their numbers, in batches of 1 to 23. What it may hold after a crash follows from
/// its traits: a *transactional* one exactly what was given, once it has been run to the end; one that is *durable at
/// close* nothing of a run that crashed; any other what was durable, and behind it what follows the last commit.
pub struct SinkUnderTest<F: SinkFactory> {
    name: String,
    specimen: Box<dyn Fn() -> Specimen<F> + Send + Sync>,
    record: Arc<dyn Fn(u64) -> In<F> + Send + Sync>,
    keeps_positions: bool,
    poison: Option<Arc<dyn Fn() -> In<F> + Send + Sync>>,
    hears_late: bool,
    misdeclared: Vec<(String, Declare<F>)>,
    unopenable: Option<Declare<F>>,
    fault: Option<Arc<dyn Fn() + Send + Sync>>,
    shapes: Vec<Shape>,
}

type Declare<F> = Arc<dyn Fn() -> F + Send + Sync>;

/// How many records a run has.
const RECORDS: u64 = 80;

/// The number of the record that a sink is given that it can't take.
const POISONED: u64 = 23;

impl<F: SinkFactory> SinkUnderTest<F>
where
    In<F>: Clone + PartialEq + Debug,
{
    /// The sinks that `specimen` makes; `record` makes the record of a number, another for each.
    pub fn new(
        name: impl Into<String>,
        specimen: impl Fn() -> Specimen<F> + Send + Sync + 'static,
        record: impl Fn(u64) -> In<F> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            specimen: Box::new(specimen),
            record: Arc::new(record),
            keeps_positions: true,
            poison: None,
            hears_late: false,
            misdeclared: Vec::new(),
            unopenable: None,
            fault: None,
            shapes: Shape::ALL.to_vec(),
        }
    }

    /// In runs that keep no positions, so that each begins at the beginning of its input. Default: in runs that do.
    #[must_use]
    pub fn without_store(self) -> Self {
        Self { keeps_positions: false, ..self }
    }

    /// A record that the sink can't take. Default: `poison_records_follow_the_policy` is not applicable.
    #[must_use]
    pub fn poison(self, record: impl Fn() -> In<F> + Send + Sync + 'static) -> Self {
        Self { poison: Some(Arc::new(record)), ..self }
    }

    /// It hears that a record has failed once others are under way ([`Failures`](crate::contracts::Failures)): behind one
    /// that ends the run it may hold records that come again. Default: nothing behind it is taken.
    #[must_use]
    pub fn hears_late(self) -> Self {
        Self { hears_late: true, ..self }
    }

    /// A declaration with a mistake that can be seen before anything is opened; may be given several times.
    #[must_use]
    pub fn misdeclared(mut self, mistake: &str, declare: impl Fn() -> F + Send + Sync + 'static) -> Self {
        self.misdeclared.push((mistake.to_owned(), Arc::new(declare)));
        self
    }

    /// A declaration of a sink that can't be opened. Default: `declaring_opens_nothing` checks less.
    #[must_use]
    pub fn unopenable(self, declare: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self { unopenable: Some(Arc::new(declare)), ..self }
    }

    /// A fault of what the sink is connected to, which it has to survive. Default: `it_reconnects_after_a_fault` is not
    /// applicable.
    #[must_use]
    pub fn fault(self, fault: impl Fn() + Send + Sync + 'static) -> Self {
        Self { fault: Some(Arc::new(fault)), ..self }
    }

    /// Makes all checks.
    pub fn run(&self) -> Report {
        self.report(|_| true)
    }

    /// Makes the check of this name alone; an empty report if there is none.
    pub fn check(&self, name: &str) -> Report {
        self.report(|known| known == name)
    }

    /// The names of all checks.
    pub fn names() -> Vec<&'static str> {
        Self::checks().map(|(name, _)| name).to_vec()
    }

    fn report(&self, wanted: impl Fn(&str) -> bool) -> Report {
        let made = Self::checks().into_iter().filter(|(name, _)| wanted(name));
        let checks = made.map(|(name, check)| Check::of(name, check(self))).collect();
        Report { subject: self.name.clone(), checks }
    }

    fn checks() -> [Named<Self>; 10] {
        [
            ("declaring_opens_nothing", Self::declaring_opens_nothing),
            ("delivers_everything_in_order", Self::delivers_everything_in_order),
            ("an_empty_input_ends", Self::an_empty_input_ends),
            ("it_keeps_positions_as_it_says", Self::it_keeps_positions_as_it_says),
            ("nothing_is_committed_that_it_does_not_hold", Self::nothing_is_committed_that_it_does_not_hold),
            ("a_drain_is_exact", Self::a_drain_is_exact),
            ("nothing_is_lost_wherever_it_crashes", Self::nothing_is_lost_wherever_it_crashes),
            ("poison_records_follow_the_policy", Self::poison_records_follow_the_policy),
            ("it_ends_within_the_grace_period", Self::it_ends_within_the_grace_period),
            ("it_reconnects_after_a_fault", Self::it_reconnects_after_a_fault),
        ]
    }

    fn traits(&self) -> SinkTraits {
        ((self.specimen)().declare)().traits(self.keeps_positions)
    }

    fn records(&self, numbers: std::ops::Range<u64>) -> Vec<In<F>> {
        numbers.map(|number| (self.record)(number)).collect()
    }

    fn bench(&self) -> Bench<F> {
        let specimen = (self.specimen)();
        let (store, journal) = (MemoryStore::default(), Journal::default());
        Bench { specimen, store, journal, keeps: self.keeps_positions, record: self.record.clone() }
    }
}

/// One specimen, and what outlives its runs.
struct Bench<F: SinkFactory> {
    specimen: Specimen<F>,
    store: MemoryStore,
    journal: Journal,
    keeps: bool,
    record: Arc<dyn Fn(u64) -> In<F> + Send + Sync>,
}

impl<F: SinkFactory> Bench<F>
where
    In<F>: Clone + PartialEq + Debug,
{
    fn tap(&self) -> Tap {
        Tap { cuts: false, ..Tap::new(&self.journal) }
    }

    /// A pipeline of so many records.
    fn rig(&self, count: u64, shape: Shape) -> Rig {
        let source = Numbered { count, record: self.record.clone() };
        let rig = Rig::new(Arc::new(source), Arc::new((self.specimen.declare)()));
        let store = self.keeps.then(|| Arc::new(self.store.clone()) as Arc<dyn StoreFactory>);
        Rig { shape, store, ..rig }
    }

    /// How many records are committed in the store.
    fn committed(&self) -> Result<u64, Broken> {
        let records = self.journal.records(&self.store.kept());
        records.ok_or_else(|| Broken("the store holds a position that no mark gave".into()))
    }

    /// What it holds, where that can be read back.
    fn held(&self) -> Option<Vec<In<F>>> {
        self.specimen.read.as_ref().map(|read| read())
    }
}

/// What a specimen without a way to read it back is not asked.
const UNREADABLE: &str = "what it holds can't be read back";

mod crash;
mod flow;
