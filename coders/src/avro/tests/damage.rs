//! What is malformed is an error that says where.

use proptest::prelude::*;

use super::super::cursor::Cursor;
use super::super::plan::Plan;
use super::super::{Schema, Value, de, values};
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

/// A record of a hundred records, each of a hundred, down to nulls: a million values without a byte.
pub(in crate::avro) fn vast() -> Schema {
    let mut fields = field("n", "\"null\"", 100);
    for name in ["B", "A"] {
        let first = format!(r#"{{"name":"first","type":{{"type":"record","name":"{name}","fields":[{fields}]}}}}"#);
        fields = format!("{first},{}", field("f", &format!("\"{name}\""), 99));
    }
    schema(&format!(r#"{{"type":"record","name":"Vast","fields":[{fields}]}}"#))
}

fn field(name: &str, of: &str, times: usize) -> String {
    let fields: Vec<_> = (0..times).map(|at| format!(r#"{{"name":"{name}{at}","type":{of}}}"#)).collect();
    fields.join(",")
}

const MANY: &str = "expected at most 4096 values that take no bytes";

#[test]
fn a_schema_can_t_make_more_of_a_datum_than_its_bytes_account_for() {
    let vast = vast();
    let error = decode(&values().datum(&vast), &[]).map(drop).unwrap_err();
    assert!(error.contains(MANY) && error.contains("in `first.f39.n"), "{error}");
    // Passed over, and read as a type.
    let none = schema(r#"{"type":"record","name":"Vast","fields":[]}"#);
    let error = decode(&values().datum(&vast).reader(&none), &[]).map(drop).unwrap_err();
    assert!(error.contains(MANY), "{error}");
    let plan = Plan::of(vast.graph(), vast.graph()).unwrap();
    let error = de::read::<serde::de::IgnoredAny>(&plan, &mut Cursor::new(&[], 128)).unwrap_err();
    assert!(error.to_string().contains(MANY), "{error}");

    let wide = format!(r#"{{"type":"record","name":"W","fields":[{}]}}"#, field("n", "\"null\"", 1_000));
    let items = schema(&format!(r#"{{"type":"array","items":{wide}}}"#));
    assert!(decode(&values().datum(&items), &[8, 0]).is_ok());
    assert!(decode(&values().datum(&items), &[10, 0]).map(drop).unwrap_err().contains(MANY));
}

#[test]
fn a_value_with_bytes_may_have_as_many_without() {
    let item = r#"{"type":"record","name":"I","fields":[{"name":"id","type":"long"},{"name":"of","type":"null"},
        {"name":"none","type":{"type":"record","name":"N","fields":[]}},{"name":"text","type":"string"}]}"#;
    let items = schema(&format!(r#"{{"type":"array","items":{item}}}"#));
    let mut datum = Vec::new();
    crate::avro::write::long(100_000, &mut datum);
    (0..100_000).for_each(|_| datum.extend([2, 2, b'a']));
    datum.push(0);
    assert!(decode(&values().datum(&items), &datum).is_ok());
}

/// Items of one byte each, in a datum of so many.
fn items_of_a_byte(count: usize) -> Vec<u8> {
    let mut datum = Vec::new();
    crate::avro::write::long(count as i64, &mut datum);
    datum.extend(vec![0; count + 1]);
    datum
}

#[test]
fn names_can_t_make_more_of_a_datum_than_its_bytes_account_for() {
    let long = "n".repeat(1_000);
    let record = format!(r#"{{"type":"record","name":"R","fields":[{{"name":"{long}","type":"boolean"}}]}}"#);
    let symbol = format!(r#"{{"type":"enum","name":"E","symbols":["{long}"]}}"#);
    for item in [record, symbol] {
        let items = schema(&format!(r#"{{"type":"array","items":{item}}}"#));
        let error = decode(&values().datum(&items), &items_of_a_byte(20_000)).map(drop).unwrap_err();
        assert!(error.contains("names of fields and symbols"), "{error}");
        assert!(decode(&values().datum(&items), &items_of_a_byte(1_000)).is_ok());
    }
    let usual =
        r#"{"type":"record","name":"R","fields":[{"name":"is_subscribed_to_the_newsletter","type":"boolean"}]}"#;
    let items = schema(&format!(r#"{{"type":"array","items":{usual}}}"#));
    assert!(decode(&values().datum(&items), &items_of_a_byte(200_000)).is_ok());
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

#[test]
fn what_is_passed_over_in_one_step_is_told_by_the_field_that_it_stands_in() {
    let none = schema(r#"{"type":"record","name":"Top","fields":[]}"#);
    let top = |of: &str| schema(&format!(r#"{{"type":"record","name":"Top","fields":[{{"name":"of","type":{of}}}]}}"#));
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"boolean"},{"name":"b","type":"double"},
        {"name":"c","type":"long"},{"name":"d","type":{"type":"enum","name":"E","symbols":["A"]}},{"name":"e","type":"string"}]}"#;
    let format = values().datum(&top(text)).reader(&none);
    let datum = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0x82, 1, 0, 2, b'x'];
    assert!(decode(&format, &datum).is_ok());
    for (len, field) in [(0, "a"), (1, "b"), (8, "b"), (9, "c"), (10, "c"), (11, "d"), (12, "e"), (13, "e")] {
        let error = decode(&format, &datum[..len]).unwrap_err();
        assert!(error.contains(&format!("in `{field}`: ")) && error.contains("cut off"), "{len}: {error}");
    }
    // However deep it lies.
    let mut deep = text.replace("\"R\"", "\"R0\"");
    for level in 1..40 {
        deep = format!(r#"{{"type":"record","name":"R{level}","fields":[{{"name":"in","type":{deep}}}]}}"#);
    }
    let error = decode(&values().datum(&top(&deep)).reader(&none), &datum[..12]).unwrap_err();
    assert!(error.contains("in.in.e`: expected"), "{error}");
}
