//! [`Tail`]: the end of a file: write, sync, cut back.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use millstream_core::contracts::{Compression, Compressor};

/// How many compressed bytes are gathered before they are written.
const COMPRESSED: usize = 64 << 10;

/// The end of a file, where bytes are added, compressed if need be.
pub(super) struct Tail {
    file: File,
    /// How many bytes the file has.
    length: u64,
    compressor: Option<Box<dyn Compressor>>,
    /// Whether a member of the compressed stream has begun and not ended.
    in_member: bool,
    compressed: Vec<u8>,
    /// Devices and pipes can't be synced.
    syncs: bool,
}

impl Tail {
    /// The end of a file, after it is cut back to `length` bytes.
    pub(super) fn new(mut file: File, length: u64, compression: Option<&dyn Compression>) -> io::Result<Self> {
        cut(&mut file, length)?;
        Ok(Self { syncs: true, length, ..Self::device(file, compression) })
    }

    /// A device or a pipe.
    pub(super) fn device(file: File, compression: Option<&dyn Compression>) -> Self {
        let compressor = compression.map(Compression::compressor);
        Self { file, length: 0, compressor, in_member: false, compressed: Vec::new(), syncs: false }
    }

    /// How many bytes have been written, with those that the file had before.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Ends the member of the compressed stream, if one has begun or if there has to be one.
    pub(super) fn end_member(&mut self, needed: bool) -> io::Result<()> {
        let Some(compressor) = &mut self.compressor else { return Ok(()) };
        if self.in_member || needed {
            compressor.finish(&mut self.compressed).map_err(io::Error::other)?;
            self.in_member = false;
        }
        self.write_compressed()
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.syncs { self.file.sync_data() } else { Ok(()) }
    }

    /// Cuts it back. What was given to a compressor and not ended must not be cut off.
    pub(super) fn cut(&mut self, length: u64) -> io::Result<()> {
        cut(&mut self.file, length)?;
        self.length = length;
        Ok(())
    }

    /// The last bytes, at most `most`.
    pub(super) fn last(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let last = last_before(&self.file, self.length, most)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        Ok(last)
    }

    fn write_compressed(&mut self) -> io::Result<()> {
        self.file.write_all(&self.compressed)?;
        self.length += self.compressed.len() as u64;
        self.compressed.clear();
        Ok(())
    }
}

impl Write for Tail {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(compressor) = &mut self.compressor else {
            let written = self.file.write(bytes)?;
            self.length += written as u64;
            return Ok(written);
        };
        compressor.compress(bytes, &mut self.compressed).map_err(io::Error::other)?;
        self.in_member = true;
        if self.compressed.len() >= COMPRESSED {
            self.write_compressed()?;
        }
        Ok(bytes.len())
    }

    /// Nothing: what is compressed waits for its member's end.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The last bytes of the first `length`, at most `most`.
pub(super) fn last_before(mut file: &File, length: u64, most: u64) -> io::Result<Vec<u8>> {
    let from = length.saturating_sub(most);
    let mut last = Vec::new();
    file.seek(SeekFrom::Start(from))?;
    file.take(length - from).read_to_end(&mut last)?;
    Ok(last)
}

fn cut(file: &mut File, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    file.seek(SeekFrom::Start(length))?;
    Ok(())
}
