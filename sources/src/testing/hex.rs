//! A compression that is small enough to be seen to be right.

use millstream_core::contracts::{Cause, Compression, Compressor, Decompressor, Error, Result};

/// Every byte as two, behind the mark `HEX:`.
#[derive(Clone, Copy)]
pub(crate) struct Hex;

struct Unhex {
    begun: bool,
}

/// The bytes as they are stored.
pub(crate) fn hex(bytes: &[u8]) -> Vec<u8> {
    let digits = bytes.iter().flat_map(|byte| [b'a' + (byte >> 4), b'a' + (byte & 15)]);
    b"HEX:".iter().copied().chain(digits).collect()
}

impl Compression for Hex {
    fn name(&self) -> String {
        "hex".to_owned()
    }

    fn matches(&self, start: &[u8]) -> bool {
        start.starts_with(b"HEX:")
    }

    fn decompressor(&self) -> Box<dyn Decompressor> {
        Box::new(Unhex { begun: false })
    }

    fn compressor(&self) -> Box<dyn Compressor> {
        panic!("sources only decompress")
    }
}

impl Decompressor for Unhex {
    fn decompress(&mut self, input: &[u8], at_end: bool, max: usize, out: &mut Vec<u8>) -> Result<usize, Error> {
        if !self.begun && input.len() >= 4 {
            self.begun = true;
            return Ok(4);
        }
        if at_end && (input.len() == 1 || !self.begun) {
            return Err(Error::new(Cause::Record, "the stream breaks off"));
        }
        let pairs = input.chunks_exact(2).take(if self.begun { max } else { 0 });
        let taken = pairs.len() * 2;
        out.extend(pairs.map(|pair| (pair[0] - b'a') << 4 | (pair[1] - b'a')));
        Ok(taken)
    }
}
