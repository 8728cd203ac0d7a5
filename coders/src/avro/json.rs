//! Avro's JSON encoding, both ways, and the defaults of schemas, which are JSON too.
//!
//! ```text
//! null, boolean, int, long, string    as JSON has them
//! float, double                       numbers; "NaN", "Infinity", "-Infinity"
//! bytes, fixed                        a string with a character from U+0000 to U+00FF for each byte
//! enum                                the symbol, a string
//! array                               an array
//! map, record                         an object
//! union                               null as null; any other branch as {"its name": value}
//! ```
//!
//! A logical type is encoded as what it is of: a date as a number of days, a decimal as the string of its bytes. In a
//! schema's default a value of a union stands without its branch's name.

use std::fmt::Write as _;

use apache_avro::types::Value;
use apache_avro::{Duration, Uuid};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::cursor::{Flaw, Result};
use super::graph::{Graph, Id, Kind, Logical};
use super::read::{big_decimal, decimal};
use super::write::{big_decimal_bytes, decimal_bytes, duration_bytes, long_of, part, sorted};

/// Adds the JSON that stands for `value`, of the type `id`, to `out`: compact, in the order of the schema.
pub(crate) fn encode(graph: &Graph, id: Id, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match (graph.kind(id), value) {
        (Kind::Array(items), Value::Array(values)) => {
            listed(*b"[]", values.iter().enumerate(), out, |(at, item), out| {
                encode(graph, *items, item, out).map_err(|flaw| flaw.within(format!("[{at}]")))
            })
        }
        (Kind::Map(values), Value::Map(entries)) => listed(*b"{}", sorted(entries), out, |(key, entry), out| {
            named(key, out);
            encode(graph, *values, entry, out).map_err(|flaw| flaw.within(key.as_str()))
        }),
        (Kind::Record { fields, .. }, Value::Record(values)) => {
            listed(*b"{}", fields.iter().enumerate(), out, |(at, field), out| {
                let part = part(field, at, values)?;
                named(&field.name, out);
                encode(graph, field.node, part, out).map_err(|flaw| flaw.within(field.name.as_str()))
            })
        }
        (Kind::Union(branches), Value::Union(index, inner)) => {
            let &branch = branches.get(*index as usize).ok_or_else(|| unfit(graph, id, value))?;
            match graph.kind(branch) {
                Kind::Null => encode(graph, branch, inner, out),
                _ => listed(*b"{}", [branch], out, |branch, out| {
                    named(graph.branch_name(branch), out);
                    encode(graph, branch, inner, out)
                }),
            }
        }
        (kind, plain) => scalar(kind, plain, out)?.ok_or_else(|| unfit(graph, id, value)),
    }
}

/// A value without parts; nothing if it is of another type.
fn scalar(kind: &Kind, value: &Value, out: &mut Vec<u8>) -> Result<Option<()>> {
    match (kind, value) {
        (Kind::Null, Value::Null) => out.extend_from_slice(b"null"),
        (Kind::Boolean, Value::Boolean(boolean)) => put(boolean, out),
        (Kind::Int, Value::Int(of) | Value::Date(of) | Value::TimeMillis(of)) => put(of, out),
        (Kind::Long, of) => match long_of(of) {
            Some(number) => put(&number, out),
            None => return Ok(None),
        },
        (Kind::Float, Value::Float(float)) if float.is_finite() => put(float, out),
        (Kind::Float, Value::Float(float)) => text(not_finite(f64::from(*float)), out),
        (Kind::Double, Value::Double(double)) if double.is_finite() => put(double, out),
        (Kind::Double, Value::Double(double)) => text(not_finite(*double), out),
        (Kind::String, Value::String(of)) => text(of, out),
        (Kind::String, Value::Uuid(uuid)) => text(&uuid.hyphenated().to_string(), out),
        (Kind::Bytes | Kind::Fixed { .. }, of) => match raw(of)? {
            Some(bytes) => latin(&bytes, out),
            None => return Ok(None),
        },
        (Kind::Enum { .. }, Value::Enum(_, symbol)) => text(symbol, out),
        _ => return Ok(None),
    }
    Ok(Some(()))
}

