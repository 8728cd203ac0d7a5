//! Avro's coders against the specification's own table, against the library, and against what is malformed.

pub(super) mod damage;
mod generated;
mod outside;
mod plain;
mod projection;
mod table;
mod typed;

use apache_avro::types;
use millstream_core::contracts::{Code, Coder, Format};
use millstream_core::data::{Bytes, Column, Data, Packed};

use super::{Schema, Value};

/// A schema that is right.
fn schema(text: &str) -> Schema {
    Schema::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// What a coder makes of one record, or why not.
fn code<A: Data, B: Data + Clone>(coder: Coder, from: &A::Column) -> Result<B, String> {
    let mut made = <B::Column as Default>::default();
    let mut faults = Vec::new();
    let mut code: Box<dyn Code> = (coder.make)();
    code.code(from, &mut made, &mut faults);
    match faults.pop() {
        Some((_, error)) => Err(error.to_string()),
        None => Ok(made.with(0, Clone::clone)),
    }
}

fn decode<F: Format>(format: &F, bytes: &[u8]) -> Result<F::Value, String>
where
    F::Value: Clone,
{
    let mut column = Packed::<Bytes>::default();
    column.append_bytes(bytes);
    column.freeze();
    code::<Bytes, F::Value>(format.decoder().expect("it reads"), &column)
}

fn encode<F: Format>(format: &F, value: F::Value) -> Result<Vec<u8>, String> {
    let mut column = <<F::Value as Data>::Column as Default>::default();
    column.push(value);
    code::<F::Value, Bytes>(format.encoder().expect("it writes"), &column).map(|bytes| bytes.to_vec())
}

/// A generic value of a schema.
fn value(schema: &Schema, value: types::Value) -> Value {
    Value::new(schema, value).expect("it fits")
}
