//! A first pipeline: the paid orders of `orders.xml`, as docs/getting-started.md goes through it.
//!
//! ```sh
//! cargo run --example paid_orders -- --explain
//! ```

use std::process::ExitCode;

use millstream::prelude::*;
use millstream::terminal;

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--explain") {
        return terminal::explain(&paid(), 1, terminal::Form::Text);
    }
    terminal::run(paid())
}

/// The paid orders of a document, each on a line of its own.
fn paid() -> Pipeline {
    Pipeline::source(Files::new(["orders.xml"], xml::Elements::named("order")))
        .filter(|order: &xml::Node| order.text_of("status") == Some("paid"))
        .named("PAID")
        .sink(Output::create("paid.xml", Lines::default()))
}
