//! [`Ledger`]: one partition of an origin: what it has in flight, shared between the task that emits and whoever settles.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::origin::OriginKey;
use super::tally::Tally;
use crate::commit::{Blocking, Bounds, Hold, HoldId, Outcome, Point, Ranges, Settle, Ticket, Tracker};
use crate::contracts::Settlement;
use crate::data::{Marks, Partition, PartitionId, Position};

/// One partition of an origin.
pub(super) struct Ledger {
    pub(super) id: PartitionId,
    pub(super) partition: Partition,
    /// The epoch that stamps carry.
    pub(super) epoch: u64,
    /// Whether each record is acknowledged by itself.
    pessimistic: bool,
    state: Mutex<State>,
    room: Arc<Room>,
}

/// What all partitions of a source share: the bound on bytes in flight, and who waits for it.
pub(super) struct Room {
    /// How much each may have in flight, and how many bytes all of them together.
    bounds: Bounds,
    bytes: AtomicU64,
    /// Whether the source waits.
    waiting: AtomicBool,
    changed: Notify,
    /// Outcomes that came too late, of partitions that are gone.
    late: AtomicU64,
    /// Whether someone waits for everything to settle.
    ending: AtomicBool,
    moved: Notify,
}

impl Room {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            bytes: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            changed: Notify::new(),
            late: AtomicU64::new(0),
            ending: AtomicBool::new(false),
            moved: Notify::new(),
        })
    }

    /// Waits until `settled` says so, looking again whenever something has settled.
    pub(super) async fn until(&self, settled: impl Fn() -> bool) {
        // The flag first: what settles after the look is seen.
        self.ending.store(true, SeqCst);
        while !settled() {
            self.moved.notified().await;
        }
    }

    fn moved(&self) {
        if self.ending.load(SeqCst) {
            self.moved.notify_one();
        }
    }

    /// Waits until there may be room again.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(super) fn late(&self) -> u64 {
        self.late.load(Relaxed)
    }
}

struct State {
    tracker: Tracker<Arc<dyn Marks>>,
    /// First sequence numbers of the slots in flight, for a pessimistic source: (slot, first).
    firsts: VecDeque<(u64, u64)>,
    settled: Vec<Settlement>,
    /// What of that was taken to be acknowledged, and has not been yet.
    leaving: Vec<Range<u64>>,
    /// What folds have taken in, until nothing holds it any more.
    absorbed: Ranges,
    /// The lowest record that a pessimistic source was given back. A fold holds only the lowest record that it has taken
    /// in, and that may have been this one: of what it took in behind it nobody can say when it has arrived.
    given_back: Option<u64>,
    /// What this origin's records hold elsewhere: released once all before `.0` has settled.
    holding: VecDeque<(u64, Vec<Hold>)>,
    /// Up to where a commit is under way, and up to where the last one went.
    committing: u64,
    committed: u64,
    abandoned: u64,
    closed: bool,
}

/// What an origin's ledger looks like from outside.
pub(super) struct Standing {
    pub(super) lag: u64,
    pub(super) blocking: Option<Blocking>,
    pub(super) low: Option<i64>,
    pub(super) late: u64,
    pub(super) abandoned: u64,
    pub(super) settled: bool,
}

impl Ledger {
    pub(super) fn new(
        id: PartitionId,
        (partition, epoch): (Partition, u64),
        pessimistic: bool,
        room: Arc<Room>,
    ) -> Arc<Self> {
        let state = State {
            tracker: Tracker::new(room.bounds),
            firsts: VecDeque::new(),
            settled: Vec::new(),
            leaving: Vec::new(),
            absorbed: Ranges::default(),
            given_back: None,
            holding: VecDeque::new(),
            committing: 0,
            committed: 0,
            abandoned: 0,
            closed: false,
        };
        Arc::new(Self { id, partition, epoch, pessimistic, state: Mutex::new(state), room })
    }

