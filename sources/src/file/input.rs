//! [`Input`]: the bytes of one file, decompressed.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use millstream_core::contracts::{Cause, Compression, Decompressor, Error, Result};

use super::config::Unpack;
use super::identity::KIB;

/// How many compressed bytes are read at once.
const PACKED: usize = 64 << 10;

/// How many compressed bytes a decompressor may ask to see together.
const MOST_PACKED: usize = 1 << 20;

/// How many decompressed bytes are made at once.
const UNPACKED: usize = 64 << 10;

/// An open file: what it begins with, and how it is compressed.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) len: u64,
    /// Its first KiB, or all of a shorter one.
    pub(super) head: Vec<u8>,
    pub(super) compression: Option<Arc<dyn Compression>>,
}

/// Opens a file, which has to be a regular one.
pub(super) fn open(path: &Path, unpack: &Unpack) -> Result<Opened> {
    let name = path.display();
    let refuse = |error| Error::new(Cause::User, format!("can't open {name}: expected a readable file")).because(error);
    let about = std::fs::metadata(path).map_err(refuse)?;
    if !about.is_file() {
        let found = if about.is_dir() { "a folder" } else { "something else (a pipe, a device)" };
        let text =
            format!("can't read {name}: expected a regular file, found {found}; pipe it to standard input instead");
        return Err(Error::new(Cause::User, text));
    }
    let mut file = File::open(path).map_err(refuse)?;
    let mut head = vec![0; KIB];
    let (len, _) = read_full(&mut file, &mut head).map_err(refuse)?;
    head.truncate(len);
    let compression = match unpack {
        Unpack::Never => None,
        Unpack::Always(compression) => Some(compression.clone()),
        Unpack::Matching(known) => known.iter().find(|compression| compression.matches(&head)).cloned(),
    };
    Ok(Opened { file, len: about.len(), head, compression })
}

/// The bytes of one file.
pub(super) enum Input {
    Plain { file: File, len: u64, at: u64 },
    Packed(Box<Unpacking>),
}

impl Input {
    /// From its beginning if it is compressed, else from byte `at`.
    pub(super) fn new(opened: Opened, at: u64) -> std::io::Result<Self> {
        let Opened { mut file, len, compression, .. } = opened;
        let Some(compression) = compression else {
            file.seek(SeekFrom::Start(at))?;
            return Ok(Self::Plain { file, len, at });
        };
        file.rewind()?;
        Ok(Self::Packed(Box::new(Unpacking {
            file,
            packed: vec![0; PACKED],
            start: 0,
            end: 0,
            at_end: false,
            decompressor: compression.decompressor(),
            unpacked: Vec::new(),
            given: 0,
            done: false,
        })))
    }

    /// Fills `into` as far as the file goes. Says how many bytes there were, and whether the file has ended.
    pub(super) fn fill(&mut self, into: &mut [u8]) -> Result<(usize, bool)> {
        match self {
            Self::Plain { file, len, at } => {
                let (read, ended) = read_full(file, into).map_err(unreadable)?;
                *at += read as u64;
                if ended && *at < *len {
                    let text = format!("the file was cut while it was read: expected {len} bytes, found {at}");
                    return Err(Error::new(Cause::Outside, text).retryable(false));
                }
                Ok((read, ended))
            }
            Self::Packed(unpacking) => unpacking.fill(into),
        }
    }
}

/// A compressed file while it is read.
pub(super) struct Unpacking {
    file: File,
    /// What has been read and not yet been taken: `start..end` of it.
    packed: Vec<u8>,
    start: usize,
    end: usize,
    at_end: bool,
    decompressor: Box<dyn Decompressor>,
    /// What has been decompressed, and how much of it has been given on.
    unpacked: Vec<u8>,
    given: usize,
    done: bool,
}

impl Unpacking {
    fn fill(&mut self, into: &mut [u8]) -> Result<(usize, bool)> {
        let mut filled = 0;
        while filled < into.len() {
            if self.given == self.unpacked.len() && !self.unpack()? {
                return Ok((filled, true));
            }
            let some = (self.unpacked.len() - self.given).min(into.len() - filled);
            into[filled..filled + some].copy_from_slice(&self.unpacked[self.given..self.given + some]);
            filled += some;
            self.given += some;
        }
        Ok((filled, false))
    }

    /// Decompresses some more; `false` if there is no more.
    fn unpack(&mut self) -> Result<bool> {
        self.unpacked.clear();
        self.given = 0;
        while !self.done && self.unpacked.is_empty() {
            let input = &self.packed[self.start..self.end];
            let taken = self.decompressor.decompress(input, self.at_end, UNPACKED, &mut self.unpacked)?;
            self.start = (self.start + taken).min(self.end);
            if taken == 0 && self.unpacked.is_empty() {
                self.read()?;
            }
        }
        Ok(!self.unpacked.is_empty())
    }

    /// Reads more of what is compressed, because the decompressor can do nothing with what there is.
    fn read(&mut self) -> Result<()> {
        let left = self.end - self.start;
        if self.at_end && left == 0 {
            self.done = true;
            return Ok(());
        }
        if self.at_end || left >= MOST_PACKED {
            return Err(Error::new(Cause::Bug, format!("the decompressor makes nothing of {left} bytes")));
        }
        self.packed.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, left);
        if left == self.packed.len() {
            self.packed.resize(left * 2, 0);
        }
        let (read, ended) = read_full(&mut self.file, &mut self.packed[left..]).map_err(unreadable)?;
        self.end += read;
        self.at_end = ended;
        Ok(())
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::new(Cause::Outside, "the file can't be read on").because(error)
}

/// Reads until `into` is full or nothing more comes, which the second value says.
pub(super) fn read_full(from: &mut impl Read, into: &mut [u8]) -> std::io::Result<(usize, bool)> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) => return Ok((filled, true)),
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((filled, false))
}
