//! [`Graph`]: a schema as an arena of nodes, with every name resolved: what recursion leads back to is a number.

use std::collections::HashMap;

use apache_avro::Schema;
use apache_avro::schema::{Alias, FixedSchema, InnerDecimalSchema, Name, RecordSchema, UuidSchema};
use serde_json::Value as Json;

use super::cursor::{Flaw, Result};

/// The number of a node.
pub(crate) type Id = u32;

/// How deep types may lie within types as they are written down: as deep as JSON is read.
const DEPTH: usize = 128;

/// How many branches of a union messages name.
const SHOWN: usize = 16;

/// A schema.
#[derive(Debug)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    /// How each node's parts are passed over: the fields of a record, the branches of a union, the items of an array.
    passes: Vec<Passes>,
    pub(crate) root: Id,
}

/// A type, with what its logical type is, if it has one.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) logical: Logical,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { name: Named, size: usize },
    Enum { name: Named, symbols: Vec<String>, default: Option<String> },
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record { name: Named, fields: Vec<Field> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logical {
    None,
    Decimal { precision: usize, scale: usize },
    BigDecimal,
    Uuid,
    Date,
    TimeMillis,
    TimeMicros,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    LocalTimestampMillis,
    LocalTimestampMicros,
    LocalTimestampNanos,
    Duration,
}

/// A name and those that it had before, in full.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) full: String,
    pub(crate) aliases: Vec<String>,
}

impl Named {
    /// The name without its namespace.
    pub(crate) fn short(&self) -> &str {
        short(&self.full)
    }
}

/// A full name without its namespace.
pub(crate) fn short(full: &str) -> &str {
    full.rsplit('.').next().unwrap_or(full)
}

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) default: Option<Json>,
    pub(crate) node: Id,
}

/// How a value is passed over: what a loop over a record's fields needs to know, and no more.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pass {
    /// So many bytes.
    Bytes(usize),
    /// A number of variable length.
    Long,
    /// So many of those.
    Longs(u32),
    /// Bytes behind their length.
    Counted,
    /// It has parts.
    Parts(Id),
}

/// How parts are passed over.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    /// Each by itself.
    pub(crate) each: Box<[Pass]>,
    /// Those of a record in as few steps as there may be, each with the number of its first field.
    pub(crate) all: Box<[(Pass, u32)]>,
}

impl Passes {
    fn of(nodes: &[Node], kind: &Kind) -> Self {
        let over = |id: &Id| Pass::over(*id, &nodes[*id as usize].kind);
        let each: Box<[Pass]> = match kind {
            Kind::Record { fields, .. } => fields.iter().map(|field| over(&field.node)).collect(),
            Kind::Union(branches) => branches.iter().map(over).collect(),
            Kind::Array(items) => [over(items)].into(),
            _ => return Self::default(),
        };
        let mut all: Vec<(Pass, u32)> = Vec::new();
        for (at, pass) in each.iter().enumerate() {
            match (all.last_mut(), *pass) {
                // What takes no bytes is counted, each by itself.
                (Some((Pass::Bytes(before), _)), Pass::Bytes(more)) if *before > 0 && more > 0 => {
                    *before = before.saturating_add(more);
                }
                (Some((Pass::Longs(before), _)), Pass::Long) => *before += 1,
                (_, Pass::Long) => all.push((Pass::Longs(1), at as u32)),
                (_, other) => all.push((other, at as u32)),
            }
        }
        Self { each, all: all.into() }
    }
}

impl Pass {
    pub(crate) fn over(id: Id, kind: &Kind) -> Self {
        match kind {
            Kind::Null => Self::Bytes(0),
            Kind::Boolean => Self::Bytes(1),
            Kind::Float => Self::Bytes(4),
            Kind::Double => Self::Bytes(8),
            Kind::Fixed { size, .. } => Self::Bytes(*size),
            Kind::Int | Kind::Long | Kind::Enum { .. } => Self::Long,
            Kind::Bytes | Kind::String => Self::Counted,
            Kind::Array(_) | Kind::Map(_) | Kind::Union(_) | Kind::Record { .. } => Self::Parts(id),
        }
    }
}

impl Graph {
    pub(crate) fn of(schema: &Schema) -> Result<Self> {
        let mut making = Making::default();
        let root = making.node(schema, 0)?;
        let nodes = making.nodes.into_iter().map(|node| node.ok_or_else(unfinished)).collect::<Result<Vec<_>>>()?;
        let passes = nodes.iter().map(|node| Passes::of(&nodes, &node.kind));
        Ok(Self { passes: passes.collect(), nodes, root })
    }

