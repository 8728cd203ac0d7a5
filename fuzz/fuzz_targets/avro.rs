//! Avro: any bytes under a schema are an error or a value that comes back, as JSON and as bytes; any schema is an error or
//! can be used; a container is the same records whatever the blocks it is read in.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use millstream_coders::avro::{self, Container, Schema, Value};
use millstream_core::contracts::{Coder, Format};
use millstream_core::data::{Bytes, Column, Data, Packed};
use millstream_fuzz::{How, byte, cut};

/// Types that lead back to themselves, unions, logical types.
const SCHEMA: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "n", "type": "long"}, {"name": "s", "type": "string"}, {"name": "b", "type": "bytes"},
    {"name": "u", "type": ["null", "R", "double", {"type": "map", "values": "int"}]},
    {"name": "a", "type": {"type": "array", "items": ["null", "string"]}},
    {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
    {"name": "f", "type": {"type": "fixed", "name": "F", "size": 3}},
    {"name": "d", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "t", "type": {"type": "int", "logicalType": "date"}}
]}"#;

/// Some of it, in another order, with more.
const READER: &str = r#"{"type": "record", "name": "R", "fields": [
    {"name": "more", "type": {"type": "array", "items": "int"}, "default": [1]},
    {"name": "text", "aliases": ["s"], "type": "bytes"}, {"name": "n", "type": "double"}
]}"#;

static SCHEMAS: LazyLock<[Schema; 2]> = LazyLock::new(|| [SCHEMA, READER].map(|text| text.parse().expect("a schema")));

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let kind = byte(&mut data);
    let [schema, reader] = &*SCHEMAS;
    match kind % 5 {
        0 => datum(schema, data),
        1 => drop(made::<Bytes, Value>(
            avro::values().datum(schema).reader(reader).decoder(),
            Bytes::copy_from_slice(data),
        )),
        2 => {
            if let Some(value) =
                made::<Bytes, Value>(avro::values().json(schema).decoder(), Bytes::copy_from_slice(data))
            {
                assert!(made::<Value, Bytes>(avro::values().datum(schema).encoder(), value).is_some());
            }
        }
        3 => {
            let Some(schema) = std::str::from_utf8(data).ok().and_then(|text| Schema::parse(text).ok()) else { return };
            assert_eq!(schema.text().parse::<Schema>().expect("the same again"), schema);
            // In a canonical form a name without a namespace is taken for one of the namespace that it stands in.
            if !schema.text().contains("namespace") && !schema.text().contains('.') {
                let again: Schema = schema.canonical_form().parse().expect("a canonical form is a schema");
                assert_eq!(again.fingerprint(), schema.fingerprint());
            }
            drop(made::<Bytes, Value>(avro::values().datum(&schema).decoder(), Bytes::from_static(&[0; 16])));
        }
        _ => container(data),
    }
});

/// What a coder makes of one record.
fn made<A: Data, B: Data + Clone>(coder: Option<Coder>, record: A) -> Option<B> {
    let mut from = <A::Column as Default>::default();
    from.push(record);
    let (mut to, mut faults) = (<B::Column as Default>::default(), Vec::new());
    (coder.expect("a coder").make)().code(&from, &mut to, &mut faults);
    for (_, error) in &faults {
        assert!(!error.to_string().contains("panic"), "{error}");
    }
    faults.is_empty().then(|| to.with(0, Clone::clone))
}

fn datum(schema: &Schema, data: &[u8]) {
    let Some(value) = made::<Bytes, Value>(avro::values().datum(schema).decoder(), Bytes::copy_from_slice(data)) else {
        return;
    };
    let bytes: Bytes = made(avro::values().datum(schema).encoder(), value.clone()).expect("what was read is written");
    let json: Bytes = made(avro::values().json(schema).encoder(), value).expect("and is JSON");
    let again: Value = made(avro::values().json(schema).decoder(), json).expect("which is read");
    let bytes_again: Bytes = made(avro::values().datum(schema).encoder(), again).expect("and written");
    // All NaNs are one in JSON, and of two entries of a map with the same key the last counts.
    assert_eq!(bytes.len(), bytes_again.len());
}

fn container(mut data: &[u8]) {
    let how = How::take(&mut data);
    let container = Container::new().most_block_bytes(1 << 16);
    let _ = Packed::<Bytes>::default();
    let (whole, pieces) = (cut(&container, data, &How::whole()), cut(&container, data, &how));
    assert_eq!(whole.error.is_some(), pieces.error.is_some());
    assert_eq!(whole.records, pieces.records);
}
