//! A pipeline that can't be planned, for two reasons: docs/getting-started.md shows what is said of them.
//!
//! ```sh
//! cargo run --example two_mistakes
//! ```

use std::process::ExitCode;

use millstream::prelude::*;
use millstream::terminal;

fn main() -> ExitCode {
    terminal::run(totals())
}

struct Order {
    cents: u64,
}
data!(Order);

/// What the orders come to. Two things are wrong with it.
fn totals() -> Pipeline {
    Pipeline::source(Files::new(["orders.xml"], xml::Elements::named("order")))
        .fold(0, |sum: &mut u64, order: Order| *sum += order.cents)
        .map(|sum: u64| sum.to_string())
        .sink(Output::create("total.txt", Lines::default()))
        .require(Guarantee::ExactlyOnce)
}
