//! [`Plan`]: what every pass made of the declaration, for reading and for running.

use std::ops::Range;

use super::{Graph, Promise};
use crate::contracts::{Across, NetKind, Where};

/// A pipeline that can run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The pipeline's name.
    pub name: String,
    /// For how many instances it was planned.
    pub instances: usize,
    /// The phases, in order: declared, with network stages, with coders.
    pub phases: Vec<Phase>,
    /// What runs.
    pub graph: Graph,
    /// The parts that the network stages cut the graph into, in order; one where there are none.
    pub parts: Vec<Part>,
    /// What the graph leaves out of the last phase, and why: a sentence each.
    pub dropped: Vec<String>,
    /// Where each stage runs, in order.
    pub located: Vec<Located>,
    /// What it reads and writes, and where dead letters go.
    pub outside: Vec<Outside>,
    /// The delivery guarantee.
    pub promise: Promise,
    /// Says what the pipeline does: names, types, options, placement; not addresses, paths or instances. Two pipelines
    /// with the same fingerprint may run over the same state.
    pub fingerprint: String,
    /// Says what instances have to agree on to run it together: all of `fingerprint`, and how records cross between them.
    /// Instances whose words differ don't join.
    pub agreement: String,
}

/// The pipeline after one pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// What the pass did, as a heading: `Declared pipeline`.
    pub title: String,
    /// The stages, source first.
    pub stages: Vec<PhaseStage>,
}

/// One line of a phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseStage {
    /// The name.
    pub name: String,
    /// The type that it takes; `None` for the source.
    pub takes: Option<String>,
    /// The type that it gives; `None` for the sink.
    pub gives: Option<String>,
    /// Why it is there.
    pub mark: Mark,
}

/// Why a stage is in a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Declared, with its number from 1.
    Logical(usize),
    /// Splits records over the instances.
    NetOut,
    /// Brings records together on one instance.
    NetIn,
    /// Decodes.
    Decode,
    /// Encodes.
    Encode,
    /// Gives the same bytes another type.
    Recast,
    /// Takes up again what is still at hand because nobody changed it; nothing runs.
    Kept,
}

/// Neighbouring tasks that run on the same instances: what stands between two network stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The tasks, by their numbers in [`Graph::tasks`].
    pub tasks: Range<usize>,
    /// On which instances.
    pub place: Where,
    /// The network stage that its records come through; `None` for the part that has the source. Where it is set, the
    /// channel that the first task takes from stands for that network stage.
    pub enters: Option<Net>,
}

/// A network stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// Its name, for people: `NET-SPLIT`.
    pub name: String,
    /// What it does.
    pub kind: NetKind,
    /// How it orders records of different origins, where it restores order.
    pub across: Across,
}

/// Where a stage runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The stage's name.
    pub stage: String,
    /// On which instances.
    pub place: Where,
    /// Why there, as half a sentence.
    pub why: String,
    /// With how many workers.
    pub workers: usize,
}

/// What a pipeline meets outside of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// What it does there.
    pub does: Does,
    /// The names of the stages that do it: the source, the sink, or all whose dead letters go there.
    pub stages: Vec<String>,
    /// The kind of source or sink: `KAFKA`.
    pub kind: String,
    /// What it reads or where it writes, for people: a path, a topic and its brokers. Never a secret.
    pub what: String,
}

/// What a pipeline does outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// It reads.
    Reads,
    /// It writes.
    Writes,
    /// It writes dead letters.
    DeadLetters,
}
