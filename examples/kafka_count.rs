//! Counts the messages of a topic, and prints how many there were as often as asked for.
//!
//! ```sh
//! cargo run --release --features kafka --example kafka_count -- \
//!     --brokers 127.0.0.1:9092 --topic orders --group count --every-ms 1000
//! ```

mod support;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millstream::contracts::{CodeError, Encoder, encoder};
use millstream::prelude::*;
use support::kafka::{Brokers, Group};
use support::{Common, Errors};

/// Print how many messages of a topic came since the start, every N milliseconds in which some came, and at the end
#[derive(Parser)]
#[command(name = "kafka_count", version)]
struct Flags {
    #[command(flatten)]
    brokers: Brokers,
    /// Topic to read
    #[arg(long, value_name = "T")]
    topic: String,
    #[command(flatten)]
    group: Group,
    /// Print every N milliseconds
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    every_ms: u64,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { brokers, topic, group, every_ms, errors, common } = Flags::parse();
    let read = group.read(&brokers, topic).messages();
    let counts = Pipeline::called("kafka_count").source(read).count().trigger_every(Duration::from_millis(every_ms));
    common.run(errors.apply(counts.sink(Stdout::new(Lines::default())).with_coder(encoder(Digits))))
}

/// How a count is printed.
struct Digits;

impl Encoder for Digits {
    type In = u64;

    fn name(&self) -> String {
        "DIGITS".into()
    }

    fn encode(&self, count: &u64, out: &mut Vec<u8>) -> Result<(), CodeError> {
        write!(out, "{count}").map_err(|error| CodeError::new(error.to_string()))
    }
}
