//! The kept output against a naive model and with everything lost or damaged that can be; the replaced and the appended
//! output; full disks.

mod kept;
mod plain;

use std::fs;
use std::path::{Path, PathBuf};

use millstream_core::contracts::{
    Cause, Checkpoint, DynSink, DynSinkFactory, Error, Key, Result, SinkContext, WriteError,
};
use millstream_core::data::{Partition, Position};

use super::Output;
use crate::support::{self, packed, wait};

/// A folder with a place for an output in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn output(&self) -> PathBuf {
        self.0.path().join("out.txt")
    }

    fn positions(&self) -> PathBuf {
        self.0.path().join("out.txt.millstream-positions")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.output()).unwrap()
    }

    /// The names of all files, sorted.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A sink and what it said when it was opened.
struct Opened {
    sink: Box<dyn DynSink>,
    held: Option<Vec<Checkpoint>>,
}

impl Opened {
    fn new(output: Output, context: &SinkContext) -> Result<Self> {
        let mut sink = DynSinkFactory::make(&output);
        let held = wait(sink.open(context))?;
        Ok(Self { sink, held })
    }

    fn write(&mut self, records: &[impl AsRef<[u8]>]) -> Result<(), WriteError> {
        support::write(&mut *self.sink, packed(records))
    }

    fn commit(&mut self, at: u64) -> Result<()> {
        wait(self.sink.commit(&[checkpoint(at)]))
    }

    fn flush(&mut self) -> Result<()> {
        wait(self.sink.flush())
    }

    fn close(mut self) -> Result<()> {
        wait(self.sink.close())
    }

    /// The position held, as the number it was made from.
    fn at(&self) -> Option<u64> {
        match &self.held.as_ref().expect("it keeps positions")[..] {
            [] => None,
            [one] => {
                assert_eq!(one.key, checkpoint(0).key);
                Some(one.position.label().parse().unwrap())
            }
            more => panic!("one partition was committed, and {} are held", more.len()),
        }
    }
}

fn checkpoint(at: u64) -> Checkpoint {
    let key = Key { pipeline: "copy".into(), stage: "FILE".into(), partition: Partition::new("in") };
    Checkpoint { key, position: Position::new(at.to_le_bytes().to_vec(), at.to_string()).unwrap() }
}

/// A run with a state folder; `committed` is what the checkpoint store says.
fn with_state(committed: &[u64]) -> SinkContext {
    let committed = committed.iter().copied().map(checkpoint).collect();
    SinkContext { pipeline: "copy".into(), keeps_positions: true, committed, ..SinkContext::default() }
}

/// A run with a state folder that remembers nothing, over this input.
fn over(input: &str) -> SinkContext {
    SinkContext { input: Some(input.into()), ..with_state(&[]) }
}

fn without_state() -> SinkContext {
    SinkContext { pipeline: "copy".into(), ..SinkContext::default() }
}

fn refused(output: Output, context: &SinkContext) -> Error {
    Opened::new(output, context).err().expect("it is refused")
}

fn written_error(written: Result<(), WriteError>) -> Error {
    match written {
        Err(WriteError::Row { error, .. }) => error,
        other => panic!("expected an error, found {other:?}"),
    }
}

/// Whether all of `parts` are in the error's message, which is about state.
#[track_caller]
fn says(error: &Error, cause: Cause, parts: &[&str]) {
    assert_eq!(error.cause(), cause, "{}", error.chain());
    for part in parts {
        assert!(error.message().contains(part), "`{part}` is not in: {}", error.chain());
    }
}

/// A small disk of its own in memory, where this user may make one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|done| done.status.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}
