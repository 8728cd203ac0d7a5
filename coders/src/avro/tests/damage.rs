//! What is malformed is an error that says where.

use proptest::prelude::*;

use super::super::{Value, values};
use super::{decode, encode, schema};

const INTEROP: &str = include_str!("../../../tests/data/avro/interop.avsc");

#[test]
fn lengths_and_counts_that_no_bytes_can_back_are_errors_at_once() {
    let long = |number: i64| {
        let mut out = Vec::new();
        crate::avro::write::long(number, &mut out);
        out
    };
    for (schema_text, bytes) in [
        ("\"bytes\"", long(i64::MAX)),
        ("\"string\"", long(1 << 40)),
        ("\"string\"", long(-1)),
        (r#"{"type":"array","items":"null"}"#, long(1 << 40)),
        (r#"{"type":"array","items":"long"}"#, long(i64::MAX)),
        (r#"{"type":"map","values":"null"}"#, long(i64::MIN)),
        (r#"{"type":"fixed","name":"F","size":1000000000000}"#, Vec::new()),
        (r#"["null"]"#, long(1)),
        (r#"["null"]"#, Vec::new()),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, long(-1)),
        ("\"boolean\"", vec![2]),
        ("\"int\"", long(1 << 40)),
        ("\"long\"", vec![0xff; 10]),
        ("\"null\"", vec![0]),
    ] {
        let error = decode(&values().datum(&schema(schema_text)), &bytes).unwrap_err();
        assert!(error.contains("expected") || error.contains("cut off"), "{schema_text}: {error}");
    }
}

#[test]
fn depth_is_bounded() {
    let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
    let format = values().datum(&schema(list));
    assert!(decode(&format, &[vec![2; 40], vec![0]].concat()).is_ok());
    let error = decode(&format, &vec![2; 1 << 20]).unwrap_err();
    assert!(error.contains("nested deeper than 128"), "{error}");
}

#[test]
fn an_error_says_the_way_and_the_byte() {
    let order = r#"{"type":"record","name":"O","fields":[{"name":"id","type":"int"},
        {"name":"lines","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"sku","type":"string"}]}}}]}"#;
    let error = decode(&values().datum(&schema(order)), &[2, 4, 2, b'a', 2, 0xff]).unwrap_err();
    assert_eq!(
        error,
        "in `lines[1].sku`: expected a string in UTF-8, found other bytes (in the record: line 1, column 6, byte 5)"
    );
}

fn sample() -> (Vec<u8>, Value) {
    let json = concat!(
        r#"{"intField":-1,"longField":90071992547,"stringField":"text","boolField":true,"floatField":0.1,"#,
        r#""doubleField":1.5,"bytesField":"\u0000a","nullField":null,"arrayField":[5.0,-0.5],"#,
        r#""mapField":{"a":{"label":"x"}},"unionField":{"array":["\u0001"]},"enumField":"C","#,
        r#""fixedField":"0123456789abcdef","recordField":{"label":"top","children":[{"label":"leaf","children":[]}]}}"#
    );
    let interop = schema(INTEROP);
    let value = decode(&values().json(&interop), json.as_bytes()).unwrap();
    (encode(&values().datum(&interop), value.clone()).unwrap(), value)
}

#[test]
fn every_cut_is_noticed() {
    let (datum, _) = sample();
    let format = values().datum(&schema(INTEROP));
    for len in 0..datum.len() {
        assert!(decode(&format, &datum[..len]).is_err(), "{len} of {}", datum.len());
    }
    assert!(decode(&format, &[&datum[..], &[0]].concat()).unwrap_err().contains("1 more bytes"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn other_bytes_are_an_error_or_a_value(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let (mut datum, _) = sample();
        for (at, byte) in changes {
            let at = at.index(datum.len());
            datum[at] = byte;
        }
        let format = values().datum(&schema(INTEROP));
        if let Ok(value) = decode(&format, &datum) {
            prop_assert!(encode(&format, value).is_ok());
        }
    }

    #[test]
    fn any_text_is_an_error_or_a_schema(text in ".{0,40}") {
        let _ = crate::avro::Schema::parse(&text);
    }
}
