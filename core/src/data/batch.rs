//! [`Batch`]: the records made from one contiguous span of an origin's sequence numbers.

use std::ops::Range;
use std::sync::Arc;

use super::{AnyColumn, Bytes, Column, Dealt, Marks, Packed, Partition, Stamp, Times};

/// What all parts of a batch share: the span of sequence numbers that the source emitted together, and what it takes to
/// stamp its records, to say where they stand, and to have their original bytes.
pub struct Shared {
    /// The name of the stage that the records began at.
    pub stage: Arc<str>,
    /// The partition of that stage.
    pub partition: Partition,
    /// The number of the instance that they began on: its place in the list of peers, 0 where there is only one.
    pub instance: u16,
    /// The epoch of that origin: another each time its source is opened anew.
    pub epoch: u64,
    /// The first sequence number.
    pub first: u64,
    /// How many sequence numbers.
    pub len: u32,
    /// When the records happened.
    pub times: Times,
    /// Where they stand at the source.
    pub marks: Arc<dyn Marks>,
    /// The original bytes, when the source emitted bytes or the plan asked to keep them: row i is record i.
    pub raw: Option<Packed<Bytes>>,
    /// Whether a merge by event time let them pass after it had given up waiting for them.
    pub late: bool,
    /// Of what a fold emits: where each record stands among what the folds of other instances emit. Ascending, one each.
    pub turns: Option<Arc<[i64]>>,
    /// Behind a split by key, where records have several rows: which of them came here.
    pub dealt: Option<Dealt>,
}

impl Shared {
    /// The place within record `index` of its row number `row`.
    pub fn sub(&self, index: u32, row: u32) -> u32 {
        self.dealt.as_ref().map_or(row, |dealt| dealt.sub(index, row))
    }

    /// The stamp of record `index` of the span, for its output number `row`.
    pub fn stamp(&self, index: u32, row: u32) -> Stamp {
        Stamp {
            stage: self.stage.clone(),
            partition: self.partition.clone(),
            instance: self.instance,
            epoch: self.epoch,
            sequence: self.first + u64::from(index),
            sub: self.sub(index, row),
            time: self.times.at(index),
            late: self.late,
        }
    }

    /// Where record `index` stands at the source, for people.
    pub fn place(&self, index: u32) -> String {
        match &self.raw {
            Some(raw) => self.marks.place(index, raw.block(), raw.ranges()[index as usize].start as usize),
            None => self.marks.place(index, &[], 0),
        }
    }
}

/// A batch, or a part of one: the rows that the records `part` of a span became. A filter empties a batch, it never
/// removes it: an empty batch still carries its span to the end, so that commits and ordered merges see it pass.
pub struct Batch {
    shared: Arc<Shared>,
    part: Range<u32>,
    /// The record of the span that each row came from, ascending; `None` while row i is record `part.start + i`.
    index: Option<Vec<u32>>,
    /// How many rows of the first row's record were dropped before it.
    dropped: u32,
    column: Box<dyn AnyColumn>,
}

impl Batch {
    /// The whole span, a row a record.
    pub fn new(shared: Arc<Shared>, column: Box<dyn AnyColumn>) -> Self {
        debug_assert_eq!(column.rows(), shared.len as usize);
        Self { part: 0..shared.len, shared, index: None, dropped: 0, column }
    }

    /// A part with rows made from it: `index` gives each row's record, ascending; `None` when there is a row a record.
    pub fn with_rows(
        shared: Arc<Shared>,
        part: Range<u32>,
        index: Option<Vec<u32>>,
        column: Box<dyn AnyColumn>,
    ) -> Self {
        debug_assert_eq!(column.rows(), index.as_ref().map_or(part.len(), Vec::len));
        debug_assert!(index.as_ref().is_none_or(|index| index.is_sorted()), "rows come in the order of their records");
        debug_assert!(index.iter().flatten().all(|record| part.contains(record)), "rows come from the part's records");
        Self { shared, part, index, dropped: 0, column }
    }

    /// What it shares with the other parts of its span.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The records of the span that it stands for.
    pub fn part(&self) -> Range<u32> {
        self.part.clone()
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.column.rows()
    }

