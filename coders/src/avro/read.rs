//! Reads a datum as a generic value, or passes over it.

use std::collections::HashMap;

use apache_avro::types::Value;
use apache_avro::{Decimal, Duration, Uuid};

use super::cursor::{Cursor, Flaw, Result};
use super::graph::{Graph, Id, Kind, Logical, Pass};
use super::plan::{Give, Missing, Plan, Read, Record, Step, StepId, Take};

/// How many items are made room for before they are seen.
const ROOM: usize = 1024;

/// How deep a default may lie within itself: less than that, or it would be none.
pub(crate) const DEFAULT_DEPTH: usize = 1024;

/// The value that stands at the cursor.
pub(crate) fn value(plan: &Plan, id: StepId, from: &mut Cursor<'_>) -> Result<Value> {
    let mut value = Value::Null;
    fill(plan, id, from, &mut value)?;
    Ok(value)
}

/// Makes `value` the one that stands at the cursor. What it was before is filled again where it has the same shape.
pub(crate) fn fill(plan: &Plan, id: StepId, from: &mut Cursor<'_>, value: &mut Value) -> Result<()> {
    match plan.step(id) {
        Step::Plain(read, give) => plain(*read, *give, from, value)?,
        Step::Fixed(size, give) => *value = fixed(from.take(*size)?, *give, from)?,
        Step::Enum(symbols) => {
            let (number, symbol) = symbol(symbols, from)?;
            from.names(symbol.len())?;
            match value {
                Value::Enum(was, text) => {
                    *was = number;
                    symbol.clone_into(text);
                }
                other => *other = Value::Enum(number, symbol.to_owned()),
            }
        }
        Step::Array(items) => nested(from, |from| array(plan, *items, from, value))?,
        Step::Map(values) => nested(from, |from| map(plan, *values, from, value))?,
        Step::Branches(branches) => {
            let index = from.index(branches.len(), "a branch of a union")?;
            return fill(plan, branches[index], from, value);
        }
        Step::Branch { index, inner, .. } => nested(from, |from| branch(plan, *index, *inner, from, value))?,
        Step::Record(record) => nested(from, |from| self::record(plan, record, from, value))?,
        Step::Mismatch(why) => return Err(from.flaw(why.clone())),
    }
    Ok(())
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

fn branch(plan: &Plan, index: u32, inner: StepId, from: &mut Cursor<'_>, value: &mut Value) -> Result<()> {
    if !matches!(value, Value::Union(..)) {
        *value = Value::Union(index, Box::new(Value::Null));
    }
    let Value::Union(was, held) = value else { return Ok(()) };
    *was = index;
    fill(plan, inner, from, held)
}

fn record(plan: &Plan, record: &Record, from: &mut Cursor<'_>, value: &mut Value) -> Result<()> {
    if !matches!(value, Value::Record(fields) if fields.len() == record.names.len()) {
        from.names(record.names.iter().map(|name| name.len()).sum())?;
        *value = Value::Record(record.names.iter().map(|name| (name.clone(), Value::Null)).collect());
    }
    let Value::Record(fields) = value else { return Ok(()) };
    let mut field = |at: usize, step, from: &mut Cursor<'_>| {
        let ((was, field), name) = (&mut fields[at], &record.names[at]);
        if was != name {
            from.names(name.len())?;
            was.clone_from(name);
        }
        let before = from.at();
        fill(plan, step, from, field).and_then(|()| from.field(before)).map_err(|flaw| flaw.within(name.as_str()))
    };
    for take in &record.takes {
        match take {
            Take::Field(at, step) => field(*at, *step, from)?,
            Take::Skip(node) => skip_field(&plan.writer, *node, from)?,
        }
    }
    for Missing { field: at, datum, step } in &record.defaults {
        field(*at, *step, &mut Cursor::new(datum, DEFAULT_DEPTH))?;
    }
    Ok(())
}

fn array(plan: &Plan, items: StepId, from: &mut Cursor<'_>, value: &mut Value) -> Result<()> {
    if !matches!(value, Value::Array(_)) {
        *value = Value::Array(Vec::new());
    }
    let Value::Array(values) = value else { return Ok(()) };
    let mut at = 0;
    loop {
        let (count, _) = from.block()?;
        if count == 0 {
            values.truncate(at);
            return Ok(());
        }
        values.reserve((at + count).saturating_sub(values.len()).min(ROOM));
        for _ in 0..count {
            if at == values.len() {
                values.push(Value::Null);
            }
            fill(plan, items, from, &mut values[at]).map_err(|flaw| flaw.within(format!("[{at}]")))?;
            at += 1;
        }
    }
}

fn map(plan: &Plan, values: StepId, from: &mut Cursor<'_>, into: &mut Value) -> Result<()> {
    let mut entries = HashMap::new();
    loop {
        let (count, _) = from.block()?;
        if count == 0 {
            *into = Value::Map(entries);
            return Ok(());
        }
        for _ in 0..count {
            let key = from.text()?;
            let value = value(plan, values, from).map_err(|flaw| flaw.within(key))?;
            entries.insert(key.to_owned(), value);
        }
    }
}

