//! [`Prefix`]: up to where the records of one origin that came in by a network stage have settled. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::commit::{HoldId, Ranges};
use crate::data::{Marks, Shared};

/// The contiguous prefix of what has settled, by sequence number, of records that may come in any order and more than
/// once; clamped by holds and a seal. Sequence numbers begin at 0: whoever keeps something of an origin's records has
/// them from its first.
#[derive(Default)]
pub(super) struct Prefix {
    settled: Ranges,
    holds: BTreeSet<(u64, HoldId)>,
    seal: Option<u64>,
    /// What came in that may be asked for its positions, by the end of each piece.
    pieces: BTreeMap<u64, Piece>,
}

/// Marks, and the sequence number that they begin at.
#[derive(Clone)]
struct Piece {
    marks: Arc<dyn Marks>,
    first: u64,
}

impl Prefix {
    /// A piece came in whose positions may be asked for.
    pub(super) fn came(&mut self, shared: &Shared, records: Range<u64>) {
        if !records.is_empty() {
            self.pieces.insert(records.end, Piece { marks: shared.marks.clone(), first: shared.first });
        }
    }

    /// Nothing ends it any more.
    pub(super) fn forget_seal(&mut self) {
        self.seal = None;
    }

    /// These have settled. A second time changes nothing.
    pub(super) fn settle(&mut self, records: Range<u64>) {
        self.settled.add(records);
        let at = self.at();
        while self.pieces.first_key_value().is_some_and(|(&end, _)| end < at) {
            self.pieces.pop_first();
        }
    }

    /// These have not settled after all.
    pub(super) fn unsettle(&mut self, records: Range<u64>) {
        self.settled.take(records);
    }

    /// Keeps the prefix from passing `sequence`. What it has passed already can't be held.
    pub(super) fn hold(&mut self, sequence: u64, hold: HoldId) {
        if sequence >= self.at() {
            self.holds.insert((sequence, hold));
        }
    }

    /// Gives a hold back.
    pub(super) fn release(&mut self, hold: HoldId) {
        self.holds.retain(|&(_, held)| held != hold);
    }

    /// The prefix never passes `sequence`. The lowest seal counts.
    pub(super) fn seal(&mut self, sequence: u64) {
        self.seal = Some(self.seal.map_or(sequence, |seal| seal.min(sequence)));
    }

    /// The first sequence number that is not in it.
    pub(super) fn at(&self) -> u64 {
        let held = self.holds.first().map_or(u64::MAX, |&(sequence, _)| sequence);
        self.settled.frontier().min(held).min(self.seal.unwrap_or(u64::MAX))
    }

    /// The marks that can tell the position there, and how many of their records lie before it. `None` while nothing is
    /// in it.
    pub(super) fn mark(&self) -> Option<(Arc<dyn Marks>, u32)> {
        let at = self.at();
        let (_, piece) = self.pieces.range(at..).next().filter(|(_, piece)| at > 0 && piece.first <= at)?;
        Some((piece.marks.clone(), u32::try_from(at - piece.first).ok()?))
    }
}

#[cfg(test)]
mod tests;
