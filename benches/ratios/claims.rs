//! What it costs a batch to be tracked: emitted, given a ticket, settled behind a mutex.

use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream::commit::{Bounds, HoldId, Outcome, Settle, Ticket, Tracker};
use millstream::data::{Marks, Position};

use crate::measure::in_turn;
use crate::report::{Report, Target, Unit};
use crate::{Bench, Failure};

const BATCHES: u64 = 5_000_000;
/// How many are in flight at once.
const IN_FLIGHT: usize = 16;
const RECORDS: u32 = 256;

/// Batches that are emitted and settle in order.
pub(crate) fn tickets(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let batches = bench.scaled(BATCHES);
    let taken = in_turn(bench.runs, &[&|| tracked(batches), &|| by_hand(batches)], || Ok(()))?;
    let against = "a ring of (sequence, mark) behind the same mutex, taken twice a batch, no ticket";
    report.ratio("tickets", against, &taken[0], &taken[1], Unit::NanosEach(batches), Target::AtMost(100.0));
    Ok(())
}

/// A ledger as the runtime's, without what only pessimistic sources and folds need.
struct Ledger(Mutex<Tracker<Arc<dyn Marks>>>);

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Tracker<Arc<dyn Marks>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settle for Ledger {
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        self.lock().complete(slot, records, outcome);
    }
    fn hold(&self, slot: u64, record: u32) -> HoldId {
        self.lock().hold(slot, record)
    }
    fn release(&self, hold: HoldId) {
        self.lock().release(hold);
    }
    fn seal(&self, slot: u64, record: u32) {
        self.lock().seal(slot, record);
    }
}

struct Nowhere;

impl Marks for Nowhere {
    fn position(&self, _: u32) -> Result<Option<Position>, String> {
        Ok(None)
    }
    fn place(&self, _: u32, _: &[u8], _: usize) -> String {
        String::new()
    }
}

fn tracked(batches: u64) -> Result<(), Failure> {
    let ledger = Arc::new(Ledger(Mutex::new(Tracker::new(Bounds { records: 100_000, bytes: 64 << 20 }))));
    let marks: Arc<dyn Marks> = Arc::new(Nowhere);
    let mut in_flight = VecDeque::with_capacity(IN_FLIGHT);
    for batch in 0..batches {
        if !ledger.lock().has_room() {
            return Err("there is room for so few batches".into());
        }
        let (slot, _) = ledger.lock().emit(RECORDS, 32_768, batch as i64, marks.clone());
        in_flight.push_back(Ticket::new(ledger.clone(), slot, 0..RECORDS));
        if in_flight.len() == IN_FLIGHT {
            in_flight.pop_front().into_iter().for_each(Ticket::delivered);
        }
    }
    in_flight.into_iter().for_each(Ticket::delivered);
    let settled = ledger.lock().point().sequence;
    if settled != batches * u64::from(RECORDS) {
        return Err(format!("{settled} records have settled").into());
    }
    Ok(())
}

fn by_hand(batches: u64) -> Result<(), Failure> {
    let marks: Arc<dyn Marks> = Arc::new(Nowhere);
    let ring = Mutex::new(VecDeque::<(u64, Arc<dyn Marks>)>::with_capacity(IN_FLIGHT));
    let lock = || ring.lock().unwrap_or_else(PoisonError::into_inner);
    for batch in 0..batches {
        lock().push_back((batch * u64::from(RECORDS), marks.clone()));
        let mut ring = lock();
        if ring.len() == IN_FLIGHT {
            black_box(ring.pop_front());
        }
    }
    Ok(())
}
