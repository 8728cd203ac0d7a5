//! What typed records become where they cross from one instance to another: bytes for network stages, and for nothing
//! else. The planner uses these coders where a value meets a network stage and no bytes that it came from are at hand;
//! behind it the same coder leads back. No sink and no dead letter ever gets such bytes.
//!
//! ```text
//! fixed.rs     numbers, truth values, characters: little-endian, of fixed size      WIRE-ENCODER             a default
//! typed.rs     of::<T>(): a type of one's own, by serde, as postcard                WIRE-ENCODER(postcard)   by `with`
//! bounded.rs   what keeps postcard from reading deeper or longer than it may
//! ```
//!
//! Texts and bytes need none, since they travel as the bytes they are; of a pair each side travels by itself.
//!
//! | type | bytes of a record |
//! |---|---|
//! | `u8` to `u64`, `i8` to `i64`, `f32`, `f64` | as many as the type has, little-endian |
//! | `usize`, `isize` | 8, little-endian |
//! | `bool` | 1: 0 or 1 |
//! | `char` | 4, little-endian |
//! | `()` | none |
//! | a type of one's own | [postcard](https://postcard.jamesmunns.com/wire-format), version 1 |
//!
//! There is no version in a record: it would cost as much as a small number does. The name of a coder names its layout and
//! version, all instances of a run compare the names of the coders in their plans before the first record crosses, and
//! one whose layout is another doesn't join.

mod bounded;
mod fixed;
mod typed;

#[cfg(test)]
mod tests;

use millstream_core::contracts::Coder;

pub use typed::{Typed, of};

/// The coders that every pipeline has: those of numbers, truth values and characters.
pub fn coders() -> Vec<Coder> {
    fixed::coders()
}
