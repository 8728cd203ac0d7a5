//! Reading what one schema wrote as another says.

use super::super::values;
use super::{decode, encode, schema, value};
use crate::avro::types::Value as Any;

/// What JSON of one schema is as JSON of another.
fn projected(from: &str, to: &str, json: &str) -> Result<String, String> {
    let (from, to) = (schema(from), schema(to));
    let read = decode(&values().json(&from), json.as_bytes())?;
    let datum = encode(&values().datum(&from), read)?;
    let projected = decode(&values().datum(&from).reader(&to), &datum)?;
    assert_eq!(projected.schema(), &to);
    Ok(projected.to_json().unwrap())
}

fn record(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

#[test]
fn fields_are_passed_over_reordered_renamed_and_filled_in() {
    let from = record(
        r#"{"name":"a","type":"int"},{"name":"gone","type":{"type":"map","values":{"type":"array","items":"string"}}},
           {"name":"b","type":"string"}"#,
    );
    let to = record(
        r#"{"name":"new","aliases":["b"],"type":"string"},{"name":"c","type":{"type":"array","items":"int"},"default":[1,2]},
           {"name":"a","type":"long"},{"name":"d","type":["null","int"],"default":null},
           {"name":"e","type":"bytes","default":"\u00ff"}"#,
    );
    let json = r#"{"a":7,"gone":{"x":["y","z"],"w":[]},"b":"text"}"#;
    let wanted = r#"{"new":"text","c":[1,2],"a":7,"d":null,"e":"\u00FF"}"#;
    assert_eq!(projected(&from, &to, json).unwrap(), wanted);
}

#[test]
fn numbers_are_widened_and_texts_and_bytes_are_each_other() {
    let all = [
        ("int", "long", "5", "5"),
        ("int", "float", "5", "5.0"),
        ("int", "double", "5", "5.0"),
        ("long", "float", "5", "5.0"),
        ("long", "double", "-5", "-5.0"),
        ("float", "double", "0.5", "0.5"),
        ("string", "bytes", r#""ab""#, r#""ab""#),
        ("bytes", "string", r#""ab""#, r#""ab""#),
    ];
    for (from, to, json, wanted) in all {
        let (from, to) = (format!("\"{from}\""), format!("\"{to}\""));
        assert_eq!(projected(&from, &to, json).unwrap(), wanted, "{from} {to}");
        assert!(projected(&to, &from, wanted).is_err() || from.contains("bytes") || from.contains("string"));
    }
    assert!(projected("\"bytes\"", "\"string\"", r#""\u00ff""#).unwrap_err().contains("UTF-8"));
}

#[test]
fn unions_are_gone_into_and_out_of() {
    let wrapped = projected("\"int\"", r#"["null","string","long"]"#, "5").unwrap();
    assert_eq!(wrapped, r#"{"long":5}"#);
    assert_eq!(projected(r#"["null","long"]"#, "\"long\"", r#"{"long":5}"#).unwrap(), "5");
    let error = projected(r#"["null","long"]"#, "\"long\"", "null").unwrap_err();
    assert!(error.contains("written as null, which can't be read as long"), "{error}");
    // The branch of the same type, before one that it could be widened to.
    assert_eq!(projected("\"int\"", r#"["double","int"]"#, "5").unwrap(), r#"{"int":5}"#);
    let (a, b) = (r#"{"type":"record","name":"A","fields":[]}"#, r#"{"type":"record","name":"B","fields":[]}"#);
    assert_eq!(projected(&format!("[{a},{b}]"), &format!("[{b},{a}]"), r#"{"A":{}}"#).unwrap(), r#"{"A":{}}"#);
}

#[test]
fn symbols_are_found_by_name_or_are_the_default() {
    let from = r#"{"type":"enum","name":"E","symbols":["A","B","C"]}"#;
    let to = r#"{"type":"enum","name":"E","symbols":["C","A","Z"],"default":"Z"}"#;
    assert_eq!(projected(from, to, r#""C""#).unwrap(), r#""C""#);
    assert_eq!(projected(from, to, r#""B""#).unwrap(), r#""Z""#);
    let strict = r#"{"type":"enum","name":"E","symbols":["C","A"]}"#;
    assert_eq!(projected(from, strict, r#""A""#).unwrap(), r#""A""#);
    assert!(projected(from, strict, r#""B""#).unwrap_err().contains("found `B`"));
}

#[test]
fn types_that_lead_back_to_themselves_are_read() {
    let node = |more: &str| {
        format!(
            r#"{{"type":"record","name":"x.Node","fields":[{{"name":"next","type":["null","Node"]}},{{"name":"n","type":"int"}}{more}]}}"#
        )
    };
    let to = node(r#",{"name":"seen","type":"boolean","default":true}"#);
    let json = r#"{"next":{"x.Node":{"next":null,"n":2}},"n":1}"#;
    let wanted = r#"{"next":{"x.Node":{"next":null,"n":2,"seen":true}},"n":1,"seen":true}"#;
    assert_eq!(projected(&node(""), &to, json).unwrap(), wanted);
}

#[test]
fn names_are_aliases_or_alike_without_their_namespaces() {
    let from = r#"{"type":"record","name":"old.Order","fields":[{"name":"id","type":"int"}]}"#;
    let renamed =
        r#"{"type":"record","name":"new.Sale","aliases":["old.Order"],"fields":[{"name":"id","type":"int"}]}"#;
    let moved = r#"{"type":"record","name":"new.Order","fields":[{"name":"id","type":"int"}]}"#;
    let other = r#"{"type":"record","name":"new.Sale","fields":[{"name":"id","type":"int"}]}"#;
    assert!(projected(from, renamed, r#"{"id":1}"#).is_ok());
    assert!(projected(from, moved, r#"{"id":1}"#).is_ok());
    assert!(projected(from, other, r#"{"id":1}"#).unwrap_err().contains("the record old.Order"));
}

#[test]
fn what_differs_is_all_told_with_its_place() {
    let from = record(r#"{"name":"a","type":"string"},{"name":"list","type":{"type":"array","items":"string"}}"#);
    let to = record(
        r#"{"name":"a","type":"int"},{"name":"list","type":{"type":"array","items":"long"}},{"name":"c","type":"int"}"#,
    );
    let error = projected(&from, &to, r#"{"a":"x","list":[]}"#).unwrap_err();
    for part in ["`a`: written as string, which can't be read as int", "`list[]`: written as string", "`c`: the bytes"]
    {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn logical_types_are_kept_and_never_taken_for_each_other() {
    let logical = |base: &str, logical: &str| format!(r#"{{"type":"{base}","logicalType":"{logical}"}}"#);
    let decimal = |digits: u32, scale: u32| {
        format!(r#"{{"type":"bytes","logicalType":"decimal","precision":{digits},"scale":{scale}}}"#)
    };
    assert_eq!(projected(&logical("int", "date"), &logical("int", "date"), "19000").unwrap(), "19000");
    assert_eq!(projected("\"long\"", &logical("long", "timestamp-millis"), "19000").unwrap(), "19000");
    let shifted = projected(&logical("long", "timestamp-millis"), &logical("long", "timestamp-micros"), "1");
    assert!(shifted.unwrap_err().contains("timestamp-millis"));
    assert_eq!(projected(&decimal(4, 2), &decimal(9, 2), r#""\u0001\u00FF""#).unwrap(), r#""\u0001\u00FF""#);
    assert!(projected(&decimal(4, 2), &decimal(9, 3), r#""\u0001""#).unwrap_err().contains("scale 3"));
    let uuid = r#""00112233-4455-6677-8899-aabbccddeeff""#;
    assert_eq!(projected(&logical("string", "uuid"), &logical("string", "uuid"), uuid).unwrap(), uuid);
    let duration = r#"{"type":"fixed","name":"D","size":12,"logicalType":"duration"}"#;
    let json = r#""\u0001\u0000\u0000\u0000\u0002\u0000\u0000\u0000\u0003\u0000\u0000\u0000""#;
    assert_eq!(projected(duration, duration, json).unwrap(), json);
}

#[test]
fn a_value_is_read_as_the_logical_type_that_the_reader_says() {
    let (from, to) = (schema("\"long\""), schema(r#"{"type":"long","logicalType":"timestamp-micros"}"#));
    let datum = encode(&values().datum(&from), value(&from, Any::Long(3))).unwrap();
    let read = decode(&values().datum(&from).reader(&to), &datum).unwrap();
    assert_eq!(read.value(), &Any::TimestampMicros(3));
}

#[test]
fn a_single_object_of_another_schema_is_read_if_that_is_known() {
    let text = |fields: &str| format!(r#"{{"type":"record","name":"Order","fields":[{fields}]}}"#);
    let (old, new) = (r#"{"name":"id","type":"int"}"#, r#"{"name":"note","type":"string","default":"none"}"#);
    let (before, now) = (schema(&text(old)), schema(&text(&format!("{old},{new}"))));
    let of_before = value(&before, Any::Record(vec![("id".to_owned(), Any::Int(7))]));
    let bytes = encode(&values().single_object(&before), of_before).expect("it fits");
    let reads = values().single_object(&now).reader(&now);
    let error = decode(&reads, &bytes).expect_err("it was written by another");
    assert!(error.contains("make the schema that it was written by known with `knowing`"), "{error}");
    let read = decode(&reads.knowing(&before), &bytes).expect("it is known");
    assert_eq!(read.to_json().expect("it has a JSON"), r#"{"id":7,"note":"none"}"#);
}
