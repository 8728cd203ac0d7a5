//! [`Arrivals`]: what came into a part by a network stage, and who is to hear what became of it, and when.
//!
//! ```text
//!   claim of an origin  <-- at once --       abandoned, absorbed and its hold
//!                       <-- once durable --  delivered, disposed, a hold given back
//! ```
//!
//! A part that has the sink tells outcomes only after the sink's flush or commit that follows them. One that hands on
//! what it takes in tells all at once. Both know, for each origin, up to where its records have got.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::kept::Kept;
use super::origin::OriginKey;
use super::parcel::Parcel;
use super::prefix::Prefix;
use super::tally::Tally;
use crate::commit::{Burial, HoldId, Note, Outcome, Ranges, RemoteHold, Settle, Ticket};
use crate::contracts::{Claim, OriginAt};
use crate::data::{Batch, Marks, Partition, Shared};

/// When outcomes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// As they become known.
    AtOnce,
    /// Once the sink has made durable what they speak of.
    OnceDurable,
}

/// What is known of how far each origin's records have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// Nothing: other instances get records of the same origins.
    Nothing,
    /// Up to which record all are through.
    Records,
    /// That, and the position there: the sink keeps positions with its data.
    Positions,
}

/// What came into a part by a network stage.
pub(super) struct Arrivals {
    /// What the sink keeps of positions, if it does.
    pub(super) kept: Kept,
    tells: Tells,
    follows: Follows,
    /// What the limits of the part have counted.
    tallies: Vec<Arc<Tally>>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    origins: Vec<Origin>,
    next: u64,
    /// Outcomes that wait for the sink.
    waiting: VecDeque<Told>,
    /// How many ever waited.
    queued: u64,
    /// How often the part was given up: what belongs to a former life settles nothing.
    life: u64,
    /// A position can't be told any more: what the sink has taken in since can't be committed.
    lost: bool,
    /// Nothing more comes in.
    ending: bool,
    /// Whether any origin has records that were let go of.
    gaps: bool,
}

struct Origin {
    id: u64,
    key: OriginKey,
    prefix: Prefix,
    /// Up to where a commit is under way, and up to where the last one went: that position needs no telling again, and
    /// may be one that can't be told any more.
    committing: u64,
    committed: u64,
    /// Records that the sink, or what stands before it, has let go of and that have not come again.
    let_go: Ranges,
}

impl Origin {
    fn new(id: u64, key: OriginKey) -> Self {
        Self { id, key, prefix: Prefix::default(), committing: 0, committed: 0, let_go: Ranges::default() }
    }
}

/// What is told upstream once it is durable.
enum Told {
    Outcome { of: Arrived, records: Range<u32>, outcome: Outcome },
    Release { claim: Claim, hold: HoldId },
}

/// A batch that came in: where its tickets tell outcomes.
#[derive(Clone)]
struct Arrived {
    arrivals: Arc<Arrivals>,
    claim: Claim,
    origin: u64,
    /// The sequence number of record 0.
    first: u64,
    life: u64,
    /// Its origin, where a limit counts.
    key: Option<Arc<OriginKey>>,
}

/// Where an origin stands, for a commit.
pub(super) struct Stands {
    pub(super) at: OriginAt,
    pub(super) partition: Partition,
    pub(super) marks: Arc<dyn Marks>,
    pub(super) count: u32,
}

impl Arrivals {
    pub(super) fn new(kept: Kept, tells: Tells, follows: Follows, tallies: Vec<Arc<Tally>>) -> Arc<Self> {
        Arc::new(Self { kept, tells, follows, tallies, state: Mutex::default(), changed: Notify::new() })
    }

    /// A batch came in. Its ticket tells outcomes here.
    pub(super) fn take_in(self: &Arc<Self>, batch: Batch, claim: Claim) -> Parcel {
        let (shared, part) = (batch.shared(), batch.part());
        let first = shared.first;
        let (origin, life) = self.follow(shared, first + u64::from(part.start)..first + u64::from(part.end));
        let key = (!self.tallies.is_empty()).then(|| Arc::new(OriginKey::of(shared)));
        let arrived = Arrived { arrivals: self.clone(), origin, first, life, claim, key };
        let slot = arrived.claim.slot;
        Parcel { ticket: Ticket::new(Arc::new(arrived), slot, part), batch }
    }

    /// Takes note of these records of an origin. Returns the origin's number, and the life of the part.
    fn follow(&self, shared: &Shared, records: Range<u64>) -> (u64, u64) {
        let mut state = self.lock();
        let life = state.life;
        if self.follows == Follows::Nothing {
            return (0, life);
        }
        let positions = self.follows == Follows::Positions;
        let origin = state.origin(shared, |key| positions && key.stage == self.kept.stage);
        if positions {
            origin.prefix.came(shared, records.clone());
        }
        if self.tells == Tells::AtOnce {
            // It counts as passed unless it is abandoned: the part behind the next network stage settles it.
            origin.prefix.settle(records);
        }
        (origin.id, life)
    }

