//! Reads a datum as a generic value, or passes over it.

use std::collections::HashMap;

use apache_avro::types::Value;
use apache_avro::{Decimal, Duration, Uuid};

use super::cursor::{Cursor, Flaw, Result};
use super::graph::{Graph, Id, Kind, Logical};
use super::resolve::{Give, Missing, Plan, Read, Record, Step, StepId, Take};

/// How many items are made room for before they are seen.
const ROOM: usize = 1024;

/// How deep a default may lie within itself: it was checked when the schema was.
const DEFAULT_DEPTH: usize = 1024;

/// The value that stands at the cursor.
pub(crate) fn value(plan: &Plan, id: StepId, from: &mut Cursor<'_>) -> Result<Value> {
    match plan.step(id) {
        Step::Plain(read, give) => plain(*read, *give, from),
        Step::Fixed(size, give) => fixed(from.take(*size)?, *give, from),
        Step::Enum(symbols) => {
            let (at, symbol) = symbol(symbols, from)?;
            Ok(Value::Enum(at, symbol.to_owned()))
        }
        Step::Array(items) => nested(from, |from| array(plan, *items, from)),
        Step::Map(values) => nested(from, |from| map(plan, *values, from)),
        Step::Branches(branches) => {
            let index = from.index(branches.len(), "a branch of a union")?;
            value(plan, branches[index], from)
        }
        Step::Branch { index, inner, .. } => {
            let inner = nested(from, |from| value(plan, *inner, from))?;
            Ok(Value::Union(*index, Box::new(inner)))
        }
        Step::Record(record) => nested(from, |from| self::record(plan, record, from)),
        Step::Mismatch(why) => Err(from.flaw(why.clone())),
    }
}

#[inline]
fn nested<T>(from: &mut Cursor<'_>, work: impl FnOnce(&mut Cursor<'_>) -> Result<T>) -> Result<T> {
    from.enter()?;
    let done = work(from)?;
    from.leave();
    Ok(done)
}

/// The reader's symbol for the one that stands at the cursor.
pub(crate) fn symbol<'p>(
    symbols: &'p [Result<(u32, String), String>],
    from: &mut Cursor<'_>,
) -> Result<(u32, &'p str)> {
    let at = from.index(symbols.len(), "a symbol of an enum")?;
    match &symbols[at] {
        Ok((at, symbol)) => Ok((*at, symbol)),
        Err(why) => Err(from.flaw(why.clone())),
    }
}

fn record(plan: &Plan, record: &Record, from: &mut Cursor<'_>) -> Result<Value> {
    let named = |at: usize, step, from: &mut Cursor<'_>| {
        value(plan, step, from).map_err(|flaw| flaw.within(record.names[at].as_str()))
    };
    if record.in_order {
        let mut fields = Vec::with_capacity(record.takes.len());
        for take in &record.takes {
            if let Take::Field(at, step) = take {
                fields.push((record.names[*at].clone(), named(*at, *step, from)?));
            }
        }
        return Ok(Value::Record(fields));
    }
    let mut fields: Vec<_> = record.names.iter().map(|name| (name.clone(), Value::Null)).collect();
    for take in &record.takes {
        match take {
            Take::Field(at, step) => fields[*at].1 = named(*at, *step, from)?,
            Take::Skip(node) => skip(&plan.writer, *node, from)?,
        }
    }
    for Missing { field, datum, step } in &record.defaults {
        fields[*field].1 = named(*field, *step, &mut Cursor::new(datum, DEFAULT_DEPTH))?;
    }
    Ok(Value::Record(fields))
}

fn array(plan: &Plan, items: StepId, from: &mut Cursor<'_>) -> Result<Value> {
    let mut values = Vec::new();
    loop {
        let (count, _) = from.block()?;
        if count == 0 {
            return Ok(Value::Array(values));
        }
        values.reserve(count.min(ROOM));
        for _ in 0..count {
            let at = values.len();
            values.push(value(plan, items, from).map_err(|flaw| flaw.within(format!("[{at}]")))?);
        }
    }
}

