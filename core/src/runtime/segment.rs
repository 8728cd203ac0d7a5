//! A segment at work: element-wise operations on the columns of a batch, one dynamic call an operation and batch.

use std::ops::Range;
use std::sync::Arc;

use super::metrics::{Counters, Meters, add};
use super::parcel::Parcel;
use crate::commit::Ticket;
use crate::contracts::{Code, Error, Faults, Look, Make, Result, Rows, Shape};
use crate::data::{AnyColumn, Batch, Bytes, Form, Packed, Shared};
use crate::plan::{Action, Factory, Graph, Op, Policy, Retry, Segment, Slot, StageId};

/// A segment with its operators; each worker has its own.
pub(super) struct Segmented {
    slots: Vec<Form>,
    ops: Vec<Operation>,
    output: Slot,
    /// The first stage's retries: the segment's input is kept for them.
    retry: Option<Retry>,
    /// Columns of batches that went before, to be filled again.
    spare: Vec<Option<Box<dyn AnyColumn>>>,
    faults: Faults,
    meters: Arc<Meters>,
}

struct Operation {
    stage: StageId,
    name: String,
    policy: Policy,
    retry: Option<Retry>,
    /// Whether it takes its argument by value.
    takes: bool,
    work: Work,
}

enum Work {
    Code { code: Box<dyn Code>, from: Slot, to: Slot },
    Look { look: Box<dyn Look>, from: Slot },
    Make { make: Box<dyn Make>, from: Slot, to: Slot },
}

/// A batch on its way through a segment.
pub(super) struct Passing {
    shared: Arc<Shared>,
    part: Range<u32>,
    ticket: Ticket,
    /// The record of each row of the columns; `None` while row i is record `part.start + i`.
    index: Option<Vec<u32>>,
    columns: Vec<Option<Box<dyn AnyColumn>>>,
    rows: Rows,
    /// The next operation.
    at: usize,
    /// The segment's input, for a retry: its column and the records of its rows.
    input: Option<(Box<dyn AnyColumn>, Option<Vec<u32>>)>,
    /// How often it has run again.
    attempt: u32,
    /// The stage whose failed record it runs again.
    retries: Option<StageId>,
    /// Records that failed at operation `at - 1`, ascending, one fault each.
    faults: Vec<(u32, Error)>,
}

/// What a segment has to say about a batch.
pub(super) enum Passed {
    /// It is through.
    Through(Parcel),
    /// Records failed; see [`Passing::first_fault`].
    Faulted(Passing),
}

/// What is to be done about the records that failed at one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) stage: StageId,
    pub(super) policy: Policy,
    /// How long to wait before the first of them runs again, if it may.
    pub(super) again: Option<std::time::Duration>,
}

