//! [`File`]: the lock and the database of one state folder.

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use millstream_core::contracts::{Cause, Checkpoint, Error, Key, Opened, Result};
use millstream_core::data::Partition;
use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, Durability, ReadableDatabase, StorageBackend, StorageError, TableDefinition};

use super::about::differing;
use super::record::{self, RecordError};

const NAME: &str = "checkpoints.redb";
const NEW_NAME: &str = "checkpoints.redb.new";
const LOCK_NAME: &str = "checkpoints.lock";

/// Positions are few and small: a megabyte of them is a hundred thousand.
const CACHE_BYTES: usize = 1 << 20;
/// A store that is larger was not written by us: ten thousand partitions take 40 MB.
const MOST_BYTES: u64 = 1 << 30;

const ABOUT: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("about");
const POSITIONS: TableDefinition<'static, (&str, &str, &str), &[u8]> = TableDefinition::new("positions");
/// The key of the table `about` under which it says what it belongs to.
const STORE: &str = "store";
/// The key under which it says whether the last run saw the input to its end. A store that was written before there
/// was such a mark has none.
const ENDED: &str = "ended";

/// The store of one state folder, open.
pub(super) struct File {
    path: PathBuf,
    pipeline: String,
    database: Database,
    /// Given back last, when the database is closed.
    _lock: fs::File,
}

impl File {
    /// Opens the store in `folder`, or makes a new one.
    pub(super) fn open(folder: &Path, by: &Opened) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|error| unusable(folder, error))?;
        let lock = lock(folder)?;
        let path = folder.join(NAME);
        match fs::metadata(&path) {
            // A store of another run that never committed anything is nobody's.
            Ok(_) if !belongs(&path, by)? => make(folder, by)?,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(folder, by)?,
            Err(error) => return Err(unusable(folder, error)),
        }
        let database = settings().open(&path).map_err(|error| unopened(&path, error))?;
        Ok(Self { path, pipeline: by.pipeline.clone(), database, _lock: lock })
    }

    /// All positions of the pipeline.
    pub(super) fn load(&self) -> Result<Vec<Checkpoint>> {
        let entries = entries(&self.database).map_err(|error| self.failed("read", error))?;
        let mut checkpoints = Vec::new();
        for (pipeline, stage, partition, value) in entries {
            let position = record::read_position(&value).map_err(|error| {
                let message = format!("the position of {stage}/{partition} in {} is damaged", self.path.display());
                unreadable(message, &self.path, error)
            })?;
            if pipeline == self.pipeline {
                let key = Key { pipeline, stage, partition: Partition::new(partition) };
                checkpoints.push(Checkpoint { key, position });
            }
        }
        Ok(checkpoints)
    }

    /// Keeps these, all or none, durably.
    pub(super) fn save(&self, checkpoints: &[Checkpoint]) -> Result<()> {
        let mut values = Vec::with_capacity(checkpoints.len());
        for checkpoint in checkpoints {
            let value = record::write_position(&checkpoint.position)
                .map_err(|error| Error::new(Cause::Bug, "a position could not be written as bytes").because(error))?;
            values.push((&checkpoint.key, value));
        }
        put(&self.database, &values).map_err(|error| self.failed("written", error))
    }

    /// Whether the last run saw the input to its end.
    pub(super) fn ended(&self) -> Result<bool> {
        let Some(value) = mark(&self.database).map_err(|error| self.failed("read", error))? else { return Ok(false) };
        record::read_ended(&value).map_err(|error| {
            let message = format!("whether the input had ended is damaged in {}", self.path.display());
            unreadable(message, &self.path, error)
        })
    }

    /// Keeps whether it did, durably.
    pub(super) fn set_ended(&self, ended: bool) -> Result<()> {
        let value = record::write_ended(ended).map_err(|error| {
            Error::new(Cause::Bug, "the end of the input could not be written as bytes").because(error)
        })?;
        put_mark(&self.database, &value).map_err(|error| self.failed("written", error))
    }

    fn failed(&self, what: &str, error: redb::Error) -> Error {
        let path = self.path.display();
        match error {
            redb::Error::Corrupted(_) => damaged(&self.path, error),
            error => Error::new(
                Cause::Outside,
                format!(
                    "the checkpoint store {path} could not be {what}: nothing past its last commit is committed; \
                         see to the disk (room, rights) and start again"
                ),
            )
            .retryable(false)
            .because(error),
        }
    }
}

