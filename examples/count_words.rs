//! Counts words: what stands between white space, as it is written.
//!
//! ```sh
//! cargo run --release --example count_words -- --input README.md
//! ```

mod support;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use millstream::contracts::{CodeError, Encoder, encoder};
use millstream::prelude::*;
use support::{Common, Errors, Input, Workers};

/// Print each word, a tab, and how often it came, at the end and as often as asked for; words in the order in which they
/// came first
#[derive(Parser)]
#[command(name = "count_words", version)]
struct Flags {
    #[command(flatten)]
    input: Input,
    /// Print after each N words too: the words that came since the last time, with their totals
    #[arg(long, value_name = "N")]
    every: Option<u64>,
    /// Print after each N milliseconds too, if any came
    #[arg(long, value_name = "N")]
    every_ms: Option<u64>,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { input, every, every_ms, workers, errors, common } = Flags::parse();
    let mut totals = input
        .read("count_words", Lines::default())
        .flat_map(|line: &str, words: &mut Emit<'_, String>| line.split_whitespace().for_each(|word| words.text(word)))
        .named("WORDS")
        .par(workers.workers)
        .key_by(|word: &String| word.clone())
        .count();
    if let Some(words) = every {
        totals = totals.trigger_each(words);
    }
    if let Some(millis) = every_ms {
        totals = totals.trigger_every(Duration::from_millis(millis));
    }
    let pipeline = totals.sink(Stdout::new(Lines::default())).with_coder(encoder(Tabbed));
    common.run(errors.apply(pipeline))
}

/// How a word and its total are printed: the planner needs it where totals meet standard output, which takes bytes.
struct Tabbed;

impl Encoder for Tabbed {
    type In = Kv<String, u64>;

    fn name(&self) -> String {
        "TABBED-ENCODER".to_owned()
    }

    fn encode(&self, total: &Kv<String, u64>, out: &mut Vec<u8>) -> Result<(), CodeError> {
        write!(out, "{}\t{}", total.key, total.value).map_err(|error| CodeError::new(error.to_string()))
    }
}
