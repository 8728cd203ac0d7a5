//! Schemas from outside: what a few kilobytes of them can ask for is bounded.

use super::super::plan::Plan;
use super::super::{Schema, values};
use super::{decode, encode, schema, value};
use crate::avro::types::Value as Any;

fn error(text: &str) -> String {
    Schema::parse(text).expect_err(text).to_string()
}

fn record(name: &str, fields: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#)
}

/// Records of which each has two of the one before, left to their defaults.
fn doubling(levels: usize) -> String {
    let level = |at: usize| match at {
        0 => record("R0", r#"{"name":"n","type":"int","default":0}"#),
        _ => {
            let field = |name: &str| format!(r#"{{"name":"{name}","type":"R{}","default":{{}}}}"#, at - 1);
            record(&format!("R{at}"), &format!("{},{}", field("a"), field("b")))
        }
    };
    let fields: Vec<_> = (0..levels).map(|at| format!(r#"{{"name":"f{at}","type":{}}}"#, level(at))).collect();
    record("Top", &fields.join(","))
}

#[test]
fn defaults_that_are_filled_in_by_defaults_are_bounded() {
    assert!(Schema::parse(&doubling(10)).is_ok());
    let error = error(&doubling(40));
    assert!(error.contains("in `R") && error.contains("the defaults come to more than"), "{error}");
}

#[test]
fn long_texts_in_defaults_that_are_filled_in_count() {
    let text = format!(r#"{{"name":"s","type":"string","default":"{}"}}"#, "x".repeat(1 << 18));
    let fields: Vec<_> = (0..200).map(|at| format!(r#"{{"name":"f{at}","type":"S","default":{{}}}}"#)).collect();
    let first = format!(r#"{{"name":"first","type":{}}}"#, record("S", &text));
    let error = error(&record("Top", &format!("{first},{}", fields.join(","))));
    assert!(error.contains("the defaults come to more than"), "{error}");
}

#[test]
fn a_default_that_leads_back_to_itself_is_an_error() {
    let error_of_one = error(&record("R", r#"{"name":"own","type":"R","default":{}}"#));
    assert!(error_of_one.contains("in `R.own`") && error_of_one.contains("nested deeper than 128"), "{error_of_one}");
    let two = r#"{"name":"a","type":["R","null"],"default":{}},{"name":"b","type":"R","default":{}}"#;
    let error_of_two = error(&record("R", two));
    assert!(error_of_two.contains("in `R.a"), "{error_of_two}");
    // One that ends is none.
    let list = record("L", r#"{"name":"next","type":["null","L"],"default":null}"#);
    let ends = record("Top", &format!(r#"{{"name":"list","type":{list},"default":{{"next":{{"next":null}}}}}}"#));
    assert!(Schema::parse(&ends).is_ok());
}

#[test]
fn unions_within_unions_are_tried_once_each() {
    let mut of = "\"int\"".to_owned();
    for _ in 0..30 {
        of = format!(r#"["null",{{"type":"array","items":{of}}}]"#);
    }
    let default = format!("{}1{}", "[".repeat(30), "]".repeat(30));
    let deep = record("R", &format!(r#"{{"name":"f","type":{of},"default":{default}}}"#));
    assert!(Schema::parse(&deep).is_ok());
}

#[test]
fn what_is_wrong_with_a_default_is_told_with_its_place() {
    for (of, default) in [
        ("\"int\"", "\"a\""),
        ("\"string\"", "null"),
        (r#"["null","int"]"#, "\"a\""),
        (r#"{"type":"fixed","name":"F","size":2}"#, "\"a\""),
        (r#"{"type":"enum","name":"E","symbols":["A"]}"#, "\"B\""),
    ] {
        let error = error(&record("x.R", &format!(r#"{{"name":"f","type":{of},"default":{default}}}"#)));
        assert!(error.contains("in `x.R.f`: the field's default is not of its type: expected"), "{error}");
    }
}

#[test]
fn copies_for_names_and_aliases_are_bounded() {
    let symbols: Vec<_> = (0..20_000).map(|at| format!("\"S{at}\"")).collect();
    let aliases: Vec<_> = (0..1_000).map(|at| format!("\"A{at}\"")).collect();
    let many =
        format!(r#"{{"type":"enum","name":"E","symbols":[{}],"aliases":[{}]}}"#, symbols.join(","), aliases.join(","));
    assert!(error(&many).contains("for each of its names"));
    let long = "n".repeat(1 << 16);
    for text in [
        format!(r#"{{"type":"fixed","name":"F","namespace":"{long}","size":1}}"#),
        record("R", &format!(r#"{{"name":"{long}","type":"int"}}"#)),
        format!(r#"{{"type":"enum","name":"E","symbols":["{long}"]}}"#),
    ] {
        assert!(error(&text).contains("1024 bytes at most"));
    }
}

#[test]
fn a_type_is_not_taken_for_one_that_has_its_kinds_name() {
    // The library would put a copy of the first where the second is.
    let first = record("record", "");
    let fields = format!(r#"{{"name":"a","type":{first}}},{{"name":"b","type":{{"type":"record"}}}}"#);
    assert!(error(&record("Top", &fields)).contains("without a name"));
    assert!(error(r#"{"type":"record","name":"R","fields":["id"]}"#).contains("no object"));
}

#[test]
fn schemas_are_as_deep_as_json_is_and_no_deeper_with_those_that_they_refer_to() {
    let nested =
        |levels: usize, of: &str| format!("{}{of}{}", r#"{"type":"array","items":"#.repeat(levels), "}".repeat(levels));
    let deep = Schema::parse(&nested(120, "\"int\"")).unwrap();
    assert!(Plan::of(deep.graph(), deep.graph()).is_ok());
    let texts: Vec<_> = (0..256)
        .map(|at| {
            record(&format!("R{at}"), &format!(r#"{{"name":"f","type":{}}}"#, nested(100, &format!("\"R{}\"", at + 1))))
        })
        .chain([record("R256", "")])
        .collect();
    let others: Vec<_> = texts[1..].iter().map(String::as_str).collect();
    let error = Schema::parse_with(&texts[0], &others).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 128"), "{error}");
}

#[test]
fn a_type_without_a_namespace_keeps_none_where_it_is_put_in() {
    let order = r#"{"type":"record","name":"shop.Order","fields":[{"name":"line","type":".Line"},{"name":"more","type":".Line"}]}"#;
    let line = r#"{"type":"record","name":"Line","fields":[{"name":"of","type":"Sku"}]}"#;
    let sku = r#"{"type":"fixed","name":"Sku","size":1}"#;
    let whole = Schema::parse_with(order, &[line, sku]).unwrap();
    assert!(whole.canonical_form().contains(r#""name":"Line""#), "{}", whole.canonical_form());
    let again: Schema = whole.text().parse().unwrap();
    assert_eq!(again, whole);
    assert_eq!(again.canonical_form(), whole.canonical_form());
    let unknown = Schema::parse_with(order, &[line]).unwrap_err().to_string();
    assert!(unknown.contains("Sku"), "{unknown}");
}

#[test]
fn schemas_whose_types_meet_in_long_chains_are_read_as_each_other() {
    // Ten thousand types of one name, each of the one before.
    let node = |at: usize| {
        let next = if at == 0 { "\"null\"".to_owned() } else { format!(r#"["null","n{}.Node"]"#, at - 1) };
        format!(
            r#"{{"name":"f{at}","type":{}}}"#,
            record(&format!("n{at}.Node"), &format!(r#"{{"name":"next","type":{next}}}"#))
        )
    };
    let nodes: Vec<_> = (0..10_000).map(node).collect();
    let writer = schema(&record("Top", &nodes.join(",")));
    let list = record("Node", r#"{"name":"next","type":["null","Node"]}"#);
    let reader = schema(&record("Top", &format!(r#"{{"name":"f9999","type":{list}}}"#)));
    assert!(Plan::of(writer.graph(), reader.graph()).is_ok());
    // What doesn't fit at the end of the way is told with its beginning.
    let other = reader.text().replace(r#"["null","Node"]"#, "\"Node\"");
    assert!(Plan::of(writer.graph(), schema(&other).graph()).is_ok(), "a union stands before it");
}

#[test]
fn json_may_leave_no_more_to_defaults_than_its_bytes_account_for() {
    let item =
        record("I", r#"{"name":"of","type":{"type":"array","items":"int"},"default":[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5]}"#);
    let items = values().json(&schema(&format!(r#"{{"type":"array","items":{item}}}"#)));
    let of = |count: usize| format!("[{}{{}}]", "{},".repeat(count - 1)).into_bytes();
    assert!(decode(&items, &of(4_000)).is_ok());
    let error = decode(&items, &of(30_000)).map(drop).unwrap_err();
    assert!(error.contains("the defaults come to more than"), "{error}");
}

#[test]
fn a_field_that_can_t_be_filled_in_fails_within_a_union_too() {
    let writer = schema(&format!(r#"["null",{}]"#, record("R", r#"{"name":"a","type":"int"}"#)));
    let both = r#"{"name":"a","type":"int"},{"name":"b","type":"int"}"#;
    let reader = schema(&format!(r#"["null",{}]"#, record("R", both)));
    let format = values().datum(&writer).reader(&reader);
    assert!(decode(&format, &[0]).is_ok());
    let error = decode(&format, &[2, 8]).unwrap_err();
    assert!(error.contains("`b`: the bytes don't have it"), "{error}");
}

#[test]
fn a_field_of_the_bytes_goes_to_the_one_of_its_name_before_one_that_had_it() {
    let writer = schema(&record("R", r#"{"name":"a","type":"int"}"#));
    let datum = encode(&values().datum(&writer), value(&writer, Any::Record(vec![("a".to_owned(), Any::Int(7))])));
    let fields = r#"{"name":"a","type":"int"},{"name":"b","aliases":["a"],"type":"int","default":1}"#;
    let reader = schema(&record("R", fields));
    let read = decode(&values().datum(&writer).reader(&reader), &datum.unwrap()).unwrap();
    assert_eq!((read.get("a"), read.get("b")), (Some(&Any::Int(7)), Some(&Any::Int(1))));
    let twice = r#"{"name":"b","aliases":["a"],"type":"int"},{"name":"c","aliases":["a"],"type":"int"}"#;
    let reader = schema(&record("R", twice));
    assert!(decode(&values().datum(&writer).reader(&reader), &[14]).unwrap_err().contains("`c`: the bytes"));
}

#[test]
fn json_that_a_float_can_t_hold_is_an_error() {
    let float = values().json(&schema("\"float\""));
    assert!(decode(&float, b"1e38").is_ok() && decode(&float, b"\"Infinity\"").is_ok());
    assert!(decode(&float, b"1e39").unwrap_err().contains("expected float, found 1e"));
    let error =
        decode(&values().json(&schema("\"int\"")), format!("\"{}\"", "ä".repeat(1 << 20)).as_bytes()).unwrap_err();
    assert!(error.len() < 200, "{error}");
}
