//! Writes a generic value as the datum that its schema says.

use std::collections::HashMap;

use apache_avro::types::Value;
use apache_avro::{Decimal, Duration};

use super::cursor::{Flaw, Result};
use super::graph::{Field, Graph, Id, Kind, Logical};

/// Adds what stands for `value`, of the type `id`, to `out`.
pub(crate) fn value(graph: &Graph, id: Id, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let node = graph.node(id);
    match (&node.kind, value) {
        (Kind::Null, Value::Null) => {}
        (Kind::Boolean, Value::Boolean(boolean)) => out.push(u8::from(*boolean)),
        (Kind::Int, Value::Int(int) | Value::Date(int) | Value::TimeMillis(int)) => long(i64::from(*int), out),
        (Kind::Long, of) => long(long_of(of).ok_or_else(|| unfit(graph, id, value))?, out),
        (Kind::Float, Value::Float(float)) => out.extend_from_slice(&float.to_le_bytes()),
        (Kind::Double, Value::Double(double)) => out.extend_from_slice(&double.to_le_bytes()),
        (Kind::Double, Value::Float(float)) => out.extend_from_slice(&f64::from(*float).to_le_bytes()),
        (Kind::Double, Value::Int(int)) => out.extend_from_slice(&f64::from(*int).to_le_bytes()),
        (Kind::Bytes, Value::Bytes(of) | Value::Fixed(_, of)) => bytes(of, out),
        (Kind::Bytes, Value::Decimal(decimal)) => bytes(&decimal_bytes(decimal)?, out),
        (Kind::Bytes, Value::BigDecimal(decimal)) => bytes(&big_decimal_bytes(decimal), out),
        (Kind::Bytes, Value::Uuid(uuid)) => bytes(uuid.as_bytes(), out),
        (Kind::String, Value::String(text)) => bytes(text.as_bytes(), out),
        (Kind::String, Value::Uuid(uuid)) => bytes(uuid.hyphenated().to_string().as_bytes(), out),
        (Kind::Fixed { size, .. }, fixed) => {
            out.extend_from_slice(&fixed_bytes(*size, node.logical, fixed).ok_or_else(|| unfit(graph, id, value))?)
        }
        (Kind::Enum { symbols, name, .. }, Value::Enum(_, symbol) | Value::String(symbol)) => {
            let Some(at) = symbols.iter().position(|other| other == symbol) else {
                return Err(Flaw::new(format!("expected a symbol of {}, found `{symbol}`", name.full)));
            };
            long(at as i64, out);
        }
        (Kind::Array(items), Value::Array(values)) => array(graph, *items, values, out)?,
        (Kind::Map(types), Value::Map(entries)) => map(graph, *types, entries, out)?,
        (Kind::Union(branches), held) => union(graph, branches, held, out)?.ok_or_else(|| unfit(graph, id, value))?,
        (Kind::Record { fields, .. }, Value::Record(values)) => record(graph, fields, values, out)?,
        _ => return Err(unfit(graph, id, value)),
    }
    Ok(())
}

#[cold]
fn unfit(graph: &Graph, id: Id, value: &Value) -> Box<Flaw> {
    Flaw::new(format!("expected {}, found {}", graph.shown(id), shown(value)))
}

/// A value's kind, as messages call it.
fn shown(value: &Value) -> String {
    match value {
        Value::Union(index, inner) => format!("branch {index} of a union: {}", shown(inner)),
        Value::Record(fields) => {
            let names: Vec<_> = fields.iter().take(5).map(|(name, _)| name.as_str()).collect();
            format!("a record with the fields {}", names.join(", "))
        }
        Value::Enum(_, symbol) => format!("the symbol {symbol}"),
        Value::Fixed(size, _) => format!("a fixed of {size} bytes"),
        other => format!("{:?}", apache_avro::schema::SchemaKind::from(other)).to_lowercase(),
    }
}

/// What is written as a long. An int is widened: it loses nothing by that.
pub(crate) fn long_of(value: &Value) -> Option<i64> {
    match value {
        Value::Long(of)
        | Value::TimeMicros(of)
        | Value::TimestampMillis(of)
        | Value::TimestampMicros(of)
        | Value::TimestampNanos(of)
        | Value::LocalTimestampMillis(of)
        | Value::LocalTimestampMicros(of)
        | Value::LocalTimestampNanos(of) => Some(*of),
        Value::Int(int) => Some(i64::from(*int)),
        _ => None,
    }
}

/// A number, zigzag.
#[inline]
pub(crate) fn long(number: i64, out: &mut Vec<u8>) {
    let mut left = ((number << 1) ^ (number >> 63)) as u64;
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

/// Bytes behind their length.
#[inline]
pub(crate) fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

fn array(graph: &Graph, items: Id, values: &[Value], out: &mut Vec<u8>) -> Result<()> {
    if !values.is_empty() {
        long(values.len() as i64, out);
        for (at, item) in values.iter().enumerate() {
            value(graph, items, item, out).map_err(|flaw| flaw.within(format!("[{at}]")))?;
        }
    }
    long(0, out);
    Ok(())
}

/// In the order of their keys: the same value has the same bytes, and the same text, every time.
pub(crate) fn sorted(entries: &HashMap<String, Value>) -> Vec<(&String, &Value)> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_unstable_by_key(|(key, _)| key.as_str());
    sorted
}

