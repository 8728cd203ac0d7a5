//! [`SourceUnderTest`]: a source, and what it has to hold.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;

use super::doubles::{Gate, MemorySink, MemoryStore, Withholding};
use super::fuse::Fuse;
use super::report::{Broken, Check, Checked, Named, Report, Seen, Verdict, ensure, holds, not_applicable, same};
use super::rig::{Finished, Rig, Shape, settle_down, until};
use super::tap::{Journal, Tap};
use crate::contracts::{Cause, Chunk, Commits, Ends, Error, Event, Held, Source, SourceFactory, SourceTraits};
use crate::data::{Bytes, Column, Data, Partition, Position};
use crate::plan::Policy;
use crate::runtime::Ended;

/// A source, and what it should bring.
///
/// Give it an input of 50 to 500 records in several batches (make batches small where the source can be told to). Every
/// declaration that a closure makes is of the same input, from its beginning.
pub struct SourceUnderTest<F: SourceFactory> {
    name: String,
    declare: Declare<F>,
    expected: Vec<Out<F>>,
    empty: Option<Declare<F>>,
    poisoned: Option<Poisoned<F>>,
    missing: Option<Declare<F>>,
    misdeclared: Vec<(String, Declare<F>)>,
    fault: Option<Arc<dyn Fn() + Send + Sync>>,
    again: Option<Again<F>>,
    shapes: Vec<Shape>,
    once: bool,
}

type Again<F> = Arc<dyn Fn(&F) -> F + Send + Sync>;
type Out<F> = <<F as SourceFactory>::Source as Source>::Out;
type Declare<F> = Arc<dyn Fn() -> F + Send + Sync>;

/// An input in which some records can't be given.
struct Poisoned<F: SourceFactory> {
    declare: Declare<F>,
    good: Vec<Out<F>>,
    refused: u64,
}

/// How many moments, from the first on, all get their crash; of the later ones some do.
const ALL_UP_TO: u64 = 25;
/// How many of the later ones.
const LATER: u64 = 15;

