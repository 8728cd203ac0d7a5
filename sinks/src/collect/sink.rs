//! [`CollectSink`]: copies batches into memory.

use std::future::Future;

use millstream_core::commit::Ticket;
use millstream_core::contracts::{Checkpoint, Result, Sink, SinkContext, WriteError};
use millstream_core::data::{Column, Data, Records};

use super::Collected;

/// Copies batches into memory.
pub struct CollectSink<T>(Collected<T>);

impl<T> CollectSink<T> {
    pub(super) fn new(collected: Collected<T>) -> Self {
        Self(collected)
    }
}

impl<T: Data + Clone> Sink for CollectSink<T> {
    type In = T;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        Ok(None)
    }

    fn write(
        &mut self,
        records: Records<'_, T::Column>,
        _: &mut Option<Ticket>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send {
        let mut collected = self.0.lock();
        let value = |row| records.column().with(row, T::clone);
        collected.extend(records.stamps().enumerate().map(|(row, stamp)| (stamp, value(row))));
        std::future::ready(Ok(()))
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
