//! `avro_to_json` and `json_to_avro`.

use serde_json::{Value, json};

use crate::process::{Folder, run};

const WEATHER: &str = "examples/data/weather.avro";

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_reader_schema_says_which_fields_there_are_and_of_which_type() {
    let folder = Folder::new();
    let reader = json!({"type": "record", "name": "test.Weather", "fields": [
        {"name": "temp", "type": "double"}, {"name": "unit", "type": "string", "default": "0.1 °C"},
        {"name": "place", "aliases": ["station"], "type": "string"},
    ]});
    let schema = folder.put("reader.avsc", reader.to_string());
    let whole = run("avro_to_json", &["--input", WEATHER, "--output", "-"]);
    let projected = run("avro_to_json", &["--input", WEATHER, "--output", "-", "--reader-schema", &schema]);
    let expected = lines(whole.text())
        .into_iter()
        .map(|reading| json!({"temp": reading["temp"].as_f64(), "unit": "0.1 °C", "place": reading["station"]}));
    assert_eq!(lines(projected.text()), Vec::from_iter(expected));
    assert!(!projected.text().is_empty());
}

#[test]
fn what_was_written_in_each_codec_is_read_again() {
    let folder = Folder::new();
    let (input, schema) = ("examples/data/weather.json", "examples/data/weather.avsc");
    for codec in ["null", "deflate", "snappy", "zstandard"] {
        let path = folder.path(codec);
        run("json_to_avro", &["--schema", schema, "--input", input, "--output", &path, "--codec", codec]).text();
        let read = run("avro_to_json", &["--input", &path, "--output", "-"]);
        assert_eq!(lines(read.text()), lines(&std::fs::read_to_string(input).expect("it is there")), "{codec}");
    }
}
