//! [`Plan`]: how bytes of one schema are read as another, worked out once: which field goes where, which is passed over,
//! what stands for those that are missing. The rules are those of the specification's "Schema Resolution".
//!
//! What doesn't fit is a step too, which fails when data lead to it, so that a union whose other branches fit can be
//! read. Where no union stands before it, it is known at once, and [`Plan::of`] fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::cursor::Flaw;
use super::graph::{Field, Graph, Id, Kind, Logical, Named, short};
use super::{json, write};

/// The number of a step.
pub(crate) type StepId = u32;

/// The most mismatches that are told of.
const TOLD: usize = 8;

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
        let same = Arc::ptr_eq(writer, reader);
        let mut making = Making::new(writer, reader);
        let root = making.step(same, writer.root, reader.root);
        if !making.told.is_empty() {
            return Err(Mismatches(making.told));
        }
        let lost = || Step::Mismatch("this part of the schema was never worked out".to_owned());
        let steps = making.steps.into_iter().map(|step| step.unwrap_or_else(lost)).collect();
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

struct Making<'a> {
    writer: &'a Graph,
    reader: &'a Graph,
    steps: Vec<Option<Step>>,
    known: HashMap<(bool, Id, Id), StepId>,
    /// The fields that have been gone through.
    way: Vec<String>,
    /// How many of the writer's unions have been gone through.
    unions: usize,
    told: Vec<String>,
}

impl<'a> Making<'a> {
    fn new(writer: &'a Graph, reader: &'a Graph) -> Self {
        Self { writer, reader, steps: Vec::new(), known: HashMap::new(), way: Vec::new(), unions: 0, told: Vec::new() }
    }

    /// The step that reads `from` as `to`. With `same` both are of the reader's schema, and the same type.
    fn step(&mut self, same: bool, from: Id, to: Id) -> StepId {
        if let Some(&known) = self.known.get(&(same, from, to)) {
            if let Some(Some(Step::Mismatch(why))) = self.steps.get(known as usize) {
                let why = why.clone();
                self.tell(&why);
            }
            return known;
        }
        let id = self.steps.len() as StepId;
        self.steps.push(None);
        self.known.insert((same, from, to), id);
        let step = self.make(same, from, to);
        self.steps[id as usize] = Some(step);
        id
    }

    fn add(&mut self, step: Step) -> StepId {
        self.steps.push(Some(step));
        self.steps.len() as StepId - 1
    }

