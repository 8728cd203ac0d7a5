//! [`Passing`]: a batch on its way through a segment, with what is at hand of it and which of its records failed.

use std::ops::Range;
use std::sync::Arc;

use super::fault::fault;
use super::parcel::Parcel;
use crate::commit::Ticket;
use crate::contracts::{Error, Faults, Rows, Shape};
use crate::data::{AnyColumn, Batch, Bytes, Packed, Shared};
use crate::plan::{Retry, Slot, StageId};

/// A batch on its way through a segment.
pub(super) struct Passing {
    pub(super) shared: Arc<Shared>,
    pub(super) part: Range<u32>,
    pub(super) ticket: Ticket,
    /// The record of each row of the columns; `None` while row i is record `part.start + i`.
    pub(super) index: Option<Vec<u32>>,
    pub(super) columns: Vec<Option<Box<dyn AnyColumn>>>,
    pub(super) rows: Rows,
    /// The next operation.
    pub(super) at: usize,
    /// What a retry begins with, unless that is still at hand.
    pub(super) input: Option<Input>,
    /// How often it has run again.
    pub(super) attempt: u32,
    /// The stage whose failed record it runs again.
    pub(super) retries: Option<StageId>,
    /// Records that failed at operation `at - 1`, ascending, one fault each.
    pub(super) faults: Vec<(u32, Error)>,
}

/// What a retry begins with.
pub(super) struct Input {
    column: Box<dyn AnyColumn>,
    /// The records of its rows.
    index: Option<Vec<u32>>,
    slot: Slot,
    /// The operation to begin with.
    at: usize,
}

impl Passing {
    /// The records of these rows.
    fn records(&self, rows: &[u32]) -> Vec<u32> {
        match &self.index {
            Some(index) => rows.iter().map(|&row| index[row as usize]).collect(),
            None => rows.iter().map(|&row| self.part.start + row).collect(),
        }
    }

    fn record(&self, row: u32) -> u32 {
        match &self.index {
            Some(index) => index[row as usize],
            None => self.part.start + row,
        }
    }

    /// Turns faults of rows into faults of records, one each, and takes all rows of those records out: a source record
    /// passes whole or not at all.
    pub(super) fn fail(&mut self, faults: &mut Faults, name: &str) {
        if faults.is_empty() {
            return;
        }
        let records = faults.drain(..).map(|(row, error)| (self.record(row), error)).collect();
        self.fail_records(records, name);
    }

    /// Like [`fail`](Self::fail), for a coder that has filled `made` beside the columns at hand: a row for each that did
    /// not fail.
    pub(super) fn fail_coded(&mut self, faults: &mut Faults, name: &str, made: &mut dyn AnyColumn) {
        if faults.is_empty() {
            return;
        }
        faults.sort_by_key(|&(row, _)| row);
        let coded =
            (0..self.rows.len() as u32).filter(|row| faults.binary_search_by_key(row, |&(row, _)| row).is_err());
        let records: Vec<u32> = coded.map(|row| self.record(row)).collect();
        self.fail(faults, name);
        let lives = |record: u32| self.faults.binary_search_by_key(&record, |&(record, _)| record).is_err();
        let alive: Vec<u32> = (0..records.len() as u32).filter(|&row| lives(records[row as usize])).collect();
        made.keep(&alive);
        self.compact();
    }

    fn fail_records(&mut self, mut failed: Faults, name: &str) {
        failed.sort_by_key(|&(record, _)| record);
        for (record, error) in failed {
            if self.faults.last().is_none_or(|&(last, _)| last != record) {
                let place = self.shared.place(record);
                self.faults.push((record, fault(error).at(place).in_stage(name)));
            }
        }
        self.drop_failed_rows();
    }

    fn drop_failed_rows(&mut self) {
        let failed = |row: &u32| self.faults.binary_search_by_key(&self.record(*row), |&(record, _)| record).is_ok();
        let alive: Vec<u32> = (0..self.rows.len()).map(|i| self.rows.at(i)).filter(|row| !failed(row)).collect();
        self.rows.set(alive);
    }

