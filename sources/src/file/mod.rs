//! Local files, read one after the other.
//!
//! [`Files`] are one partition, named `files`: the records of all of them come in the order in which the paths are given,
//! and one position says how far they have been read. What a record is, is up to the framing that is passed in; files
//! may be compressed.
//!
//! A file is known again by what it holds (see `identity.rs`), and read on from the byte and record that the position
//! names (drawn in `position.rs`). A changed, cut or missing file is an error, never a silent restart. One that has grown
//! is read on. What a file gets after the next one has begun is not seen.

mod config;
mod identity;
mod input;
mod marks;
mod position;
mod resume;
mod source;
#[cfg(test)]
mod tests;

pub use config::Files;
pub use source::FileSource;