    /// Whether it has no rows (it still stands for its records).
    pub fn is_empty(&self) -> bool {
        self.column.rows() == 0
    }

    /// The rows' values.
    pub fn column(&self) -> &dyn AnyColumn {
        &*self.column
    }

    /// The record of the span that `row` came from.
    #[inline]
    pub fn record(&self, row: usize) -> u32 {
        match &self.index {
            Some(index) => index[row],
            None => self.part.start + row as u32,
        }
    }

    /// The stamp of `row`. Finding the sub-index looks back over the rows of the same record.
    pub fn stamp(&self, row: usize) -> Stamp {
        let record = self.record(row);
        let before = (0..row).rev().take_while(|&before| self.record(before) == record).count();
        let dropped = if before == row { self.dropped } else { 0 };
        self.shared.stamp(record, before as u32 + dropped)
    }

    /// The stamps of all rows, in order.
    pub fn stamps(&self) -> impl Iterator<Item = Stamp> + '_ {
        let mut last = None;
        (0..self.len()).map(move |row| {
            let record = self.record(row);
            let sub = match last {
                Some((before, sub)) if before == record => sub + 1,
                Some(_) => 0,
                None => self.dropped,
            };
            last = Some((record, sub));
            self.shared.stamp(record, sub)
        })
    }

    /// The first row that came from `record` or a later one.
    pub fn row_of(&self, record: u32) -> usize {
        match &self.index {
            Some(index) => index.partition_point(|&of| of < record),
            None => (record.clamp(self.part.start, self.part.end) - self.part.start) as usize,
        }
    }

    /// Cuts it before `record` of the span and returns the rest.
    pub fn split_at(&mut self, record: u32) -> Self {
        let record = record.clamp(self.part.start, self.part.end);
        let row = self.row_of(record);
        let rest = Self {
            shared: self.shared.clone(),
            part: record..self.part.end,
            index: self.index.as_mut().map(|index| index.split_off(row)),
            dropped: if row == 0 { self.dropped } else { 0 },
            column: self.column.cut(row),
        };
        self.part.end = record;
        rest
    }

    /// Forgets its first `rows` rows; it still stands for their records.
    pub fn drop_rows(&mut self, rows: usize) {
        if rows == 0 {
            return;
        }
        let index: Vec<u32> = (rows..self.len()).map(|row| self.record(row)).collect();
        let of_first = |&row: &usize| index.first().is_some_and(|&first| self.record(row) == first);
        let before = (0..rows.min(self.len())).rev().take_while(of_first).count() as u32;
        self.dropped = if before as usize == rows { self.dropped + before } else { before };
        self.column = self.column.cut(rows.min(self.column.rows()));
        self.index = Some(index);
    }

    /// The parts it consists of: what is shared, the records, the rows' records, the values.
    pub fn into_parts(self) -> Parts {
        (self.shared, self.part, self.index, self.column)
    }
}

/// What a batch consists of; see [`Batch::into_parts`].
pub type Parts = (Arc<Shared>, Range<u32>, Option<Vec<u32>>, Box<dyn AnyColumn>);

/// A batch as a stage sees it that knows its type.
pub struct Records<'a, C: Column> {
    batch: &'a Batch,
    column: &'a C,
}

impl<'a, C: Column> Records<'a, C> {
    /// The batch as one of this type, or `None` if it is of another.
    pub fn of(batch: &'a Batch) -> Option<Self> {
        Some(Self { batch, column: batch.column().cast()? })
    }

    /// The values.
    pub fn column(&self) -> &'a C {
        self.column
    }

    /// What the rows have in common: whom they came from, and where.
    pub fn shared(&self) -> &'a Arc<Shared> {
        self.batch.shared()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.column.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.column.is_empty()
    }

    /// The stamp of `row`.
    pub fn stamp(&self, row: usize) -> Stamp {
        self.batch.stamp(row)
    }

    /// The stamps of all rows, in order.
    pub fn stamps(&self) -> impl Iterator<Item = Stamp> + '_ {
        self.batch.stamps()
    }

    /// The record of the batch's span that `row` came from: what a ticket is shared by.
    pub fn record(&self, row: usize) -> u32 {
        self.batch.record(row)
    }
}

#[cfg(test)]
mod tests;
