//! The promise that nothing is lost and nothing doubled, on real processes: the examples `copy_lines` and `xml_filter`,
//! from files to a file with `--state`, are killed at random moments, drained, started twice, robbed of their disk and
//! their files; and in the end the output is, byte for byte, what one undisturbed run would have written, or there is an
//! error that says what to do.
//!
//! Ten kills in each kill test; a hundred or more by one command:
//!
//! ```sh
//! MILLSTREAM_KILLS=100 cargo test --release --test kill -- --nocapture
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what passed and what landed is part of the result")]
#![cfg(unix)]

#[macro_use]
mod told;

mod built;
mod disk;
mod inputs;
mod job;
mod killed;
mod random;
mod refused;
mod signals;
