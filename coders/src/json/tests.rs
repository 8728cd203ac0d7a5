use std::borrow::Cow;

use millstream_core::contracts::{Faults, Local};
use millstream_core::data::{Bytes, Column, Packed};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::*;

/// Texts that are JSON.
const GOOD: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1.5e+10",
    "1E400",
    "0.0",
    "123456789012345678901234567890",
    "\"\"",
    "\"a\\u0041\\n\\/\\\\\\\"\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud800\"",
    "\"\u{7f}ä€😀\"",
    "[]",
    "{}",
    " [ ] ",
    "\t{\r\n}",
    "[1,2]",
    "[[],[[]],{}]",
    "{\"\":0}",
    "{\"a\":1,\"a\":2}",
    "{ \"a\" : [ { } ] , \"b\" : null }",
    "\"12345678\"",
    "\"1234567\"",
    "[\"12345678\\\\\"]",
];

/// Texts that are not, with the byte at which that shows and what was expected there.
const BAD: &[(&str, usize, &str)] = &[
    ("", 0, "expected a value, found the end of the record"),
    (" \n", 2, "expected a value, found the end of the record"),
    ("nul", 0, "expected `null`, found `n`"),
    ("True", 0, "expected a value, found `T`"),
    ("NaN", 0, "expected a value, found `N`"),
    ("\u{feff}1", 0, "expected a value, found the byte 0xef"),
    ("+1", 0, "expected a value, found `+`"),
    ("-", 1, "expected a digit, found the end of the record"),
    ("01", 1, "expected the end of the record after the value, found `1`"),
    ("1.", 2, "expected a digit"),
    (".5", 0, "expected a value"),
    ("1e", 2, "expected a digit"),
    ("1e+", 3, "expected a digit"),
    ("0x1", 1, "expected the end of the record"),
    ("[1e]", 3, "expected a digit, found `]`"),
    ("\"a", 2, "expected `\"` at the end of a string, found the end of the record"),
    ("\"a\\\"", 4, "expected `\"` at the end of a string"),
    ("\"12345678", 9, "expected `\"` at the end of a string"),
    ("\"\t\"", 1, "expected no control character in a string"),
    ("\"1234567\n\"", 8, "expected no control character in a string (it has to be escaped), found the byte 0x0a"),
    ("\"\\x\"", 2, "expected one of `\"\\/bfnrtu` after `\\`, found `x`"),
    ("\"\\u12g4\"", 5, "expected four hexadecimal digits after `\\u`, found `g`"),
    ("\"\\", 2, "expected one of"),
    ("'a'", 0, "expected a value, found `'`"),
    ("[", 1, "expected a value"),
    ("[1", 2, "expected `,` or `]` after an item, found the end of the record"),
    ("[1,]", 3, "expected a value, found `]`"),
    ("[1 2]", 3, "expected `,` or `]` after an item, found `2`"),
    ("[,1]", 1, "expected a value, found `,`"),
    ("[1}", 2, "expected `,` or `]` after an item, found `}`"),
    ("]", 0, "expected a value"),
    ("{", 1, "expected a member's name in quotes or `}`"),
    ("{a:1}", 1, "expected a member's name in quotes or `}`, found `a`"),
    ("{\"a\"}", 4, "expected `:` after a member's name, found `}`"),
    ("{\"a\":}", 5, "expected a value, found `}`"),
    ("{\"a\":1,}", 7, "expected a member's name in quotes, found `}`"),
    ("{\"a\":1]", 6, "expected `,` or `}` after a member, found `]`"),
    ("{\"a\":1 \"b\":2}", 7, "expected `,` or `}` after a member"),
    ("{\"a\" 1}", 5, "expected `:`"),
    ("{1:2}", 1, "expected a member's name"),
    ("[]]", 2, "expected the end of the record after the value, found `]`"),
    ("{} {}", 3, "expected the end of the record after the value, found `{`"),
    ("1 // one", 2, "expected the end of the record after the value"),
    ("\"a\"\u{0}", 3, "found the byte 0x00"),
    ("[1\u{c}]", 2, "found the byte 0x0c"),
];

fn depth(limit: usize) -> Limits {
    Limits { depth: limit, ..Limits::default() }
}