    /// Emits a batch: returns its ticket and its first sequence number. `holds` are released once it has arrived.
    pub(super) fn emit(
        self: &Arc<Self>,
        len: u32,
        bytes: u64,
        low: i64,
        marks: Arc<dyn Marks>,
        holds: Vec<Hold>,
    ) -> (Ticket, u64) {
        let (slot, first) = {
            let mut state = self.lock();
            let before = state.tracker.bytes();
            let (slot, first) = state.tracker.emit(len, bytes, low, marks);
            // An empty batch with nothing before it has left at once.
            self.room.bytes.fetch_add(state.tracker.bytes() - before, SeqCst);
            if self.pessimistic {
                state.firsts.push_back((slot, first));
            }
            if !holds.is_empty() {
                state.holding.push_back((first + u64::from(len), holds));
            }
            (slot, first)
        };
        (Ticket::new(self.clone(), slot, 0..len), first)
    }

    /// Whether another batch may be emitted; if not, the room will change. One batch may always be in flight.
    pub(super) fn has_room(&self) -> bool {
        // The flag first: what settles after the look finds it.
        self.room.waiting.store(true, SeqCst);
        let room = self.looks_roomy(&self.lock());
        if room {
            self.room.waiting.store(false, SeqCst);
        }
        room
    }

    fn looks_roomy(&self, state: &State) -> bool {
        state.tracker.bytes() == 0
            || (state.tracker.has_room() && self.room.bytes.load(SeqCst) < self.room.bounds.bytes)
    }

    /// The point up to which a commit may go.
    pub(super) fn point(&self) -> Point<Arc<dyn Marks>> {
        self.lock().tracker.point()
    }

    /// The origin is opened anew, from what is committed, or from here: what comes again doesn't count until then.
    pub(super) fn give_back(&self, instance: u16, held: Option<&Position>, tally: &Tally) {
        let again = match self.pessimistic {
            // Each record is acknowledged by itself.
            true => self.lock().tracker.open(),
            false => {
                let from = held.and_then(|held| self.sequence_at(held)).unwrap_or(self.point().sequence);
                std::iter::once(from..u64::MAX).collect()
            }
        };
        again.iter().for_each(|records| tally.give_back(|key| self.is(instance, key), records));
        tally.keep(|key| self.is(instance, key), &(0..u64::MAX));
    }

    /// The record that this is the position before, if it is in flight: the sink may have committed further than was
    /// heard of here.
    fn sequence_at(&self, held: &Position) -> Option<u64> {
        let open = self.lock().tracker.open();
        let mut ends = open.iter().cloned().flatten().chain(open.last().map(|last| last.end));
        ends.find(|&sequence| self.locate(sequence).is_ok_and(|position| position.as_ref() == Some(held)))
    }

    /// What is committed doesn't come again.
    pub(super) fn keep_counts(&self, instance: u16, tally: &Tally) {
        tally.keep(|key| self.is(instance, key), &(0..self.uncommitted().start));
    }

    /// Whether this is the origin: no other of the instance has the epoch, but partitions of the same source.
    fn is(&self, instance: u16, key: &OriginKey) -> bool {
        (key.instance, key.epoch) == (instance, self.epoch) && key.partition == self.partition
    }

    /// The position before the record of this sequence number, while that can be told.
    pub(super) fn locate(&self, sequence: u64) -> Result<Option<Position>, String> {
        let found = self.lock().tracker.find(sequence).and_then(|point| point.mark);
        found.map_or(Ok(None), |(marks, count)| marks.position(count))
    }

    /// A limit elsewhere ends the run before the record of this sequence number.
    pub(super) fn seal_at(&self, sequence: u64) {
        self.lock().tracker.seal_at(sequence);
        self.room.moved();
    }

    /// Waits until all that was emitted has settled, up to a seal.
    pub(super) async fn settled(&self) {
        self.room.until(|| self.standing().settled).await;
    }

