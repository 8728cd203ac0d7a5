//! Messages in Avro: those that we frame, under a registry and as single objects, are read by Avro's own implementation in
//! Python, and those that it frames by us. Beside it only the frames are known to the program.

use millstream::Engine as _;
use millstream::prelude::*;
use serde_json::Value;

use super::{EVERY, everything};
use crate::support::python::Python;
use crate::support::registry::Registry;

const VALUES: i64 = 500;

/// Reads messages, a line of hexadecimal digits each, and writes them again of the values that it has read.
const AGAIN: &str = r#"
import io, json, sys, urllib.request
from avro.io import BinaryDecoder, BinaryEncoder, DatumReader, DatumWriter
from avro.schema import parse
registry, every, messages = sys.argv[1:]
schemas = {}
def schema_of(frame):
    if frame[0] == 0:
        number = int.from_bytes(frame[1:], "big")
        with urllib.request.urlopen(f"{registry}/schemas/ids/{number}") as answer:
            return parse(json.load(answer)["schema"])
    assert frame[:2] == b"\xc3\x01", frame
    return parse(open(every).read())
for line in open(messages):
    message = bytes.fromhex(line)
    cut = 5 if message[0] == 0 else 10
    frame, body = message[:cut], io.BytesIO(message[cut:])
    if frame not in schemas:
        schemas[frame] = schema_of(frame)
    value = DatumReader(schemas[frame]).read(BinaryDecoder(body))
    assert body.read() == b"", "bytes are left"
    out = io.BytesIO()
    DatumWriter(schemas[frame]).write(value, BinaryEncoder(out))
    print((frame + out.getvalue()).hex())
"#;

/// From one format to another.
async fn copied(messages: Vec<Bytes>, from: avro::Avro<avro::Generic>, to: avro::Avro<avro::Generic>) -> Vec<Bytes> {
    let out = Collect::<Bytes>::new();
    let collected = out.collected();
    let pipeline = Pipeline::source(List::new(messages)).decode_as(from).encode_as(to).sink(out);
    pipeline.run().await.expect("it is copied");
    collected.values()
}

fn json(lines: Vec<Bytes>) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_slice(line).expect("JSON")).collect()
}

fn hex(message: &Bytes) -> String {
    message.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n"
}

fn bytes(hex: &str) -> Bytes {
    let digits = (0..hex.len()).step_by(2);
    digits.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits")).collect::<Vec<_>>().into()
}

#[tokio::test]
async fn python_reads_what_we_frame_and_we_what_it_frames() {
    let Some(server) = Registry::shared() else { return };
    let (lines, schema) = everything(VALUES);
    let registry = avro::Registry::at(server.url());
    let written = registry.writing(avro::Subject::value_of("avro-python"), &schema).registering();
    let formats = [
        ("registered", avro::values().registered(&written), avro::values().registered(&registry.reading())),
        ("single objects", avro::values().single_object(&schema), avro::values().single_object(&schema)),
    ];
    for (what, writes, reads) in formats {
        let ours = copied(lines.clone(), avro::values().json(&schema), writes).await;
        let folder = tempfile::tempdir().expect("a folder");
        let [every, messages] = ["every.avsc", "messages"].map(|name| folder.path().join(name));
        std::fs::write(&every, EVERY).expect("written");
        std::fs::write(&messages, ours.iter().map(hex).collect::<String>()).expect("written");
        let [every, messages] = [&every, &messages].map(|path| path.to_str().expect("a plain path"));
        let Some(again) = Python::run(AGAIN, &[&server.url(), every, messages]) else { return };
        let theirs: Vec<_> = again.end().iter().map(|line| bytes(line)).collect();
        let read = copied(theirs, reads, avro::values().own_json()).await;
        assert_eq!(read.len(), VALUES as usize);
        assert!(json(read) == json(lines.clone()), "{what}");
        told!("{what}: Python has read {VALUES} values of ours, and we the {VALUES} that it wrote of them");
    }
}
