//! Writes the messages of an AMQP queue to a file, a line each, and acknowledges them once they are on disk.
//!
//! ```sh
//! cargo run --release --example amqp_to_file -- --url amqp://127.0.0.1:5672 --queue orders --output orders.txt --state orders.state
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::amqp::FromQueue;
use support::{Common, Errors};

/// Write the messages of a queue to a file, a line each; SIGTERM and SIGINT end it
#[derive(Parser)]
#[command(name = "amqp_to_file", version)]
struct Flags {
    #[command(flatten)]
    from: FromQueue,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "F")]
    output: PathBuf,
    /// Keep in this folder how much of the file is whole; without it the file is appended to
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Write N messages, and end
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { from, output, state, limit, errors, common } = Flags::parse();
    let mut messages = Pipeline::called("amqp_to_file").source(from.queue());
    if let Some(records) = limit {
        messages = messages.limit(records);
    }
    let pipeline = support::write_or_append(messages, &output, state);
    common.run(errors.apply(pipeline))
}