fn map(plan: &Plan, values: StepId, from: &mut Cursor<'_>) -> Result<Value> {
    let mut entries = HashMap::new();
    loop {
        let (count, _) = from.block()?;
        if count == 0 {
            return Ok(Value::Map(entries));
        }
        for _ in 0..count {
            let key = from.text()?;
            let value = value(plan, values, from).map_err(|flaw| flaw.within(key))?;
            entries.insert(key.to_owned(), value);
        }
    }
}

fn plain(read: Read, give: Give, from: &mut Cursor<'_>) -> Result<Value> {
    Ok(match read {
        Read::Null => Value::Null,
        Read::Boolean => Value::Boolean(from.boolean()?),
        Read::Int => int(from.int()?, give),
        Read::Long => long(from.long()?, give),
        Read::Float => {
            let float = f32::from_le_bytes(from.array()?);
            if give == Give::Double { Value::Double(f64::from(float)) } else { Value::Float(float) }
        }
        Read::Double => Value::Double(f64::from_le_bytes(from.array()?)),
        Read::Bytes => bytes(from.bytes()?, give, from)?,
        Read::String => text(from.text()?, give, from)?,
    })
}

fn int(int: i32, give: Give) -> Value {
    match give {
        Give::Int => Value::Int(int),
        Give::Logical(Logical::Date) => Value::Date(int),
        Give::Logical(Logical::TimeMillis) => Value::TimeMillis(int),
        Give::Float => Value::Float(int as f32),
        Give::Double => Value::Double(f64::from(int)),
        give => long(i64::from(int), give),
    }
}

fn long(long: i64, give: Give) -> Value {
    match give {
        Give::Float => Value::Float(long as f32),
        Give::Double => Value::Double(long as f64),
        Give::Logical(Logical::TimeMicros) => Value::TimeMicros(long),
        Give::Logical(Logical::TimestampMillis) => Value::TimestampMillis(long),
        Give::Logical(Logical::TimestampMicros) => Value::TimestampMicros(long),
        Give::Logical(Logical::TimestampNanos) => Value::TimestampNanos(long),
        Give::Logical(Logical::LocalTimestampMillis) => Value::LocalTimestampMillis(long),
        Give::Logical(Logical::LocalTimestampMicros) => Value::LocalTimestampMicros(long),
        Give::Logical(Logical::LocalTimestampNanos) => Value::LocalTimestampNanos(long),
        _ => Value::Long(long),
    }
}

fn bytes(bytes: &[u8], give: Give, from: &Cursor<'_>) -> Result<Value> {
    Ok(match give {
        Give::String => match std::str::from_utf8(bytes) {
            Ok(text) => Value::String(text.to_owned()),
            Err(_) => return Err(from.flaw("expected bytes that are UTF-8, to be read as a string")),
        },
        Give::Logical(Logical::Decimal { .. }) => Value::Decimal(decimal(bytes)),
        Give::Logical(Logical::BigDecimal) => Value::BigDecimal(big_decimal(bytes)?),
        Give::Logical(Logical::Uuid) => {
            match std::str::from_utf8(bytes).ok().and_then(|text| Uuid::parse_str(text).ok()) {
                _ if bytes.len() == 16 => uuid(bytes, from)?,
                Some(uuid) => Value::Uuid(uuid),
                None => return Err(from.flaw("expected a UUID, found other bytes")),
            }
        }
        _ => Value::Bytes(bytes.to_vec()),
    })
}

fn text(text: &str, give: Give, from: &Cursor<'_>) -> Result<Value> {
    Ok(match give {
        Give::Logical(Logical::Uuid) => match Uuid::parse_str(text) {
            Ok(uuid) => Value::Uuid(uuid),
            Err(_) => return Err(from.flaw("expected a UUID, found another string")),
        },
        Give::String => Value::String(text.to_owned()),
        give => bytes(text.as_bytes(), give, from)?,
    })
}