fn settings() -> redb::Builder {
    let mut settings = Database::builder();
    settings.set_cache_size(CACHE_BYTES);
    settings
}

type Entry = (String, String, String, Vec<u8>);

fn entries(database: &Database) -> Result<Vec<Entry>, redb::Error> {
    let table = database.begin_read()?.open_table(POSITIONS)?;
    let mut entries = Vec::new();
    for entry in table.range::<(&str, &str, &str)>(..)? {
        let (key, value) = entry?;
        let (pipeline, stage, partition) = key.value();
        entries.push((pipeline.to_owned(), stage.to_owned(), partition.to_owned(), value.value().to_vec()));
    }
    Ok(entries)
}

fn put(database: &Database, values: &[(&Key, Vec<u8>)]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    {
        let mut table = transaction.open_table(POSITIONS)?;
        for (key, value) in values {
            let key = (key.pipeline.as_str(), key.stage.as_str(), key.partition.name());
            table.insert(key, value.as_slice())?;
        }
    }
    Ok(transaction.commit()?)
}

fn mark(database: &Database) -> Result<Option<Vec<u8>>, redb::Error> {
    let table = database.begin_read()?.open_table(ABOUT)?;
    Ok(table.get(ENDED)?.map(|value| value.value().to_vec()))
}

pub(super) fn put_mark(database: &Database, value: &[u8]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    transaction.open_table(ABOUT)?.insert(ENDED, value)?;
    Ok(transaction.commit()?)
}

/// Locks the folder for this process and writes down whose it is.
fn lock(folder: &Path) -> Result<fs::File> {
    let path = folder.join(LOCK_NAME);
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| unusable(folder, error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Err(held(folder, &mut file)),
        Err(fs::TryLockError::Error(error)) => return Err(unlockable(&path, error)),
    }
    let id = format!("{}\n", std::process::id());
    let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(id.as_bytes()));
    written.map_err(|error| unusable(folder, error))?;
    Ok(file)
}

/// Makes a new store under another name and puts it in its place once it is whole.
fn make(folder: &Path, by: &Opened) -> Result<()> {
    let (new, path) = (folder.join(NEW_NAME), folder.join(NAME));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(folder, error)),
        _ => {}
    }
    let about = record::write_about(by)
        .map_err(|error| Error::new(Cause::Bug, "what the store belongs to could not be written").because(error))?;
    write_new(&new, &about).map_err(|error| {
        Error::new(
            Cause::Outside,
            format!("no checkpoint store could be made in {}: see to the disk (room, rights)", folder.display()),
        )
        .because(error)
    })?;
    let placed = fs::File::open(&new).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&new, &path));
    placed.and_then(|()| sync_folder(folder)).map_err(|error| unusable(folder, error))
}

fn write_new(path: &Path, about: &[u8]) -> Result<(), redb::Error> {
    let database = settings().create(path)?;
    let transaction = database.begin_write()?;
    transaction.open_table(ABOUT)?.insert(STORE, about)?;
    transaction.open_table(POSITIONS)?;
    Ok(transaction.commit()?)
}

