//! Writes the messages of an AMQP queue to a topic, and acknowledges them once Kafka has stored them. The routing key is
//! the key; headers that are text, whole numbers or true and false, the content type and the timestamp go with the message.
//!
//! ```sh
//! cargo run --release --features kafka --example amqp_to_kafka -- \
//!     --url amqp://127.0.0.1:5672 --queue orders --brokers 127.0.0.1:9092 --topic orders
//! ```

mod support;

use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::amqp::FromQueue;
use support::kafka::Brokers;
use support::{Common, Errors};

/// Write the messages of a queue to a topic, the routing key as key, with headers that are text, whole numbers
/// or true and false, content type and timestamp; SIGTERM and SIGINT end it
#[derive(Parser)]
#[command(name = "amqp_to_kafka", version)]
struct Flags {
    #[command(flatten)]
    from: FromQueue,
    #[command(flatten)]
    brokers: Brokers,
    /// Topic to write
    #[arg(long, value_name = "T")]
    topic: String,
    /// Write N messages, and end
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { from, brokers, topic, limit, errors, common } = Flags::parse();
    let messages = Pipeline::called("amqp_to_kafka").source(from.queue().messages());
    let mut messages = messages.map(message).named("MESSAGE");
    if let Some(records) = limit {
        messages = messages.limit(records);
    }
    let pipeline = messages.sink(kafka::Topic::new(brokers.cluster(), topic).messages());
    common.run(errors.apply(pipeline))
}

/// What a message of the queue is in the topic.
fn message(from: amqp::Message) -> kafka::Message {
    let amqp::Message { body, routing_key, properties, .. } = from;
    let mut to = kafka::Message::new(body).with_key(routing_key);
    for (name, value) in properties.headers {
        let text = match value {
            amqp::Value::Text(text) => text,
            amqp::Value::Bool(value) => value.to_string(),
            other => match other.as_i64() {
                Some(number) => number.to_string(),
                None => continue,
            },
        };
        to = to.with_header(name, text);
    }
    if let Some(kind) = properties.content_type {
        to = to.with_header("content-type", kind);
    }
    match properties.timestamp.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1_000)) {
        Some(millis) => to.with_timestamp(millis),
        None => to,
    }
}
