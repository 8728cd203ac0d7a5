//! Avro beside what others read and write, and under a real schema registry.

mod messages;
mod others;
#[cfg(all(feature = "kafka", feature = "registry"))]
mod policies;
#[cfg(all(feature = "kafka", feature = "registry"))]
mod programs;
#[cfg(feature = "registry")]
mod registry;
#[cfg(all(feature = "kafka", feature = "registry"))]
mod topics;

use millstream::prelude::*;

/// Every type, and what is known to be told apart badly: numbers at their ends, bytes that are no text, texts that are
/// not ASCII, branches of unions, logical types.
pub(crate) const EVERY: &str = r#"{"type": "record", "name": "test.Every", "fields": [
    {"name": "int", "type": "int"}, {"name": "long", "type": "long"}, {"name": "float", "type": "float"},
    {"name": "double", "type": "double"}, {"name": "yes", "type": "boolean"}, {"name": "text", "type": "string"},
    {"name": "bytes", "type": "bytes"}, {"name": "nothing", "type": "null"},
    {"name": "list", "type": {"type": "array", "items": ["null", "string", "test.Every"]}},
    {"name": "map", "type": {"type": "map", "values": "long"}},
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"]}},
    {"name": "four", "type": {"type": "fixed", "name": "Four", "size": 4}},
    {"name": "maybe", "type": ["null", "Kind", "Four", {"type": "map", "values": "boolean"}], "default": null},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "paid", "type": {"type": "fixed", "name": "Paid", "size": 8, "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "noon", "type": {"type": "int", "logicalType": "time-millis"}},
    {"name": "noon_us", "type": {"type": "long", "logicalType": "time-micros"}},
    {"name": "at_ms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "at_ns", "type": {"type": "long", "logicalType": "timestamp-nanos"}},
    {"name": "here_ms", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
    {"name": "here_us", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
    {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "id16", "type": {"type": "fixed", "name": "Id16", "size": 16, "logicalType": "uuid"}},
    {"name": "span", "type": {"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"}}
]}"#;

/// Line `number` of what is written, in Avro's JSON encoding.
pub(crate) fn every(number: i64) -> String {
    let nested = |inner: &str| {
        let text = format!("text \u{e4}\\n{number} {}", "x".repeat(number as usize % 50));
        let kind = ["A", "B", "C"][number as usize % 3];
        let maybe = match number % 4 {
            0 => "null".to_owned(),
            1 => format!(r#"{{"test.Kind":"{kind}"}}"#),
            2 => r#"{"test.Four":"\u0000\u00FFab"}"#.to_owned(),
            _ => r#"{"map":{"k":true}}"#.to_owned(),
        };
        let (int, long) = if number % 2 == 0 { (i32::MIN, i64::MAX) } else { (number as i32, -number) };
        let price = match number % 3 {
            0 => r#""\u0001\u00E2""#,
            _ => r#""\u00FF\u0080""#,
        };
        format!(
            concat!(
                r#"{{"int":{int},"long":{long},"float":0.5,"double":-{number}.25,"yes":{yes},"text":"{text}","#,
                r#""bytes":"\u0000\u0080\u00FF\"","nothing":null,"list":[null,{{"string":"a"}}{inner}],"map":{{"a":{number}}},"#,
                r#""kind":"{kind}","four":"abcd","maybe":{maybe},"day":{number},"at":{at},"price":{price},"#,
                r#""paid":"\u0000\u0000\u0000\u0000\u0000\u0000\u0001\u00E2","noon":{noon},"noon_us":{noon},"at_ms":{at},"#,
                r#""at_ns":{at},"here_ms":{at},"here_us":{at},"id":"00000000-0000-4000-8000-{number:012}","#,
                r#""id16":"abcdefgh\u0080\u00FFklmnop","span":"\u0001\u0000\u0000\u0000abcd\u00FF\u0000\u0000\u0000"}}"#
            ),
            int = int,
            long = long,
            number = number,
            yes = number % 2 == 0,
            text = text,
            inner = inner,
            kind = kind,
            maybe = maybe,
            price = price,
            at = number * 1_000_003,
            noon = 43_200_000 + number,
        )
    };
    nested(&format!(r#",{{"test.Every":{}}}"#, nested("")))
}

/// Lines as a source, and their schema.
pub(crate) fn everything(count: i64) -> (Vec<Bytes>, avro::Schema) {
    ((0..count).map(|number| Bytes::from(every(number))).collect(), EVERY.parse().expect("a schema"))
}
