//! [`Gzip`]: a compression of streams, and on request a format of single records.
//!
//! A stream is one member or several, one after the other (RFC 1952):
//!
//! ```text
//! header   1f 8b 08 flags time×4 extra os, then as the flags say:
//!          length×2 and as many bytes (4), a name and its 00 (8), a comment and its 00 (16), a checksum×2 (2)
//! body     DEFLATE
//! trailer  CRC-32×4 length×4, of what was compressed; least significant byte first
//! ```
//!
//! What follows the last member is an error, padding with zeroes too: a stream that was damaged there looks the same.
//! An empty stream is one that breaks off. What was decoded before an error has been added to the output.

mod compress;
mod decompress;
mod header;
mod records;

#[cfg(test)]
mod tests;

use millstream_core::contracts::{Coder, Compression, Compressor, Decompressor, Format};
use millstream_core::data::Bytes;

use crate::limits::Limits;

/// The format that turns each record into its compressed form and back, for `encode_as` and `decode_as`: `GZIP-ENCODER`
/// and `GZIP-DECODER`, which refuses a record that would become larger than [`Limits::record`].
pub fn format() -> Gzip {
    Gzip::default()
}

/// The gzip compression, for streams and for records.
#[derive(Debug, Clone, Default)]
pub struct Gzip {
    limits: Limits,
    level: Level,
}

#[derive(Debug, Clone, Copy)]
struct Level(u32);

impl Default for Level {
    fn default() -> Self {
        Self(6)
    }
}

impl Gzip {
    /// With other limits than the default ones; [`Limits::record`] acts here, on records alone.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How hard to compress: 1 (fast) to 9 (small), 6 by default; what is beyond is taken for the nearest.
    #[must_use]
    pub fn level(mut self, level: u32) -> Self {
        self.level = Level(level.clamp(1, 9));
        self
    }
}

impl Compression for Gzip {
    fn name(&self) -> String {
        "gzip".to_owned()
    }

    fn matches(&self, start: &[u8]) -> bool {
        start.starts_with(&header::MAGIC)
    }

    fn decompressor(&self) -> Box<dyn Decompressor> {
        Box::new(decompress::Members::default())
    }

    fn compressor(&self) -> Box<dyn Compressor> {
        Box::new(compress::Member::new(self.level.0))
    }
}

impl Format for Gzip {
    type Value = Bytes;

    fn decoder(&self) -> Option<Coder> {
        Some(records::decoder(self.limits))
    }

    fn encoder(&self) -> Option<Coder> {
        Some(records::encoder(self.level.0))
    }
}
