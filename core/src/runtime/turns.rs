//! [`Turns`]: where the rows that a fold takes in stand among all that the folds of several instances do, so that what
//! these emit can be put in one order.

use std::ops::Range;
use std::sync::Arc;

use super::ledger::Ledger;
use super::promises::Promises;
use crate::data::Shared;

/// Gives rows their turns: the numbers of their records, and the places of the rows within them. All instances see every
/// record of the split by key, with rows or without. Those of a source's partition have their sequence numbers; those that
/// folds have emitted, in one order for all, are counted. Of several partitions each instance has its own order, and so
/// have their turns none that means anything.
pub(super) struct Turns {
    /// How many records have come that folds have emitted.
    seen: u64,
    promises: Promises,
}

/// How many bits of a turn are a row's place within its record; further ones share the last, and so do records beyond
/// the 40 bits that are left.
const SUB_BITS: u32 = 23;
const MOST_RECORDS: u64 = (1 << (63 - SUB_BITS)) - 1;

impl Turns {
    pub(super) fn new(promises: Promises) -> Self {
        Self { seen: 0, promises }
    }

    /// The turns of the rows of the next records.
    pub(super) fn of(&mut self, shared: &Shared, part: &Range<u32>, index: Option<&[u32]>, rows: usize) -> Vec<i64> {
        let first = match shared.turns {
            None => shared.first + u64::from(part.start),
            Some(_) => self.seen,
        };
        self.seen += part.len() as u64;
        let (mut last, mut place) = (None, 0);
        let turn = |row: usize| {
            let record = index.map_or(part.start + row as u32, |index| index[row]);
            place = if last == Some(record) { place + 1 } else { 0 };
            last = Some(record);
            let sub = i64::from(shared.sub(record, place).min((1 << SUB_BITS) - 1));
            let number = first.saturating_add(u64::from(record - part.start)).min(MOST_RECORDS);
            (number as i64) << SUB_BITS | sub
        };
        (0..rows).map(turn).collect()
    }

    /// The fold begins: those of the other instances wait for it, though one of an older epoch here had ended.
    pub(super) fn begin(&self, origin: (&Arc<str>, u16), ledger: &Ledger) {
        self.promises.promise(origin, ledger, i64::MIN);
    }

    /// Nothing more comes of the fold: those of the other instances need not wait for it any more.
    pub(super) fn end(&self, origin: (&Arc<str>, u16), ledger: &Ledger) {
        self.promises.promise(origin, ledger, i64::MAX);
    }
}
