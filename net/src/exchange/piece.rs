//! [`Piece`]: records of one origin on their way between instances, as bytes.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use millstream_core::data::{Batch, Bytes, Dealt, Marks, Packed, Position, Shared, Times};

use super::origin::{By, Load, Origin};

mod by_key;
mod marks;
mod rows;

use marks::RemoteMarks;
pub(super) use rows::Rows;

/// What a piece counts for beside its rows: about what it takes in memory when it has none.
const OVERHEAD: u64 = 256;
/// What a row counts for beside its bytes: its place, twice for pairs, and its record.
const ROW_OVERHEAD: u64 = 16;

/// Records of one origin on their way: a batch whose rows are bytes, or pairs of bytes, by the coders that the planner
/// chose. Cloning is cheap, and cutting copies no row.
#[derive(Clone)]
pub(crate) struct Piece {
    span: Arc<Span>,
    /// The records of the span that it stands for.
    part: Range<u32>,
    /// The record of the span that each row came from, ascending; `None` while row i is record `part.start + i`.
    index: Option<Arc<[u32]>>,
    /// Each row's place within its record, where others of the record were dealt elsewhere by their keys.
    subs: Option<Arc<[u32]>>,
    rows: Rows,
    late: bool,
    bytes: u64,
}

/// What all pieces of a span share.
pub(super) struct Span {
    pub(super) origin: Arc<Origin>,
    /// The first sequence number.
    pub(super) first: u64,
    /// How many sequence numbers; none of them is above `u64::MAX`.
    pub(super) len: u32,
    /// If one each, `len` of them.
    pub(super) times: Times,
    /// If the records have turns, `len` of them.
    pub(super) turns: Option<Arc<[i64]>>,
    pub(super) reached: Reached,
    /// The original, on the instance that it was sent from.
    pub(super) shared: Option<Arc<Shared>>,
}

/// What is said of the positions within a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reached {
    /// Nothing: whoever wants to know has to ask the origin.
    Unsaid,
    /// The source has none.
    Nowhere,
    /// After this many records, this one.
    At(u32, Position),
}

impl Piece {
    /// A batch on its way. `with_position`: the position after its last record travels with it, if it is known here. What
    /// it shares with the others of its span is kept for as long as it is on this instance, for dead letters and
    /// positions. An error is a bug: a stage before the network emits no bytes.
    pub(crate) fn of(batch: Batch, with_position: bool) -> Result<Self, String> {
        let (shared, part, index, column) = batch.into_parts();
        if let Times::Each(times) = &shared.times
            && times.len() != shared.len as usize
        {
            return Err(format!("a span of {} records came with {} event times", shared.len, times.len()));
        }
        if let Some(turns) = &shared.turns
            && turns.len() != shared.len as usize
        {
            return Err(format!("a span of {} records came with {} turns", shared.len, turns.len()));
        }
        let reached = if with_position { Reached::ask(&shared, part.end)? } else { Reached::Unsaid };
        let late = shared.late;
        let span = Span {
            origin: Arc::new(Origin {
                instance: shared.instance,
                stage: shared.stage.clone(),
                partition: shared.partition.clone(),
                epoch: shared.epoch,
            }),
            first: shared.first,
            len: shared.len,
            times: shared.times.clone(),
            turns: shared.turns.clone(),
            reached,
            shared: Some(shared),
        };
        Ok(Self::new(Arc::new(span), part, index.map(Arc::from), Rows::of(column)?, late))
    }

    /// A part of a span, with `index` and `rows` as for [`Batch::with_rows`].
    pub(super) fn new(span: Arc<Span>, part: Range<u32>, index: Option<Arc<[u32]>>, rows: Rows, late: bool) -> Self {
        let bytes = OVERHEAD + rows.bytes() + ROW_OVERHEAD * rows.len() as u64;
        Self { span, part, index, subs: None, rows, late, bytes }
    }

    /// The same, each row with its place within its record.
    pub(super) fn with_subs(self, subs: Option<Arc<[u32]>>) -> Self {
        Self { subs, ..self }
    }