    /// Leaves only living rows in all columns.
    pub(super) fn compact(&mut self) {
        let Some(alive) = self.rows.partial() else { return };
        self.columns.iter_mut().flatten().for_each(|column| column.keep(alive));
        let records = self.records(alive);
        let count = alive.len();
        self.index = Some(records);
        self.rows.reset(count);
    }

    /// The records of the rows that a stage made.
    pub(super) fn remade(&self, shape: &Shape, faults: &Faults) -> Option<Vec<u32>> {
        match (shape, self.rows.partial()) {
            (Shape::From(rows), _) => Some(self.records(rows)),
            (Shape::OneEach, None) if faults.is_empty() => self.index.clone(),
            (Shape::OneEach, Some(alive)) if faults.is_empty() => Some(self.records(alive)),
            (Shape::OneEach, _) => {
                let mut failed: Vec<u32> = faults.iter().map(|&(row, _)| row).collect();
                failed.sort_unstable();
                let alive = (0..self.rows.len()).map(|i| self.rows.at(i));
                Some(alive.filter(|row| failed.binary_search(row).is_err()).map(|row| self.record(row)).collect())
            }
        }
    }

    /// Before a retry of a stage that only looked: what it looked at is whole, and is what runs again.
    pub(super) fn keep_looked_at(&mut self, slot: Slot, looked_at: &mut Option<Box<dyn AnyColumn>>) {
        if !self.faults.is_empty() && self.input.is_none() {
            let (index, at) = (self.index.clone(), self.at);
            self.input = looked_at.take().map(|column| Input { column, index, slot, at });
        }
    }

    /// The rows that a stage made are all that is at hand from now on.
    pub(super) fn replace(&mut self, to: Slot, made: Box<dyn AnyColumn>, index: Option<Vec<u32>>) {
        self.rows.reset(made.rows());
        self.columns[to] = Some(made);
        self.index = index;
        if !self.faults.is_empty() {
            self.drop_failed_rows();
        }
    }

    /// Whether records failed that no policy has been applied to.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// The stage whose failed record it runs again, if it does.
    pub(super) fn retries(&self) -> Option<StageId> {
        self.retries
    }

    /// The records that failed, each with its error.
    pub(super) fn take_faults(&mut self) -> Vec<(u32, Error)> {
        std::mem::take(&mut self.faults)
    }

    /// The first record that failed.
    pub(super) fn first_fault(&mut self) -> Option<(u32, Error)> {
        if self.faults.is_empty() { None } else { Some(self.faults.remove(0)) }
    }

    /// A batch some of whose records the source, or a stage without a segment, could not give.
    pub(super) fn refused(parcel: Parcel, mut faults: Faults, name: &str) -> Self {
        let mut passing = Self::of(parcel, 1);
        passing.fail(&mut faults, name);
        passing
    }

    /// A batch some of whose records (not rows) failed.
    pub(super) fn failed_records(parcel: Parcel, faults: Faults, name: &str) -> Self {
        let mut passing = Self::of(parcel, 1);
        passing.fail_records(faults, name);
        passing
    }

    /// The batch as it is.
    pub(super) fn into_parcel(mut self) -> Option<Parcel> {
        self.compact();
        let column = self.columns[0].take()?;
        Some(Parcel { batch: Batch::with_rows(self.shared, self.part, self.index, column), ticket: self.ticket })
    }

    pub(super) fn of(parcel: Parcel, slots: usize) -> Self {
        let (shared, part, index, column) = parcel.batch.into_parts();
        let rows = Rows::all(column.rows());
        let mut columns: Vec<_> = (0..slots).map(|_| None).collect();
        columns[0] = Some(column);
        let ticket = parcel.ticket;
        Self {
            shared,
            part,
            ticket,
            index,
            columns,
            rows,
            at: 0,
            input: None,
            attempt: 0,
            retries: None,
            faults: Vec::new(),
        }
    }