    /// Something may have come about that a flush would tell.
    pub(super) fn touch(&self) {
        self.changed.notify_one();
    }

    /// Waits for that. May be dropped at any time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether outcomes wait for the sink.
    pub(super) fn has_waiting(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Marks what is known now: a flush that begins after this makes it durable.
    pub(super) fn mark(&self) -> u64 {
        self.lock().queued
    }

    /// The sink has made durable what was known at `mark`: it is told.
    pub(super) fn tell(&self, mark: u64) {
        let told: Vec<Told> = {
            let mut state = self.lock();
            let due = state.waiting.len() - (state.queued.saturating_sub(mark) as usize).min(state.waiting.len());
            state.waiting.drain(..due).collect()
        };
        told.into_iter().for_each(Told::tell);
    }

    /// Whether these records may be written: not where one before them was let go of, which comes again, and they with it.
    /// Its own coming is taken note of.
    pub(super) fn may_be_written(&self, shared: &Shared, records: &Range<u32>) -> bool {
        let mut state = self.lock();
        if !state.gaps {
            return true;
        }
        let records = shared.first + u64::from(records.start)..shared.first + u64::from(records.end);
        if let Some(origin) = state.origins.iter_mut().find(|origin| origin.key.is(shared)) {
            if origin.let_go.first().is_some_and(|gap| gap.start < records.start) {
                return false;
            }
            origin.let_go.take(0..records.end);
        }
        state.gaps = state.origins.iter().any(|origin| !origin.let_go.is_empty());
        true
    }

    /// The part has ended, or is dropped: what its sink has not made durable is given up.
    pub(super) fn give_up(&self) {
        let told: Vec<Told> = {
            let mut state = self.lock();
            state.life += 1;
            (state.lost, state.ending) = (false, false);
            state.waiting.drain(..).collect()
        };
        for told in told {
            if let Told::Outcome { of, records, .. } = told {
                self.with(of.origin, |prefix| prefix.unsettle(of.sequences(&records)));
                self.let_go(&of, &of.sequences(&records));
                of.pass_on(of.claim.slot, records, Outcome::Abandoned);
            }
        }
    }

    /// The part begins anew: a limit may end it elsewhere.
    pub(super) fn forget_seals(&self) {
        self.lock().origins.iter_mut().for_each(|origin| origin.prefix.forget_seal());
    }

    /// A position can't be told any more.
    pub(super) fn lose(&self) {
        self.lock().lost = true;
    }

    /// Nothing more comes in.
    pub(super) fn end(&self) {
        self.lock().ending = true;
    }

    /// Whether nothing more comes in: a part that began anew now would wait for ever.
    pub(super) fn is_ending(&self) -> bool {
        self.lock().ending
    }

    /// Whether the sink holds what it can't commit: only beginning anew helps.
    pub(super) fn is_lost(&self) -> bool {
        self.lock().lost
    }

    /// The first record of each origin that is not among those that have got through; none where that isn't followed.
    pub(super) fn seals(&self) -> Vec<OriginAt> {
        self.lock().origins.iter().map(|origin| origin.key.at(origin.prefix.at())).collect()
    }

    /// Up to where the source's records have got that came in.
    pub(super) fn stands(&self) -> Vec<Stands> {
        let mut state = self.lock();
        let source = state.origins.iter_mut().filter(|origin| origin.key.stage == self.kept.stage);
        let stands = source.filter_map(|origin| {
            origin.committing = origin.prefix.at();
            if origin.committing == origin.committed {
                return None;
            }
            let (marks, count) = origin.prefix.mark()?;
            let (at, partition) = (origin.key.at(origin.committing), origin.key.partition.clone());
            Some(Stands { at, partition, marks, count })
        });
        stands.collect()
    }

    /// The sink has stored up to where they stood when that was last asked.
    pub(super) fn stored(&self) {
        self.lock().origins.iter_mut().for_each(|origin| origin.committed = origin.committing);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on an origin, unless another has taken its place.
    fn with(&self, origin: u64, work: impl FnOnce(&mut Prefix)) {
        if let Some(origin) = self.lock().origins.iter_mut().find(|known| known.id == origin) {
            work(&mut origin.prefix);
        }
    }

    /// These were let go of: they come again, and nothing behind them may be written before.
    fn let_go(&self, of: &Arrived, records: &Range<u64>) {
        let mut state = self.lock();
        if let Some(origin) = state.origins.iter_mut().find(|known| known.id == of.origin) {
            origin.let_go.add(records.clone());
            state.gaps = true;
        }
    }

    /// Keeps this outcome until the sink has made it durable; `false`: it comes too late for that.
    fn settle_later(&self, of: &Arrived, records: &Range<u32>, outcome: Outcome) -> bool {
        let mut state = self.lock();
        if state.life != of.life {
            return false;
        }
        if let Some(origin) = state.origins.iter_mut().find(|known| known.id == of.origin) {
            origin.prefix.settle(of.sequences(records));
        }
        state.queue(Told::Outcome { of: of.clone(), records: records.clone(), outcome });
        drop(state);
        self.touch();
        true
    }

    /// Gives a hold back once the sink has made durable what was made of its record.
    fn release_later(&self, of: &Arrived, hold: HoldId) {
        let mut state = self.lock();
        if state.life == of.life {
            state.queue(Told::Release { claim: of.claim.clone(), hold });
            drop(state);
            self.touch();
        }
    }
}

impl State {
    fn queue(&mut self, told: Told) {
        self.queued += 1;
        self.waiting.push_back(told);
    }

    /// The origin of these records. `exclusive` says of which partitions only one may be open at a time, wherever it is.
    fn origin(&mut self, shared: &Shared, exclusive: impl Fn(&OriginKey) -> bool) -> &mut Origin {
        let at = self.origins.iter().position(|origin| origin.key.is(shared)).unwrap_or_else(|| {
            let key = OriginKey::of(shared);
            let alone = exclusive(&key);
            self.origins.retain(|known| !key.replaces(&known.key, alone));
            self.origins.push(Origin::new(self.next, key));
            self.next += 1;
            self.origins.len() - 1
        });
        // What came last is likely to come next.
        self.origins.swap(0, at);
        &mut self.origins[0]
    }
}

impl Told {
    fn tell(self) {
        match self {
            Self::Outcome { of, records, outcome } => of.pass_on(of.claim.slot, records, outcome),
            Self::Release { claim, hold } => claim.origin.release(hold),
        }
    }
}

impl Arrived {
    fn sequences(&self, records: &Range<u32>) -> Range<u64> {
        self.first + u64::from(records.start)..self.first + u64::from(records.end)
    }

    /// Tells the claim what became of records, and the limits whether they come again. What a fold has taken in counts.
    fn pass_on(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        if let Some(key) = &self.key {
            let sequences = self.sequences(&records);
            for tally in &self.arrivals.tallies {
                match outcome {
                    Outcome::Abandoned => tally.give_back(|of| of == &**key, &sequences),
                    _ => tally.keep(|of| of == &**key, &sequences),
                }
            }
        }
        self.claim.origin.settle(slot, records, outcome);
    }

    fn tells_at_once(&self, outcome: Outcome) -> bool {
        self.arrivals.tells == Tells::AtOnce || matches!(outcome, Outcome::Absorbed | Outcome::Abandoned)
    }
}

impl Settle for Arrived {
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        if !self.tells_at_once(outcome) {
            if !self.arrivals.settle_later(self, &records, outcome) {
                self.pass_on(slot, records, Outcome::Abandoned);
            }
            return;
        }
        let sequences = self.sequences(&records);
        match outcome {
            Outcome::Abandoned if self.arrivals.tells == Tells::OnceDurable => self.arrivals.let_go(self, &sequences),
            Outcome::Abandoned => self.arrivals.with(self.origin, |prefix| prefix.unsettle(sequences)),
            _ => self.arrivals.with(self.origin, |prefix| prefix.settle(sequences)),
        }
        self.pass_on(slot, records, outcome);
    }

    fn hold(&self, slot: u64, record: u32) -> HoldId {
        let hold = self.claim.origin.hold(slot, record);
        self.arrivals.with(self.origin, |prefix| prefix.hold(self.first + u64::from(record), hold));
        hold
    }

    fn release(&self, hold: HoldId) {
        self.arrivals.with(self.origin, |prefix| prefix.release(hold));
        match self.arrivals.tells {
            Tells::AtOnce => self.claim.origin.release(hold),
            Tells::OnceDurable => self.arrivals.release_later(self, hold),
        }
    }

    fn seal(&self, _: u64, record: u32) {
        self.arrivals.with(self.origin, |prefix| prefix.seal(self.first + u64::from(record)));
    }

    fn pass_hold(&self, slot: u64, record: u32, hold: RemoteHold) -> bool {
        self.claim.origin.pass_hold(slot, record, hold)
    }

    fn bury(&self, slot: u64, record: u32, note: Note) -> Option<Burial> {
        self.claim.origin.bury(slot, record, note)
    }
}
