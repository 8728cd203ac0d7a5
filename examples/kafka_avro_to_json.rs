//! Writes the values of a topic, which are Avro under a schema registry, as lines of JSON in Avro's own JSON encoding.
//!
//! ```sh
//! cargo run --release --features kafka --example kafka_avro_to_json -- \
//!     --brokers 127.0.0.1:9092 --topic orders --registry http://127.0.0.1:8081 --group json --output orders.jsonl \
//!     --state orders.state
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::kafka::Brokers;
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
    /// Consumer group
    #[arg(long, value_name = "G")]
    group: String,
    /// File with the schema to read by; each value by its own otherwise
    #[arg(long, value_name = "F")]
    reader_schema: Option<PathBuf>,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "F")]
    output: PathBuf,
    /// Keep in this folder how far the topic has been read, and go on from there when started again
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// End when all has been read that was there at the start
    #[arg(long)]
    until_end: bool,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { brokers, topic, registry, group, reader_schema, output, state, until_end, errors, common } =
        Flags::parse();
    let mut read = kafka::Topics::new(brokers.cluster(), [topic], group);
    if until_end {
        read = read.until_end();
    }
    let mut format = avro::values().registered(&registry.registry().reading());
    if let Some(path) = reader_schema {
        format = format.reader(&support::schema(&path));
    }
    let values = Pipeline::called("kafka_avro_to_json").source(read).decode_as(format);
    let mut pipeline = support::write(values.encode_as(avro::values().own_json()), &output);
    if let Some(folder) = state {
        pipeline = pipeline.store(Embedded::at(folder));
    }
    common.run(errors.apply(pipeline))
}
