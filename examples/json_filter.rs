//! Filters JSON lines.
//!
//! ```sh
//! cargo run --release --example json_filter -- --input examples/data/users.jsonl --where likejazz=true --where state!=WA
//! ```

mod support;

use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::{Common, Errors, Input, Output, State, Workers};

type Condition = support::Condition<json::Path>;

/// Print the JSON lines that fit, byte for byte
#[derive(Parser)]
#[command(name = "json_filter", version)]
struct Flags {
    #[command(flatten)]
    input: Input,
    /// Keep lines for which this holds: PATH=VALUE, PATH!=VALUE, or PATH (is there); all of them have to hold. A path is
    /// keys and indices: a.b.0. Strings compare decoded, numbers, true, false and null as they are written; objects and
    /// arrays are there, and neither equal nor unequal to any value
    #[arg(long = "where", value_name = "EXPR", value_parser = condition)]
    conditions: Vec<Condition>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { input, conditions, output, workers, errors, state, common } = Flags::parse();
    let name = Condition::name("JSON-FILTER", &conditions);
    let fitting = input
        .read("json_filter", Lines::default())
        .filter(move |record: &json::Value| conditions.iter().all(|condition| holds(condition, record)))
        .named(&name)
        .par(workers.workers);
    let pipeline = support::write(fitting, &output.path);
    common.run(errors.apply(state.keep(pipeline, &input)))
}

fn holds(condition: &Condition, record: &json::Value) -> bool {
    record.find(&condition.path).is_some_and(|value| condition.test.passes(value.scalar_text().as_deref()))
}

fn condition(text: &str) -> Result<Condition, String> {
    Condition::parse(text, |path| match path {
        "" => Err("the path is empty"),
        path => Ok(json::Path::parse(path)),
    })
}
