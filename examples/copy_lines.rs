//! Copies lines from files to a file: exactly once with `--state`, however often it is killed on the way.
//!
//! ```sh
//! cargo run --release --example copy_lines -- --input examples/data/users.jsonl --output copy.jsonl --state copy.state
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millstream::prelude::*;
use support::{Common, Errors, Input, State};

/// Copy lines
#[derive(Parser)]
#[command(name = "copy_lines", version)]
struct Flags {
    #[command(flatten)]
    input: Input,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "F")]
    output: PathBuf,
    /// Copy at most N lines a second
    #[arg(long, value_name = "N")]
    throttle: Option<u64>,
    /// Copy N lines, and end
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { input, output, throttle, limit, errors, state, common } = Flags::parse();
    let mut lines = input.read("copy_lines", Lines::default());
    if let Some(records) = throttle {
        lines = lines.throttle(records, Duration::from_secs(1));
    }
    if let Some(records) = limit {
        lines = lines.limit(records);
    }
    let pipeline = support::write(lines, &output);
    common.run(errors.apply(state.keep(pipeline, &input)))
}