impl Segmented {
    pub(super) fn new(segment: &Segment, graph: &Graph, factories: &[Factory], policy: Policy, meters: Arc<Meters>) -> Result<Self> {
        let make = |op: &Op| Operation::new(op, graph, factories, policy);
        let ops = segment.ops.iter().map(make).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            retry: ops.iter().find_map(|op| op.retry),
            spare: segment.slots.iter().map(|_| None).collect(),
            slots: segment.slots.clone(),
            ops,
            output: segment.output,
            faults: Faults::new(),
            meters,
        })
    }

    /// Takes a batch in.
    pub(super) fn begin(&mut self, parcel: Parcel) -> Passing {
        let mut passing = Passing::of(parcel, self.slots.len());
        passing.keep_input(self.retry);
        passing
    }

    /// Runs a batch on, to its end or to the next fault.
    pub(super) fn run(&mut self, mut passing: Passing) -> Passed {
        while passing.at < self.ops.len() {
            self.step(&mut passing);
            passing.at += 1;
            if !passing.faults.is_empty() {
                return Passed::Faulted(passing);
            }
        }
        passing.compact();
        let column = passing.columns[self.output].take().unwrap_or_else(|| self.slots[self.output].empty());
        put_back(&mut self.spare, &mut passing.columns);
        let Passing { shared, part, ticket, index, .. } = passing;
        Passed::Through(Parcel { batch: Batch::with_rows(shared, part, index, column), ticket })
    }

    /// What is to be done about the records that failed.
    pub(super) fn verdict(&self, passing: &Passing) -> Verdict {
        let op = &self.ops[passing.at - 1];
        // What a stage took by value, and nobody could copy, can't run again.
        let lost = op.takes && passing.input.is_none();
        let retry = op.retry.filter(|retry| passing.attempt < retry.times && !lost);
        let again = retry.map(|retry| retry.wait(passing.attempt));
        Verdict { stage: op.stage, policy: op.policy, again }
    }

    fn step(&mut self, passing: &mut Passing) {
        let op = &mut self.ops[passing.at];
        let counters = &self.meters.stages[op.stage];
        let faults = &mut self.faults;
        faults.clear();
        let name = &op.name;
        match &mut op.work {
            Work::Code { code, from, to } => {
                passing.compact();
                let mut made = empty(&mut self.spare, &self.slots, *to);
                if let Some(from) = passing.columns[*from].as_deref() {
                    code.code(from, &mut *made, faults);
                }
                passing.fail_coded(faults, name, &mut *made);
                passing.columns[*to] = Some(made);
            }
            Work::Look { look, from } => {
                let before = passing.rows.len();
                if let Some(from) = passing.columns[*from].as_deref() {
                    look.look(from, &mut passing.rows, faults);
                }
                count_look(counters, before, passing.rows.len(), faults.len());
                passing.fail(faults, name);
            }
            Work::Make { make, from, to } => {
                add(&counters.rows_in, passing.rows.len());
                let mut made = empty(&mut self.spare, &self.slots, *to);
                let mut taken = passing.columns[*from].take();
                let shape = match taken.as_deref_mut() {
                    Some(from) => make.make(from, &passing.rows, &mut *made, faults),
                    None => Shape::OneEach,
                };
                add(&counters.rows_out, made.rows());
                let index = passing.remade(&shape, faults);
                passing.fail(faults, name);
                if op.retry.is_some() && !op.takes {
                    passing.keep_looked_at(&mut taken);
                }
                if let Some(taken) = taken {
                    passing.columns[*from] = Some(taken);
                }
                put_back(&mut self.spare, &mut passing.columns);
                passing.replace(*to, made, index);
            }
        }
    }
}

/// Keeps columns that are no longer needed, to be filled again. What came in is not among them: it is the source's.
fn put_back(spare: &mut [Option<Box<dyn AnyColumn>>], columns: &mut [Option<Box<dyn AnyColumn>>]) {
    for (slot, column) in columns.iter_mut().enumerate() {
        if let Some(mut column) = column.take()
            && slot > 0
        {
            column.reset();
            spare[slot] = Some(column);
        }
    }
}

fn count_look(counters: &Counters, before: usize, after: usize, failed: usize) {
    add(&counters.rows_in, before);
    add(&counters.rows_out, after);
    add(&counters.filtered, before - after - failed);
}

