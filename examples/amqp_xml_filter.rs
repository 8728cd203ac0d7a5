//! Filters the XML documents of an AMQP queue, a document a message, on one instance or on several: the broker lets one of
//! them read, all of them filter, and the one that was started last prints what fits, in order.
//!
//! ```sh
//! cargo run --release --example amqp_xml_filter -- --url amqp://127.0.0.1:5672 --queue orders --where status=paid
//! ```

mod support;

use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::amqp::FromQueue;
use support::{Common, Errors, Workers};

type Condition = support::Condition<xml::Path>;

/// Print the messages of a queue that fit, byte for byte and a line end each; SIGTERM and SIGINT end it
#[derive(Parser)]
#[command(name = "amqp_xml_filter", version)]
struct Flags {
    #[command(flatten)]
    from: FromQueue,
    /// Keep messages for which this holds: PATH=VALUE, PATH!=VALUE, or PATH (is there); all of them have to hold. A path
    /// leads from the document to values: customer/name, items/item/@sku, @id. Where it leads to several, any may fit
    #[arg(long = "where", value_name = "EXPR", required = true, value_parser = condition)]
    conditions: Vec<Condition>,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { from, conditions, workers, errors, common } = Flags::parse();
    // Instances that filter by something else are another pipeline.
    let name = Condition::name("amqp_xml_filter", &conditions);
    let pipeline = Pipeline::called(&name)
        .source(from.queue())
        .filter(move |document: &xml::Node| conditions.iter().all(|condition| holds(condition, document)))
        .named("XML-FILTER")
        .par(workers.workers)
        .sink(Stdout::new(Lines::default()));
    common.run(errors.apply(pipeline))
}

fn holds(condition: &Condition, document: &xml::Node) -> bool {
    document.texts(&condition.path).any(|value| condition.test.passes(Some(value)))
}

fn condition(text: &str) -> Result<Condition, String> {
    Condition::parse(text, xml::Path::parse)
}
