//! [`Plan`]: how bytes of one schema are read as another: which field goes where, which is passed over, what stands for
//! those that are missing.
//!
//! What doesn't fit is a step too, which fails when data lead to it, so that a union whose other branches fit can be
//! read. Where no union stands before it, it is known at once, and [`Plan::of`] fails.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::cursor::Flaw;
use super::graph::{Graph, Id, Logical};
use super::resolve;

/// The number of a step.
pub(crate) type StepId = u32;

/// How bytes of one schema are read as another.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The schema of the bytes, for what is passed over.
    pub(crate) writer: Arc<Graph>,
    steps: Vec<Step>,
    pub(crate) root: StepId,
    /// Whether serde's types are given fields with their names, because one can't take them in order.
    by_name: AtomicBool,
}

#[derive(Debug)]
pub(crate) enum Step {
    /// A value without parts.
    Plain(Read, Give),
    Fixed(usize, Give),
    /// The reader's symbol and its number, by the writer's.
    Enum(Vec<Result<(u32, String), String>>),
    Array(StepId),
    Map(StepId),
    /// The writer's union: a step for each branch.
    Branches(Vec<StepId>),
    /// What is read becomes this branch of the reader's union.
    Branch {
        index: u32,
        null: bool,
        inner: StepId,
    },
    Record(Box<Record>),
    /// It can't be read.
    Mismatch(String),
}

#[derive(Debug)]
pub(crate) struct Record {
    /// Without its namespace.
    pub(crate) name: String,
    /// In the order of the bytes.
    pub(crate) takes: Vec<Take>,
    /// The reader's fields.
    pub(crate) names: Vec<String>,
    /// The reader's fields that are not in the bytes.
    pub(crate) defaults: Vec<Missing>,
    /// Whether the bytes have exactly the reader's fields, in its order.
    pub(crate) in_order: bool,
    /// Where the names of a type's fields stand in memory that were found to be those of this record, in its order.
    same_as: AtomicUsize,
}

impl Record {
    pub(super) fn new(name: &str, takes: Vec<Take>, names: Vec<String>, defaults: Vec<Missing>) -> Self {
        let in_place = |(at, take): (usize, &Take)| matches!(take, Take::Field(to, _) if *to == at);
        let in_order = takes.len() == names.len() && takes.iter().enumerate().all(in_place);
        Self { name: name.to_owned(), takes, names, defaults, in_order, same_as: AtomicUsize::new(0) }
    }

    /// Whether the bytes have exactly these fields, in this order.
    #[inline]
    pub(crate) fn is_like(&self, fields: &'static [&'static str]) -> bool {
        let address = fields.as_ptr().addr();
        // What is static is what it was when it was looked at.
        self.in_order
            && fields.len() == self.names.len()
            && (self.same_as.load(Relaxed) == address || self.look_at(fields, address))
    }

    fn look_at(&self, fields: &[&str], address: usize) -> bool {
        let same = self.names.iter().eq(fields);
        if same && !fields.is_empty() {
            self.same_as.store(address, Relaxed);
        }
        same
    }
}

#[derive(Debug)]
pub(crate) enum Take {
    /// The reader's field with this number.
    Field(usize, StepId),
    /// Nobody wants it.
    Skip(Id),
}

/// What stands for a field that is not in the bytes: the bytes that it would have.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(crate) field: usize,
    pub(crate) datum: Vec<u8>,
    pub(crate) step: StepId,
}

/// What stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Read {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
}

/// What is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Give {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed,
    Logical(Logical),
}

impl Plan {
    /// How what `writer` wrote is read as what `reader` says.
    pub(crate) fn of(writer: &Arc<Graph>, reader: &Arc<Graph>) -> Result<Self, Mismatches> {
        let (steps, root) = resolve::steps(writer, reader, Arc::ptr_eq(writer, reader))?;
        Ok(Self { writer: writer.clone(), steps, root, by_name: AtomicBool::new(false) })
    }

    /// Whether serde's types are given the fields of records with their names.
    #[inline]
    pub(crate) fn gives_names(&self) -> bool {
        self.by_name.load(Relaxed)
    }

    /// From now on, or for a while: in order where the type has the same fields, or with their names.
    pub(crate) fn give_names(&self, whether: bool) {
        self.by_name.store(whether, Relaxed);
    }

    #[inline]
    pub(crate) fn step(&self, id: StepId) -> &Step {
        &self.steps[id as usize]
    }
}

/// How two schemas differ, a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mismatches(pub(crate) Vec<String>);

impl std::fmt::Display for Mismatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl From<Mismatches> for Box<Flaw> {
    fn from(mismatches: Mismatches) -> Self {
        Flaw::new(format!("what was written can't be read by this schema: {mismatches}"))
    }
}