/// Makes a rename in the folder durable.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { fs::File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Whether the store is whole and belongs to who opens it. It is read as a copy in memory, because opening a database
/// may write to it, and one that is refused or damaged is not to be touched. `false`: it belonged to another run, which
/// kept no position in it.
fn belongs(path: &Path, by: &Opened) -> Result<bool> {
    let content = read(path)?;
    // redb checks what it reads by assertions in places: a damaged file may end in one.
    let inspected = std::panic::catch_unwind(|| inspect(content))
        .unwrap_or_else(|_| Err(StorageError::Corrupted("its structure contradicts itself".into()).into()));
    let (about, is_empty) = inspected.map_err(|error| damaged(path, error))?;
    let there = record::read_about(&about).map_err(|error| {
        unreadable(format!("what the checkpoint store {} belongs to is damaged", path.display()), path, error)
    })?;
    match differing(&there, by) {
        None => Ok(true),
        Some(_) if is_empty => Ok(false),
        Some(difference) => Err(Error::new(
            Cause::State,
            format!(
                "the checkpoint store {} belongs to another run: {difference}; run what it belongs to, give this \
                     one a state folder of its own, or remove the folder to begin anew",
                path.display()
            ),
        )),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut content))
        .map_err(|error| unusable(path, error))?;
    match content.len() as u64 {
        0 => Err(damaged(path, StorageError::Corrupted("it is empty".into()))),
        len if len > MOST_BYTES => Err(damaged(path, StorageError::Corrupted("it is larger than 1 GiB".into()))),
        _ => Ok(content),
    }
}

/// Checks every page that is in use, and returns what the store belongs to and whether it holds no position.
fn inspect(content: Vec<u8>) -> Result<(Vec<u8>, bool), redb::Error> {
    let copy = InMemoryBackend::new();
    copy.set_len(content.len() as u64).and_then(|()| copy.write(0, &content))?;
    let mut database = settings().create_with_backend(copy)?;
    if !database.check_integrity()? {
        return Err(redb::Error::Corrupted("its checksums don't fit".into()));
    }
    let table = database.begin_read()?.open_table(ABOUT)?;
    let about = table.get(STORE)?.map(|value| value.value().to_vec());
    let about = about.ok_or_else(|| redb::Error::Corrupted("it doesn't say what it belongs to".into()))?;
    Ok((about, entries(&database)?.is_empty()))
}

fn unusable(folder: &Path, error: io::Error) -> Error {
    let outside = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let message = format!(
        "the state folder {} can't be used: it has to be a folder on a disk with room that this user may write to",
        folder.display()
    );
    Error::new(if outside { Cause::Outside } else { Cause::User }, message).because(error)
}

fn held(folder: &Path, lock: &mut fs::File) -> Error {
    let mut id = String::new();
    // Only for the message: an id that can't be read is left out.
    let _ = lock.take(20).read_to_string(&mut id);
    let who = match id.trim() {
        "" => "another process".to_owned(),
        id => format!("process {id}"),
    };
    let message = format!(
        "the state folder {} is in use by {who}: wait for it to end, or give this run a state folder of its own",
        folder.display()
    );
    Error::new(Cause::State, message)
}

fn unlockable(path: &Path, error: io::Error) -> Error {
    let message = format!("{} can't be locked: the state folder has to be on a disk with file locks", path.display());
    Error::new(Cause::User, message).because(error)
}

fn unopened(path: &Path, error: DatabaseError) -> Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen => {
            let message =
                format!("the checkpoint store {} is in use by another process: wait for it to end", path.display());
            Error::new(Cause::State, message)
        }
        DatabaseError::Storage(StorageError::Io(error)) => unusable(path.parent().unwrap_or(path), error),
        error => damaged(path, error),
    }
}

fn damaged(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message = format!("the checkpoint store {} is damaged: {}", path.display(), way_out(path));
    Error::new(Cause::State, message).because(error)
}

fn unreadable(message: String, path: &Path, error: RecordError) -> Error {
    let message = match error {
        RecordError::Version(_) => format!(
            "the checkpoint store {} was written by another version of this program: run that version",
            path.display()
        ),
        _ => format!("{message}: {}", way_out(path)),
    };
    Error::new(Cause::State, message).because(error)
}

fn way_out(path: &Path) -> String {
    let folder = path.parent().unwrap_or(path).display();
    format!(
        "bring back a copy of {folder}, or remove that folder to begin anew (what was committed is then read again)"
    )
}