    fn from(&self, same: bool) -> &'a Graph {
        if same { self.reader } else { self.writer }
    }

    fn make(&mut self, same: bool, from: Id, to: Id) -> Step {
        let (writer, reader) = (self.from(same), self.reader);
        match (writer.kind(from), reader.kind(to)) {
            (Kind::Union(branches), wanted) => self.branches(same, branches, to, matches!(wanted, Kind::Union(_))),
            (_, Kind::Union(branches)) => match self.best(same, from, branches) {
                Some(index) => self.branch(same, from, branches[index], index),
                None => self.mismatch(same, from, to),
            },
            (Kind::Record { name: was, fields: written }, Kind::Record { name, fields }) if is_called(was, name) => {
                self.record(same, written, name.short(), fields)
            }
            (Kind::Enum { name: was, symbols, .. }, Kind::Enum { name, symbols: wanted, default })
                if is_called(was, name) =>
            {
                Step::Enum(symbols.iter().map(|symbol| self.symbol(symbol, wanted, default.as_deref(), name)).collect())
            }
            (Kind::Array(from), Kind::Array(to)) => {
                Step::Array(self.within("[]", |making| making.step(same, *from, *to)))
            }
            (Kind::Map(from), Kind::Map(to)) => Step::Map(self.within("{}", |making| making.step(same, *from, *to))),
            (Kind::Fixed { name: was, size }, Kind::Fixed { name, size: wanted })
                if is_called(was, name) && size == wanted && self.means_the_same(same, from, to) =>
            {
                Step::Fixed(*size, give(Give::Fixed, reader.node(to).logical))
            }
            (was, wanted) => match promoted(was, wanted) {
                Some((read, gives)) if self.means_the_same(same, from, to) => {
                    Step::Plain(read, give(gives, reader.node(to).logical))
                }
                _ => self.mismatch(same, from, to),
            },
        }
    }

    /// Two logical types that mean different things are not taken for each other: that would shift times and decimal
    /// points without a word. A decimal may have more digits than it was written with.
    fn means_the_same(&self, same: bool, from: Id, to: Id) -> bool {
        match (self.from(same).node(from).logical, self.reader.node(to).logical) {
            (Logical::None, _) | (_, Logical::None) => true,
            (Logical::Decimal { precision: was, scale }, Logical::Decimal { precision, scale: wanted }) => {
                scale == wanted && was <= precision
            }
            (was, wanted) => was == wanted,
        }
    }

    fn branches(&mut self, same: bool, branches: &[Id], to: Id, reads_union: bool) -> Step {
        self.unions += 1;
        let steps = branches.iter().enumerate().map(|(index, &branch)| match self.reader.kind(to) {
            // The same union: each branch is itself, whatever else it might fit.
            Kind::Union(own) if same && reads_union => {
                let step = self.branch(true, branch, own[index], index);
                self.add(step)
            }
            _ => self.step(same, branch, to),
        });
        let steps = steps.collect();
        self.unions -= 1;
        Step::Branches(steps)
    }

    fn branch(&mut self, same: bool, from: Id, to: Id, index: usize) -> Step {
        let inner = self.step(same, from, to);
        Step::Branch { index: index as u32, null: matches!(self.reader.kind(to), Kind::Null), inner }
    }

    /// The branch of the reader's union that a type is read as: the one of the same name or kind, else the first that it
    /// can be promoted to.
    fn best(&self, same: bool, from: Id, branches: &[Id]) -> Option<usize> {
        let writer = self.from(same);
        let alike = |exact: bool| {
            branches.iter().position(|&to| match (writer.kind(from), self.reader.kind(to)) {
                (Kind::Record { name: was, .. }, Kind::Record { name, .. })
                | (Kind::Enum { name: was, .. }, Kind::Enum { name, .. })
                | (Kind::Fixed { name: was, .. }, Kind::Fixed { name, .. }) => match exact {
                    true => was.full == name.full || name.aliases.contains(&was.full),
                    false => is_called(was, name),
                },
                (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) => true,
                (was, wanted) => {
                    std::mem::discriminant(was) == std::mem::discriminant(wanted)
                        && (!exact || self.means_the_same(same, from, to))
                }
            })
        };
        let fits = |to: &Id| {
            promoted(writer.kind(from), self.reader.kind(*to)).is_some() && self.means_the_same(same, from, *to)
        };
        alike(true).or_else(|| alike(false)).or_else(|| branches.iter().position(fits))
    }

    fn symbol(
        &self,
        symbol: &str,
        wanted: &[String],
        default: Option<&str>,
        name: &Named,
    ) -> Result<(u32, String), String> {
        let find = |symbol: &str| wanted.iter().position(|other| other == symbol);
        match find(symbol).or_else(|| find(default?)) {
            Some(at) => Ok((at as u32, wanted[at].clone())),
            None => Err(format!(
                "expected a symbol of {}, found `{symbol}`: add it to the reader's schema, or give the enum a default",
                name.full
            )),
        }
    }

    fn record(&mut self, same: bool, written: &[Field], name: &str, fields: &[Field]) -> Step {
        let mut takes = Vec::with_capacity(written.len());
        let sources: Vec<_> = fields.iter().map(|field| source_of(field, written)).collect();
        for (at, field) in written.iter().enumerate() {
            let to = sources.iter().position(|source| *source == Some(at));
            takes.push(match to {
                Some(to) => {
                    let wanted = fields[to].node;
                    Take::Field(to, self.within(&fields[to].name, |making| making.step(same, field.node, wanted)))
                }
                None => Take::Skip(field.node),
            });
        }
        let missing = fields.iter().enumerate().filter(|(at, _)| sources[*at].is_none());
        let defaults: Vec<_> = missing.filter_map(|(at, field)| self.missing(at, field)).collect();
        let in_order = takes.len() == fields.len()
            && takes.iter().enumerate().all(|(at, take)| matches!(take, Take::Field(to, _) if *to == at));
        let names = fields.iter().map(|field| field.name.clone()).collect();
        let same_as = AtomicUsize::new(0);
        Step::Record(Box::new(Record { name: name.to_owned(), takes, names, defaults, in_order, same_as }))
    }

    fn missing(&mut self, at: usize, field: &Field) -> Option<Missing> {
        let Some(default) = &field.default else {
            let why = "the bytes don't have it, and it has no default: give it one in the reader's schema";
            self.within(&field.name, |making| making.tell(why));
            return None;
        };
        let mut datum = Vec::new();
        let encoded = json::default(self.reader, field.node, default)
            .and_then(|value| write::value(self.reader, field.node, &value, &mut datum));
        if let Err(flaw) = encoded {
            self.within(&field.name, |making| making.tell(&format!("its default is not of its type: {flaw}")));
            return None;
        }
        let step = self.within(&field.name, |making| making.step(true, field.node, field.node));
        Some(Missing { field: at, datum, step })
    }

    fn within<T>(&mut self, part: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        self.way.push(part.to_owned());
        let done = work(self);
        self.way.pop();
        done
    }

    fn mismatch(&mut self, same: bool, from: Id, to: Id) -> Step {
        let (found, wanted) = (self.from(same).shown(from), self.reader.shown(to));
        let why = format!("written as {found}, which can't be read as {wanted}");
        self.tell(&why);
        Step::Mismatch(why)
    }

    fn tell(&mut self, why: &str) {
        if self.unions > 0 || self.told.len() >= TOLD {
            return;
        }
        let mut way = String::new();
        for part in &self.way {
            if !way.is_empty() && !part.starts_with(['[', '{']) {
                way.push('.');
            }
            way.push_str(part);
        }
        self.told.push(if way.is_empty() { why.to_owned() } else { format!("`{way}`: {why}") });
    }
}