fn plain(read: Read, give: Give, from: &mut Cursor<'_>, value: &mut Value) -> Result<()> {
    *value = match read {
        Read::Null => Value::Null,
        Read::Boolean => Value::Boolean(from.boolean()?),
        Read::Int => int(from.int()?, give),
        Read::Long => long(from.long()?, give),
        Read::Float => {
            let float = f32::from_le_bytes(from.array()?);
            if give == Give::Double { Value::Double(f64::from(float)) } else { Value::Float(float) }
        }
        Read::Double => Value::Double(f64::from_le_bytes(from.array()?)),
        Read::Bytes => match (from.bytes()?, give, &mut *value) {
            (bytes, Give::Bytes, Value::Bytes(held)) => {
                bytes.clone_into(held);
                return Ok(());
            }
            (found, ..) => bytes(found, give, from)?,
        },
        Read::String => match (from.text()?, give, &mut *value) {
            (text, Give::String, Value::String(held)) => {
                text.clone_into(held);
                return Ok(());
            }
            (found, ..) => text(found, give, from)?,
        },
    };
    Ok(())
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

/// Passes over the field that stands at the cursor.
pub(crate) fn skip_field(graph: &Graph, id: Id, from: &mut Cursor<'_>) -> Result<()> {
    let before = from.at();
    skip(graph, id, from)?;
    from.field(before)
}

/// Passes over what stands at the cursor.
pub(crate) fn skip(graph: &Graph, id: Id, from: &mut Cursor<'_>) -> Result<()> {
    match graph.kind(id) {
        Kind::Record { .. } => nested(from, |from| skip_fields(graph, id, from)),
        Kind::Union(branches) => {
            let index = from.index(branches.len(), "a branch of a union")?;
            match graph.passes(id).each[index] {
                Pass::Parts(branch) => nested(from, |from| skip(graph, branch, from)),
                plain => skip_by(graph, plain, from),
            }
        }
        Kind::Array(_) => match graph.passes(id).each.first() {
            // Many arrays are of numbers.
            Some(Pass::Long) => nested(from, |from| skip_blocks(from, |from, count| from.pass_longs(count))),
            Some(&pass) => nested(from, |from| {
                skip_blocks(from, |from, count| (0..count).try_for_each(|_| skip_by(graph, pass, from)))
            }),
            None => Ok(()),
        },
        Kind::Map(values) => nested(from, |from| {
            skip_blocks(from, |from, count| {
                (0..count).try_for_each(|_| {
                    from.bytes()?;
                    skip(graph, *values, from)
                })
            })
        }),
        plain => skip_by(graph, Pass::over(id, plain), from),
    }
}

fn skip_fields(graph: &Graph, record: Id, from: &mut Cursor<'_>) -> Result<()> {
    for (pass, first) in &graph.passes(record).all {
        let before = from.at();
        // What has no parts takes a byte at least, or fails.
        let passed = match *pass {
            Pass::Longs(count) => from.pass_longs(count as usize),
            Pass::Counted => from.bytes().map(drop),
            Pass::Bytes(size @ 1..) => from.take(size).map(drop),
            pass => skip_by(graph, pass, from).and_then(|()| from.field(before)),
        };
        if let Err(flaw) = passed {
            from.back_to(before);
            return Err(misread_field(graph, record, *first as usize, from, flaw));
        }
    }
    Ok(())
}

/// A flaw with the field that it stands in, which is this one or, if that has no parts, one of those that were passed over
/// with it.
#[cold]
fn misread_field(graph: &Graph, record: Id, first: usize, from: &mut Cursor<'_>, flaw: Box<Flaw>) -> Box<Flaw> {
    let Kind::Record { fields, .. } = graph.kind(record) else { return flaw };
    let passes = graph.passes(record).each.iter().zip(fields).skip(first);
    for (pass, field) in passes {
        match pass {
            Pass::Parts(_) | Pass::Bytes(0) => return flaw.within(field.name.as_str()),
            plain => {
                if let Err(flaw) = skip_by(graph, *plain, from) {
                    return flaw.within(field.name.as_str());
                }
            }
        }
    }
    flaw
}

#[inline]
fn skip_by(graph: &Graph, pass: Pass, from: &mut Cursor<'_>) -> Result<()> {
    match pass {
        Pass::Bytes(size) => from.take(size).map(drop),
        Pass::Long => from.pass_long(),
        Pass::Longs(count) => from.pass_longs(count as usize),
        Pass::Counted => from.bytes().map(drop),
        Pass::Parts(id) => skip(graph, id, from),
    }
}

#[inline]
fn skip_blocks(from: &mut Cursor<'_>, items: impl Fn(&mut Cursor<'_>, usize) -> Result<()>) -> Result<()> {
    loop {
        match from.block()? {
            (0, _) => return Ok(()),
            // Its items were not looked at, and no decoder is to trip over what lies in them: whoever reads them will.
            (_, Some(bytes)) => drop(from.take(bytes)?),
            (count, None) => items(from, count)?,
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
