//! How bytes of one schema are read as another is worked out here: the steps of a [`Plan`](super::plan::Plan), by the
//! rules of the specification's "Schema Resolution".
//!
//! The types of two schemas meet in pairs, each of which is worked out once. Pairs are dealt with one after the other and
//! never within each other: two schemas whose types lead back to themselves can meet in chains that no stack has room
//! for.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::defaults;
use super::graph::{Field, Graph, Id, Kind, Logical, Named, short};
use super::json::Budget;
use super::plan::{Give, Mismatches, Missing, Read, Record, Step, StepId, Take};

/// The most mismatches that are told of.
const TOLD: usize = 8;

/// How many parts of the way to a mismatch are told.
const PARTS: usize = 64;

/// The steps that read `writer` as `reader`, which may be the same, and the first of them.
pub(super) fn steps(writer: &Graph, reader: &Graph, same: bool) -> Result<(Vec<Step>, StepId), Mismatches> {
    let mut making = Making {
        writer,
        reader,
        steps: Vec::new(),
        known: HashMap::new(),
        ahead: VecDeque::new(),
        again: Vec::new(),
        left: Budget::of(defaults::PLANNED),
        told: Vec::new(),
    };
    let root = making.step(&Place::default(), same, writer.root, reader.root);
    making.all();
    if !making.told.is_empty() {
        return Err(Mismatches(making.told));
    }
    let lost = || Step::Mismatch("this part of the schema was never worked out".to_owned());
    Ok((making.steps.into_iter().map(|step| step.unwrap_or_else(lost)).collect(), root))
}

struct Making<'a> {
    writer: &'a Graph,
    reader: &'a Graph,
    steps: Vec<Option<Step>>,
    known: HashMap<(bool, Id, Id), StepId>,
    /// What is still to be worked out.
    ahead: VecDeque<Pair>,
    /// Where steps were met again, with no union before them.
    again: Vec<(Place, StepId)>,
    /// For defaults.
    left: Budget,
    told: Vec<String>,
}

/// Two types that meet. With `same` both are of the reader's schema, and the same type.
struct Pair {
    place: Place,
    id: StepId,
    same: bool,
    from: Id,
    to: Id,
}

/// Where in a value types meet.
#[derive(Clone, Default)]
struct Place {
    way: Option<Rc<Part>>,
    /// How many parts the way has.
    parts: usize,
    /// Whether one of the writer's unions has been gone through.
    in_union: bool,
}

/// A field, or the items of an array or a map, and where they lie.
struct Part {
    name: String,
    before: Option<Rc<Part>>,
}

impl Place {
    fn within(&self, name: &str) -> Self {
        if self.parts == PARTS {
            return self.clone();
        }
        let part = Part { name: name.to_owned(), before: self.way.clone() };
        Self { way: Some(Rc::new(part)), parts: self.parts + 1, in_union: self.in_union }
    }

    fn shown(&self) -> String {
        let (mut parts, mut next) = (Vec::new(), &self.way);
        while let Some(part) = next {
            parts.push(part.name.as_str());
            next = &part.before;
        }
        let mut way = String::new();
        for part in parts.into_iter().rev() {
            if !way.is_empty() && !part.starts_with(['[', '{']) {
                way.push('.');
            }
            way.push_str(part);
        }
        way
    }
}

impl<'a> Making<'a> {
    /// The step that reads `from` as `to`.
    fn step(&mut self, place: &Place, same: bool, from: Id, to: Id) -> StepId {
        if let Some(&known) = self.known.get(&(same, from, to)) {
            if !place.in_union {
                self.again.push((place.clone(), known));
            }
            return known;
        }
        let id = self.steps.len() as StepId;
        self.steps.push(None);
        self.known.insert((same, from, to), id);
        self.ahead.push_back(Pair { place: place.clone(), id, same, from, to });
        id
    }

    /// Works out what is ahead, and what that leads to.
    fn all(&mut self) {
        while let Some(Pair { place, id, same, from, to }) = self.ahead.pop_front() {
            let step = self.make(&place, same, from, to);
            self.steps[id as usize] = Some(step);
        }
        for (place, id) in std::mem::take(&mut self.again) {
            if let Some(Some(Step::Mismatch(why))) = self.steps.get(id as usize) {
                let why = why.clone();
                self.tell(&place, &why);
            }
        }
    }

    fn add(&mut self, step: Step) -> StepId {
        self.steps.push(Some(step));
        self.steps.len() as StepId - 1
    }

