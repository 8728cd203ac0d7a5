//! From JSON to generic values, and from the defaults of schemas.

use std::cell::Cell;
use std::io;

use apache_avro::types::Value;
use apache_avro::{Duration, Uuid};
use serde_json::{Map, Value as Json};

use crate::avro::cursor::{Flaw, Result};
use crate::avro::graph::{Field, Graph, Id, Kind, Logical};
use crate::avro::read::{big_decimal, decimal};

/// How many values the defaults that a record leaves to be filled in may come to, beyond four for each of its bytes.
const FILLED: usize = 1 << 16;

/// The value, of the type `id`, that JSON of so many bytes stands for. A field that is not there is its default.
pub(in crate::avro) fn decode(graph: &Graph, id: Id, json: &Json, bytes: usize) -> Result<Value> {
    let left = Budget::of(bytes.saturating_mul(4).saturating_add(FILLED));
    Decode { graph, default: false, left: &left }.value(id, json, 0)
}

/// How many more values may be made of defaults, each eight bytes of their texts counted as one more: a schema of a few
/// kilobytes can ask for more than memory holds.
pub(in crate::avro) struct Budget {
    most: usize,
    left: Cell<usize>,
}

impl Budget {
    pub(in crate::avro) fn of(most: usize) -> Self {
        Self { most, left: Cell::new(most) }
    }

    /// For one more value, with so many bytes of text.
    fn spend(&self, bytes: usize) -> Result<()> {
        match self.left.get().checked_sub(1 + bytes / 8) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(self.spent())
            }
        }
    }

    #[cold]
    fn spent(&self) -> Box<Flaw> {
        Flaw::new(format!(
            "the defaults come to more than {} values, with the fields that they leave to other defaults: write out less, \
             or leave such fields without a default",
            self.most
        ))
    }
}

/// As deep as JSON is read.
const DEPTH: usize = 128;

#[derive(Clone, Copy)]
pub(in crate::avro) struct Decode<'a> {
    pub(in crate::avro) graph: &'a Graph,
    /// Values of unions stand without the names of their branches, and fields that the schema doesn't have mean nothing.
    pub(in crate::avro) default: bool,
    pub(in crate::avro) left: &'a Budget,
}

impl Decode<'_> {
    pub(in crate::avro) fn value(self, id: Id, json: &Json, depth: usize) -> Result<Value> {
        if depth > DEPTH {
            return Err(Flaw::new(format!(
                "it is nested deeper than {DEPTH}, with the defaults that it is filled with"
            )));
        }
        if self.default {
            self.left.spend(json.as_str().map_or(0, str::len))?;
        }
        let node = self.graph.node(id);
        let made = match (&node.kind, json) {
            (Kind::Null, Json::Null) => Some(Value::Null),
            (Kind::Boolean, Json::Bool(boolean)) => Some(Value::Boolean(*boolean)),
            (Kind::Int, Json::Number(_)) => {
                integer(json).and_then(|of| i32::try_from(of).ok()).map(|of| int(of, node.logical))
            }
            (Kind::Long, Json::Number(_)) => integer(json).map(|of| long(of, node.logical)),
            (Kind::Float, _) => floating(json).and_then(narrow).map(Value::Float),
            (Kind::Double, _) => floating(json).map(Value::Double),
            (Kind::String, Json::String(text)) => match node.logical {
                Logical::Uuid => Uuid::parse_str(text).ok().map(Value::Uuid),
                _ => Some(Value::String(text.clone())),
            },
            (Kind::Bytes, Json::String(text)) => of_latin(text).map(|of| bytes(of, node.logical)).transpose()?,
            (Kind::Fixed { size, .. }, Json::String(text)) => {
                of_latin(text).filter(|of| of.len() == *size).and_then(|of| fixed(of, node.logical))
            }
            (Kind::Enum { symbols, .. }, Json::String(symbol)) => {
                let at = symbols.iter().position(|other| other == symbol);
                at.map(|at| Value::Enum(at as u32, symbol.clone()))
            }
            (Kind::Array(items), Json::Array(values)) => Some(self.array(*items, values, depth)?),
            (Kind::Map(values), Json::Object(entries)) => Some(self.map(*values, entries, depth)?),
            (Kind::Record { fields, .. }, Json::Object(values)) => Some(self.record(fields, values, depth)?),
            (Kind::Union(branches), _) => self.union(branches, json, depth)?,
            _ => None,
        };
        made.ok_or_else(|| Flaw::new(format!("expected {}, found {}", self.graph.shown(id), shown(json))))
    }

    fn array(self, items: Id, values: &[Json], depth: usize) -> Result<Value> {
        let item =
            |(at, item)| self.value(items, item, depth + 1).map_err(|flaw: Box<Flaw>| flaw.within(format!("[{at}]")));
        Ok(Value::Array(values.iter().enumerate().map(item).collect::<Result<_>>()?))
    }

    fn map(self, values: Id, entries: &Map<String, Json>, depth: usize) -> Result<Value> {
        let entry = |(key, entry): (&String, _)| {
            if self.default {
                self.left.spend(key.len())?;
            }
            let value = self.value(values, entry, depth + 1).map_err(|flaw| flaw.within(key.as_str()))?;
            Ok((key.clone(), value))
        };
        Ok(Value::Map(entries.iter().map(entry).collect::<Result<_>>()?))
    }

    fn record(self, fields: &[Field], values: &Map<String, Json>, depth: usize) -> Result<Value> {
        let (mut made, mut there) = (Vec::with_capacity(fields.len()), 0);
        for field in fields {
            there += usize::from(values.contains_key(&field.name));
            let within = |flaw: Box<Flaw>| flaw.within(field.name.as_str());
            let value = match (values.get(&field.name), &field.default) {
                (Some(json), _) => self.value(field.node, json, depth + 1).map_err(within)?,
                (None, Some(json)) => {
                    Decode { default: true, ..self }.value(field.node, json, depth + 1).map_err(within)?
                }
                (None, None) => return Err(within(Flaw::new("expected this field, found none"))),
            };
            made.push((field.name.clone(), value));
        }
        if self.default || there == values.len() {
            return Ok(Value::Record(made));
        }
        let known = |name: &str| fields.iter().any(|field| field.name == name);
        match values.keys().find(|name| !known(name)) {
            Some(name) => Err(Flaw::new("the schema has no such field").within(name.as_str())),
            None => Ok(Value::Record(made)),
        }
    }

    fn union(self, branches: &[Id], json: &Json, depth: usize) -> Result<Option<Value>> {
        let branch = |at: usize, value| Some(Value::Union(at as u32, Box::new(value)));
        if self.default {
            // The first branch says what a default is; later ones may do so since Avro 1.12.
            let made = |(at, &id): (usize, &Id)| branch(at, self.value(id, json, depth + 1).ok()?);
            return match branches.iter().enumerate().find_map(made) {
                // Branches that were not tried any more may fit.
                None if self.left.left.get() == 0 => Err(self.left.spent()),
                made => Ok(made),
            };
        }
        let (at, inner) = match json {
            Json::Null => (branches.iter().position(|&id| matches!(self.graph.kind(id), Kind::Null)), json),
            Json::Object(entries) => match entries.iter().next().filter(|_| entries.len() == 1) {
                Some((name, inner)) => (self.graph.branch(branches, name), inner),
                None => (None, json),
            },
            _ => (None, json),
        };
        match at {
            Some(at) => {
                let name = self.graph.branch_name(branches[at]);
                let value = self.value(branches[at], inner, depth + 1);
                Ok(branch(at, value.map_err(|flaw| if inner == json { flaw } else { flaw.within(name) })?))
            }
            None => Ok(None),
        }
    }
}