fn fixed(bytes: &[u8], give: Give, from: &Cursor<'_>) -> Result<Value> {
    Ok(match give {
        Give::Logical(Logical::Decimal { .. }) => Value::Decimal(decimal(bytes)),
        Give::Logical(Logical::Uuid) => uuid(bytes, from)?,
        Give::Logical(Logical::Duration) => match <[u8; 12]>::try_from(bytes) {
            Ok(bytes) => Value::Duration(Duration::from(bytes)),
            Err(_) => return Err(from.flaw(format!("expected a duration of 12 bytes, found {}", bytes.len()))),
        },
        _ => Value::Fixed(bytes.len(), bytes.to_vec()),
    })
}

fn uuid(bytes: &[u8], from: &Cursor<'_>) -> Result<Value> {
    let uuid = Uuid::from_slice(bytes);
    uuid.map(Value::Uuid).map_err(|_| from.flaw(format!("expected a UUID of 16 bytes, found {}", bytes.len())))
}

/// A decimal of these bytes. None at all are 0, which the library reads and then can't write.
pub(crate) fn decimal(bytes: impl AsRef<[u8]>) -> Decimal {
    match bytes.as_ref() {
        [] => Decimal::from([0]),
        bytes => Decimal::from(bytes),
    }
}

/// A number of any size and its scale, as they stand in bytes.
pub(crate) fn big_decimal(bytes: &[u8]) -> Result<apache_avro::BigDecimal> {
    let mut within = Cursor::new(bytes, 1);
    let number = num_bigint::BigInt::from_signed_bytes_be(within.bytes()?);
    let scale = within.long()?;
    if within.left() > 0 {
        return Err(within.flaw("expected a big-decimal to end here"));
    }
    Ok(apache_avro::BigDecimal::new(number, scale))
}

/// Passes over what stands at the cursor.
pub(crate) fn skip(graph: &Graph, id: Id, from: &mut Cursor<'_>) -> Result<()> {
    match graph.kind(id) {
        Kind::Null => Ok(()),
        Kind::Boolean => from.take(1).map(drop),
        Kind::Int | Kind::Long | Kind::Enum { .. } => from.long().map(drop),
        Kind::Float => from.take(4).map(drop),
        Kind::Double => from.take(8).map(drop),
        Kind::Bytes | Kind::String => from.bytes().map(drop),
        Kind::Fixed { size, .. } => from.take(*size).map(drop),
        Kind::Array(items) => nested(from, |from| skip_blocks(from, |from| skip(graph, *items, from))),
        Kind::Map(values) => nested(from, |from| {
            skip_blocks(from, |from| {
                from.bytes()?;
                skip(graph, *values, from)
            })
        }),
        Kind::Union(branches) => {
            let index = from.index(branches.len(), "a branch of a union")?;
            nested(from, |from| skip(graph, branches[index], from))
        }
        Kind::Record { fields, .. } => nested(from, |from| {
            for field in fields {
                skip(graph, field.node, from).map_err(|flaw| flaw.within(field.name.as_str()))?;
            }
            Ok(())
        }),
    }
}

fn skip_blocks(from: &mut Cursor<'_>, mut item: impl FnMut(&mut Cursor<'_>) -> Result<()>) -> Result<()> {
    loop {
        match from.block()? {
            (0, _) => return Ok(()),
            // Its items were not looked at, and no decoder is to trip over what lies in them: whoever reads them will.
            (_, Some(bytes)) => drop(from.take(bytes)?),
            (count, None) => (0..count).try_for_each(|_| item(from))?,
        }
    }
}

/// What stands behind a datum is an error: it is not what its schema says, or of another.
pub(crate) fn ended(from: &Cursor<'_>) -> Result<()> {
    match from.left() {
        0 => Ok(()),
        left => Err(Flaw::new(format!(
            "expected the end of the value, found {left} more bytes: was it written by this schema?"
        ))
        .at(from.at())),
    }
}
