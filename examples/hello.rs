//! The smallest pipeline: a source, a stage, a sink.
//!
//! ```sh
//! cargo run --example hello
//! ```

mod support;

use std::process::ExitCode;

use millstream::prelude::*;

fn main() -> ExitCode {
    let greetings = Pipeline::source(List::new(["Ann", "Bea", "Carlos"].map(String::from)))
        .map(|name: String| format!("Hello, {name}!"))
        .sink(Stdout::new(Lines::default()));
    support::run(greetings)
}