    fn from(&self, same: bool) -> &'a Graph {
        if same { self.reader } else { self.writer }
    }

    fn make(&mut self, place: &Place, same: bool, from: Id, to: Id) -> Step {
        let (writer, reader) = (self.from(same), self.reader);
        match (writer.kind(from), reader.kind(to)) {
            (Kind::Union(branches), wanted) => {
                self.branches(place, same, branches, to, matches!(wanted, Kind::Union(_)))
            }
            (_, Kind::Union(branches)) => match self.best(same, from, branches) {
                Some(index) => self.branch(place, same, from, branches[index], index),
                None => self.mismatch(place, same, from, to),
            },
            (Kind::Record { name: was, fields: written }, Kind::Record { name, fields }) if is_called(was, name) => {
                self.record(place, same, written, name.short(), fields)
            }
            (Kind::Enum { name: was, symbols, .. }, Kind::Enum { name, symbols: wanted, default })
                if is_called(was, name) =>
            {
                Step::Enum(self::symbols(symbols, wanted, default.as_deref(), name))
            }
            (Kind::Array(from), Kind::Array(to)) => Step::Array(self.step(&place.within("[]"), same, *from, *to)),
            (Kind::Map(from), Kind::Map(to)) => Step::Map(self.step(&place.within("{}"), same, *from, *to)),
            (Kind::Fixed { name: was, size }, Kind::Fixed { name, size: wanted })
                if is_called(was, name) && size == wanted && self.means_the_same(same, from, to) =>
            {
                Step::Fixed(*size, give(Give::Fixed, reader.node(to).logical))
            }
            (was, wanted) => match promoted(was, wanted) {
                Some((read, gives)) if self.means_the_same(same, from, to) => {
                    Step::Plain(read, give(gives, reader.node(to).logical))
                }
                _ => self.mismatch(place, same, from, to),
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

    fn branches(&mut self, place: &Place, same: bool, branches: &[Id], to: Id, reads_union: bool) -> Step {
        let place = &Place { in_union: true, ..place.clone() };
        let steps = branches.iter().enumerate().map(|(index, &branch)| match self.reader.kind(to) {
            // The same union: each branch is itself, whatever else it might fit.
            Kind::Union(own) if same && reads_union => {
                let step = self.branch(place, true, branch, own[index], index);
                self.add(step)
            }
            _ => self.step(place, same, branch, to),
        });
        Step::Branches(steps.collect())
    }

    fn branch(&mut self, place: &Place, same: bool, from: Id, to: Id, index: usize) -> Step {
        let inner = self.step(place, same, from, to);
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

    fn record(&mut self, place: &Place, same: bool, written: &[Field], name: &str, fields: &[Field]) -> Step {
        let sources = sources(written, fields);
        let mut goes: Vec<Option<usize>> = vec![None; written.len()];
        for (to, source) in sources.iter().enumerate() {
            if let Some(from) = source {
                goes[*from] = Some(to);
            }
        }
        let takes = written.iter().zip(goes).map(|(field, to)| match to {
            Some(to) => {
                let place = place.within(&fields[to].name);
                Take::Field(to, self.step(&place, same, field.node, fields[to].node))
            }
            None => Take::Skip(field.node),
        });
        let takes = takes.collect();
        let (mut defaults, mut lost) = (Vec::new(), None);
        for (at, field) in fields.iter().enumerate().filter(|(at, _)| sources[*at].is_none()) {
            match self.missing(place, at, field) {
                Ok(missing) => defaults.push(missing),
                // What comes of one that lies in a union is known once data lead there.
                Err(why) => lost = lost.or(Some(Step::Mismatch(format!("`{}`: {why}", field.name)))),
            }
        }
        let names = fields.iter().map(|field| field.name.clone()).collect();
        lost.unwrap_or_else(|| Step::Record(Box::new(Record::new(name, takes, names, defaults))))
    }

    fn missing(&mut self, place: &Place, at: usize, field: &Field) -> Result<Missing, String> {
        let (place, mut datum) = (place.within(&field.name), Vec::new());
        let written = match &field.default {
            Some(default) => defaults::write(self.reader, field.node, default, &self.left, &mut datum)
                .map_err(|flaw| format!("its default can't be used: {flaw}")),
            None => {
                Err("the bytes don't have it, and it has no default: give it one in the reader's schema".to_owned())
            }
        };
        match written {
            Ok(()) => Ok(Missing { field: at, datum, step: self.step(&place, true, field.node, field.node) }),
            Err(why) => {
                self.tell(&place, &why);
                Err(why)
            }
        }
    }

    fn mismatch(&mut self, place: &Place, same: bool, from: Id, to: Id) -> Step {
        let (found, wanted) = (self.from(same).shown(from), self.reader.shown(to));
        let why = format!("written as {found}, which can't be read as {wanted}");
        self.tell(place, &why);
        Step::Mismatch(why)
    }

    fn tell(&mut self, place: &Place, why: &str) {
        if place.in_union || self.told.len() >= TOLD {
            return;
        }
        let way = place.shown();
        self.told.push(if way.is_empty() { why.to_owned() } else { format!("`{way}`: {why}") });
    }
}

/// The reader's symbol for each that is written, and its number.
fn symbols(
    written: &[String],
    wanted: &[String],
    default: Option<&str>,
    name: &Named,
) -> Vec<Result<(u32, String), String>> {
    let numbers: HashMap<_, _> = wanted.iter().enumerate().map(|(at, symbol)| (symbol.as_str(), at as u32)).collect();
    let known = |symbol: &str| numbers.get(symbol).map(|&at| (at, symbol.to_owned()));
    let unknown = |symbol: &str| {
        format!(
            "expected a symbol of {}, found `{symbol}`: add it to the reader's schema, or give the enum a default",
            name.full
        )
    };
    let symbol = |symbol: &String| known(symbol).or_else(|| known(default?)).ok_or_else(|| unknown(symbol));
    written.iter().map(symbol).collect()
}

/// Which field of the bytes each field is read from: the one of its name, else one of its aliases that no other is read
/// from.
fn sources(written: &[Field], fields: &[Field]) -> Vec<Option<usize>> {
    let names: HashMap<_, _> = written.iter().enumerate().map(|(at, field)| (field.name.as_str(), at)).collect();
    let mut sources: Vec<_> = fields.iter().map(|field| names.get(field.name.as_str()).copied()).collect();
    let mut taken = vec![false; written.len()];
    sources.iter().flatten().for_each(|at| taken[*at] = true);
    for (source, field) in sources.iter_mut().zip(fields).filter(|(source, _)| source.is_none()) {
        let mut known = field.aliases.iter().filter_map(|alias| names.get(alias.as_str()).copied());
        *source = known.find(|at| !taken[*at]);
        if let Some(at) = *source {
            taken[at] = true;
        }
    }
    sources
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
