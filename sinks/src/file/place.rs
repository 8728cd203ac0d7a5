//! [`Place`]: where an output and the files beside it stand, and what is said when they can't be used.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use millstream_core::contracts::{Cause, Error, Result};

/// An output's path, with symbolic links followed: the files beside it stand beside the real one.
#[derive(Debug, Clone)]
pub(super) struct Place {
    output: PathBuf,
}

/// What stands at an output's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A file of this many bytes.
    File(u64),
    /// Something that can be written to and is no file: a device, a pipe.
    Device,
}

impl Place {
    pub(super) fn of(path: &Path) -> Self {
        let link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        // A link that leads nowhere is replaced like a file.
        let real = if link { fs::canonicalize(path).ok() } else { None };
        Self { output: real.unwrap_or_else(|| path.to_owned()) }
    }

    pub(super) fn output(&self) -> &Path {
        &self.output
    }

    /// What stands there; a folder is an error.
    pub(super) fn found(&self) -> Result<Found> {
        match fs::metadata(&self.output) {
            Ok(found) if found.is_dir() => Err(failed(&self.output, "opened", ErrorKind::IsADirectory.into())),
            Ok(found) if found.is_file() => Ok(Found::File(found.len())),
            Ok(_) => Ok(Found::Device),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Nothing),
            Err(error) => Err(failed(&self.output, "opened", error)),
        }
    }

    /// The positions that belong to it: `NAME.millstream-positions`.
    pub(super) fn positions(&self) -> PathBuf {
        self.beside("", ".millstream-positions")
    }

    /// The positions while they are written.
    pub(super) fn new_positions(&self) -> PathBuf {
        self.beside(".", ".millstream-positions-new")
    }

    /// The output while it is written, in a run that keeps no positions.
    pub(super) fn partial(&self) -> PathBuf {
        self.beside(".", ".millstream-partial")
    }

    /// What is locked while it is open.
    pub(super) fn lock(&self) -> PathBuf {
        self.beside(".", ".millstream-lock")
    }

    /// Makes what was created or renamed beside it durable.
    pub(super) fn sync_folder(&self) -> io::Result<()> {
        let folder = match self.output.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
    }

    fn beside(&self, before: &str, behind: &str) -> PathBuf {
        let mut name = OsString::from(before);
        name.push(self.output.file_name().unwrap_or_default());
        name.push(behind);
        self.output.with_file_name(name)
    }
}

/// The error of a file that can't be `done`: opened, written.
pub(super) fn failed(path: &Path, done: &str, error: io::Error) -> Error {
    let (cause, advice) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            (Cause::Outside, "its disk is full: make room and start again; what was committed is kept")
        }
        ErrorKind::FileTooLarge => (Cause::Outside, "it is as large as its disk or this user's limits allow"),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            (Cause::User, "give this user the right to write there, or name another output")
        }
        ErrorKind::NotFound => (Cause::User, "its folder doesn't exist: make it first, or name another output"),
        ErrorKind::NotADirectory => (Cause::User, "a part of its path is no folder: name another output"),
        ErrorKind::IsADirectory => (Cause::User, "it is a folder: name a file"),
        _ => (Cause::Outside, "see to its disk and start again; what was committed is kept"),
    };
    Error::new(cause, format!("{} can't be {done}: {advice}", path.display())).retryable(false).because(error)
}
