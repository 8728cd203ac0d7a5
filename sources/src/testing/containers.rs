//! Object container files, as tests need them.

use millstream_coders::avro::{self, Codec, Container, Schema};
use millstream_core::contracts::{Format as _, Framing as _};
use millstream_core::data::{Bytes, Column as _, Packed, Recycled};

/// A file of these strings, in blocks of so many bytes, and the records that they are.
pub(crate) fn container(values: impl IntoIterator<Item = String>, codec: Codec, block: usize) -> (Vec<u8>, Vec<Bytes>) {
    let schema = Schema::parse("\"string\"").expect("a schema");
    let container = Container::of(&schema).codec(codec).block_bytes(block);
    let (mut column, mut made) = (Recycled::default(), Packed::<Bytes>::default());
    for value in values {
        column.push(avro::Value::new(&schema, avro::types::Value::String(value)).expect("a string"));
    }
    let encoder = avro::values().container(&container).encoder().expect("it writes");
    (encoder.make)().code(&column, &mut made, &mut Vec::new());
    let (mut writer, mut file) = (container.writer(), Vec::new());
    writer.header(&mut file);
    (0..made.len()).for_each(|row| writer.record(made.get(row), &mut file));
    writer.flush(&mut file);
    (file, (0..made.len()).map(|row| made.share(row)).collect())
}
