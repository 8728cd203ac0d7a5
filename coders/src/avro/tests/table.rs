//! The specification's table of schemas, its data set, and its schema with every type.

use super::super::{Container, values};
use super::{Schema, decode, encode, schema};
use crate::avro::types::Value as Any;
use crate::testing;

const TABLE: &str = include_str!("../../../tests/data/avro/schema-tests.txt");
const INTEROP: &str = include_str!("../../../tests/data/avro/interop.avsc");
const EXPECTED: &str = include_str!("../../../tests/data/avro/weather.json");

/// The entries of the table: input, canonical form, fingerprint.
fn entries() -> Vec<(String, String, Option<i64>)> {
    let mut entries: Vec<(String, String, Option<i64>)> = Vec::new();
    let mut lines = TABLE.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(input) = line.strip_prefix("<<INPUT") {
            let mut text = input.trim().to_owned();
            if text.is_empty() {
                for more in lines.by_ref().take_while(|more| more.trim() != "INPUT") {
                    text.push_str(more);
                    text.push('\n');
                }
            }
            entries.push((text, String::new(), None));
        } else if let Some(canonical) = line.strip_prefix("<<canonical") {
            entries.last_mut().expect("an input").1 = canonical.trim().to_owned();
        } else if let Some(fingerprint) = line.strip_prefix("<<fingerprint") {
            entries.last_mut().expect("an input").2 = Some(fingerprint.trim().parse().expect("a number"));
        }
    }
    entries
}

#[test]
fn every_line_of_the_table_holds() {
    let entries = entries();
    assert_eq!(entries.len(), 34);
    let mut fingerprints = 0;
    for (input, canonical, fingerprint) in entries {
        // A union without branches is in the table of canonical forms, and no value is of it.
        let schema = schema(&input);
        assert_eq!(schema.canonical_form(), canonical, "{input}");
        if let Some(fingerprint) = fingerprint {
            fingerprints += 1;
            assert_eq!(schema.fingerprint(), fingerprint as u64, "{input}");
        }
    }
    assert!(fingerprints > 20, "{fingerprints}");
}

#[test]
fn the_data_set_is_the_same_in_every_codec() {
    let expected: Vec<_> = EXPECTED.lines().collect();
    let files: [(&str, &[u8]); 5] = [
        ("null", include_bytes!("../../../tests/data/avro/weather.avro")),
        ("deflate", include_bytes!("../../../tests/data/avro/weather-deflate.avro")),
        ("snappy", include_bytes!("../../../tests/data/avro/weather-snappy.avro")),
        ("zstandard", include_bytes!("../../../tests/data/avro/weather-zstd.avro")),
        ("sorted", include_bytes!("../../../tests/data/avro/weather-sorted.avro")),
    ];
    for (name, file) in files {
        let container = Container::new();
        let format = values().container(&container);
        let records = testing::read(&container, file, &[7], 2, true).expect(name);
        let json = |(record, refused): &(Vec<u8>, bool)| {
            assert!(!refused, "{name}");
            decode(&format, record).expect(name).to_json().expect(name)
        };
        let mut found: Vec<_> = records.iter().map(json).collect();
        assert_eq!(found.len(), expected.len(), "{name}");
        if name == "sorted" {
            found.sort();
            let mut expected = expected.clone();
            expected.sort_unstable();
            assert_eq!(found, expected);
        } else {
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
fn a_value_of_every_type_goes_through_json_and_bytes() {
    let interop: Schema = schema(INTEROP);
    let json = concat!(
        r#"{"intField":-1,"longField":9007199254740993,"stringField":"ä\n","boolField":true,"floatField":0.1,"#,
        r#""doubleField":"NaN","bytesField":"\u0000a\u00FF\"","nullField":null,"arrayField":[5.0,-0.5],"#,
        r#""mapField":{"a":{"label":"x"},"b":{"label":""}},"unionField":{"array":["\u0001"]},"enumField":"C","#,
        r#""fixedField":"0123456789abcdef","recordField":{"label":"top","children":[{"label":"leaf","children":[]}]}}"#
    );
    let text = values().json(&interop);
    let read = decode(&text, json.as_bytes()).unwrap();
    assert_eq!(read.get("recordField.children.0.label"), Some(&Any::String("leaf".to_owned())));
    assert_eq!(String::from_utf8(encode(&text, read.clone()).unwrap()).unwrap(), json);
    let binary = values().datum(&interop);
    let datum = encode(&binary, read).unwrap();
    assert_eq!(decode(&binary, &datum).unwrap().to_json().unwrap(), json);
}