    /// What a pessimistic source may acknowledge since the last time; [`acknowledged`](Self::acknowledged) once it has.
    pub(super) fn take_settled(&self) -> Vec<Settlement> {
        let mut state = self.lock();
        if !state.absorbed.is_empty() {
            let point = state.tracker.point().sequence.min(state.given_back.unwrap_or(u64::MAX));
            let free = state.absorbed.take(0..point);
            let free = free.into_iter().map(|records| self.settlement(records, Outcome::Delivered));
            state.settled.extend(free);
        }
        let settled = std::mem::take(&mut state.settled);
        state.leaving.extend(settled.iter().map(|settlement| settlement.records.clone()));
        settled
    }

    /// A pessimistic source has acknowledged what was taken.
    pub(super) fn acknowledged(&self) {
        self.lock().leaving.clear();
    }

    /// The sequence numbers that a pessimistic source has not acknowledged: what has not settled, what a fold keeps back,
    /// and what waits for the sink to make it durable.
    pub(super) fn in_flight(&self) -> Vec<Range<u64>> {
        let state = self.lock();
        let mut all = state.absorbed.clone();
        state.tracker.open().into_iter().chain(state.leaving.iter().cloned()).for_each(|records| all.add(records));
        state.settled.iter().for_each(|settlement| all.add(settlement.records.clone()));
        all.parts(0..u64::MAX).collect()
    }

    /// Up to this record a commit is under way.
    pub(super) fn commits(&self, upto: u64) {
        self.lock().committing = upto;
    }

    /// The commit that was under way is made.
    pub(super) fn committed(&self) {
        let mut state = self.lock();
        state.committed = state.committing;
    }

    /// The records that were emitted since the last commit.
    pub(super) fn uncommitted(&self) -> Range<u64> {
        let state = self.lock();
        state.committed..state.tracker.next_sequence()
    }

    /// All that was emitted since the last commit is taken back: it doesn't count unless it comes again.
    pub(super) fn take_back(&self, instance: u16, tally: &Tally) {
        let from = self.uncommitted().start;
        tally.give_back(|key| self.is(instance, key), &(from..u64::MAX));
        tally.keep(|key| self.is(instance, key), &(0..u64::MAX));
    }

    /// The sequence number of the next record.
    pub(super) fn next(&self) -> u64 {
        self.lock().tracker.next_sequence()
    }

    pub(super) fn promise(&self, time: i64) {
        self.lock().tracker.promise(time);
    }

    /// The partition is gone: what settles from now on is late.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.free(state.tracker.bytes());
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        Standing {
            lag: state.tracker.lag(),
            blocking: state.tracker.blocking(),
            low: state.tracker.low_watermark(),
            late: state.tracker.repeated(),
            abandoned: state.abandoned,
            settled: state.tracker.is_settled(),
        }
    }

    fn settlement(&self, records: Range<u64>, outcome: Outcome) -> Settlement {
        Settlement { partition: self.id, records, outcome }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives bytes back, and wakes the source if it waits.
    fn free(&self, bytes: u64) {
        self.room.bytes.fetch_sub(bytes, SeqCst);
        if self.room.waiting.load(SeqCst) {
            self.room.changed.notify_one();
        }
    }

    /// The holds that are due.
    fn due(state: &mut State) -> Vec<Hold> {
        if state.holding.is_empty() {
            return Vec::new();
        }
        let point = state.tracker.point().sequence;
        let due = state.holding.partition_point(|&(end, _)| end <= point);
        state.holding.drain(..due).flat_map(|(_, holds)| holds).collect()
    }

    fn record(&self, state: &mut State, slot: u64, records: &Range<u32>, outcome: Outcome) {
        let at = state.firsts.partition_point(|&(number, _)| number < slot);
        let Some(&(number, first)) = state.firsts.get(at) else { return };
        if number != slot {
            return;
        }
        let records = first + u64::from(records.start)..first + u64::from(records.end);
        if outcome == Outcome::Abandoned {
            let lowest = state.given_back.get_or_insert(records.start);
            *lowest = records.start.min(*lowest);
        }
        match outcome {
            Outcome::Absorbed => state.absorbed.add(records),
            outcome => state.settled.push(self.settlement(records, outcome)),
        }
    }
}

