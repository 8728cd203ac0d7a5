//! The examples as programs: real processes, their output against what a few naive lines compute from the same input,
//! what they print to standard error, and their exit codes.
//!
//! `cargo test` builds the examples first; `cargo test --test examples` alone takes those that were built last.

#[cfg(feature = "avro")]
mod avro;
mod copying;
mod counting;
mod filtering;
mod flags;
mod policies;
mod process;
mod signals;
