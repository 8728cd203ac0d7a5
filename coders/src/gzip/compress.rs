//! Putting a stream of members together.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use millstream_core::contracts::{Cause, Compressor, Error};

/// One stream: the member that is open, if there is one.
pub(super) struct Member {
    level: u32,
    open: Option<GzEncoder<Vec<u8>>>,
    /// Whether a member has been written: a stream has at least one.
    any: bool,
}

impl Member {
    pub(super) fn new(level: u32) -> Self {
        Self { level, open: None, any: false }
    }

    fn open(&mut self) -> &mut GzEncoder<Vec<u8>> {
        self.any = true;
        self.open.get_or_insert_with(|| GzEncoder::new(Vec::new(), Compression::new(self.level)))
    }
}

impl Compressor for Member {
    fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if input.is_empty() {
            return Ok(());
        }
        let member = self.open();
        member.write_all(input).map_err(failed)?;
        out.append(member.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if !self.any {
            self.open();
        }
        if let Some(member) = self.open.take() {
            out.append(&mut member.finish().map_err(failed)?);
        }
        Ok(())
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Cause::Bug, "gzip: compressing into memory failed").because(error)
}