fn empty(spare: &mut [Option<Box<dyn AnyColumn>>], slots: &[Form], slot: Slot) -> Box<dyn AnyColumn> {
    spare[slot].take().unwrap_or_else(|| slots[slot].empty())
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

impl Operation {
    fn new(op: &Op, graph: &Graph, factories: &[Factory], policy: Policy) -> Result<Self> {
        let stage = &graph.stages[op.stage];
        let unfit = || Error::new(crate::contracts::Cause::Bug, "the graph names an operator of another kind").in_stage(&stage.name);
        let (name, work) = match (&op.action, &factories[op.stage]) {
            (Action::Code { coder, from, to }, _) => {
                let coder = &graph.coders[*coder];
                (coder.name.clone(), Work::Code { code: (coder.make)(), from: *from, to: *to })
            }
            (Action::Look { from }, Factory::Look(make)) => (stage.name.clone(), Work::Look { look: make(), from: *from }),
            (Action::Make { from, to }, Factory::Make(make)) => {
                (stage.name.clone(), Work::Make { make: make(), from: *from, to: *to })
            }
            _ => return Err(unfit()),
        };
        // What can't be decoded once can't be decoded again.
        let retry = stage.options.retry.filter(|_| !matches!(work, Work::Code { .. }));
        Ok(Self { stage: op.stage, name, policy: stage.options.policy.unwrap_or(policy), retry, takes: stage.kind.takes_by_value(), work })
    }
}

impl Passing {
    fn record(&self, row: u32) -> u32 {
        match &self.index {
            Some(index) => index[row as usize],
            None => self.part.start + row,
        }
    }

    /// Turns faults of rows into faults of records, one each, and takes all rows of those records out: a source record
    /// passes whole or not at all.
    fn fail(&mut self, faults: &mut Faults, name: &str) {
        if faults.is_empty() {
            return;
        }
        let records = faults.drain(..).map(|(row, error)| (self.record(row), error)).collect();
        self.fail_records(records, name);
    }

    /// Like [`fail`](Self::fail), for a coder that has filled `made` beside the columns at hand: a row for each that did
    /// not fail.
    fn fail_coded(&mut self, faults: &mut Faults, name: &str, made: &mut dyn AnyColumn) {
        if faults.is_empty() {
            return;
        }
        faults.sort_by_key(|&(row, _)| row);
        let coded = (0..self.rows.len() as u32).filter(|row| faults.binary_search_by_key(row, |&(row, _)| row).is_err());
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
    fn compact(&mut self) {
        let Some(alive) = self.rows.partial() else { return };
        self.columns.iter_mut().flatten().for_each(|column| column.keep(alive));
        self.index = Some(alive.iter().map(|&row| self.record(row)).collect());
        let count = alive.len();
        self.rows.reset(count);
    }

    /// The records of the rows that a stage made.
    fn remade(&mut self, shape: &Shape, faults: &Faults) -> Option<Vec<u32>> {
        match shape {
            Shape::From(rows) => Some(rows.iter().map(|&row| self.record(row)).collect()),
            Shape::OneEach if faults.is_empty() && self.rows.partial().is_none() => self.index.clone(),
            Shape::OneEach => {
                let mut failed: Vec<u32> = faults.iter().map(|&(row, _)| row).collect();
                failed.sort_unstable();
                let alive = (0..self.rows.len()).map(|i| self.rows.at(i));
                Some(alive.filter(|row| failed.binary_search(row).is_err()).map(|row| self.record(row)).collect())
            }
        }
    }

    /// Before a retry of a stage that only looked: what it looked at is whole, and is what runs again.
    fn keep_looked_at(&mut self, looked_at: &mut Option<Box<dyn AnyColumn>>) {
        if !self.faults.is_empty() && self.input.is_none() {
            self.input = looked_at.take().map(|column| (column, self.index.clone()));
        }
    }

    /// The rows that a stage made are all that is at hand from now on.
    fn replace(&mut self, to: Slot, made: Box<dyn AnyColumn>, index: Option<Vec<u32>>) {
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

    fn of(parcel: Parcel, slots: usize) -> Self {
        let (shared, part, index, column) = parcel.batch.into_parts();
        let rows = Rows::all(column.rows());
        let mut columns: Vec<_> = (0..slots).map(|_| None).collect();
        columns[0] = Some(column);
        let ticket = parcel.ticket;
        Self { shared, part, ticket, index, columns, rows, at: 0, input: None, attempt: 0, retries: None, faults: Vec::new() }
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
        let input = self.input.as_mut().map(|(column, index)| {
            let row = row_of(index.as_deref(), &self.part, column.rows(), record);
            (column.cut(row), index.as_mut().map(|index| index.split_off(row)))
        });
        let columns: Vec<_> = self.columns.iter_mut().map(|column| column.as_mut().map(|column| column.cut(row))).collect();
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

    /// Starts again from the segment's input.
    pub(super) fn restart(&mut self, stage: StageId, segment: &Segmented) {
        self.retries = Some(stage);
        if let Some((column, index)) = self.input.take() {
            self.columns.iter_mut().for_each(|column| *column = None);
            self.columns[0] = Some(column);
            self.index = index;
        }
        self.rows.reset(self.total_rows());
        self.at = 0;
        self.attempt += 1;
        self.keep_input(segment.retry);
    }

    /// Keeps a copy of the input for another attempt, if there will be one.
    fn keep_input(&mut self, retry: Option<Retry>) {
        if let (Some(retry), Some(column)) = (retry, self.columns[0].as_deref()) {
            self.input = keep(column, retry).map(|copy| (copy, self.index.clone()));
        }
    }

    fn total_rows(&self) -> usize {
        self.columns.iter().flatten().map(|column| column.rows()).next().unwrap_or(0)
    }
}

/// A stage's own error as the record's failure; the text is the error's, the error itself its cause.
pub(super) fn fault(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => {
            let below = error.source().is_some();
            let message = error.to_string();
            let fault = Error::new(crate::contracts::Cause::Record, message);
            if below { fault.because(Below(error)) } else { fault }
        }
    }
}

/// What lies below an error whose own text is already told.
#[derive(Debug)]
struct Below(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Below {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.source() {
            Some(source) => std::fmt::Display::fmt(source, f),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Below {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source().and_then(std::error::Error::source)
    }
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
