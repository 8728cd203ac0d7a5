//! [`Value`]: what a header may hold.

use std::collections::BTreeMap;

use lapin::types::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, LongString};
use millstream_core::data::Bytes;

use super::unfit::{Unfit, short};

/// The headers of a message, or arguments: values by name, in the order of their names.
pub type Headers = BTreeMap<String, Value>;

/// How deep tables and lists may lie within each other.
pub(super) const DEEPEST: usize = 32;

/// What a header may hold. The letters are the types' tags in RabbitMQ's variant of the protocol, which most clients
/// speak; what is read is written again under the same tag.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` with `scale` digits behind the point.
    Decimal {
        /// Digits behind the point.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// `S` that is UTF-8.
    Text(String),
    /// `S` that is not UTF-8.
    Octets(Bytes),
    /// `x`
    ByteArray(Bytes),
    /// `T`: seconds since the Unix epoch.
    Timestamp(u64),
    /// `A`
    List(Vec<Value>),
    /// `F`
    Table(Headers),
    /// `V`
    Void,
}

impl Value {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The whole number, of whichever size, if it is one.
    pub fn as_i64(&self) -> Option<i64> {
        Some(match *self {
            Self::I8(number) => number.into(),
            Self::U8(number) => number.into(),
            Self::I16(number) => number.into(),
            Self::U16(number) => number.into(),
            Self::I32(number) => number.into(),
            Self::U32(number) => number.into(),
            Self::I64(number) => number,
            _ => return None,
        })
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(is: bool) -> Self {
        Self::Bool(is)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::I32(number)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::I64(number)
    }
}

/// The table as the client has it.
pub(super) fn to_table(headers: &Headers) -> Result<FieldTable, Unfit> {
    table(headers, 0)
}

/// The client's table as headers.
pub(super) fn of_table(table: FieldTable) -> Result<Headers, Unfit> {
    headers(&table, 0)
}

fn table(headers: &Headers, depth: usize) -> Result<FieldTable, Unfit> {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(short("the name of a header", name)?, to_value(value, depth)?);
    }
    Ok(table)
}

fn deeper(depth: usize) -> Result<usize, Unfit> {
    if depth < DEEPEST { Ok(depth + 1) } else { Err(Unfit::new(format!("headers lie more than {DEEPEST} deep"))) }
}

fn to_value(value: &Value, depth: usize) -> Result<AMQPValue, Unfit> {
    Ok(match value {
        Value::Bool(is) => AMQPValue::Boolean(*is),
        Value::I8(number) => AMQPValue::ShortShortInt(*number),
        Value::U8(number) => AMQPValue::ShortShortUInt(*number),
        Value::I16(number) => AMQPValue::ShortInt(*number),
        Value::U16(number) => AMQPValue::ShortUInt(*number),
        Value::I32(number) => AMQPValue::LongInt(*number),
        Value::U32(number) => AMQPValue::LongUInt(*number),
        Value::I64(number) => AMQPValue::LongLongInt(*number),
        Value::F32(number) => AMQPValue::Float(*number),
        Value::F64(number) => AMQPValue::Double(*number),
        Value::Decimal { scale, value } => AMQPValue::DecimalValue(DecimalValue { scale: *scale, value: *value }),
        Value::Text(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Octets(bytes) => AMQPValue::LongString(LongString::from(bytes.to_vec())),
        Value::ByteArray(bytes) => AMQPValue::ByteArray(ByteArray::from(bytes.to_vec())),
        Value::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        Value::List(values) => {
            let depth = deeper(depth)?;
            let mut list = FieldArray::default();
            values.iter().try_for_each(|value| to_value(value, depth).map(|value| list.push(value)))?;
            AMQPValue::FieldArray(list)
        }
        Value::Table(headers) => AMQPValue::FieldTable(table(headers, deeper(depth)?)?),
        Value::Void => AMQPValue::Void,
    })
}

fn headers(table: &FieldTable, depth: usize) -> Result<Headers, Unfit> {
    table.inner().iter().map(|(name, value)| Ok((name.to_string(), of_value(value, depth)?))).collect()
}

fn of_value(value: &AMQPValue, depth: usize) -> Result<Value, Unfit> {
    Ok(match value {
        AMQPValue::Boolean(is) => Value::Bool(*is),
        AMQPValue::ShortShortInt(number) => Value::I8(*number),
        AMQPValue::ShortShortUInt(number) => Value::U8(*number),
        AMQPValue::ShortInt(number) => Value::I16(*number),
        AMQPValue::ShortUInt(number) => Value::U16(*number),
        AMQPValue::LongInt(number) => Value::I32(*number),
        AMQPValue::LongUInt(number) => Value::U32(*number),
        AMQPValue::LongLongInt(number) => Value::I64(*number),
        AMQPValue::Float(number) => Value::F32(*number),
        AMQPValue::Double(number) => Value::F64(*number),
        AMQPValue::DecimalValue(decimal) => Value::Decimal { scale: decimal.scale, value: decimal.value },
        AMQPValue::ShortString(text) => Value::Text(text.to_string()),
        AMQPValue::LongString(text) => match std::str::from_utf8(text.as_bytes()) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Octets(Bytes::copy_from_slice(text.as_bytes())),
        },
        AMQPValue::ByteArray(bytes) => Value::ByteArray(Bytes::copy_from_slice(bytes.as_slice())),
        AMQPValue::Timestamp(seconds) => Value::Timestamp(*seconds),
        AMQPValue::FieldArray(list) => {
            let depth = deeper(depth)?;
            Value::List(list.as_slice().iter().map(|value| of_value(value, depth)).collect::<Result<_, _>>()?)
        }
        AMQPValue::FieldTable(table) => Value::Table(headers(table, deeper(depth)?)?),
        AMQPValue::Void => Value::Void,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn values() -> impl Strategy<Value = Value> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..6).prop_map(Bytes::from);
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i8>().prop_map(Value::I8),
            any::<u8>().prop_map(Value::U8),
            any::<i16>().prop_map(Value::I16),
            any::<u16>().prop_map(Value::U16),
            any::<i32>().prop_map(Value::I32),
            any::<u32>().prop_map(Value::U32),
            any::<i64>().prop_map(Value::I64),
            (-1e6_f32..1e6).prop_map(Value::F32),
            (-1e6_f64..1e6).prop_map(Value::F64),
            (any::<u8>(), any::<u32>()).prop_map(|(scale, value)| Value::Decimal { scale, value }),
            "\\PC{0,6}".prop_map(Value::Text),
            bytes().prop_map(|bytes| Value::Octets([&[0xff], &bytes[..]].concat().into())),
            bytes().prop_map(Value::ByteArray),
            any::<u64>().prop_map(Value::Timestamp),
            Just(Value::Void),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..4).prop_map(Value::Table),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(headers in prop::collection::btree_map("[a-z-]{1,8}", values(), 0..5)) {
            let table = to_table(&headers).expect("it fits");
            prop_assert_eq!(of_table(table).expect("it fits"), headers);
        }
    }

    #[test]
    fn what_lies_too_deep_or_is_too_long_is_an_error() {
        let nested = |depth| (0..depth).fold(Value::Void, |value, _| Value::List(vec![value]));
        let of = |value| Headers::from([("deep".to_owned(), value)]);
        assert!(to_table(&of(nested(DEEPEST))).is_ok());
        assert!(to_table(&of(nested(DEEPEST + 1))).is_err());
        assert!(to_table(&Headers::from([("n".repeat(256), Value::Void)])).is_err());
    }
}