    /// The records of its span that it stands for.
    pub(super) fn part(&self) -> Range<u32> {
        self.part.clone()
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn index(&self) -> Option<&[u32]> {
        self.index.as_deref()
    }

    pub(super) fn subs(&self) -> Option<&[u32]> {
        self.subs.as_deref()
    }

    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Whether a merge by event time let it pass after that had given up waiting for it.
    pub(crate) fn is_late(&self) -> bool {
        self.late
    }

    /// The same, passed by a merge by event time after that had given up waiting for it.
    pub(crate) fn into_late(self) -> Self {
        Self { late: true, ..self }
    }

    /// What the batch that it was made of shares with the others of its span, on the instance that it was made on.
    pub(crate) fn shared(&self) -> Option<&Arc<Shared>> {
        self.span.shared.as_ref()
    }

    /// The batch, at the end of the way. One that never left the instance has its original bytes and marks.
    pub(crate) fn into_batch(self) -> Batch {
        let shared = match &self.span.shared {
            Some(shared) if shared.late == self.late && self.subs.is_none() => shared.clone(),
            Some(shared) => Arc::new(self.share_as(shared.marks.clone(), shared.raw.clone())),
            None => Arc::new(self.share_as(Arc::new(RemoteMarks::of(&self.span)), None)),
        };
        let index = self.index.map(|index| index.to_vec());
        Batch::with_rows(shared, self.part, index, self.rows.into_column())
    }

    fn share_as(&self, marks: Arc<dyn Marks>, raw: Option<Packed<Bytes>>) -> Shared {
        let Span { origin, first, len, times, .. } = &*self.span;
        Shared {
            stage: origin.stage.clone(),
            partition: origin.partition.clone(),
            instance: origin.instance,
            epoch: origin.epoch,
            first: *first,
            len: *len,
            times: times.clone(),
            marks,
            raw,
            late: self.late,
            turns: self.span.turns.clone(),
            dealt: self
                .index
                .as_ref()
                .zip(self.subs.as_ref())
                .map(|(index, subs)| Dealt::new(index.to_vec(), subs.to_vec())),
        }
    }

    /// The record of the span that `row` came from.
    fn record(&self, row: usize) -> u32 {
        match &self.index {
            Some(index) => index[row],
            None => self.part.start + row as u32,
        }
    }

    /// The first row that came from `record` or a later one; `record` is one of the part, or its end.
    fn row_of(&self, record: u32) -> usize {
        match &self.index {
            Some(index) => index.partition_point(|&of| of < record),
            None => (record - self.part.start) as usize,
        }
    }

    /// Whether all records stand at the same place.
    fn is_even(&self, by: By) -> bool {
        match by {
            By::EventTime => matches!(self.span.times, Times::Uniform(_)),
            By::Turn => self.span.turns.is_none(),
        }
    }

    fn place_of(&self, record: u32, by: By) -> i64 {
        match by {
            By::EventTime => self.span.times.at(record).micros,
            By::Turn => self.span.turns.as_ref().map_or(i64::MIN, |turns| turns[record as usize]),
        }
    }

    /// Where a sequence number stands in the span, as near to it as the part goes.
    fn within(&self, sequence: u64) -> u32 {
        let record = sequence.saturating_sub(self.span.first);
        // What doesn't fit is above any part.
        u32::try_from(record).unwrap_or(u32::MAX).clamp(self.part.start, self.part.end)
    }
}

impl Reached {
    fn ask(shared: &Shared, count: u32) -> Result<Self, String> {
        if !shared.marks.knows(count) {
            return Ok(Self::Unsaid);
        }
        let position = shared.marks.position(count)?;
        Ok(position.map_or(Self::Nowhere, |position| Self::At(count, position)))
    }
}

impl Load for Piece {
    fn origin(&self) -> &Arc<Origin> {
        &self.span.origin
    }

    fn records(&self) -> Range<u64> {
        self.span.first + u64::from(self.part.start)..self.span.first + u64::from(self.part.end)
    }

    /// Its rows' bytes and what they take beside them: the same on every instance, however the rows lie in memory.
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn place(&self, by: By) -> i64 {
        if self.part.is_empty() { i64::MAX } else { self.place_of(self.part.start, by) }
    }

    fn run(&self, by: By, within: RangeInclusive<i64>) -> (u64, i64) {
        let Range { start, end } = self.part;
        if self.is_even(by) {
            return (self.span.first + u64::from(end), self.place(by));
        }
        let mut highest = self.place(by);
        let beyond = |record: &u32| !within.contains(&self.place_of(*record, by));
        let end = (start + 1..end).find(beyond).unwrap_or(end);
        for record in start + 1..end {
            highest = highest.max(self.place_of(record, by));
        }
        (self.span.first + u64::from(end), highest)
    }

    fn slice(&self, records: Range<u64>) -> Self {
        let start = self.within(records.start);
        let part = start..self.within(records.end).max(start);
        if part == self.part {
            return self.clone();
        }
        let rows = self.row_of(part.start)..self.row_of(part.end);
        let cut = |all: &Option<Arc<[u32]>>| all.as_ref().map(|all| Arc::from(&all[rows.clone()]));
        let (index, subs) = (cut(&self.index), cut(&self.subs));
        Self::new(self.span.clone(), part, index, self.rows.slice(rows), self.late).with_subs(subs)
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Piece({} {:?}, {} rows)", self.span.origin, self.records(), self.rows.len())
    }
}

#[cfg(test)]
pub(super) mod tests;
