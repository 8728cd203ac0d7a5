//! [`Embedded`]: the checkpoint store that needs no server.
//!
//! The state folder holds two files:
//!
//! ```text
//! checkpoints.lock   locked for as long as a process has the store open; holds that process's id, for messages
//! checkpoints.redb   the store: one redb database
//! ```
//!
//! and, while a new store is being made, `checkpoints.redb.new`, which is renamed once it is whole and synced. The
//! database has two tables; each value begins with the version of its format, see the module `record`:
//!
//! ```text
//! about      "store"                      -> 1, postcard { pipeline, fingerprint, input }
//! about      "ended"                      -> 1, postcard bool; not there: false
//! positions  (pipeline, stage, partition) -> 1, postcard { bytes, label }
//! ```
//!
//! What a crash leaves behind needs no hand: a half-made store is made anew, and redb goes back to its last commit.

mod about;
mod file;
mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use millstream_core::contracts::{BoxFuture, Cause, Checkpoint, Error, Opened, Result, Store, StoreFactory};

/// Keeps checkpoints in a folder, in one file that one process at a time has open. Every save is durable when it
/// returns (one or two syncs of the disk: 0.1 to 20 ms).
///
/// The store belongs to the pipeline, the settings and the input that it was made by: any other is refused, and nothing
/// in it is changed.
#[derive(Debug, Clone)]
pub struct Embedded {
    folder: PathBuf,
}

impl Embedded {
    /// The store in this folder, which is made with the store if it isn't there.
    pub fn at(folder: impl AsRef<Path>) -> Self {
        Self { folder: folder.as_ref().to_owned() }
    }
}

impl StoreFactory for Embedded {
    fn name(&self) -> String {
        format!("the state folder {}", self.folder.display())
    }

    fn open(&self, by: &Opened) -> BoxFuture<'_, Result<Box<dyn Store>>> {
        let (folder, by) = (self.folder.clone(), by.clone());
        Box::pin(async move {
            let file = apart(move || file::File::open(&folder, &by)).await?;
            Ok(Box::new(EmbeddedStore { file: Arc::new(file) }) as Box<dyn Store>)
        })
    }
}

/// The open store.
struct EmbeddedStore {
    /// Shared with the work in progress, so that the lock is given back only after it.
    file: Arc<file::File>,
}

impl Store for EmbeddedStore {
    fn load(&mut self) -> BoxFuture<'_, Result<Vec<Checkpoint>>> {
        let file = self.file.clone();
        Box::pin(apart(move || file.load()))
    }

    fn save<'a>(&'a mut self, checkpoints: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>> {
        let (file, checkpoints) = (self.file.clone(), checkpoints.to_vec());
        Box::pin(apart(move || file.save(&checkpoints)))
    }

    fn ended(&mut self) -> BoxFuture<'_, Result<bool>> {
        let file = self.file.clone();
        Box::pin(apart(move || file.ended()))
    }

    fn set_ended(&mut self, ended: bool) -> BoxFuture<'_, Result<()>> {
        let file = self.file.clone();
        Box::pin(apart(move || file.set_ended(ended)))
    }
}

/// Does blocking work beside the runtime's tasks, or right here where there is no runtime.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.unwrap_or_else(|error| {
            Err(Error::new(Cause::Bug, "the checkpoint store was interrupted at its work").because(error))
        }),
        Err(_) => work(),
    }
}

#[cfg(test)]
mod tests;