/// The field of the bytes that a field is read from: the one of its name, else of one of its aliases.
fn source_of(field: &Field, written: &[Field]) -> Option<usize> {
    let find = |name: &str| written.iter().position(|other| other.name == name);
    find(&field.name).or_else(|| field.aliases.iter().find_map(|alias| find(alias)))
}

/// Whether a type that was written as `was` may be read as `name`: they are called alike, leaving namespaces away, or
/// were once.
fn is_called(was: &Named, name: &Named) -> bool {
    was.full == name.full || short(&was.full) == short(&name.full) || name.aliases.contains(&was.full)
}

/// What a value without parts is read as, if it can be.
fn promoted(was: &Kind, wanted: &Kind) -> Option<(Read, Give)> {
    Some(match (was, wanted) {
        (Kind::Null, Kind::Null) => (Read::Null, Give::Null),
        (Kind::Boolean, Kind::Boolean) => (Read::Boolean, Give::Boolean),
        (Kind::Int, Kind::Int) => (Read::Int, Give::Int),
        (Kind::Int, Kind::Long) => (Read::Int, Give::Long),
        (Kind::Int, Kind::Float) => (Read::Int, Give::Float),
        (Kind::Int, Kind::Double) => (Read::Int, Give::Double),
        (Kind::Long, Kind::Long) => (Read::Long, Give::Long),
        (Kind::Long, Kind::Float) => (Read::Long, Give::Float),
        (Kind::Long, Kind::Double) => (Read::Long, Give::Double),
        (Kind::Float, Kind::Float) => (Read::Float, Give::Float),
        (Kind::Float, Kind::Double) => (Read::Float, Give::Double),
        (Kind::Double, Kind::Double) => (Read::Double, Give::Double),
        (Kind::Bytes, Kind::Bytes) => (Read::Bytes, Give::Bytes),
        (Kind::Bytes, Kind::String) => (Read::Bytes, Give::String),
        (Kind::String, Kind::String) => (Read::String, Give::String),
        (Kind::String, Kind::Bytes) => (Read::String, Give::Bytes),
        _ => return None,
    })
}

fn give(plain: Give, logical: Logical) -> Give {
    if logical == Logical::None { plain } else { Give::Logical(logical) }
}

impl From<Mismatches> for Box<Flaw> {
    fn from(mismatches: Mismatches) -> Self {
        Flaw::new(format!("what was written can't be read by this schema: {mismatches}"))
    }
}
