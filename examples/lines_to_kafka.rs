//! Writes lines to a topic, a message each.
//!
//! ```sh
//! cargo run --release --features kafka --example lines_to_kafka -- \
//!     --input examples/data/users.jsonl --brokers 127.0.0.1:9092 --topic users --key userid
//! ```

mod support;

use std::process::ExitCode;

use clap::Parser;
use millstream::contracts::CodeError;
use millstream::prelude::*;
use support::kafka::Brokers;
use support::{Common, Errors, Input, State};

/// Write lines to a topic, a message each
#[derive(Parser)]
#[command(name = "lines_to_kafka", version)]
struct Flags {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    brokers: Brokers,
    /// Topic to write
    #[arg(long, value_name = "T")]
    topic: String,
    /// Lines are JSON, and what stands on this path is the message's key, such as `--key userid` or `--key
    /// customer.id`
    #[arg(long, value_name = "PATH")]
    key: Option<String>,
    /// Write in transactions that hold how far was read
    #[arg(long, requires = "folder")]
    exactly_once: bool,
    /// What transactions and positions are known by at the brokers: each input needs a name of its own there
    #[arg(long, value_name = "NAME", default_value = "lines_to_kafka")]
    name: String,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { input, brokers, topic, key, exactly_once, name, errors, state, common } = Flags::parse();
    let lines = input.read(&name, Lines::default());
    let mut write = kafka::Topic::new(brokers.cluster(), topic);
    if exactly_once {
        write = write.exactly_once();
    }
    let pipeline = match key {
        None => lines.sink(write),
        Some(path) => {
            let (name, path) = (format!("KEY({path})"), json::Path::parse(&path));
            lines.try_map(move |line: Bytes| keyed(line, &path)).named(&name).sink(write.keyed())
        }
    };
    common.run(errors.apply(state.keep(pipeline, &input)))
}

/// A line with its key.
fn keyed(line: Bytes, path: &json::Path) -> Result<Kv<Bytes, Bytes>, NoKey> {
    let whole = json::Value::parse(line.clone())?;
    let found = whole.find(path).filter(|value| !value.is_null());
    let key = found.and_then(|value| value.scalar_text()).ok_or_else(|| NoKey::Missing(path.to_string()))?;
    Ok(Kv { key: key.into_owned().into(), value: line })
}

/// A line has no key.
#[derive(Debug, thiserror::Error)]
enum NoKey {
    #[error("the record is no JSON, and its key was to be taken from it")]
    Json(#[from] CodeError),
    #[error("the record has no text, number or boolean at {0}, which is to be its key")]
    Missing(String),
}
