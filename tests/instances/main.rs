//! Real processes as instances of one pipeline: killed, asked to end, started again, cut off from each other; and in the
//! end the output is, byte for byte, what one undisturbed process would have written.
//!
//! On loopback they share this machine's ports; in network namespaces each has a machine's network of its own, and a
//! pair can be cut without a word to either side. Where this user may make none that is said loudly, and in CI it is a
//! failure.
//!
//! ```sh
//! MILLSTREAM_FAULTS=50 cargo test --release --test instances -- --nocapture
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what passed and what landed is part of the result")]
#![cfg(target_os = "linux")]

#[macro_use]
#[path = "../kill/told.rs"]
mod told;

mod again;
mod alike;
mod broker;
#[path = "../kill/built.rs"]
mod built;
mod cluster;
mod consumer;
mod copying;
mod cuts;
mod ends;
mod freezes;
mod hosts;
#[path = "../kill/inputs.rs"]
#[allow(dead_code, reason = "the kill tests have more kinds of input")]
mod inputs;
mod joining;
mod losses;
mod moves;
mod opening;
mod process;
mod soak;
mod waits;
