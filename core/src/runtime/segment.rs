//! A segment at work: element-wise operations on the columns of a batch, one dynamic call an operation and batch.

use std::sync::Arc;

use super::metrics::{Counters, Meters, add};
use super::parcel::Parcel;
use super::passing::Passing;
use crate::contracts::{Code, Error, Faults, Halt, Look, Make, Result, Shape};
use crate::data::{AnyColumn, Batch, Form};
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
    pub(super) fn new(
        segment: &Segment,
        graph: &Graph,
        factories: &[Factory],
        policy: Policy,
        meters: Arc<Meters>,
        halt: &Halt,
    ) -> Result<Self> {
        let make = |op: &Op| Operation::new(op, graph, factories, policy, halt);
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

    /// The retries of its stage, if it has any.
    pub(super) fn retry(&self) -> Option<Retry> {
        self.retry
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
        // Of all columns only the one that goes on is worth compacting.
        let output = passing.columns[self.output].take();
        put_back(&mut self.spare, &mut passing.columns);
        passing.columns[self.output] = output;
        passing.compact();
        let column = passing.columns[self.output].take().unwrap_or_else(|| self.slots[self.output].empty());
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
                    passing.keep_looked_at(*from, &mut taken);
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

impl Operation {
    fn new(op: &Op, graph: &Graph, factories: &[Factory], policy: Policy, halt: &Halt) -> Result<Self> {
        let stage = &graph.stages[op.stage];
        let unfit = || {
            Error::new(crate::contracts::Cause::Bug, "the graph names an operator of another kind")
                .in_stage(&stage.name)
        };
        let (name, work) = match (&op.action, &factories[op.stage]) {
            (Action::Code { coder, from, to }, _) => {
                let coder = &graph.coders[*coder];
                let mut code = (coder.make)();
                code.halt_by(halt);
                (coder.name.clone(), Work::Code { code, from: *from, to: *to })
            }
            (Action::Look { from }, Factory::Look(make)) => {
                (stage.name.clone(), Work::Look { look: make(), from: *from })
            }
            (Action::Make { from, to }, Factory::Make(make)) => {
                (stage.name.clone(), Work::Make { make: make(), from: *from, to: *to })
            }
            _ => return Err(unfit()),
        };
        // What can't be decoded once can't be decoded again.
        let retry = stage.options.retry.filter(|_| !matches!(work, Work::Code { .. }));
        Ok(Self {
            stage: op.stage,
            name,
            policy: stage.options.policy.unwrap_or(policy),
            retry,
            takes: stage.kind.takes_by_value(),
            work,
        })
    }
}
