//! [`Compression`]: between the bytes that are stored and the bytes that are framed.

use super::{Error, Result};

/// A way to compress streams, passed to sources and sinks.
pub trait Compression: Send + Sync + 'static {
    /// What plans and identities show, e.g. `gzip`.
    fn name(&self) -> String;

    /// Whether a stream that begins with these bytes (at least 8, or all of a shorter one) looks like it.
    fn matches(&self, start: &[u8]) -> bool;

    /// Takes one stream apart, from its beginning.
    fn decompressor(&self) -> Box<dyn Decompressor>;

    /// Puts one stream together.
    fn compressor(&self) -> Box<dyn Compressor>;
}

/// Takes one stream apart.
pub trait Decompressor: Send {
    /// Takes bytes from `input` and adds what they stand for to `out`, at most about `max` bytes a call. Returns how
    /// many were taken. With `at_end` the input ends after them: a stream that breaks off is an error. The error's
    /// message says at which byte of the compressed stream.
    fn decompress(&mut self, input: &[u8], at_end: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Error>;
}

/// Puts one stream together.
pub trait Compressor: Send {
    /// Adds `input` to the stream, and what can be written of it to `out`.
    fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error>;

    /// Ends a member, so that all that was given can be read back from what was written, and another member may
    /// follow.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error>;
}
