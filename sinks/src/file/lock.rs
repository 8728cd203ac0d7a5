//! [`Lock`]: one run at a time has an output open.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use millstream_core::contracts::{Cause, Error, Result};

use super::place::{Place, failed};

/// Held while an output is open. The file it locks is removed with it; one that a killed process leaves behind is
/// locked by nobody and does no harm.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes it, or says at once that another has it.
    pub(super) fn take(place: &Place) -> Result<Self> {
        let path = place.lock();
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(|error| failed(place.output(), "opened", error))?;
            match file.try_lock() {
                // The one before us may have removed the file between our opening and our locking it.
                Ok(()) if !is_at(&file, &path) => {}
                Ok(()) => return Ok(Self { path, _file: file }),
                Err(TryLockError::WouldBlock) => return Err(held(place)),
                Err(TryLockError::Error(error)) => {
                    let message = format!(
                        "{} can't be locked: its folder has to be on a disk with file locks",
                        place.output().display()
                    );
                    return Err(Error::new(Cause::User, message).because(error));
                }
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only where `is_at` can tell that it has gone, and while it is still locked.
        if cfg!(unix) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(there)) => (ours.dev(), ours.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

fn held(place: &Place) -> Error {
    let message = format!(
        "{} is being written by another run: wait for it to end, or name another output",
        place.output().display()
    );
    Error::new(Cause::State, message)
}
