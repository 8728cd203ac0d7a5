//! [`Ledger`]: one partition of an origin: what it has in flight, shared between the task that emits and whoever settles.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::commit::{Blocking, Bounds, Hold, HoldId, Outcome, Point, Settle, Ticket, Tracker};
use crate::contracts::Settlement;
use crate::data::{Marks, Partition, PartitionId};

/// One partition of an origin.
pub(super) struct Ledger {
    pub(super) id: PartitionId,
    pub(super) partition: Partition,
    /// Whether each record is acknowledged by itself.
    pessimistic: bool,
    state: Mutex<State>,
    /// Whether someone waits for room.
    waiting: AtomicBool,
    changed: Arc<Notify>,
}

struct State {
    tracker: Tracker<Arc<dyn Marks>>,
    /// First sequence numbers of the slots in flight, for a pessimistic source: (slot, first).
    firsts: VecDeque<(u64, u64)>,
    settled: Vec<Settlement>,
    /// What folds have taken in, until nothing holds it any more.
    absorbed: Vec<Range<u64>>,
    /// What this origin's records hold elsewhere: released once all before `.0` has settled.
    holding: VecDeque<(u64, Vec<Hold>)>,
    abandoned: u64,
    closed: bool,
    late: u64,
}

/// What an origin's ledger looks like from outside.
pub(super) struct Standing {
    pub(super) lag: u64,
    pub(super) blocking: Option<Blocking>,
    pub(super) low: Option<i64>,
    pub(super) late: u64,
    pub(super) abandoned: u64,
    pub(super) settled: bool,
    pub(super) closed: bool,
}

impl Ledger {
    pub(super) fn new(id: PartitionId, partition: Partition, pessimistic: bool, bounds: Bounds, changed: Arc<Notify>) -> Arc<Self> {
        let state = State {
            tracker: Tracker::new(bounds),
            firsts: VecDeque::new(),
            settled: Vec::new(),
            absorbed: Vec::new(),
            holding: VecDeque::new(),
            abandoned: 0,
            closed: false,
            late: 0,
        };
        Arc::new(Self { id, partition, pessimistic, state: Mutex::new(state), waiting: AtomicBool::new(false), changed })
    }

    /// Emits a batch: returns its ticket and its first sequence number. `holds` are released once it has arrived.
    pub(super) fn emit(self: &Arc<Self>, len: u32, bytes: u64, low: i64, marks: Arc<dyn Marks>, holds: Vec<Hold>) -> (Ticket, u64) {
        let (slot, first) = {
            let mut state = self.lock();
            let (slot, first) = state.tracker.emit(len, bytes, low, marks);
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

    /// Whether another batch may be emitted; if not, the notification comes once it may.
    pub(super) fn has_room(&self) -> bool {
        let state = self.lock();
        let room = state.tracker.has_room();
        // Under the lock, so that no settlement slips in between the question and the flag.
        self.waiting.store(!room, Ordering::Relaxed);
        room
    }

    /// The point up to which a commit may go.
    pub(super) fn point(&self) -> Point<Arc<dyn Marks>> {
        self.lock().tracker.point()
    }

    /// What a pessimistic source may acknowledge since the last time.
    pub(super) fn take_settled(&self) -> Vec<Settlement> {
        let mut state = self.lock();
        if !state.absorbed.is_empty() {
            let point = state.tracker.point().sequence;
            let absorbed = std::mem::take(&mut state.absorbed);
            let (free, held): (Vec<_>, Vec<_>) = absorbed.into_iter().partition(|range| range.end <= point);
            state.absorbed = held;
            let free = free.into_iter().map(|records| self.settlement(records, Outcome::Delivered));
            state.settled.extend(free);
        }
        std::mem::take(&mut state.settled)
    }

    /// The sequence numbers from the first that has not settled to the last that was emitted.
    pub(super) fn in_flight(&self) -> Range<u64> {
        let state = self.lock();
        state.tracker.point().sequence..state.tracker.next_sequence()
    }

    pub(super) fn promise(&self, time: i64) {
        self.lock().tracker.promise(time);
    }

    /// The partition is gone: what settles from now on is late.
    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    pub(super) fn standing(&self) -> Standing {
        let state = self.lock();
        Standing {
            lag: state.tracker.lag(),
            blocking: state.tracker.blocking(),
            low: state.tracker.low_watermark(),
            late: state.late + state.tracker.repeated(),
            abandoned: state.abandoned,
            settled: state.tracker.is_settled(),
            closed: state.closed,
        }
    }

    fn settlement(&self, records: Range<u64>, outcome: Outcome) -> Settlement {
        Settlement { partition: self.id, records, outcome }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the source go on if it waits for room, and returns the holds that are due.
    fn after(&self, state: &mut State) -> Vec<Hold> {
        if self.waiting.load(Ordering::Relaxed) && state.tracker.has_room() {
            self.waiting.store(false, Ordering::Relaxed);
            self.changed.notify_one();
        }
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
        match outcome {
            Outcome::Absorbed => state.absorbed.push(records),
            outcome => state.settled.push(self.settlement(records, outcome)),
        }
    }
}

impl Settle for Ledger {
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        let due = {
            let mut state = self.lock();
            if state.closed {
                state.late += records.len() as u64;
                return;
            }
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
            self.after(&mut state)
        };
        due.into_iter().for_each(Hold::release);
    }

    fn hold(&self, slot: u64, record: u32) -> HoldId {
        self.lock().tracker.hold(slot, record)
    }

    fn release(&self, hold: HoldId) {
        let due = {
            let mut state = self.lock();
            state.tracker.release(hold);
            self.after(&mut state)
        };
        due.into_iter().for_each(Hold::release);
    }

    fn seal(&self, slot: u64, record: u32) {
        self.lock().tracker.seal(slot, record);
    }
}
