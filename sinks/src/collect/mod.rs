//! Memory ([`Collect`]): for tests and small programs.

mod sink;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::contracts::{SinkFactory, SinkTraits, Where};
use millstream_core::data::{Data, Stamp};

pub use sink::CollectSink;

/// Keeps copies of all records in memory, without bound. Ask for [`collected`](Self::collected) before the sink is
/// given to a pipeline.
#[derive(Debug)]
pub struct Collect<T>(Collected<T>);

/// What a [`Collect`] was given, of all runs of its pipeline. Clones share it.
pub struct Collected<T>(Arc<Mutex<Vec<(Stamp, T)>>>);

impl<T: Data + Clone> Collect<T> {
    /// A sink that has collected nothing.
    pub fn new() -> Self {
        Self(Collected(Arc::default()))
    }

    /// What it is given, now and later.
    pub fn collected(&self) -> Collected<T> {
        self.0.clone()
    }
}

/// A clone collects into the same place.
impl<T> Clone for Collect<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Data + Clone> Default for Collect<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Collected<T> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes all records out, with their stamps, in the order of their arrival.
    pub fn take(&self) -> Vec<(Stamp, T)> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Stamp, T)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Collected<T> {
    /// Copies of all records, in the order of their arrival.
    pub fn values(&self) -> Vec<T> {
        self.lock().iter().map(|(_, value)| value.clone()).collect()
    }

    /// Copies of all records with their stamps, in the order of their arrival.
    pub fn stamped(&self) -> Vec<(Stamp, T)> {
        self.lock().clone()
    }
}

impl<T> Clone for Collected<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Collected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Collected({} records)", self.len())
    }
}

impl<T: Data + Clone> SinkFactory for Collect<T> {
    type Sink = CollectSink<T>;

    fn traits(&self, _: bool) -> SinkTraits {
        SinkTraits {
            kind: "COLLECT".into(),
            output: "memory".into(),
            place: Where::Last,
            ordered: true,
            transactional: Err("what is kept in memory is gone with the process".into()),
            positions_in: None,
            commits_at: None,
            durable_at_close: false,
            local_state: false,
            blocking: false,
        }
    }

    fn make(&self) -> CollectSink<T> {
        CollectSink::new(self.collected())
    }
}

#[cfg(test)]
mod tests;
