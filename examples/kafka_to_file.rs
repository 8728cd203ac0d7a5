//! Writes the values of a topic's messages to a file, a line each: exactly once with `--state`, however often it is killed
//! on the way.
//!
//! ```sh
//! cargo run --release --features kafka --example kafka_to_file -- \
//!     --brokers 127.0.0.1:9092 --topic orders --group archive --output orders.jsonl --state orders.state
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::kafka::{Brokers, Group};
use support::{Common, Errors};

/// Write the values of a topic's messages to a file, a line each
#[derive(Parser)]
#[command(name = "kafka_to_file", version)]
struct Flags {
    #[command(flatten)]
    brokers: Brokers,
    /// Topic to read
    #[arg(long, value_name = "T")]
    topic: String,
    #[command(flatten)]
    group: Group,
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
    let Flags { brokers, topic, group, output, state, errors, common } = Flags::parse();
    let read = group.read(&brokers, topic);
    let values = Pipeline::called("kafka_to_file").source(read);
    let pipeline = support::write_or_append(values, &output, state);
    common.run(errors.apply(pipeline))
}
