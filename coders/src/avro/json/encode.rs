//! From generic values to JSON.

use std::fmt::Write as _;

use apache_avro::types::Value;
use num_bigint::{BigInt, Sign};
use serde::Serialize;

use crate::avro::cursor::{Flaw, Result};
use crate::avro::graph::{Graph, Id, Kind, Logical};
use crate::avro::write::{big_decimal_bytes, branch_of, decimal_bytes, fixed_bytes, long_of, part, sorted};

/// Which JSON a value becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::avro) enum Style {
    /// Avro's own encoding, which can be read back.
    Avro,
    /// What programs expect that know nothing of Avro: no names of branches, decimals as their digits.
    Plain,
}

/// Adds the JSON that stands for `value`, of the type `id`, to `out`: compact, in the order of the schema.
pub(in crate::avro) fn encode(graph: &Graph, id: Id, value: &Value, style: Style, out: &mut Vec<u8>) -> Result<()> {
    Encode { graph, style }.value(id, value, out)
}

#[derive(Clone, Copy)]
struct Encode<'a> {
    graph: &'a Graph,
    style: Style,
}

impl Encode<'_> {
    fn value(self, id: Id, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let unfit = || unfit(self.graph, id, value);
        match (self.graph.kind(id), value) {
            (Kind::Array(items), Value::Array(values)) => {
                listed(*b"[]", values.iter().enumerate(), out, |(at, item), out| {
                    self.value(*items, item, out).map_err(|flaw| flaw.within(format!("[{at}]")))
                })
            }
            (Kind::Map(values), Value::Map(entries)) => listed(*b"{}", sorted(entries), out, |(key, entry), out| {
                named(key, out);
                self.value(*values, entry, out).map_err(|flaw| flaw.within(key.as_str()))
            }),
            (Kind::Record { fields, .. }, Value::Record(values)) => {
                listed(*b"{}", fields.iter().enumerate(), out, |(at, field), out| {
                    let part = part(field, at, values)?;
                    named(&field.name, out);
                    self.value(field.node, part, out).map_err(|flaw| flaw.within(field.name.as_str()))
                })
            }
            (Kind::Union(branches), held) => {
                let (index, held) = branch_of(self.graph, branches, held).ok_or_else(unfit)?;
                self.branch(*branches.get(index).ok_or_else(unfit)?, held, out)
            }
            (kind, plain) => {
                let logical = self.graph.node(id).logical;
                if self.style == Style::Plain
                    && let Some(digits) = digits(logical, plain)?
                {
                    text(&digits, out);
                    return Ok(());
                }
                scalar(kind, logical, plain, out)?.ok_or_else(unfit)
            }
        }
    }

    fn branch(self, branch: Id, held: &Value, out: &mut Vec<u8>) -> Result<()> {
        if self.style == Style::Plain || matches!(self.graph.kind(branch), Kind::Null) {
            return self.value(branch, held, out);
        }
        listed(*b"{}", [branch], out, |branch, out| {
            named(self.graph.branch_name(branch), out);
            self.value(branch, held, out)
        })
    }
}

/// The most bytes of a number that is written as its digits: to find them takes time by the square.
const NUMBER: usize = 1 << 10;

/// The most digits behind a point.
const SCALE: i64 = 1 << 10;

/// A decimal as its digits; nothing if it is none.
fn digits(logical: Logical, value: &Value) -> Result<Option<String>> {
    let (number, scale) = match (logical, value) {
        (Logical::Decimal { scale, .. }, value) => match raw(value)? {
            Some(bytes) if bytes.len() <= NUMBER => {
                (BigInt::from_signed_bytes_be(&bytes), i64::try_from(scale).unwrap_or(i64::MAX))
            }
            Some(bytes) => return Err(too_long(bytes.len())),
            None => return Ok(None),
        },
        (Logical::BigDecimal, Value::BigDecimal(decimal)) => decimal.as_bigint_and_exponent(),
        _ => return Ok(None),
    };
    let bytes = number.bits().div_ceil(8) as usize;
    if bytes > NUMBER {
        return Err(too_long(bytes));
    }
    let (sign, digits) = (if number.sign() == Sign::Minus { "-" } else { "" }, number.magnitude().to_string());
    Ok(Some(match usize::try_from(scale) {
        Ok(0) => format!("{sign}{digits}"),
        Ok(scale) if scale as i64 <= SCALE => {
            // At least one digit stands before the point.
            let digits = format!("{digits:0>width$}", width = scale + 1);
            let (whole, rest) = digits.split_at(digits.len() - scale);
            format!("{sign}{whole}.{rest}")
        }
        _ => format!("{sign}{digits}E{}", -i128::from(scale)),
    }))
}

#[cold]
fn too_long(bytes: usize) -> Box<Flaw> {
    Flaw::new(format!(
        "expected a decimal of {NUMBER} bytes at most, to be written as its digits, found one of {bytes}: write Avro's own \
         JSON encoding"
    ))
}

/// A value without parts; nothing if it is of another type.
fn scalar(kind: &Kind, logical: Logical, value: &Value, out: &mut Vec<u8>) -> Result<Option<()>> {
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
        (Kind::Double, Value::Float(float)) => return scalar(kind, logical, &Value::Double(f64::from(*float)), out),
        (Kind::Double, Value::Int(int)) => put(&f64::from(*int), out),
        (Kind::Double, Value::Double(double)) if double.is_finite() => put(double, out),
        (Kind::Double, Value::Double(double)) => text(not_finite(*double), out),
        (Kind::String, Value::String(of)) => text(of, out),
        (Kind::String, Value::Uuid(uuid)) => text(&uuid.hyphenated().to_string(), out),
        (Kind::Bytes, of) => match raw(of)? {
            Some(bytes) => latin(&bytes, out),
            None => return Ok(None),
        },
        (Kind::Fixed { size, .. }, of) => match fixed_bytes(*size, logical, of) {
            Some(bytes) => latin(&bytes, out),
            None => return Ok(None),
        },
        (Kind::Enum { symbols, .. }, Value::Enum(_, symbol) | Value::String(symbol)) if symbols.contains(symbol) => {
            text(symbol, out);
        }
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
