//! Plain JSON: what programs read that know nothing of Avro.

use super::super::values;
use super::{decode, encode, schema};

/// What Avro's JSON encoding of a value is as plain JSON.
fn plain(of: &str, json: &str) -> Result<String, String> {
    let of = schema(of);
    let value = decode(&values().json(&of), json.as_bytes()).unwrap();
    let coded = encode(&values().plain_json(), value.clone());
    assert_eq!(value.to_plain_json().ok().map(String::into_bytes), coded.clone().ok());
    coded.map(|coded| String::from_utf8(coded).unwrap())
}

#[test]
fn branches_have_no_names_at_any_depth() {
    let order = r#"{"type":"record","name":"shop.Order","fields":[
        {"name":"id","type":"long"},
        {"name":"note","type":["null","string"]},
        {"name":"gift","type":["null","boolean"]},
        {"name":"lines","type":{"type":"array","items":["null",{"type":"record","name":"Line","fields":[
            {"name":"of","type":["int",{"type":"map","values":["string","double"]}]}]}]}},
        {"name":"day","type":{"type":"int","logicalType":"date"}},
        {"name":"raw","type":["bytes","null"]}]}"#;
    let json = concat!(
        r#"{"id":7,"note":{"string":"a"},"gift":null,"lines":[null,{"shop.Line":{"of":{"int":3}}},"#,
        r#"{"shop.Line":{"of":{"map":{"k":{"double":1.5},"l":{"string":"x"}}}}}],"day":19000,"raw":{"bytes":"\u00ff"}}"#
    );
    let wanted = r#"{"id":7,"note":"a","gift":null,"lines":[null,{"of":3},{"of":{"k":1.5,"l":"x"}}],"day":19000,"raw":"\u00FF"}"#;
    assert_eq!(plain(order, json).unwrap(), wanted);
}

#[test]
fn decimals_are_their_digits() {
    let decimal = |scale: usize| {
        format!(r#"["null",{{"type":"bytes","logicalType":"decimal","precision":2000,"scale":{scale}}}]"#)
    };
    for (scale, bytes, wanted) in [
        (2, r"\u0004\u00E2", "12.50"),
        (0, r"\u0004\u00E2", "1250"),
        (4, r"\u0004\u00E2", "0.1250"),
        (6, r"\u0004\u00E2", "0.001250"),
        (2, r"\u00FF", "-0.01"),
        (2, r"\u0000", "0.00"),
        (3, r"\u0080\u0000", "-32.768"),
        (2000, r"\u0001", "1E-2000"),
    ] {
        let json = format!(r#"{{"bytes":"{bytes}"}}"#);
        assert_eq!(plain(&decimal(scale), &json).unwrap(), format!("\"{wanted}\""), "{bytes} {scale}");
    }
    let fixed = r#"{"type":"fixed","name":"F","size":3,"logicalType":"decimal","precision":5,"scale":1}"#;
    assert_eq!(plain(fixed, r#""\u00FF\u00FF\u00F6""#).unwrap(), r#""-1.0""#);
    let long = format!(r#"{{"bytes":"{}"}}"#, "a".repeat(1025));
    assert!(plain(&decimal(2), &long).unwrap_err().contains("1024 bytes at most"));
}

#[test]
fn it_is_not_read() {
    use millstream_core::contracts::Format as _;
    assert!(values().plain_json().decoder().is_none());
    assert_eq!(values().plain_json().encoder().unwrap().name, "AVRO-PLAIN-JSON-ENCODER");
}
