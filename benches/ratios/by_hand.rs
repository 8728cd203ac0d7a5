//! What the loops share: a file in blocks, and a file that is put in its place at the end.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

use crate::Failure;

/// The size of a block, the file source's own.
const BLOCK: usize = 256 << 10;

/// Reads a file in blocks. `take` is given what has not been taken yet and returns how much of it is; records must be
/// shorter than a block. A block is used again if nobody has kept it.
pub(crate) fn each_block(path: &Path, mut take: impl FnMut(&Bytes) -> Result<usize, Failure>) -> Result<(), Failure> {
    let mut file = File::open(path)?;
    let (mut block, mut kept) = (BytesMut::zeroed(BLOCK), 0);
    loop {
        let read = file.read(&mut block[kept..])?;
        if read == 0 {
            return Ok(());
        }
        let (filled, whole) = (kept + read, block.freeze());
        let taken = take(&whole.slice(..filled))?;
        block = whole.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        block.copy_within(taken..filled, 0);
        kept = filled - taken;
    }
}

/// A file that is written under another name, synced, and put in its place at the end: what the file sink does.
pub(crate) struct Output {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
}

impl Output {
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let partial = path.with_extension("by-hand");
        let file = BufWriter::with_capacity(BLOCK, File::create(&partial)?);
        Ok(Self { path: path.to_owned(), partial, file })
    }

    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.file.write_all(bytes)?)
    }

    pub(crate) fn put(self) -> Result<(), Failure> {
        let file = self.file.into_inner()?;
        file.sync_data()?;
        fs::rename(&self.partial, &self.path)?;
        if let Some(folder) = self.path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }
}

/// Fails unless `one` holds the same as all of `others` after each other.
pub(crate) fn same(one: &Path, others: &[&Path]) -> Result<(), Failure> {
    let mut one_file = File::open(one)?;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for other in others {
        let mut file = File::open(other)?;
        loop {
            theirs.clear();
            mine.clear();
            let read = (&mut file).take(1 << 20).read_to_end(&mut theirs)?;
            (&mut one_file).take(read as u64).read_to_end(&mut mine)?;
            if mine != theirs {
                return Err(format!("{} and {} differ", one.display(), other.display()).into());
            }
            if read == 0 {
                break;
            }
        }
    }
    match one_file.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(format!("{} has more than the other side", one.display()).into()),
    }
}