impl<F: SourceFactory> SourceUnderTest<F>
where
    Out<F>: Clone + PartialEq + Debug,
{
    /// The source that `declare` declares, which has to bring the `expected` records in this order. A source that never
    /// ends has to bring them and then nothing more.
    pub fn new(
        name: impl Into<String>,
        declare: impl Fn() -> F + Send + Sync + 'static,
        expected: Vec<Out<F>>,
    ) -> Self {
        Self {
            name: name.into(),
            declare: Arc::new(declare),
            expected,
            empty: None,
            poisoned: None,
            missing: None,
            misdeclared: Vec::new(),
            fault: None,
            again: None,
            shapes: Shape::ALL.to_vec(),
            once: false,
        }
    }

    /// The same over an input without records. Default: `an_empty_input_ends` is not applicable.
    #[must_use]
    pub fn empty(self, declare: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self { empty: Some(Arc::new(declare)), ..self }
    }

    /// The same over an input with records that can't be given: the others, and how many are refused. Default:
    /// `poison_records_follow_the_policy` is not applicable.
    #[must_use]
    pub fn poisoned(self, declare: impl Fn() -> F + Send + Sync + 'static, good: Vec<Out<F>>, refused: u64) -> Self {
        Self { poisoned: Some(Poisoned { declare: Arc::new(declare), good, refused }), ..self }
    }

    /// The same over an input that isn't there, so that it can't be opened. Default: `declaring_opens_nothing` checks
    /// less.
    #[must_use]
    pub fn missing(self, declare: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self { missing: Some(Arc::new(declare)), ..self }
    }

    /// A declaration with a mistake that can be seen before anything is opened; may be given several times.
    #[must_use]
    pub fn misdeclared(mut self, mistake: &str, declare: impl Fn() -> F + Send + Sync + 'static) -> Self {
        self.misdeclared.push((mistake.to_owned(), Arc::new(declare)));
        self
    }

    /// A fault of what the source is connected to, which it has to survive: its server restarts. Called in mid-stream;
    /// returns when the server is back, or before. Default: `it_reconnects_after_a_fault` is not applicable.
    #[must_use]
    pub fn fault(self, fault: impl Fn() + Send + Sync + 'static) -> Self {
        Self { fault: Some(Arc::new(fault)), ..self }
    }

    /// For a source whose server gives again what was not acknowledged, from nobody's position: declares one of the input of
    /// another, as the server has it by then. Default: it resumes from positions, or what takes a resumption is not
    /// applicable.
    #[must_use]
    pub fn again(self, declare: impl Fn(&F) -> F + Send + Sync + 'static) -> Self {
        Self { again: Some(Arc::new(declare)), ..self }
    }

    /// The input can be read only once in a process (standard input): each check that can be made with one reading
    /// makes one, in a pipeline of this shape, and has to be asked for in a process of its own, by
    /// [`check`](Self::check).
    #[must_use]
    pub fn once(self, shape: Shape) -> Self {
        Self { shapes: vec![shape], once: true, ..self }
    }

    /// Makes all checks. Not for a source whose input can be read only [once](Self::once).
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
        let some = || ensure(!self.expected.is_empty(), || "no record is expected of it: nothing can be shown".into());
        let made = Self::checks().into_iter().filter(|(name, _)| wanted(name));
        let checks = made.map(|(name, check)| Check::of(name, some().and_then(|()| check(self)))).collect();
        Report { subject: self.name.clone(), checks }
    }

    fn checks() -> [Named<Self>; 13] {
        [
            ("declaring_opens_nothing", Self::declaring_opens_nothing),
            ("delivers_everything_in_order", Self::delivers_everything_in_order),
            ("an_empty_input_ends", Self::an_empty_input_ends),
            ("next_may_be_dropped_at_any_time", Self::next_may_be_dropped_at_any_time),
            ("every_position_resumes_behind_its_record", Self::every_position_resumes_behind_its_record),
            ("a_strange_position_is_an_error", Self::a_strange_position_is_an_error),
            ("a_drain_is_exact", Self::a_drain_is_exact),
            ("no_commit_passes_a_gap", Self::no_commit_passes_a_gap),
            ("nothing_is_lost_wherever_it_crashes", Self::nothing_is_lost_wherever_it_crashes),
            ("backpressure_bounds_what_is_read", Self::backpressure_bounds_what_is_read),
            ("poison_records_follow_the_policy", Self::poison_records_follow_the_policy),
            ("it_ends_within_the_grace_period", Self::it_ends_within_the_grace_period),
            ("it_reconnects_after_a_fault", Self::it_reconnects_after_a_fault),
        ]
    }

    fn traits(&self) -> SourceTraits {
        (self.declare)().traits()
    }

    /// Why a check that takes a second run from a position can't be made, if it can't.
    fn no_resumption(&self) -> Option<&'static str> {
        match self.traits().commits {
            Commits::Optimistic if !self.traits().resumable => Some("its positions end with its connection"),
            Commits::Optimistic => None,
            Commits::Pessimistic => Some("it acknowledges each record by itself and has no positions"),
            Commits::None => Some("what it has read can't be read again: it has no positions"),
        }
    }

    fn rig(&self, sink: MemorySink<Out<F>>, shape: Shape) -> Rig {
        Rig { shape, ..Rig::new(Arc::new((self.declare)()), Arc::new(sink)) }
    }

    /// Where positions are kept, for a source that has any.
    fn store(&self, store: &MemoryStore) -> Option<Arc<dyn crate::contracts::StoreFactory>> {
        self.no_resumption().is_none().then(|| Arc::new(store.clone()) as _)
    }

    /// Runs it until its input ends; a source that never ends is drained once all is there.
    fn run_out(&self, rig: Rig, tap: &Tap, wanted: u64) -> Result<Finished, Broken> {
        let endless = self.traits().ends == Ends::Unbounded;
        rig.run(tap, async |running| {
            if endless {
                until("all records", || tap.written.get() >= wanted).await?;
                running.drain();
            }
            Ok(())
        })
    }

    fn ends_by(&self) -> Ended {
        match self.traits().ends {
            Ends::Bounded => Ended::Input,
            Ends::Unbounded => Ended::Drained,
        }
    }
}

fn checked_shapes(shapes: &[Shape]) -> impl Iterator<Item = Shape> + '_ {
    shapes.iter().copied().filter(|shape| *shape != Shape::Threads)
}

mod crash;
mod flow;
mod position;
mod served;

pub(super) use crash::moments;
