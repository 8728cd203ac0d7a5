//! [`Ticket`]: the claim of a source to hear what became of a batch.

use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Outcome, Owed};

/// Names a hold at the origin that granted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldId(pub u64);

/// The origin's end of its tickets: where outcomes are told.
pub trait Settle: Send + Sync + 'static {
    /// The records (indices within the batch that was emitted as `slot`) had this outcome. To tell one twice changes
    /// nothing.
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome);

    /// Keeps the commit from passing `record` of `slot` until the hold is released. Asked before the record settles.
    fn hold(&self, slot: u64, record: u32) -> HoldId;

    /// Gives a hold back.
    fn release(&self, hold: HoldId);

    /// A limit ends the run before `record` of `slot`: no commit passes it.
    fn seal(&self, slot: u64, record: u32);

    /// Like [`hold`](Self::hold), for a hold that was granted on another instance and is released to the origin by its
    /// name. `false`: this is the origin, and the caller keeps the hold.
    fn pass_hold(&self, slot: u64, record: u32, hold: RemoteHold) -> bool {
        let _ = (slot, record, hold);
        false
    }

    /// Whether records that a policy deals with here still go on to another instance, without rows: what becomes of them
    /// is then told from there, as of all others.
    fn tells_disposed(&self) -> bool {
        true
    }

    /// Asks for a dead letter of `record`, where the record's original is on another instance: it is durable once the
    /// future has said so. `None`: the original is here.
    fn bury(&self, slot: u64, record: u32, note: Note) -> Option<Burial> {
        let _ = (slot, record, note);
        None
    }
}

/// A hold that was granted on another instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemoteHold {
    /// The instance that holds.
    pub holder: u16,
    /// Its epoch.
    pub epoch: u64,
    /// The hold there.
    pub id: u64,
}

/// What a dead letter tells, beside the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Which destination of dead letters, by its number in the declaration.
    pub letters: u32,
    /// The stage that failed.
    pub stage: String,
    /// Why.
    pub reason: String,
}

/// Says once whether a dead letter is durable, or why not.
pub type Burial = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// A claim to the outcome of a part of one batch. Each record settles once: *delivered*, *disposed*, *absorbed*, or
/// *abandoned*, which is also what dropping a ticket means: nothing is ever taken for delivered because nobody said
/// otherwise.
pub struct Ticket {
    origin: Arc<dyn Settle>,
    slot: u64,
    records: Range<u32>,
    /// Records within `records` that have settled already, ascending.
    settled: Vec<u32>,
}

impl Ticket {
    /// A claim to the outcome of `records` of the batch that `origin` emitted as `slot`.
    pub fn new(origin: Arc<dyn Settle>, slot: u64, records: Range<u32>) -> Self {
        Self { origin, slot, records, settled: Vec::new() }
    }

    /// The records it stands for, as indices within the batch that was emitted.
    pub fn records(&self) -> Range<u32> {
        self.records.clone()
    }

    /// All that is left of it has arrived.
    pub fn delivered(mut self) {
        self.finish(Outcome::Delivered);
    }

    /// An error policy has dealt with `record`.
    pub fn dispose(&mut self, record: u32) {
        self.settle_one(record, Outcome::Disposed);
    }

    /// Nobody can say what became of `record`: it runs again, whatever becomes of the others.
    pub fn abandon(&mut self, record: u32) {
        self.settle_one(record, Outcome::Abandoned);
    }

    fn settle_one(&mut self, record: u32, outcome: Outcome) {
        if !self.records.contains(&record) || !self.origin.tells_disposed() {
            return;
        }
        if let Err(place) = self.settled.binary_search(&record) {
            self.settled.insert(place, record);
            self.origin.settle(self.slot, record..record + 1, outcome);
        }
    }

    /// A fold has taken in all that is left of it. With `hold`, the commit is kept behind the first of these records
    /// until the hold is released.
    pub fn absorbed(mut self, hold: bool) -> Option<Hold> {
        let first = self.unsettled().next().map(|range| range.start);
        let held = match first {
            Some(record) if hold => Some(Hold { id: self.origin.hold(self.slot, record), origin: self.origin.clone() }),
            _ => None,
        };
        self.finish(Outcome::Absorbed);
        held
    }

    /// Cuts it before `record` and returns the rest, which stands for itself from now on.
    pub fn split_at(&mut self, record: u32) -> Self {
        let record = record.clamp(self.records.start, self.records.end);
        let at = self.settled.partition_point(|&settled| settled < record);
        let rest = Self {
            origin: self.origin.clone(),
            slot: self.slot,
            records: record..self.records.end,
            settled: self.settled.split_off(at),
        };
        self.records.end = record;
        rest
    }

