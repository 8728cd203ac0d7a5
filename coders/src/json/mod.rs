//! JSON, as a [`Value`] of any shape that keeps its bytes, or as a type of one's own that serde knows ([`of`]).
//!
//! ```text
//! check.rs    is this text JSON, and within the limits?
//! scan.rs     where things end in text that has been checked
//! value.rs    Value: checked bytes
//! look.rs     Ref: a look at a part of them
//! path.rs     Path: which part
//! change.rs   set and remove, by splicing
//! decode.rs   JSON-DECODER
//! encode.rs   JSON-ENCODER
//! typed.rs    the same for a type of one's own
//! ```
//!
//! What is taken is RFC 8259 and nothing else: no comments, no trailing commas, no `NaN`, no byte order mark. Where the
//! RFC leaves a choice: of several members with the same key the last counts; an escaped half of a surrogate pair is
//! taken as it stands, and reads as U+FFFD; numbers may have any size and keep their source text.

mod change;
mod check;
mod decode;
mod encode;
mod look;
mod path;
mod scan;
mod typed;
mod value;

#[cfg(test)]
mod tests;

use millstream_core::contracts::{Coder, Format};

use crate::limits::Limits;

pub use look::{Items, Kind, Members, Ref};
pub use path::Path;
pub use typed::{Typed, of};
pub use value::Value;

/// The format of [`Value`], with the default limits.
pub fn format() -> Json {
    Json::default()
}

/// The coders of [`Value`]: `JSON-DECODER` and `JSON-ENCODER`, with the default limits.
pub fn coders() -> Vec<Coder> {
    [format().decoder(), format().encoder()].into_iter().flatten().collect()
}

/// The format of [`Value`]. A value that nobody changed is written as exactly the bytes that it was read from.
#[derive(Debug, Clone, Default)]
pub struct Json {
    limits: Limits,
}

impl Json {
    /// With other limits than the default ones; [`Limits::record`] and [`Limits::depth`] act here.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl Format for Json {
    type Value = Value;

    fn decoder(&self) -> Option<Coder> {
        Some(millstream_core::contracts::decoder(decode::ToValue { limits: self.limits }))
    }

    fn encoder(&self) -> Option<Coder> {
        Some(millstream_core::contracts::encoder(encode::FromValue))
    }
}