    /// The record is dealt with by a policy: it settles now.
    pub(super) fn dispose(&mut self, record: u32) {
        self.ticket.dispose(record);
    }

    /// What the batch shares with the other parts of its span.
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Cuts it before `record`; returns the rest.
    pub(super) fn split_at(&mut self, record: u32) -> Self {
        let row = row_of(self.index.as_deref(), &self.part, self.total_rows(), record);
        let alive = (0..self.rows.len()).map(|i| self.rows.at(i));
        let (before, after): (Vec<u32>, Vec<u32>) = alive.partition(|&alive| alive < row as u32);
        let input = self.input.as_mut().map(|input| input.split_at(&self.part, record));
        let columns: Vec<_> =
            self.columns.iter_mut().map(|column| column.as_mut().map(|column| column.cut(row))).collect();
        let total = self.total_rows();
        let rest_total = columns.iter().flatten().map(|column| column.rows()).next().unwrap_or(0);
        let at = self.faults.partition_point(|&(failed, _)| failed < record);
        let rest = Self {
            shared: self.shared.clone(),
            part: record..self.part.end,
            ticket: self.ticket.split_at(record),
            index: self.index.as_mut().map(|index| index.split_off(row)),
            columns,
            rows: rows(rest_total, after.into_iter().map(|alive| alive - row as u32).collect()),
            at: self.at,
            input,
            attempt: self.attempt,
            retries: None,
            faults: self.faults.split_off(at),
        };
        self.rows = rows(total, before);
        self.part.end = record;
        rest
    }

    /// Starts again: from what was kept for that, or else, where the stage only looked at what is still at hand, there.
    pub(super) fn restart(&mut self, stage: StageId, retry: Option<Retry>) {
        self.retries = Some(stage);
        self.attempt += 1;
        match self.input.take() {
            Some(input) => {
                self.columns.iter_mut().for_each(|column| *column = None);
                (self.at, self.index) = (input.at, input.index);
                self.columns[input.slot] = Some(input.column);
            }
            None => self.at -= 1,
        }
        self.rows.reset(self.total_rows());
        if self.at == 0 {
            self.keep_input(retry);
        }
    }

    /// Keeps a copy of the input for another attempt, if there may be one.
    pub(super) fn keep_input(&mut self, retry: Option<Retry>) {
        if let (Some(retry), Some(column)) = (retry, self.columns[0].as_deref()) {
            let index = self.index.clone();
            self.input = keep(column, retry).map(|column| Input { column, index, slot: 0, at: 0 });
        }
    }

    fn total_rows(&self) -> usize {
        self.columns.iter().flatten().map(|column| column.rows()).next().unwrap_or(0)
    }
}

impl Input {
    /// Cuts it before `record`; returns the rest.
    fn split_at(&mut self, part: &Range<u32>, record: u32) -> Self {
        let row = row_of(self.index.as_deref(), part, self.column.rows(), record);
        let index = self.index.as_mut().map(|index| index.split_off(row));
        Self { column: self.column.cut(row), index, slot: self.slot, at: self.at }
    }
}

/// A copy of a segment's input for retries: packed records are shared, what a stage takes by value is cloned.
fn keep(column: &dyn AnyColumn, retry: Retry) -> Option<Box<dyn AnyColumn>> {
    if let Some(packed) = column.cast::<Packed<Bytes>>() {
        return Some(Box::new(packed.clone()));
    }
    if let Some(packed) = column.cast::<Packed<String>>() {
        return Some(Box::new(packed.clone()));
    }
    (retry.copy)(column)
}

fn rows(total: usize, alive: Vec<u32>) -> Rows {
    let mut rows = Rows::all(total);
    rows.set(alive);
    rows
}

fn row_of(index: Option<&[u32]>, part: &Range<u32>, total: usize, record: u32) -> usize {
    match index {
        Some(index) => index.partition_point(|&of| of < record),
        None => (record.clamp(part.start, part.end) - part.start).min(total as u32) as usize,
    }
}
