//! [`Store`]: where positions are kept for sources that have no server to keep them.

use super::Result;
use super::source::BoxFuture;
use crate::data::{Partition, Position};

/// What a position is kept under: never an instance, an epoch or a sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The pipeline's name.
    pub pipeline: String,
    /// The source stage's name.
    pub stage: String,
    /// The source's partition.
    pub partition: Partition,
}

/// A committed position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// What it is kept under.
    pub key: Key,
    /// The position.
    pub position: Position,
}

/// What runs over a state, so that another is told from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The pipeline's name.
    pub pipeline: String,
    /// What the pipeline does, in words that change when it changes: names, types, options.
    pub fingerprint: String,
    /// What it reads.
    pub input: String,
}

/// A checkpoint store that is open. It belongs to one process at a time.
pub trait Store: Send {
    /// All that is kept for the pipeline that opened it.
    fn load(&mut self) -> BoxFuture<'_, Result<Vec<Checkpoint>>>;

    /// Keeps these, durably, all or none.
    fn save<'a>(&'a mut self, checkpoints: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>>;

    /// Whether the pipeline's last run among several instances saw the input to its end, with everything committed; false
    /// until [`set_ended`](Self::set_ended) has said so. The input may have got longer since.
    fn ended(&mut self) -> BoxFuture<'_, Result<bool>>;

    /// Keeps, durably, whether it did: true as the last act of such a run, false when the next one begins.
    fn set_ended(&mut self, ended: bool) -> BoxFuture<'_, Result<()>>;
}

/// A declared checkpoint store. Declaring one opens nothing.
pub trait StoreFactory: Send + Sync + 'static {
    /// What it is, for people.
    fn name(&self) -> String;

    /// Opens it, or makes a new one. One that another process has open, one that is damaged, and one that belongs to
    /// another pipeline or input are errors that name the way out; none of them is touched.
    fn open(&self, by: &Opened) -> BoxFuture<'_, Result<Box<dyn Store>>>;
}