/// Parts between brackets, with commas.
fn listed<T>(
    brackets: [u8; 2],
    parts: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut put: impl FnMut(T, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    out.push(brackets[0]);
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        put(part, out)?;
    }
    out.push(brackets[1]);
    Ok(())
}

fn named(name: &str, out: &mut Vec<u8>) {
    text(name, out);
    out.push(b':');
}

#[cold]
fn unfit(graph: &Graph, id: Id, value: &Value) -> Box<Flaw> {
    let found = format!("{:?}", apache_avro::schema::SchemaKind::from(value)).to_lowercase();
    Flaw::new(format!("expected {}, found {found}", graph.shown(id)))
}

fn text(text: &str, out: &mut Vec<u8>) {
    put(text, out);
}

fn put(scalar: &(impl Serialize + ?Sized), out: &mut Vec<u8>) {
    // Writing to memory doesn't fail, and neither does a number or a text.
    let _ = serde_json::to_writer(out, scalar);
}

fn not_finite(number: f64) -> &'static str {
    match number {
        number if number.is_nan() => "NaN",
        number if number > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

/// The bytes of what is encoded as such.
fn raw(value: &Value) -> Result<Option<Vec<u8>>> {
    Ok(Some(match value {
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => bytes.clone(),
        Value::Decimal(decimal) => decimal_bytes(decimal)?,
        Value::BigDecimal(decimal) => big_decimal_bytes(decimal),
        Value::Uuid(uuid) => uuid.as_bytes().to_vec(),
        Value::Duration(duration) => duration_bytes(duration).to_vec(),
        _ => return Ok(None),
    }))
}

/// Bytes as a string of the characters from U+0000 to U+00FF, what is not ASCII escaped.
fn latin(bytes: &[u8], out: &mut Vec<u8>) {
    let mut string = String::with_capacity(bytes.len() + 2);
    string.push('"');
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => string.extend(['\\', char::from(byte)]),
            b' '..=b'~' => string.push(char::from(byte)),
            _ => _ = write!(string, "\\u{byte:04X}"),
        }
    }
    string.push('"');
    out.extend_from_slice(string.as_bytes());
}

/// The value that a schema's default stands for.
pub(crate) fn default(graph: &Graph, id: Id, json: &Json) -> Result<Value> {
    Decode { graph, default: true }.value(id, json, 0)
}

/// The value, of the type `id`, that JSON stands for. A field that is not there is its default.
pub(crate) fn decode(graph: &Graph, id: Id, json: &Json) -> Result<Value> {
    Decode { graph, default: false }.value(id, json, 0)
}

/// As deep as JSON is read.
const DEPTH: usize = 128;

#[derive(Clone, Copy)]
struct Decode<'a> {
    graph: &'a Graph,
    /// Values of unions stand without the names of their branches.
    default: bool,
}

impl Decode<'_> {
    fn value(self, id: Id, json: &Json, depth: usize) -> Result<Value> {
        if depth > DEPTH {
            return Err(Flaw::new(format!("it is nested deeper than {DEPTH}")));
        }
        let node = self.graph.node(id);
        let made = match (&node.kind, json) {
            (Kind::Null, Json::Null) => Some(Value::Null),
            (Kind::Boolean, Json::Bool(boolean)) => Some(Value::Boolean(*boolean)),
            (Kind::Int, Json::Number(_)) => {
                integer(json).and_then(|of| i32::try_from(of).ok()).map(|of| int(of, node.logical))
            }
            (Kind::Long, Json::Number(_)) => integer(json).map(|of| long(of, node.logical)),
            (Kind::Float, _) => floating(json).map(|of| Value::Float(of as f32)),
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
            let value = self.value(values, entry, depth + 1).map_err(|flaw| flaw.within(key.as_str()))?;
            Ok((key.clone(), value))
        };
        Ok(Value::Map(entries.iter().map(entry).collect::<Result<_>>()?))
    }

    fn record(self, fields: &[super::graph::Field], values: &Map<String, Json>, depth: usize) -> Result<Value> {
        let mut made = Vec::with_capacity(fields.len());
        for field in fields {
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
            return Ok(branches.iter().enumerate().find_map(made));
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
    let text = json.to_string();
    match text.len() > SHOWN {
        true => format!("{}…", &text[..text.floor_char_boundary(SHOWN)]),
        false => text,
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