impl Settle for Ledger {
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        let due = {
            let mut state = self.lock();
            if state.closed {
                self.room.late.fetch_add(records.len() as u64, Relaxed);
                return;
            }
            let before = state.tracker.bytes();
            if self.pessimistic {
                self.record(&mut state, slot, &records, outcome);
            }
            let tracked = match outcome {
                // The source gives it back upstream, where it runs again under another sequence number.
                Outcome::Abandoned if self.pessimistic => Outcome::Disposed,
                Outcome::Abandoned => {
                    state.abandoned += records.len() as u64;
                    outcome
                }
                outcome => outcome,
            };
            state.tracker.complete(slot, records, tracked);
            if self.pessimistic {
                let settled = state.tracker.oldest_slot();
                let gone = state.firsts.partition_point(|&(number, _)| number < settled);
                state.firsts.drain(..gone);
            }
            self.free(before - state.tracker.bytes());
            Self::due(&mut state)
        };
        due.into_iter().for_each(Hold::release);
        self.room.moved();
    }

    fn hold(&self, slot: u64, record: u32) -> HoldId {
        self.lock().tracker.hold(slot, record)
    }

    fn release(&self, hold: HoldId) {
        let due = {
            let mut state = self.lock();
            state.tracker.release(hold);
            Self::due(&mut state)
        };
        due.into_iter().for_each(Hold::release);
        self.room.moved();
    }

    fn seal(&self, slot: u64, record: u32) {
        self.lock().tracker.seal(slot, record);
        self.room.moved();
    }
}

#[cfg(test)]
mod tests {
    use super::super::nowhere::Nowhere;
    use super::*;

    const MANY: Bounds = Bounds { records: 100, bytes: 1 << 20 };

    /// The ledger of a pessimistic source with so many batches of one record in flight.
    fn pessimistic(records: usize) -> (Arc<Ledger>, Vec<Ticket>) {
        let ledger = Ledger::new(0, (Partition::new("p0"), 0), true, Room::new(MANY));
        let emit = |_| ledger.emit(1, 1, 0, Arc::new(Nowhere), Vec::new()).0;
        let tickets = (0..records).map(emit).collect();
        (ledger, tickets)
    }

    fn taken(ledger: &Ledger) -> Vec<(Range<u64>, Outcome)> {
        ledger.take_settled().into_iter().map(|Settlement { records, outcome, .. }| (records, outcome)).collect()
    }

    fn in_flight(ledger: &Ledger) -> Vec<(u64, u64)> {
        ledger.in_flight().into_iter().map(|records| (records.start, records.end)).collect()
    }

    #[test]
    fn what_a_fold_has_taken_in_behind_a_record_that_is_given_back_is_not_acknowledged() {
        let (ledger, mut tickets) = pessimistic(4);
        // The fold's hold is on record 1, and word of that never comes.
        drop(tickets.remove(2).absorbed(false));
        drop(tickets.remove(1));
        drop(tickets.remove(0).absorbed(false));
        assert_eq!(taken(&ledger), [(1..2, Outcome::Abandoned), (0..1, Outcome::Delivered)]);
        tickets.remove(0).delivered();
        assert_eq!(taken(&ledger), [(3..4, Outcome::Delivered)]);
        assert_eq!(taken(&ledger), []);
    }

    #[test]
    fn a_record_is_in_flight_until_it_is_acknowledged() {
        let (ledger, mut tickets) = pessimistic(5);
        let hold = tickets[0].hold(0);
        drop(tickets.remove(0).absorbed(false));
        tickets.remove(0).delivered();
        tickets.remove(2).delivered();
        assert_eq!(in_flight(&ledger), [(0, 5)]);
        assert_eq!(ledger.take_settled().len(), 2);
        assert_eq!(in_flight(&ledger), [(0, 5)]);
        ledger.acknowledged();
        assert_eq!(in_flight(&ledger), [(0, 1), (2, 4)]);
        hold.release();
        assert_eq!(taken(&ledger), [(0..1, Outcome::Delivered)]);
        ledger.acknowledged();
        assert_eq!(in_flight(&ledger), [(2, 4)]);
    }
}