    /// Its records, as they come in it.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&Named, &[Field])> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Record { name, fields } => Some((name, &fields[..])),
            _ => None,
        })
    }

    /// How the parts of a type are passed over.
    #[inline]
    pub(crate) fn passes(&self, id: Id) -> &Passes {
        &self.passes[id as usize]
    }

    #[inline]
    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id as usize]
    }

    #[inline]
    pub(crate) fn kind(&self, id: Id) -> &Kind {
        &self.node(id).kind
    }

    /// How a branch of a union is called in Avro's JSON encoding: its full name, or that of its type.
    pub(crate) fn branch_name(&self, id: Id) -> &str {
        match self.kind(id) {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Fixed { name, .. } | Kind::Enum { name, .. } | Kind::Record { name, .. } => &name.full,
        }
    }

    /// A type as messages call it.
    pub(crate) fn shown(&self, id: Id) -> String {
        let node = self.node(id);
        let base = match &node.kind {
            Kind::Union(branches) => {
                let mut names: Vec<_> = branches.iter().take(SHOWN).map(|&branch| self.branch_name(branch)).collect();
                if branches.len() > SHOWN {
                    names.push("…");
                }
                return format!("the union [{}]", names.join(", "));
            }
            Kind::Record { name, .. } => return format!("the record {}", name.full),
            Kind::Enum { name, .. } => return format!("the enum {}", name.full),
            Kind::Fixed { name, size } => format!("the fixed {} of {size} bytes", name.full),
            _ => self.branch_name(id).to_owned(),
        };
        match node.logical {
            Logical::None => base,
            Logical::Decimal { precision, scale } => format!("{base} (decimal of {precision} digits, scale {scale})"),
            other => format!("{base} ({})", other.shown()),
        }
    }

    /// Finds a branch of a union by its name in JSON; a short name will do where only one fits.
    pub(crate) fn branch(&self, branches: &[Id], name: &str) -> Option<usize> {
        branches.iter().position(|&branch| self.branch_name(branch) == name)
    }
}

impl Logical {
    /// Its name in schemas.
    pub(crate) fn shown(self) -> &'static str {
        match self {
            Self::None => "no logical type",
            Self::Decimal { .. } => "decimal",
            Self::BigDecimal => "big-decimal",
            Self::Uuid => "uuid",
            Self::Date => "date",
            Self::TimeMillis => "time-millis",
            Self::TimeMicros => "time-micros",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::LocalTimestampMillis => "local-timestamp-millis",
            Self::LocalTimestampMicros => "local-timestamp-micros",
            Self::LocalTimestampNanos => "local-timestamp-nanos",
            Self::Duration => "duration",
        }
    }
}

#[cold]
fn unfinished() -> Box<Flaw> {
    Flaw::new("the schema refers to a name that it does not define")
}

#[derive(Default)]
struct Making {
    /// A named type is entered before its parts are, which may lead back to it.
    nodes: Vec<Option<Node>>,
    names: HashMap<String, Id>,
}

impl Making {
    fn node(&mut self, schema: &Schema, depth: usize) -> Result<Id> {
        if depth > DEPTH {
            return Err(Flaw::new(format!("the schema is nested deeper than {DEPTH}")));
        }
        let id = match schema {
            Schema::Ref { name } => {
                let name = name.fullname(None);
                return self.names.get(&name).copied().ok_or_else(|| {
                    Flaw::new(format!("the schema refers to `{name}`, which it does not define before"))
                });
            }
            Schema::Record(record) => return self.record(record, depth),
            Schema::Enum(schema) => {
                let name = named(&schema.name, schema.aliases.as_ref());
                let (symbols, default) = (schema.symbols.clone(), schema.default.clone());
                return self.define(name.clone(), Kind::Enum { name, symbols, default }, Logical::None);
            }
            Schema::Fixed(fixed) => return self.fixed(fixed, Logical::None),
            Schema::Duration(fixed) => return self.fixed(fixed, Logical::Duration),
            Schema::Uuid(UuidSchema::Fixed(fixed)) => return self.fixed(fixed, Logical::Uuid),
            Schema::Decimal(decimal) => {
                let logical = Logical::Decimal { precision: decimal.precision, scale: decimal.scale };
                match &decimal.inner {
                    InnerDecimalSchema::Fixed(fixed) => return self.fixed(fixed, logical),
                    InnerDecimalSchema::Bytes => self.add(Kind::Bytes, logical),
                }
            }
            Schema::Array(array) => {
                let items = self.node(&array.items, depth + 1)?;
                self.add(Kind::Array(items), Logical::None)
            }
            Schema::Map(map) => {
                let values = self.node(&map.types, depth + 1)?;
                self.add(Kind::Map(values), Logical::None)
            }
            Schema::Union(union) => {
                let branches = union.variants().iter().map(|branch| self.node(branch, depth + 1));
                let branches = branches.collect::<Result<Vec<_>>>()?;
                self.add(Kind::Union(branches), Logical::None)
            }
            plain => self.plain(plain),
        };
        Ok(id)
    }

