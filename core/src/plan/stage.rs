//! [`Stage`]: a declared stage.

use std::fmt;

use super::Options;
use crate::contracts::{SinkTraits, SourceTraits};
use crate::data::Form;

/// The number of a declared stage: 0 is the source, the last is the sink.
pub type StageId = usize;

/// The line of code that declared a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The file, as the compiler was given it.
    pub file: &'static str,
    /// The line, from 1.
    pub line: u32,
}

impl Line {
    /// The line of the caller.
    #[track_caller]
    pub fn here() -> Self {
        let here = std::panic::Location::caller();
        Self { file: here.file(), line: here.line() }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A declared stage.
#[derive(Debug, Clone)]
pub struct Stage {
    /// What the user named it; else its kind, for functions with the line that declares it.
    pub name: String,
    /// What it is.
    pub kind: StageKind,
    /// What it takes; `None` for a source.
    pub takes: Option<Form>,
    /// What it gives; `None` for a sink. For a stage that passes on what came (a filter), that is the form of the
    /// stage before it.
    pub gives: Option<Form>,
    /// Its options.
    pub options: Options,
    /// Where it was declared.
    pub line: Line,
}

/// What a stage is.
#[derive(Debug, Clone)]
pub enum StageKind {
    /// Where records come from.
    Source(SourceTraits),
    /// Looks at `takes` and passes on what came.
    Filter,
    /// Makes one record of each; `looks` if it only looks at its argument.
    Map {
        /// Whether it only looks.
        looks: bool,
    },
    /// Makes any number of records of each; `looks` if it only looks at its argument.
    FlatMap {
        /// Whether it only looks.
        looks: bool,
    },
    /// Makes one record of each by a future, at most so many at once.
    MapAsync {
        /// How many at once.
        at_once: usize,
    },
    /// Takes records in and emits what they come to.
    Fold {
        /// Whether it keeps a state a key.
        keyed: bool,
    },
    /// Puts a key beside each record.
    KeyBy,
    /// Codes by a format that the user named; the coder is the stage's factory.
    Encode,
    /// Codes by a format that the user named; the coder is the stage's factory.
    Decode,
    /// Where records go.
    Sink(SinkTraits),
}

impl StageKind {
    /// Whether the stage takes its argument by value: what it took is no longer at hand afterwards.
    pub fn takes_by_value(&self) -> bool {
        match self {
            Self::Map { looks } | Self::FlatMap { looks } => !looks,
            Self::MapAsync { .. } | Self::Fold { .. } | Self::KeyBy => true,
            Self::Source(_) | Self::Filter | Self::Encode | Self::Decode | Self::Sink(_) => false,
        }
    }

    /// Whether the stage passes on what came.
    pub fn passes_on(&self) -> bool {
        matches!(self, Self::Filter)
    }
}
