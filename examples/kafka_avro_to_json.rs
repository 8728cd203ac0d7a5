//! Writes the values of a topic, which are Avro under a schema registry, as lines of JSON: in Avro's own JSON encoding, or
//! as plain JSON.
//!
//! ```sh
//! cargo run --release --features kafka --example kafka_avro_to_json -- \
//!     --brokers 127.0.0.1:9092 --topic orders --registry http://127.0.0.1:8081 --group json --output plain.jsonl --plain \
//!     --state plain.state
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::kafka::{Brokers, Group};
use support::{Common, Errors, registry};

/// Write a topic's values, which are Avro, as lines of JSON
#[derive(Parser)]
#[command(name = "kafka_avro_to_json", version)]
struct Flags {
    #[command(flatten)]
    brokers: Brokers,
    /// Topic to read
    #[arg(long, value_name = "T")]
    topic: String,
    #[command(flatten)]
    registry: registry::One,
    #[command(flatten)]
    group: Group,
    /// File with the schema to read by; each value by its own otherwise
    #[arg(long, value_name = "F")]
    reader_schema: Option<PathBuf>,
    /// Write plain JSON: values of unions without the names of their branches, decimals as their digits
    #[arg(long)]
    plain: bool,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "F")]
    output: PathBuf,
    /// Keep in this folder how far the topic has been read, and go on from there when started again; without it the file
    /// is appended to
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { brokers, topic, registry, group, reader_schema, plain, output, state, errors, common } = Flags::parse();
    let read = group.read(&brokers, topic);
    let mut format = avro::values().registered(&registry.registry().reading());
    if let Some(path) = reader_schema {
        format = format.reader(&support::schema(&path));
    }
    let json = if plain { avro::values().plain_json() } else { avro::values().own_json() };
    let values = Pipeline::called("kafka_avro_to_json").source(read).decode_as(format);
    let pipeline = support::write_or_append(values.encode_as(json), &output, state);
    common.run(errors.apply(pipeline))
}
