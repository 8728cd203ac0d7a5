//! Publishes the lines of files to an AMQP exchange, and says that it has read them once the broker has confirmed them.
//!
//! ```sh
//! cargo run --release --example lines_to_amqp -- --input examples/data/users.jsonl --url amqp://127.0.0.1:5672 --exchange '' --routing-key users
//! ```

mod support;

use std::process::ExitCode;

use clap::Parser;
use millstream::amqp::Exchange;
use millstream::prelude::*;
use support::amqp::At;
use support::{Common, Errors, Input, State};

/// Publish lines, a message each
#[derive(Parser)]
#[command(name = "lines_to_amqp", version)]
struct Flags {
    #[command(flatten)]
    input: Input,
    #[command(flatten)]
    at: At,
    /// The exchange, which has to be there; '' is the default one, which leads to the queue whose name the routing key is
    #[arg(long, value_name = "E")]
    exchange: String,
    /// The routing key of all messages
    #[arg(long, value_name = "K")]
    routing_key: String,
    /// MIME type of the messages
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// How many messages may wait for the broker's confirm
    #[arg(long, value_name = "N")]
    confirm_window: Option<usize>,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { input, at, exchange, routing_key, content_type, confirm_window, errors, state, common } =
        Flags::parse();
    let mut exchange = Exchange::new(at.broker(), exchange).routing_key(routing_key);
    if let Some(mime) = content_type {
        exchange = exchange.content_type(mime);
    }
    if let Some(messages) = confirm_window {
        exchange = exchange.confirm_window(messages);
    }
    let pipeline = input.read("lines_to_amqp", Lines::default()).sink(exchange);
    common.run(errors.apply(state.keep(pipeline, &input)))
}
