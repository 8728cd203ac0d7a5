//! Writes the messages of an AMQP queue to a file, a line each, and acknowledges them once they are on disk.
//!
//! ```sh
//! cargo run --release --example amqp_to_file -- --url amqp://127.0.0.1:5672 --queue orders --output orders.txt --state orders.state
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::amqp::Queue;
use millstream::prelude::*;
use support::{Common, Errors};

/// Write the messages of a queue to a file, a line each; SIGTERM and SIGINT end it
#[derive(Parser)]
#[command(name = "amqp_to_file", version)]
struct Flags {
    /// The broker: amqp[s]://[user[:password]@]host[:port][/vhost]
    #[arg(long, value_name = "U")]
    url: String,
    /// The queue; it has to be there
    #[arg(long, value_name = "Q")]
    queue: String,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "F")]
    output: PathBuf,
    /// Keep in this folder how much of the file is whole: it is needed where FILE is a file
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The most messages that may be in flight
    #[arg(long, value_name = "N")]
    prefetch: Option<u32>,
    /// Write N messages, and end
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { url, queue, output, state, prefetch, limit, errors, common } = Flags::parse();
    let mut queue = Queue::new(url, queue);
    if let Some(messages) = prefetch {
        queue = queue.prefetch(messages);
    }
    let mut messages = Pipeline::called("amqp_to_file").source(queue);
    if let Some(records) = limit {
        messages = messages.limit(records);
    }
    let mut pipeline = support::write(messages, &output);
    if let Some(folder) = state {
        pipeline = pipeline.store(Embedded::at(folder));
    }
    common.run(errors.apply(pipeline))
}
