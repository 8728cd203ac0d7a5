//! [`Arrivals`]: a sink that only looks at what arrives.

use std::sync::{Arc, Mutex, PoisonError};

use millstream::commit::Ticket;
use millstream::contracts::{Cause, Checkpoint, Error, Result, Sink, SinkContext, SinkFactory, SinkTraits, WriteError};
use millstream::data::{Packed, Records};
use millstream::prelude::*;

/// Looks at what arrives, and keeps what it saw.
pub(crate) trait Looks: Send + 'static {
    /// Looks at a batch. What is not as it has to be ends the run.
    fn look(&mut self, records: &Packed<Bytes>) -> std::result::Result<(), String>;
}

/// A sink that only looks. Clones share what was seen.
pub(crate) struct Arrivals<S>(Arc<Mutex<S>>);

impl<S> Arrivals<S> {
    pub(crate) fn of(seen: S) -> Self {
        Self(Arc::new(Mutex::new(seen)))
    }

    /// What was seen so far.
    pub(crate) fn with<T>(&self, tell: impl FnOnce(&mut S) -> T) -> T {
        tell(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S> Clone for Arrivals<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Looks> SinkFactory for Arrivals<S> {
    type Sink = Self;

    fn traits(&self, _: bool) -> SinkTraits {
        SinkTraits {
            kind: "ARRIVALS".into(),
            output: "memory".into(),
            place: Where::Last,
            ordered: true,
            transactional: Err("what is kept in memory is gone with the process".into()),
            local_state: false,
            positions_in: None,
            commits_at: None,
            durable_at_close: false,
            blocking: false,
        }
    }

    fn make(&self) -> Self {
        self.clone()
    }
}

impl<S: Looks> Sink for Arrivals<S> {
    type In = Bytes;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        Ok(None)
    }

    async fn write(
        &mut self,
        records: Records<'_, Packed<Bytes>>,
        _: &mut Option<Ticket>,
    ) -> std::result::Result<(), WriteError> {
        let seen = self.with(|seen| seen.look(records.column()));
        seen.map_err(|why| Error::new(Cause::Bug, why).into())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