    fn plain(&mut self, schema: &Schema) -> Id {
        let (kind, logical) = match schema {
            Schema::Boolean => (Kind::Boolean, Logical::None),
            Schema::Int => (Kind::Int, Logical::None),
            Schema::Long => (Kind::Long, Logical::None),
            Schema::Float => (Kind::Float, Logical::None),
            Schema::Double => (Kind::Double, Logical::None),
            Schema::Bytes => (Kind::Bytes, Logical::None),
            Schema::String => (Kind::String, Logical::None),
            Schema::BigDecimal => (Kind::Bytes, Logical::BigDecimal),
            Schema::Uuid(UuidSchema::String) => (Kind::String, Logical::Uuid),
            Schema::Uuid(_) => (Kind::Bytes, Logical::Uuid),
            Schema::Date => (Kind::Int, Logical::Date),
            Schema::TimeMillis => (Kind::Int, Logical::TimeMillis),
            Schema::TimeMicros => (Kind::Long, Logical::TimeMicros),
            Schema::TimestampMillis => (Kind::Long, Logical::TimestampMillis),
            Schema::TimestampMicros => (Kind::Long, Logical::TimestampMicros),
            Schema::TimestampNanos => (Kind::Long, Logical::TimestampNanos),
            Schema::LocalTimestampMillis => (Kind::Long, Logical::LocalTimestampMillis),
            Schema::LocalTimestampMicros => (Kind::Long, Logical::LocalTimestampMicros),
            Schema::LocalTimestampNanos => (Kind::Long, Logical::LocalTimestampNanos),
            // All others have parts or names, and have been dealt with.
            _ => (Kind::Null, Logical::None),
        };
        self.add(kind, logical)
    }

    fn record(&mut self, record: &RecordSchema, depth: usize) -> Result<Id> {
        let name = named(&record.name, record.aliases.as_ref());
        let id = self.reserve(&name)?;
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            fields.push(Field {
                name: field.name.clone(),
                aliases: field.aliases.clone(),
                default: field.default.clone(),
                node: self.node(&field.schema, depth + 1)?,
            });
        }
        self.nodes[id as usize] = Some(Node { kind: Kind::Record { name, fields }, logical: Logical::None });
        Ok(id)
    }

    fn fixed(&mut self, fixed: &FixedSchema, logical: Logical) -> Result<Id> {
        let name = named(&fixed.name, fixed.aliases.as_ref());
        self.define(name.clone(), Kind::Fixed { name, size: fixed.size }, logical)
    }

    fn define(&mut self, name: Named, kind: Kind, logical: Logical) -> Result<Id> {
        let id = self.reserve(&name)?;
        self.nodes[id as usize] = Some(Node { kind, logical });
        Ok(id)
    }

    fn reserve(&mut self, name: &Named) -> Result<Id> {
        let id = self.nodes.len() as Id;
        if self.names.insert(name.full.clone(), id).is_some() {
            return Err(Flaw::new(format!("the schema defines `{}` twice", name.full)));
        }
        self.nodes.push(None);
        Ok(id)
    }

    fn add(&mut self, kind: Kind, logical: Logical) -> Id {
        self.nodes.push(Some(Node { kind, logical }));
        self.nodes.len() as Id - 1
    }
}

fn named(name: &Name, aliases: Option<&Vec<Alias>>) -> Named {
    let full = name.fullname(None);
    let aliases = aliases.into_iter().flatten().map(|alias| alias.fullname(name.namespace())).collect();
    Named { full, aliases }
}