#[test]
fn what_is_json_is_taken() {
    for text in GOOD {
        let value = Value::parse(*text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(value.to_string(), *text);
        assert_eq!(value.root().raw(), text.trim());
        serde_json::from_str::<&RawValue>(text).unwrap();
    }
}

#[test]
fn what_is_not_json_is_refused_with_its_place_and_what_was_expected() {
    for (text, byte, message) in BAD {
        let error = Value::parse(*text).expect_err(text);
        assert!(error.message().contains(message), "{text}: {error}");
        assert_eq!(error.local(), Some(Local::of(text.as_bytes(), *byte)), "{text}: {error}");
        assert!(serde_json::from_str::<&RawValue>(text).is_err(), "{text}");
    }
}

#[test]
fn the_place_of_an_error_has_its_line_and_column() {
    let error = Value::parse("{\n  \"a\": 1,\n  \"b\": tru\n}").unwrap_err();
    assert_eq!(error.local(), Some(Local { line: 3, column: 8, byte: 19 }));
    assert_eq!(error.to_string(), "expected `true`, found `t` (in the record: line 3, column 8, byte 19)");
}

#[test]
fn what_is_not_utf8_is_refused_with_its_byte() {
    for (text, byte) in [(&b"[\"\xff\"]"[..], 2), (b"{\"12345678\xc3\":1}", 10), (b"\"abcdefgh\\n\xed\xa0\x80\"", 11)] {
        let error = Value::parse(Bytes::copy_from_slice(text)).unwrap_err();
        assert_eq!(error.local().map(|local| local.byte), Some(byte), "{error}");
        assert!(error.message().contains("expected UTF-8"), "{error}");
    }
    assert!(Value::parse(Bytes::from_static(b"\xff")).is_err());
}

#[test]
fn depth_is_limited_at_any_depth() {
    let nested = |depth: usize| {
        format!("{}{}", "[{\"a\":".repeat(depth / 2), "[".repeat(depth % 2))
            + if depth.is_multiple_of(2) { "0" } else { "]" }
            + &"}]".repeat(depth / 2)
    };
    for limit in [0, 1, 2, 63, 64, 65, 127, 128, 129, 192, 1000] {
        let good = nested(limit);
        Value::parse_within(good.clone(), &depth(limit)).unwrap_or_else(|error| panic!("{limit}: {error}"));
        let wrong = good.replacen(']', "}", 1);
        assert_eq!(Value::parse_within(wrong, &depth(limit)).is_err(), limit > 0);
        let error = Value::parse_within(nested(limit + 1), &depth(limit)).unwrap_err();
        assert!(error.message().contains(&format!("expected at most {limit} objects and arrays")), "{error}");
        assert!(error.local().is_some());
    }
    let bomb = "[".repeat(1 << 20);
    assert!(Value::parse_within(bomb, &depth(usize::MAX)).is_err(), "and the stack is not used for it");
}

#[test]
fn a_record_that_is_too_large_is_refused() {
    let limits = Limits { record: 4, ..Limits::default() };
    assert!(Value::parse_within("1234", &limits).is_ok());
    let error = Value::parse_within("12345", &limits).unwrap_err();
    assert!(error.message().contains("at most 4 bytes, found 5"), "{error}");
}

#[test]
fn scalars_are_read_as_what_they_are() {
    let value =
        Value::parse(r#"{"n":null,"t":true,"i":-7,"u":18446744073709551615,"f":1.5e3,"s":"x","big":1e999,"a":[]}"#)
            .unwrap();
    let at = |key: &str| value.get(key).unwrap();
    assert!(at("n").is_null() && !at("t").is_null());
    assert_eq!((at("t").as_bool(), at("n").as_bool()), (Some(true), None));
    assert_eq!((at("i").as_i64(), at("i").as_u64(), at("i").as_f64()), (Some(-7), None, Some(-7.0)));
    assert_eq!((at("u").as_i64(), at("u").as_u64()), (None, Some(u64::MAX)));
    assert_eq!((at("f").as_i64(), at("f").as_f64(), at("f").as_str()), (None, Some(1500.0), None));
    assert_eq!((at("big").as_f64(), at("big").scalar_text()), (None, Some("1e999".into())));
    assert_eq!((at("s").as_u64(), at("s").scalar_text()), (None, Some("x".into())));
    assert_eq!((at("a").scalar_text(), value.root().scalar_text()), (None, None));
    let kinds: Vec<_> = value.root().members().map(|(_, part)| part.kind()).collect();
    use Kind::*;
    assert_eq!(kinds, [Null, Bool, Number, Number, Number, String, Number, Array]);
}

#[test]
fn strings_are_borrowed_unless_something_is_escaped() {
    let value =
        Value::parse(r#"["plain ä", "\b\f\n\r\t\"\\\/", "\ud83d\ude00!", "a\ud83d\u0041", "\ude00", "\uD83Dx"]"#)
            .unwrap();
    let strings: Vec<_> = value.root().items().map(|item| item.as_str().unwrap()).collect();
    assert!(matches!(strings[0], Cow::Borrowed("plain ä")));
    assert_eq!(strings[1], "\u{8}\u{c}\n\r\t\"\\/");
    assert_eq!(strings[2], "😀!");
    assert_eq!(&strings[3..], ["a\u{fffd}A", "\u{fffd}", "\u{fffd}x"], "halves of pairs");
}

#[test]
fn a_path_leads_by_keys_and_indices() {
    let value = Value::parse(r#" {"a":{"b":[10,{"0":"x"}]},"a.b":1,"c\\":2,"":{"":3},"+1":4} "#).unwrap();
    let cases = [
        ("a.b.0", Some("10")),
        ("a.b.1.0", Some("\"x\"")),
        ("a.b.2", None),
        ("a.b.00", None),
        ("a.b.+1", None),
        ("a.b.x", None),
        ("a.b.0.x", None),
        ("a\\.b", Some("1")),
        ("c\\", Some("2")),
        ("c\\\\", Some("2")),
        (".", Some("3")),
        ("+1", Some("4")),
        ("b", None),
    ];
    for (path, expected) in cases {
        assert_eq!(value.get(path).map(|part| part.raw()), expected, "{path}");
        assert_eq!(value.find(&Path::parse(path)).map(|part| part.raw()), expected, "{path}");
        let again = Path::parse(&Path::parse(path).to_string());
        assert!(again.keys().eq(Path::parse(path).keys()), "{path}");
    }
    assert_eq!(value.get("").unwrap().raw(), value.to_string().trim());
    assert!(Value::parse("[0,1]").unwrap().get("+1").is_none());
}

#[test]
fn of_members_with_the_same_key_the_last_counts() {
    let value = Value::parse(r#"{"a":1,"b":0,"\u0061":2,"c":{"a":3}}"#).unwrap();
    assert_eq!(value.get("a").unwrap().raw(), "2");
    assert_eq!(Value::parse(r#"{"a":1,"b":"a"}"#).unwrap().get("a").unwrap().raw(), "1");
    let mut set = value.clone();
    set.set("a", 9).unwrap();
    assert_eq!(set.to_string(), r#"{"a":1,"b":0,"\u0061":9,"c":{"a":3}}"#);
    let mut removed = value.clone();
    assert_eq!(removed.remove("a").unwrap().to_string(), "2");
    assert_eq!(removed.to_string(), r#"{"b":0,"c":{"a":3}}"#);
}

#[test]
fn many_names_that_are_the_same_and_escaped_are_found_in_one_pass() {
    let text = format!("{{{}\"z\":0}}", "\"\\u0061\":1,".repeat(400_000));
    let mut value = Value::parse(text).unwrap();
    assert_eq!(value.get("a").unwrap().raw(), "1");
    assert!(value.remove("a").is_some());
    assert_eq!(value.to_string(), "{\"z\":0}");
}

#[test]
fn what_is_set_leaves_everything_else_as_it_was() {
    let cases = [
        ("{ \"a\" : 1 , \"b\":[ ] }", "a", "{ \"a\" : \"x\" , \"b\":[ ] }"),
        ("{ \"a\" : 1 , \"b\":[ ] }", "b.0", "{ \"a\" : 1 , \"b\":[\"x\" ] }"),
        ("{ \"a\" : 1\n}", "c", "{ \"a\" : 1,\"c\":\"x\"\n}"),
        ("{ \"a\" : 1\n}", "c.d.e", "{ \"a\" : 1,\"c\":{\"d\":{\"e\":\"x\"}}\n}"),
        ("[ 1, 2 ]", "2", "[ 1, 2,\"x\" ]"),
        ("[ 1, 2 ]", "2.k", "[ 1, 2,{\"k\":\"x\"} ]"),
        ("{ }", "q\"", "{\"q\\\"\":\"x\" }"),
        (" 1\n", "", " \"x\"\n"),
    ];
    for (before, path, after) in cases {
        let mut value = Value::parse(before).unwrap();
        value.set(path, "x").unwrap();
        assert_eq!(value.to_string(), after);
    }
}

#[test]
fn what_can_not_be_set_is_an_error_and_changes_nothing() {
    let text = "{\"a\":[1],\"s\":\"x\",\"n\":null}";
    let mut value = Value::parse(text).unwrap();
    for (path, found) in [
        ("a.2", "found an array of 1, which takes the indices 0 to 1"),
        ("a.x", "an array of 1"),
        ("s.x", "found a string"),
        ("n.x.y", "can't set `n.x.y`: expected something that `x` can be put into, found null"),
        ("a.0.b", "found a number"),
    ] {
        let error = value.set(path, 1).unwrap_err();
        assert!(error.message().contains(found), "{path}: {error}");
    }
    let keys = std::collections::HashMap::from([((1, 2), 3)]);
    assert!(value.set("a", keys).unwrap_err().message().contains("can't be written as JSON"));
    assert_eq!(value.to_string(), text);
}

#[test]
fn what_is_removed_takes_its_comma_along() {
    let cases = [
        ("{ \"a\" : 1 , \"b\" : 2 }", "a", "{ \"b\" : 2 }"),
        ("{ \"a\" : 1 , \"b\" : 2 }", "b", "{ \"a\" : 1 }"),
        ("{ \"a\" : 1 }", "a", "{  }"),
        ("[ 1, 2, 3 ]", "1", "[ 1, 3 ]"),
        ("[ 1, 2, 3 ]", "2", "[ 1, 2 ]"),
        ("[{\"a\":[0]}]", "0.a.0", "[{\"a\":[]}]"),
        ("{\"a\":1,\"b\":2,\"a\":3,\"a\":4}", "a", "{\"b\":2}"),
    ];
    for (before, path, after) in cases {
        let mut value = Value::parse(before).unwrap();
        assert!(value.remove(path).is_some());
        assert_eq!(value.to_string(), after);
        assert!(value.remove("nowhere").is_none() && value.remove("").is_none());
        assert_eq!(value.to_string(), after);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    tags: Vec<String>,
}
millstream_core::data!(Order);

#[test]
fn values_come_from_types_and_become_types() {
    let order = Order { id: 7, tags: vec!["ä".into()] };
    let value = Value::from_serialize(&order).unwrap();
    assert_eq!(value.to_string(), r#"{"id":7,"tags":["ä"]}"#);
    assert_eq!(value.to::<Order>().unwrap(), order);
    assert_eq!(value.get("tags").unwrap().to::<Vec<String>>().unwrap(), order.tags);
    let error = Value::parse("{\"id\":1,\n \"tags\":[2]}").unwrap().to::<Order>().unwrap_err();
    assert_eq!(error.message(), "invalid type: integer `2`, expected a string");
    assert_eq!(error.local().map(|local| local.line), Some(2));

    let mut other = Value::default();
    other.set("", &value).unwrap();
    other.set("old", value.get("tags.0").unwrap()).unwrap();
    assert_eq!(other.to_string(), r#"{"id":7,"tags":["ä"],"old":"ä"}"#);
}

fn code<A: Column + 'static, B: Column + 'static>(coder: &Coder, from: &A, to: &mut B) -> Vec<(u32, String)> {
    let mut faults = Faults::new();
    (coder.make)().code(from, to, &mut faults);
    faults.into_iter().map(|(row, error)| (row, error.to_string())).collect()
}

fn packed(records: &[&str]) -> Packed<Bytes> {
    let mut packed = Packed::default();
    records.iter().for_each(|record| packed.append_bytes(record.as_bytes()));
    packed.freeze();
    packed
}

#[test]
fn a_value_that_nobody_changed_is_written_as_it_was_read() {
    let from = packed(&[" {\"a\" : 1.0e0}\r", "[1", "\"\\u0061\""]);
    let [decoder, encoder] = &coders()[..] else { panic!("two coders") };
    assert_eq!((decoder.name.as_str(), encoder.name.as_str()), ("JSON-DECODER", "JSON-ENCODER"));
    let mut values = millstream_core::data::Typed::<Value>::default();
    let faults = code(decoder, &from, &mut values);
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].0, 1);
    assert!(faults[0].1.ends_with("(in the record: line 1, column 3, byte 2)"), "{}", faults[0].1);
    assert_eq!(values.as_slice()[0].bytes().as_ptr(), from.block().as_ptr(), "and shares its block");

    let mut back = Packed::<Bytes>::default();
    assert!(code(encoder, &values, &mut back).is_empty());
    assert_eq!((back.get(0), back.get(1)), (from.get(0), from.get(2)));
}

#[test]
fn a_type_of_ones_own_is_read_and_written() {
    let format = of::<Order>();
    let from = packed(&["{\"tags\": [], \"id\": 1}", "{\"id\":\n-1}", "{\"id\":1", "{\"id\":1,\"tags\":[]}x"]);
    let mut orders = millstream_core::data::Typed::<Order>::default();
    let faults = code(&format.decoder().unwrap(), &from, &mut orders);
    assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(
        faults[0].1.starts_with("invalid value: integer `-1`, expected u64 (in the record: line 2, "),
        "{}",
        faults[0].1
    );
    assert!(faults[1].1.contains("EOF"), "{}", faults[1].1);
    assert!(faults[2].1.ends_with("(in the record: line 1, column 19, byte 18)"), "{}", faults[2].1);

    let mut back = Packed::<Bytes>::default();
    assert!(code(&format.encoder().unwrap(), &orders, &mut back).is_empty());
    assert_eq!(back.get(0), b"{\"id\":1,\"tags\":[]}");
}

#[test]
fn limits_hold_for_a_type_of_ones_own() {
    let nested = format!("{{\"id\":1,\"tags\":[],\"x\":{}0{}}}", "[".repeat(200), "]".repeat(200));
    let long = format!("{{\"id\":1,\"tags\":[\"{}\"]}}", "x".repeat(300));
    let from = packed(&[&nested, &long, "{\"id\":1,\"tags\":[],\"x\":[[[]]]}", "{\"id\":1,\"tags\":[]}"]);
    let format = of::<Order>().limits(Limits { record: 450, depth: 3, attributes: 0 });
    let mut orders = millstream_core::data::Typed::<Order>::default();
    let faults = code(&format.decoder().unwrap(), &from, &mut orders);
    assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [0, 2]);
    let mut orders = millstream_core::data::Typed::<Order>::default();
    let format = format.limits(Limits { record: 250, ..Limits::default() });
    assert_eq!(code(&format.decoder().unwrap(), &from, &mut orders).len(), 2);
}

/// JSON texts with white space, escapes and keys that come twice.
fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        prop::sample::select(vec!["null", "true", "false", "0", "-12", "3.25", "1e3", "18446744073709551615"])
            .prop_map(str::to_owned),
        string(),
    ];
    scalar.prop_recursive(4, 24, 5, |inner| {
        let items = prop::collection::vec((space(), inner.clone(), space()), 0..5);
        let members = prop::collection::vec((space(), string(), space(), inner, space()), 0..5);
        prop_oneof![
            (items, space()).prop_map(|(items, space)| {
                let items: Vec<_> = items.iter().map(|(a, item, b)| format!("{a}{item}{b}")).collect();
                format!("[{}{}]", items.join(","), if items.is_empty() { &space } else { "" })
            }),
            members.prop_map(|members| {
                let members: Vec<_> =
                    members.iter().map(|(a, key, b, value, c)| format!("{a}{key}{b}:{a}{value}{c}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn space() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "", " ", "\n", "\t \r"]).prop_map(str::to_owned)
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "0",
        "1",
        "\\u0061",
        "\\\"",
        "\\\\",
        "\\n",
        "é",
        "\\ud83d\\ude00",
        "{",
        "]",
        ",",
        "long enough to skip",
    ]);
    prop::collection::vec(piece, 0..3).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

/// Paths, of which many lead somewhere.
fn keys() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "", "0", "1", "a0", "ab", "\"", "aa", "é"]), 0..4)
        .prop_map(|keys| keys.into_iter().map(str::to_owned).collect())
}

/// The model of a lookup.
fn lookup<'v>(value: &'v mut serde_json::Value, keys: &[String]) -> Option<&'v mut serde_json::Value> {
    keys.iter().try_fold(value, |value, key| match value {
        serde_json::Value::Object(object) => object.get_mut(key),
        serde_json::Value::Array(array) => key.parse::<usize>().ok().and_then(|index| array.get_mut(index)),
        _ => None,
    })
}

/// The model of `set`: whether it can be.
fn model_set(value: &mut serde_json::Value, keys: &[String], new: serde_json::Value) -> bool {
    let Some((key, rest)) = keys.split_first() else {
        *value = new;
        return true;
    };
    match value {
        serde_json::Value::Object(object) => match object.get_mut(key) {
            Some(part) => model_set(part, rest, new),
            None => {
                let new = rest.iter().rev().fold(new, |new, key| serde_json::json!({ key: new }));
                object.insert(key.clone(), new);
                true
            }
        },
        serde_json::Value::Array(array) => match key.parse::<usize>() {
            Ok(index) if index < array.len() => model_set(&mut array[index], rest, new),
            Ok(index) if index == array.len() => {
                array.push(rest.iter().rev().fold(new, |new, key| serde_json::json!({ key: new })));
                true
            }
            _ => false,
        },
        _ => false,
    }
}

fn model_remove(value: &mut serde_json::Value, keys: &[String]) -> Option<serde_json::Value> {
    let (last, before) = keys.split_last()?;
    match lookup(value, before)? {
        serde_json::Value::Object(object) => object.remove(last),
        serde_json::Value::Array(array) => {
            last.parse().ok().filter(|&index: &usize| index < array.len()).map(|index| array.remove(index))
        }
        _ => None,
    }
}

fn model(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn walk(part: Ref<'_>) -> serde_json::Value {
    match part.kind() {
        Kind::Array => part.items().map(walk).collect(),
        Kind::Object => serde_json::Value::Object(part.members().map(|(k, v)| (k.into_owned(), walk(v))).collect()),
        Kind::String => part.as_str().unwrap().into(),
        _ => model(part.raw()),
    }
}

proptest! {
    #[test]
    fn a_look_at_everything_sees_what_serde_sees(text in json()) {
        let value = Value::parse(text.clone()).unwrap();
        prop_assert_eq!(walk(value.root()), model(&text));
        prop_assert_eq!(value.to_string(), text);
    }

    #[test]
    fn a_path_leads_where_it_leads_in_a_tree(text in json(), keys in keys()) {
        let value = Value::parse(text.clone()).unwrap();
        let mut tree = model(&text);
        let expected = lookup(&mut tree, &keys).cloned();
        let path = Path::of(keys);
        prop_assert_eq!(value.find(&path).map(walk), expected.clone());
        // A single empty key has no written form.
        if path.keys().ne([""]) {
            prop_assert_eq!(value.get(&path.to_string()).map(walk), expected);
        }
    }

    #[test]
    fn set_changes_what_it_changes_in_a_tree(text in json(), keys in keys(), new in json()) {
        let (mut value, mut tree) = (Value::parse(text.clone()).unwrap(), model(&text));
        let new = model(&new);
        let done = value.set(Path::of(keys.clone()), &new).is_ok();
        prop_assert_eq!(done, model_set(&mut tree, &keys, new));
        prop_assert_eq!(model(&value.to_string()), tree);
        Value::parse(value.bytes().clone()).unwrap();
        if !done {
            prop_assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn remove_takes_out_what_it_takes_out_of_a_tree(text in json(), keys in keys()) {
        let (mut value, mut tree) = (Value::parse(text.clone()).unwrap(), model(&text));
        let removed = value.remove(Path::of(keys.clone())).map(|value| walk(value.root()));
        prop_assert_eq!(removed.clone(), model_remove(&mut tree, &keys));
        prop_assert_eq!(model(&value.to_string()), tree);
        if removed.is_none() {
            prop_assert_eq!(value.to_string(), text);
        }
    }

    #[test]
    fn a_text_with_an_error_is_judged_as_serde_judges_it(
        text in json(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, prop_oneof![
            prop::sample::select(&b"{}[]\",:\\/0-+.eEtfnu \n\x00\x1f"[..]), any::<u8>(),
        ]), 1..3),
    ) {
        let mut text = text.into_bytes();
        for (at, what, byte) in edits {
            let at = at.index(text.len() + 1);
            match what {
                0 => text.insert(at, byte),
                1 if at < text.len() => text[at] = byte,
                _ => text.truncate(at),
            }
        }
        judge(&text)?;
    }

    #[test]
    fn random_bytes_are_judged_as_serde_judges_them(bytes in prop::collection::vec(any::<u8>(), 0..12)) {
        judge(&bytes)?;
    }
}

fn judge(text: &[u8]) -> Result<(), TestCaseError> {
    let ours = Value::parse(Bytes::copy_from_slice(text));
    let theirs = serde_json::from_slice::<&RawValue>(text);
    prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?} {:?}", ours, theirs);
    if let Err(error) = ours {
        let byte = error.local().map(|local| local.byte as usize);
        prop_assert!(byte.is_some_and(|byte| byte <= text.len()));
    }
    Ok(())
}
