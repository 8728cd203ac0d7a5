//! [`Owed`]: a ticket that settles range by range.

use std::ops::Range;
use std::sync::Arc;

use super::{Burial, Hold, Note, Outcome, RemoteHold, Settle};

/// What is left of a [`Ticket`](super::Ticket) whose records are on their way to another instance: outcomes come back for
/// ranges of them, in any order. Dropped, what is left is abandoned.
pub struct Owed {
    origin: Arc<dyn Settle>,
    slot: u64,
    /// What has not settled, ascending.
    open: Vec<Range<u32>>,
}

impl Owed {
    pub(super) fn new(origin: Arc<dyn Settle>, slot: u64, open: Vec<Range<u32>>) -> Self {
        Self { origin, slot, open }
    }

    /// The records that have not settled, in ascending ranges.
    pub fn open(&self) -> &[Range<u32>] {
        &self.open
    }

    /// Whether all has settled.
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// These records had this outcome: those of them that had none before settle. [`Outcome::Abandoned`] settles nothing
    /// here: what is on its way is sent anew, or dropped with this.
    pub fn settle(&mut self, records: Range<u32>, outcome: Outcome) {
        if outcome == Outcome::Abandoned {
            return;
        }
        let mut left = Vec::with_capacity(self.open.len() + 1);
        for range in self.open.drain(..) {
            let hit = range.start.max(records.start)..range.end.min(records.end);
            if hit.start >= hit.end {
                left.push(range);
                continue;
            }
            self.origin.settle(self.slot, hit.clone(), outcome);
            left.extend([range.start..hit.start, hit.end..range.end].into_iter().filter(|range| !range.is_empty()));
        }
        self.open = left;
    }

    /// Keeps the commit behind `record` on behalf of another instance. A hold that is kept here comes back; `None`: it
    /// was passed on to where the record began.
    pub fn hold(&self, record: u32, hold: RemoteHold) -> Option<Hold> {
        if self.origin.pass_hold(self.slot, record, hold) {
            return None;
        }
        Some(Hold::new(self.origin.hold(self.slot, record), self.origin.clone()))
    }

    /// Asks for a dead letter of `record`; see [`Settle::bury`].
    pub fn bury(&self, record: u32, note: Note) -> Option<Burial> {
        self.origin.bury(self.slot, record, note)
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        for range in self.open.drain(..) {
            self.origin.settle(self.slot, range, Outcome::Abandoned);
        }
    }
}

impl std::fmt::Debug for Owed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Owed({} {:?})", self.slot, self.open)
    }
}
