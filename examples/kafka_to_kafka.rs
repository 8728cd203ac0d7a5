//! Copies messages from topic to topic: keys, values, headers and timestamps.
//!
//! ```sh
//! cargo run --release --features kafka --example kafka_to_kafka -- \
//!     --brokers 127.0.0.1:9092 --from orders --to paid --group copy --where status=paid
//! ```

mod support;

use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::kafka::{Brokers, Group};
use support::{Common, Errors};

type Condition = support::Condition<json::Path>;

/// Copy messages from topic to topic
#[derive(Parser)]
#[command(name = "kafka_to_kafka", version)]
struct Flags {
    #[command(flatten)]
    brokers: Brokers,
    /// Topic to read
    #[arg(long, value_name = "T")]
    from: String,
    /// Topic to write
    #[arg(long, value_name = "T")]
    to: String,
    #[command(flatten)]
    group: Group,
    /// Keep messages whose value is JSON for which this holds: PATH=VALUE, PATH!=VALUE, or PATH (is there); all of them
    /// have to hold
    #[arg(long = "where", value_name = "EXPR", value_parser = condition)]
    conditions: Vec<Condition>,
    /// Write to the partition of the number that was read from, instead of the one that the key says
    #[arg(long)]
    keep_partitions: bool,
    /// Write in transactions that hold how far was read
    #[arg(long)]
    exactly_once: bool,
    #[command(flatten)]
    errors: Errors,
    /// Write what fails to this topic, with the reason, as JSON, instead of what `--on-error` says
    #[arg(long, value_name = "T", conflicts_with = "policy")]
    letters: Option<String>,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { brokers, from, to, group, conditions, keep_partitions, exactly_once, errors, letters, common } =
        Flags::parse();
    let read = group.read(&brokers, from).messages();
    let mut write = kafka::Topic::new(brokers.cluster(), to).messages();
    if keep_partitions {
        write = write.partition_by(|message| message.origin.as_ref().map(|origin| origin.partition));
    }
    if exactly_once {
        write = write.exactly_once();
    }
    let messages = Pipeline::called("kafka_to_kafka").source(read);
    let name = Condition::name("JSON-FILTER", &conditions);
    let pipeline = match conditions.is_empty() {
        true => messages.sink(write),
        false => messages
            .filter(move |record: &json::Value| conditions.iter().all(|condition| holds(condition, record)))
            .named(&name)
            .sink(write),
    };
    common.run(match letters {
        Some(topic) => pipeline.on_any_error(OnError::dead_letter(kafka::Topic::new(brokers.cluster(), topic))),
        None => errors.apply(pipeline),
    })
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