    /// A share for each row, for a sink that hears of each row by itself; `rows` are the rows' records, ascending. A
    /// record settles when all its rows have; records without a row have arrived.
    pub fn share(mut self, rows: &[u32]) -> Vec<Share> {
        debug_assert!(rows.is_sorted(), "rows come in the order of their records");
        let mut shares = Vec::with_capacity(rows.len());
        for rows in rows.chunk_by(|a, b| a == b) {
            let record = rows[0];
            if self.records.start < record {
                self.take_before(record).delivered();
            }
            let mine = self.take_before(record.saturating_add(1));
            match rows.len() {
                1 => shares.push(Share(Some(Claim::Own(mine)))),
                _ => {
                    let common = Arc::new(Common { ticket: Mutex::new(Some(mine)) });
                    shares.extend(rows.iter().map(|_| Share(Some(Claim::Joint(common.clone())))));
                }
            }
        }
        self.delivered();
        shares
    }

    /// Keeps the commit behind `record`, which goes on to be settled by this ticket, until the hold is released.
    pub fn hold(&self, record: u32) -> Hold {
        Hold { id: self.origin.hold(self.slot, record), origin: self.origin.clone() }
    }

    /// A limit ends the run before `record`: no commit of the origin passes it.
    pub fn seal(&self, record: u32) {
        self.origin.seal(self.slot, record);
    }

    /// Asks for a dead letter of `record`; see [`Settle::bury`].
    pub fn bury(&self, record: u32, note: Note) -> Option<Burial> {
        self.origin.bury(self.slot, record, note)
    }

    /// What is left of it, to be settled range by range.
    pub fn owed(mut self) -> Owed {
        let open = self.unsettled().collect();
        self.records.end = self.records.start;
        self.settled.clear();
        Owed::new(self.origin.clone(), self.slot, open)
    }

    /// Whether the hold is on a record of the same origin.
    pub fn same_origin(&self, hold: &Hold) -> bool {
        Arc::ptr_eq(&self.origin, &hold.origin)
    }

    fn take_before(&mut self, record: u32) -> Self {
        let rest = self.split_at(record);
        std::mem::replace(self, rest)
    }

    fn unsettled(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let starts = std::iter::once(self.records.start).chain(self.settled.iter().map(|&record| record + 1));
        let ends = self.settled.iter().copied().chain(std::iter::once(self.records.end));
        starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| start..end)
    }

    fn finish(&mut self, outcome: Outcome) {
        for range in self.unsettled() {
            self.origin.settle(self.slot, range, outcome);
        }
        self.records.end = self.records.start;
        self.settled.clear();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.finish(Outcome::Abandoned);
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ticket({} {:?})", self.slot, self.records)
    }
}

/// A row's share in a ticket. Dropped without a word it abandons the row's record.
#[derive(Debug)]
pub struct Share(Option<Claim>);

#[derive(Debug)]
enum Claim {
    Own(Ticket),
    Joint(Arc<Common>),
}

#[derive(Debug)]
struct Common {
    /// Gone once a row of the record was abandoned.
    ticket: Mutex<Option<Ticket>>,
}

impl Share {
    /// The row has arrived.
    pub fn delivered(mut self) {
        match self.0.take() {
            Some(Claim::Own(ticket)) => ticket.delivered(),
            // The last share that arrives has the only reference left, unless one was abandoned before.
            Some(Claim::Joint(common)) => {
                if let Some(common) = Arc::into_inner(common)
                    && let Some(ticket) = common.ticket.into_inner().unwrap_or_else(PoisonError::into_inner)
                {
                    ticket.delivered();
                }
            }
            None => {}
        }
    }

    /// The row has failed, and its record with it, whatever becomes of its other rows: the claim to it, for a policy to
    /// deal with. `None`: another row of it has failed or was abandoned before.
    pub fn failed(mut self) -> Option<Ticket> {
        match self.0.take()? {
            Claim::Own(ticket) => Some(ticket),
            Claim::Joint(common) => common.ticket.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(Claim::Joint(common)) = self.0.take() {
            drop(common.ticket.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// Keeps the commit behind a record that a fold has taken in. Dropped without [`release`](Self::release) it stays: what
/// the fold made of the record has not arrived.
pub struct Hold {
    id: HoldId,
    origin: Arc<dyn Settle>,
}

impl Hold {
    pub(super) fn new(id: HoldId, origin: Arc<dyn Settle>) -> Self {
        Self { id, origin }
    }

    /// What the fold made of the record has arrived.
    pub fn release(self) {
        self.origin.release(self.id);
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hold({})", self.id.0)
    }
}

#[cfg(test)]
mod tests;
