//! [`NullSink`]: throws batches away.

use std::future::Future;
use std::marker::PhantomData;

use millstream_core::commit::Ticket;
use millstream_core::contracts::{Checkpoint, Result, Sink, SinkContext, WriteError};
use millstream_core::data::{Data, Records};

/// Throws batches away.
pub struct NullSink<T>(PhantomData<fn() -> T>);

impl<T> NullSink<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Data> Sink for NullSink<T> {
    type In = T;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        Ok(None)
    }

    fn write(
        &mut self,
        _: Records<'_, T::Column>,
        _: &mut Option<Ticket>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        std::future::ready(Ok(()))
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
