//! Writes lines of JSON, in Avro's own JSON encoding, to a topic as Avro under a schema registry.
//!
//! ```sh
//! cargo run --release --features kafka --example json_to_kafka_avro -- --input examples/data/weather.json \
//!     --brokers 127.0.0.1:9092 --topic weather --registry http://127.0.0.1:8081 --schema examples/data/weather.avsc
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::kafka::Brokers;
use support::{Common, Errors, Input, State, registry};

/// Write lines of JSON to a topic as Avro
#[derive(Parser)]
#[command(name = "json_to_kafka_avro", version)]
struct Flags {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    brokers: Brokers,
    /// Topic to write
    #[arg(long, value_name = "T")]
    topic: String,
    #[command(flatten)]
    registry: registry::One,
    /// File with the schema of the values
    #[arg(long, value_name = "F")]
    schema: PathBuf,
    /// The schema has to be registered already; it is registered otherwise
    #[arg(long)]
    look_up: bool,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { input, brokers, topic, registry, schema, look_up, errors, state, common } = Flags::parse();
    let schema = support::schema(&schema);
    let mut written = registry.registry().writing(avro::Subject::value_of(&topic), &schema);
    if !look_up {
        written = written.registering();
    }
    let pipeline = input
        .read("json_to_kafka_avro", Lines::default())
        .decode_as(avro::values().json(&schema))
        .encode_as(avro::values().registered(&written))
        .sink(kafka::Topic::new(brokers.cluster(), topic));
    common.run(errors.apply(state.keep(pipeline, &input)))
}
