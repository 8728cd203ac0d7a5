//! [`Graph`]: tasks and the bounded channels between them, as plain data.

use std::time::Duration;

use super::{Stage, StageId, Throttle};
use crate::contracts::Coder;
use crate::data::Form;

/// What runs on one instance: tasks and the bounded channels between them.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The declared stages, for names, policies and factories.
    pub stages: Vec<Stage>,
    /// The coders that the operations name by number.
    pub coders: Vec<Coder>,
    /// The tasks; the first has the source, the last the sink.
    pub tasks: Vec<Task>,
    /// The channels.
    pub channels: Vec<Channel>,
    /// Network stages that this graph would need a network for, by name; none on one instance.
    pub network: Vec<String>,
    /// The coders that make bytes of what a typed source, or a fold, emits, where dead letters may need them.
    pub keep_bytes: Vec<KeepBytes>,
    /// The form that the source emits.
    pub emits: Form,
}

/// How bytes are made of what an origin emits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepBytes {
    /// The origin: the source, or a fold.
    pub stage: StageId,
    /// The chain of coders from what it emits to bytes; empty if it emits bytes.
    pub coders: Vec<CoderId>,
    /// Whether letters are made of more than bytes: of records as their source gave them.
    pub originals: bool,
}

/// The number of a coder in [`Graph::coders`].
pub type CoderId = usize;
/// The number of a channel in [`Graph::channels`].
pub type ChannelId = usize;
/// The number of a column within a segment: 0 is what comes in.
pub type Slot = usize;

/// A bounded channel of batches between two tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// How many batches may wait in it (for each worker, where one side has several).
    pub batches: usize,
    /// What travels.
    pub form: Form,
}

/// One task: takes batches from its inlet, runs them through its steps, gives them to its outlet.
#[derive(Debug, Clone)]
pub struct Task {
    /// What runs in it, for people and thread names.
    pub name: String,
    /// What runs it.
    pub runs: Runs,
    /// How many workers: batches are dealt to them in turn and collected in the same turn. More than 1 only between
    /// two channels.
    pub workers: usize,
    /// Where batches come from.
    pub inlet: Inlet,
    /// What is done with them, in order.
    pub steps: Vec<Step>,
    /// Where they go.
    pub outlet: Outlet,
}

/// What runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// A task among those that do I/O.
    Async,
    /// A thread of its own, because it computes much or blocks.
    Thread,
}

/// Where a task's batches come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inlet {
    /// The source.
    Source(StageId),
    /// Another task.
    Channel(ChannelId),
}

/// Where a task's batches go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlet {
    /// The sink.
    Sink(StageId),
    /// Another task.
    Channel(ChannelId),
}

/// One step of a task.
#[derive(Debug, Clone)]
pub enum Step {
    /// Neighbouring element-wise stages and coders, fused.
    Segment(Segment),
    /// Lets so many records of the run pass this stage, then ends the run.
    Limit {
        /// The stage.
        stage: StageId,
        /// How many.
        records: u64,
    },
    /// Lets records pass this stage no faster than this.
    Throttle {
        /// The stage.
        stage: StageId,
        /// How fast.
        rate: Throttle,
    },
    /// Takes records in and emits what they come to, as a new origin. The first step of its task.
    Fold {
        /// The stage.
        stage: StageId,
        /// Emits after so many records.
        each: Option<u64>,
        /// Emits after so much time.
        every: Option<Duration>,
    },
    /// Makes one record of each by a future. The first step of its task.
    MapAsync {
        /// The stage.
        stage: StageId,
        /// How many at once.
        at_once: usize,
    },
}

/// Element-wise operations on the columns of a batch: 0 is what comes in, others are made on the way.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The forms of the columns, by number.
    pub slots: Vec<Form>,
    /// The operations, in order.
    pub ops: Vec<Op>,
    /// The column that goes on.
    pub output: Slot,
}

/// One operation of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// The stage that it belongs to, or that a coder was put before: its policy counts.
    pub stage: StageId,
    /// What is done.
    pub action: Action,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Codes column `from` as column `to`, which is at hand beside it from then on.
    Code {
        /// The coder.
        coder: CoderId,
        /// The column it looks at.
        from: Slot,
        /// The column it fills.
        to: Slot,
    },
    /// The stage looks at a column and takes rows out of all.
    Look {
        /// The column.
        from: Slot,
    },
    /// The stage makes new rows of a column; only they are at hand from then on.
    Make {
        /// The column that it may take.
        from: Slot,
        /// The column it fills.
        to: Slot,
    },
}