/// The branch that a value of a union is of, and the value without it: as it says, or the first that fits. Nothing if
/// none does.
pub(crate) fn branch_of<'v>(graph: &Graph, branches: &[Id], held: &'v Value) -> Option<(usize, &'v Value)> {
    match held {
        Value::Union(index, inner) => Some((*index as usize, inner)),
        bare => Some((branches.iter().position(|&branch| fits(graph, branch, bare))?, bare)),
    }
}

/// Nothing if no branch fits.
fn union(graph: &Graph, branches: &[Id], held: &Value, out: &mut Vec<u8>) -> Result<Option<()>> {
    let Some((index, held)) = branch_of(graph, branches, held) else { return Ok(None) };
    let Some(&branch) = branches.get(index) else {
        let most = branches.len().saturating_sub(1);
        return Err(Flaw::new(format!("expected a branch of a union from 0 to {most}, found {index}")));
    };
    long(index as i64, out);
    value(graph, branch, held, out).map(Some)
}

fn map(graph: &Graph, types: Id, entries: &HashMap<String, Value>, out: &mut Vec<u8>) -> Result<()> {
    if !entries.is_empty() {
        long(entries.len() as i64, out);
        for (key, entry) in sorted(entries) {
            bytes(key.as_bytes(), out);
            value(graph, types, entry, out).map_err(|flaw| flaw.within(key.as_str()))?;
        }
    }
    long(0, out);
    Ok(())
}

/// What a record has for its field number `at`.
pub(crate) fn part<'v>(field: &Field, at: usize, values: &'v [(String, Value)]) -> Result<&'v Value> {
    let there = values.get(at).filter(|(name, _)| *name == field.name);
    match there.or_else(|| values.iter().find(|(name, _)| *name == field.name)) {
        Some((_, part)) => Ok(part),
        None => Err(Flaw::new("expected this field, found none").within(field.name.as_str())),
    }
}

fn record(graph: &Graph, fields: &[Field], values: &[(String, Value)], out: &mut Vec<u8>) -> Result<()> {
    for (at, field) in fields.iter().enumerate() {
        value(graph, field.node, part(field, at, values)?, out).map_err(|flaw| flaw.within(field.name.as_str()))?;
    }
    if values.len() > fields.len() {
        let known = |name: &str| fields.iter().any(|field| field.name == name);
        if let Some((name, _)) = values.iter().find(|(name, _)| !known(name)) {
            return Err(Flaw::new("the schema has no such field").within(name.as_str()));
        }
    }
    Ok(())
}

/// Whether a value that says nothing of branches may be one of this type.
fn fits(graph: &Graph, id: Id, value: &Value) -> bool {
    match (graph.kind(id), value) {
        (Kind::Array(_), Value::Array(_)) | (Kind::Map(_), Value::Map(_)) => true,
        (Kind::Enum { symbols, .. }, Value::Enum(_, symbol)) => symbols.contains(symbol),
        (Kind::Enum { .. } | Kind::Union(_), _) => false,
        (Kind::Record { fields, .. }, Value::Record(values)) => {
            fields.len() == values.len()
                && fields.iter().all(|field| values.iter().any(|(name, _)| *name == field.name))
        }
        (Kind::Array(_) | Kind::Map(_) | Kind::Record { .. }, _) => false,
        _ => self::value(graph, id, value, &mut Vec::new()).is_ok(),
    }
}

/// The bytes of a fixed of this size, if the value is one.
pub(crate) fn fixed_bytes(size: usize, logical: Logical, value: &Value) -> Option<Vec<u8>> {
    let found = match value {
        Value::Fixed(_, of) | Value::Bytes(of) => of.clone(),
        Value::Uuid(uuid) => uuid.as_bytes().to_vec(),
        Value::Duration(duration) => duration_bytes(duration).to_vec(),
        Value::Decimal(decimal) if matches!(logical, Logical::Decimal { .. }) => {
            return extended(&decimal_bytes(decimal).ok()?, size);
        }
        _ => return None,
    };
    (found.len() == size).then_some(found)
}

/// The bytes of a number, with as many of its sign before it as it takes; none if they don't fit.
pub(crate) fn extended(number: &[u8], size: usize) -> Option<Vec<u8>> {
    let sign = if number.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
    let Some(more) = size.checked_sub(number.len()) else {
        // Nothing but the sign may go.
        let (gone, kept) = number.split_at(number.len() - size);
        let same = kept.first().is_some_and(|first| first & 0x80 == sign & 0x80);
        return (same && gone.iter().all(|&byte| byte == sign)).then(|| kept.to_vec());
    };
    let mut bytes = vec![sign; more];
    bytes.extend_from_slice(number);
    Some(bytes)
}

pub(crate) fn decimal_bytes(decimal: &Decimal) -> Result<Vec<u8>> {
    Vec::try_from(decimal).map_err(|error| Flaw::new(format!("a decimal that can't be written: {error}")))
}

fn duration_bytes(duration: &Duration) -> [u8; 12] {
    duration.into()
}

pub(crate) fn big_decimal_bytes(decimal: &apache_avro::BigDecimal) -> Vec<u8> {
    let (number, scale) = decimal.as_bigint_and_exponent();
    let mut out = Vec::new();
    bytes(&number.to_signed_bytes_be(), &mut out);
    long(scale, &mut out);
    out
}
