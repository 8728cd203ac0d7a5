//! Filters XML: the records of one large document, or a document a line.
//!
//! ```sh
//! cargo run --release --example xml_filter -- --input examples/data/orders.xml --record order --where status=paid
//! ```

mod support;

use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::{Common, Errors, Input, Output, State, Workers};

type Condition = support::Condition<xml::Path>;

/// Print the XML records that fit, byte for byte and a line end each
#[derive(Parser)]
#[command(name = "xml_filter", version)]
struct Flags {
    #[command(flatten)]
    input: Input,
    /// Every ELEMENT of the document is a record; without it, every line is a document
    #[arg(long, value_name = "ELEMENT", value_parser = element)]
    record: Option<String>,
    /// Keep records for which this holds: PATH=VALUE, PATH!=VALUE, or PATH (is there); all of them have to hold. A path
    /// leads from the record to values: customer/name, items/item/@sku, @id. Where it leads to several, any may fit
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
    let Flags { input, record, conditions, output, workers, errors, state, common } = Flags::parse();
    let records = match record {
        Some(element) => input.read("xml_filter", xml::Elements::named(element)),
        None => input.read("xml_filter", Lines::default()),
    };
    let name = Condition::name("XML-FILTER", &conditions);
    let fitting = records
        .filter(move |record: &xml::Node| conditions.iter().all(|condition| holds(condition, record)))
        .named(&name)
        .par(workers.workers);
    let pipeline = support::write(fitting, &output.path);
    common.run(errors.apply(state.keep(pipeline, &input)))
}

fn holds(condition: &Condition, record: &xml::Node) -> bool {
    record.texts(&condition.path).any(|value| condition.test.passes(Some(value)))
}

fn condition(text: &str) -> Result<Condition, String> {
    Condition::parse(text, xml::Path::parse)
}

/// The name of an element: a path of one step.
fn element(name: &str) -> Result<String, String> {
    match xml::Path::parse(name) {
        Ok(_) if name != "." && !name.contains(['/', '@']) => Ok(name.to_owned()),
        _ => Err("expected the name of an XML element, prefix included".to_owned()),
    }
}
