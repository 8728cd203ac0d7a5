//! JSON against serde_json: the same texts are taken, every part reads the same, a change changes what it should.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millstream_coders::json::{Kind, Path, Ref, Value};
use millstream_coders::limits::Limits;
use serde::de::IgnoredAny;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { depth: usize::MAX, ..Limits::default() };
    // Skipping takes any depth and any escape; it doesn't look whether strings are UTF-8.
    let is_json = std::str::from_utf8(data).is_ok() && serde_json::from_slice::<IgnoredAny>(data).is_ok();
    match Value::parse_within(data.to_vec(), &limits) {
        Ok(value) => {
            assert!(is_json, "serde_json refuses it");
            assert_eq!(&value.bytes()[..], data);
            if let Ok(other) = serde_json::from_slice(data) {
                same(value.root(), &other);
                changed(value, other);
            }
        }
        Err(error) => {
            assert!(!is_json, "serde_json takes it: {error}");
            assert!(error.local().is_some_and(|local| local.byte <= data.len() as u64), "{error}");
        }
    }
});

fn same(part: Ref<'_>, other: &serde_json::Value) {
    match other {
        serde_json::Value::Null => assert!(part.is_null()),
        serde_json::Value::Bool(other) => assert_eq!(part.as_bool(), Some(*other)),
        serde_json::Value::Number(other) => {
            // What serde_json takes for a float, such as -0, may be a whole number here.
            if !other.is_f64() {
                assert_eq!((part.as_i64(), part.as_u64()), (other.as_i64(), other.as_u64()), "{other}");
            }
            assert_eq!(part.as_f64(), other.as_f64(), "{other}");
        }
        serde_json::Value::String(other) => assert_eq!(part.as_str().as_deref(), Some(other.as_str())),
        serde_json::Value::Array(other) => {
            assert_eq!((part.kind(), part.items().count()), (Kind::Array, other.len()));
            part.items().zip(other).for_each(|(part, other)| same(part, other));
        }
        serde_json::Value::Object(other) => {
            assert_eq!(part.kind(), Kind::Object);
            assert!(part.members().all(|(name, _)| other.contains_key(&*name)));
            for (name, other) in other {
                let found = Path::of([name]);
                same(part.find(&found).expect("a member that is there"), other);
            }
        }
    }
}

/// Puts another value where the first leaf is, and takes it out again.
fn changed(mut value: Value, mut other: serde_json::Value) {
    let Some((keys, pointer)) = leaf(&other) else { return };
    let path = Path::of(keys);
    value.set(&path, "a\"\u{e4}\\").expect("a part that is there can be set");
    *other.pointer_mut(&pointer).expect("a part that is there") = "a\"\u{e4}\\".into();
    let written = serde_json::from_slice::<serde_json::Value>(value.bytes()).expect("a changed value is JSON");
    assert_eq!(written, other);
    let taken = value.remove(&path);
    assert_eq!(taken.map(|taken| taken.to_string()), Some("\"a\\\"\u{e4}\\\\\"".to_owned()));
    serde_json::from_slice::<serde_json::Value>(value.bytes()).expect("what is left is JSON");
}

/// The way to the first part that has none of its own, if that is not all of the value.
fn leaf(value: &serde_json::Value) -> Option<(Vec<String>, String)> {
    let (mut keys, mut pointer, mut at) = (Vec::new(), String::new(), value);
    loop {
        let (key, part) = match at {
            serde_json::Value::Object(members) if !members.is_empty() => {
                members.iter().next().map(|(key, part)| (key.clone(), part))?
            }
            serde_json::Value::Array(items) if !items.is_empty() => ("0".to_owned(), &items[0]),
            _ if keys.is_empty() => return None,
            _ => return Some((keys, pointer)),
        };
        pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
        keys.push(key);
        at = part;
    }
}