/// What was found in place of what was expected, cut short.
fn shown(json: &Json) -> String {
    const SHOWN: usize = 60;
    /// Takes no more than is shown, whatever comes.
    struct Beginning(Vec<u8>);
    impl io::Write for Beginning {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() > SHOWN {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.0.extend_from_slice(&bytes[..bytes.len().min(SHOWN + 4)]);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut beginning = Beginning(Vec::new());
    // It fails once there is enough.
    let _ = serde_json::to_writer(&mut beginning, json);
    let text = String::from_utf8_lossy(&beginning.0);
    match text.len() > SHOWN {
        true => format!("{}…", &text[..text.floor_char_boundary(SHOWN)]),
        false => text.into_owned(),
    }
}

/// A whole number, such as 1 or 1.0.
fn integer(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json.as_f64().filter(|of| of.fract() == 0.0 && of.abs() < 9e15).map(|of| of as i64))
}

fn floating(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" | "INF" => Some(f64::INFINITY),
            "-Infinity" | "-INF" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// As a float, unless that is too small for it.
fn narrow(double: f64) -> Option<f32> {
    let float = double as f32;
    (float.is_finite() || !double.is_finite()).then_some(float)
}

fn of_latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect()
}

fn int(int: i32, logical: Logical) -> Value {
    match logical {
        Logical::Date => Value::Date(int),
        Logical::TimeMillis => Value::TimeMillis(int),
        _ => Value::Int(int),
    }
}

fn long(long: i64, logical: Logical) -> Value {
    match logical {
        Logical::TimeMicros => Value::TimeMicros(long),
        Logical::TimestampMillis => Value::TimestampMillis(long),
        Logical::TimestampMicros => Value::TimestampMicros(long),
        Logical::TimestampNanos => Value::TimestampNanos(long),
        Logical::LocalTimestampMillis => Value::LocalTimestampMillis(long),
        Logical::LocalTimestampMicros => Value::LocalTimestampMicros(long),
        Logical::LocalTimestampNanos => Value::LocalTimestampNanos(long),
        _ => Value::Long(long),
    }
}

fn bytes(bytes: Vec<u8>, logical: Logical) -> Result<Value> {
    Ok(match logical {
        Logical::Decimal { .. } => Value::Decimal(decimal(bytes)),
        Logical::BigDecimal => Value::BigDecimal(big_decimal(&bytes)?),
        Logical::Uuid => match Uuid::from_slice(&bytes) {
            Ok(uuid) => Value::Uuid(uuid),
            Err(_) => return Err(Flaw::new(format!("expected a UUID of 16 bytes, found {}", bytes.len()))),
        },
        _ => Value::Bytes(bytes),
    })
}

fn fixed(bytes: Vec<u8>, logical: Logical) -> Option<Value> {
    Some(match logical {
        Logical::Decimal { .. } => Value::Decimal(decimal(bytes)),
        Logical::Uuid => Value::Uuid(Uuid::from_slice(&bytes).ok()?),
        Logical::Duration => Value::Duration(Duration::from(<[u8; 12]>::try_from(bytes).ok()?)),
        _ => Value::Fixed(bytes.len(), bytes),
    })
}
