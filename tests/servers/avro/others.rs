//! Container files: Avro's own implementations in Java and in Python read ours, and we read theirs, in each codec.

use std::path::{Path, PathBuf};
use std::process::Command;

use millstream::Engine as _;
use millstream::prelude::*;
use serde_json::Value;

use super::{EVERY, every, everything};
use crate::support::install::{install, or_skip};
use crate::support::python::Python;

/// How many values a file has.
const VALUES: i64 = 1_000;

const CODECS: [avro::Codec; 4] = [avro::Codec::Null, avro::Codec::Deflate, avro::Codec::Snappy, avro::Codec::Zstandard];

/// Writes a container of all values.
async fn write(path: &Path, codec: avro::Codec) {
    let (lines, schema) = everything(VALUES);
    let container = avro::Container::of(&schema).codec(codec).block_bytes(20_000);
    let pipeline = Pipeline::source(List::new(lines))
        .decode_as(avro::values().json(&schema))
        .encode_as(avro::values().container(&container))
        .sink(Output::create(path, container));
    assert_eq!(pipeline.run().await.expect("it is written").records_out, VALUES as u64);
}

/// The values of a container as JSON.
async fn read(path: &Path) -> Vec<Value> {
    let container = avro::Container::new();
    let out = Collect::<Bytes>::new();
    let collected = out.collected();
    let pipeline = Pipeline::source(Files::new([path], container.clone()))
        .decode_as(avro::values().container(&container))
        .encode_as(avro::values().own_json())
        .sink(out);
    pipeline.run().await.expect("it is read");
    json(collected.values().iter().map(|line| String::from_utf8(line.to_vec()).expect("JSON is text")))
}

fn json(lines: impl IntoIterator<Item = String>) -> Vec<Value> {
    lines
        .into_iter()
        .map(|line| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn wanted() -> Vec<Value> {
    json((0..VALUES).map(every))
}

/// What Java's tools print.
fn tools(jar: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("java");
    let ran = command.args(["-XX:TieredStopAtLevel=1", "-jar"]).arg(jar).args(arguments).output().expect("Java runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{arguments:?}: {said}");
    String::from_utf8(ran.stdout).expect("JSON is text")
}

fn jar() -> Option<PathBuf> {
    let folder = or_skip(install("avro").map_err(|reason| format!("no Avro of others: {reason}")))?;
    let mut jars = std::fs::read_dir(folder).expect("it is installed").flatten().map(|entry| entry.path());
    Some(jars.find(|path| path.extension().is_some_and(|end| end == "jar")).expect("Avro's tools are a jar"))
}

#[tokio::test]
async fn java_reads_ours_and_we_read_javas() {
    let Some(jar) = jar() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (lines, schema) = (folder.path().join("in.json"), folder.path().join("every.avsc"));
    std::fs::write(&lines, (0..VALUES).map(|number| every(number) + "\n").collect::<String>()).expect("written");
    std::fs::write(&schema, EVERY).expect("written");
    for codec in CODECS {
        let ours = folder.path().join(format!("ours-{codec}.avro"));
        write(&ours, codec).await;
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let read_by_java = json(tools(&jar, &["tojson", &text(&ours)]).lines().map(str::to_owned));
        assert!(read_by_java == wanted(), "{codec}");
        let theirs = folder.path().join(format!("java-{codec}.avro"));
        let mut command = Command::new("java");
        command.args(["-XX:TieredStopAtLevel=1", "-jar"]).arg(&jar).args(["fromjson", "--codec", codec.name()]);
        command.arg("--schema-file").arg(&schema).arg(&lines);
        let ran = command.output().expect("Java runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        std::fs::write(&theirs, ran.stdout).expect("written");
        assert!(read(&theirs).await == wanted(), "{codec}");
        told!("{codec}: Java has read {VALUES} values of ours, and we {VALUES} of Java's");
    }
}

/// Reads one container and writes another of its values, which are printed as JSON beside it.
const COPY: &str = r#"
import sys
from avro.datafile import DataFileReader, DataFileWriter
from avro.io import DatumReader, DatumWriter
ours, theirs, codec = sys.argv[1:]
with DataFileReader(open(ours, "rb"), DatumReader()) as reader:
    schema = reader.datum_reader.writers_schema
    count = 0
    with DataFileWriter(open(theirs, "wb"), DatumWriter(), schema, codec=codec) as writer:
        for value in reader:
            writer.append(value)
            count += 1
print(count)
"#;

#[tokio::test]
async fn python_reads_ours_and_writes_them_and_we_read_those() {
    if jar().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for codec in CODECS {
        let (ours, theirs) = (folder.path().join("ours.avro"), folder.path().join("theirs.avro"));
        write(&ours, codec).await;
        let text = |path: &Path| path.to_str().expect("a plain path").to_owned();
        let Some(copies) = Python::run(COPY, &[&text(&ours), &text(&theirs), codec.name()]) else { return };
        assert_eq!(copies.end(), [VALUES.to_string()]);
        assert!(read(&theirs).await == wanted(), "{codec}");
        told!("{codec}: Python has read {VALUES} values of ours, and we the {VALUES} that it wrote of them");
    }
}

#[test]
fn java_has_the_fingerprints_that_we_have() {
    let Some(jar) = jar() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("schema.avsc");
    for text in [
        EVERY,
        r#"{"type": "record", "name": "a.R", "fields": [{"name": "f", "type": "int", "order": "ignore", "x": 1}]}"#,
    ] {
        std::fs::write(&path, text).expect("written");
        let said = tools(&jar, &["fingerprint", "--fingerprint", "CRC-64-AVRO", path.to_str().expect("a plain path")]);
        let schema: avro::Schema = text.parse().expect("a schema");
        let ours: String = schema.fingerprint().to_le_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(said.contains(&ours), "{said} {ours}");
    }
}
