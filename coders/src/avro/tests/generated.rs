//! Schemas and values of every shape, made at random, against the library.

use std::collections::HashMap;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Any;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::super::values;
use super::{decode, encode, schema, value};
use crate::avro::cursor::Cursor;
use crate::avro::plan::Plan;
use crate::avro::{Value, read};

/// A type whose named parts have no names yet, and a value of it.
#[derive(Debug, Clone)]
struct Sample {
    schema: Json,
    value: Any,
}

fn leaf() -> impl Strategy<Value = Sample> {
    let of = |schema: Json, value| Sample { schema, value };
    prop_oneof![
        Just(of(json!("null"), Any::Null)),
        any::<bool>().prop_map(move |v| of(json!("boolean"), Any::Boolean(v))),
        any::<i32>().prop_map(move |v| of(json!("int"), Any::Int(v))),
        any::<i64>().prop_map(move |v| of(json!("long"), Any::Long(v))),
        any::<f32>().prop_map(move |v| of(json!("float"), Any::Float(v))),
        any::<f64>().prop_map(move |v| of(json!("double"), Any::Double(v))),
        ".{0,8}".prop_map(move |v| of(json!("string"), Any::String(v))),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(move |v| of(json!("bytes"), Any::Bytes(v))),
        any::<i32>().prop_map(move |v| of(json!({"type": "int", "logicalType": "date"}), Any::Date(v))),
        any::<i64>()
            .prop_map(move |v| of(json!({"type": "long", "logicalType": "timestamp-micros"}), Any::TimestampMicros(v))),
        any::<[u8; 4]>()
            .prop_map(move |v| of(json!({"type": "fixed", "name": "?", "size": 4}), Any::Fixed(4, v.to_vec()))),
        any::<u128>().prop_map(move |v| of(
            json!({"type": "string", "logicalType": "uuid"}),
            Any::Uuid(apache_avro::Uuid::from_u128(v))
        )),
        (0_u32..3).prop_map(move |v| of(
            json!({"type": "enum", "name": "?", "symbols": ["A", "B", "C"]}),
            Any::Enum(v, ["A", "B", "C"][v as usize].to_owned())
        )),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    leaf().prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            (inner.clone(), 0_usize..4).prop_map(|(of, count)| Sample {
                schema: json!({"type": "array", "items": of.schema}),
                value: Any::Array(vec![of.value; count]),
            }),
            (inner.clone(), prop::collection::hash_set("[a-z]{0,3}", 0..3)).prop_map(|(of, keys)| Sample {
                schema: json!({"type": "map", "values": of.schema}),
                value: Any::Map(keys.into_iter().map(|key| (key, of.value.clone())).collect::<HashMap<_, _>>()),
            }),
            prop::collection::vec(inner.clone(), 0..5).prop_map(|of| Sample {
                schema: json!({"type": "record", "name": "?", "fields": of.iter().enumerate()
                    .map(|(at, of)| json!({"name": format!("f{at}"), "type": of.schema})).collect::<Vec<_>>()}),
                value: Any::Record(of.into_iter().enumerate().map(|(at, of)| (format!("f{at}"), of.value)).collect()),
            }),
            (inner, any::<bool>()).prop_map(|(of, some)| match &of.schema {
                Json::String(name) if name == "null" => of,
                Json::Array(_) => of,
                _ => Sample {
                    schema: json!(["null", of.schema]),
                    value: match some {
                        true => Any::Union(1, Box::new(of.value)),
                        false => Any::Union(0, Box::new(Any::Null)),
                    },
                },
            }),
        ]
    })
}

/// Gives each named type a name of its own.
fn named(json: &mut Json, next: &mut u32) {
    match json {
        Json::Object(parts) => {
            if parts.get("name") == Some(&json!("?")) {
                *next += 1;
                parts.insert("name".to_owned(), json!(format!("n{next}")));
            }
            parts.values_mut().for_each(|part| named(part, next));
        }
        Json::Array(parts) => parts.iter_mut().for_each(|part| named(part, next)),
        _ => {}
    }
}

/// Floats compare by their bits: the same bytes are the same value.
fn bits(value: &Value) -> Vec<u8> {
    encode(&values().datum(value.schema()), value.clone()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn ours_and_the_librarys_are_the_same_bytes(sample in sample()) {
        let mut json = sample.schema.clone();
        named(&mut json, &mut 0);
        let schema = schema(&json.to_string());
        let made = value(&schema, sample.value.clone());
        let ours = encode(&values().datum(&schema), made.clone()).unwrap();
        // They read what we wrote, and we what they wrote.
        let reader = GenericDatumReader::builder(schema.parsed()).build().unwrap();
        let theirs = reader.read_value(&mut &ours[..]).unwrap();
        prop_assert_eq!(bits(&value(&schema, theirs)), ours.clone());
        let writer = GenericDatumWriter::builder(schema.parsed()).build().unwrap();
        let written = writer.write_value_to_vec(sample.value).unwrap();
        let read = decode(&values().datum(&schema), &written).unwrap();
        prop_assert_eq!(bits(&read), ours.clone());
        // Between instances.
        let [to_wire, from_wire] = <[_; 2]>::try_from(crate::avro::coders()).unwrap();
        let mut column = millstream_core::data::Recycled::default();
        millstream_core::data::Column::push(&mut column, made.clone());
        let crossed: millstream_core::data::Bytes = super::code::<Value, _>(to_wire, &column).unwrap();
        let mut column = millstream_core::data::Packed::default();
        column.append_bytes(&crossed);
        column.freeze();
        let back = super::code::<millstream_core::data::Bytes, Value>(from_wire, &column).unwrap();
        prop_assert_eq!(back.schema(), &schema);
        prop_assert_eq!(bits(&back), ours.clone());
        // Through JSON, and as a single object.
        let text = encode(&values().json(&schema), made.clone()).unwrap();
        prop_assert_eq!(bits(&decode(&values().json(&schema), &text).unwrap()), ours.clone(), "{}", String::from_utf8_lossy(&text));
        let single = encode(&values().single_object(&schema), made).unwrap();
        prop_assert_eq!(&single[10..], &ours[..]);
        prop_assert_eq!(bits(&decode(&values().single_object(&schema), &single).unwrap()), ours);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn a_value_that_is_filled_again_keeps_nothing_of_what_it_was(samples in prop::collection::vec(sample(), 2..4)) {
        let mut filled = Any::Null;
        // Each of them twice, so that it meets its own shape too.
        for Sample { schema: mut json, value: of } in samples.iter().flat_map(|sample| [sample.clone(), sample.clone()]) {
            named(&mut json, &mut 0);
            let schema = schema(&json.to_string());
            let datum = encode(&values().datum(&schema), value(&schema, of)).unwrap();
            let plan = Plan::of(schema.graph(), schema.graph()).unwrap();
            read::fill(&plan, plan.root, &mut Cursor::new(&datum, 64), &mut filled).unwrap();
            let fresh = read::value(&plan, plan.root, &mut Cursor::new(&datum, 64)).unwrap();
            prop_assert_eq!(format!("{filled:?}").len(), format!("{fresh:?}").len());
            prop_assert_eq!(bits(&value(&schema, filled.clone())), datum);
        }
    }
}
