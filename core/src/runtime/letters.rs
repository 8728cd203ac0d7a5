//! Dead letters: written and made durable before the record settles.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::nowhere::Nowhere;
use crate::commit::{HoldId, Outcome, Settle, Ticket};
use crate::contracts::{DynSink, DynSinkFactory, Error, Letter, Result, SinkContext, WriteError};
use crate::data::{Batch, Bytes, Data, EventTime, Packed, Partition, Shared, Times};

/// One destination of dead letters; several tasks may write to it.
pub(super) struct Letterbox(Mutex<Box<dyn DynSink>>);

impl Letterbox {
    pub(super) async fn open(factory: &Arc<dyn DynSinkFactory>, pipeline: &str) -> Result<Arc<Self>> {
        let mut sink = factory.make();
        let context = SinkContext { pipeline: pipeline.to_owned(), ..SinkContext::default() };
        sink.open(&context).await.map_err(|error| error.in_stage("dead letters"))?;
        Ok(Arc::new(Self(Mutex::new(sink))))
    }

    /// Writes letters; they are durable when it returns.
    pub(super) async fn write(&self, letters: &[Letter]) -> Result<()> {
        let batch = batch(letters)?;
        let mut sink = self.0.lock().await;
        let mut ticket = Some(Ticket::new(Arc::new(Nobody), 0, 0..0));
        let written = sink.write(&batch, &mut ticket).await;
        written.map_err(undelivered)?;
        sink.flush().await.map_err(|error| error.in_stage("dead letters"))
    }

    pub(super) async fn close(&self) -> Result<()> {
        self.0.lock().await.close().await.map_err(|error| error.in_stage("dead letters"))
    }
}

fn undelivered(error: WriteError) -> Error {
    match error {
        WriteError::Row { error, .. } => error.in_stage("dead letters"),
        WriteError::ReaderGone => {
            Error::new(crate::contracts::Cause::Outside, "whoever read the dead letters went away")
                .in_stage("dead letters")
        }
    }
}

fn batch(letters: &[Letter]) -> Result<Batch> {
    let mut column = Packed::<Bytes>::default();
    for letter in letters {
        column.append_bytes(letter.to_json()?.as_bytes());
    }
    column.freeze();
    let shared = Shared {
        stage: Bytes::NAME.into(),
        partition: Partition::new("letters"),
        epoch: 0,
        first: 0,
        len: letters.len() as u32,
        times: Times::Uniform(EventTime { micros: 0, ingested: true }),
        marks: Arc::new(Nowhere),
        raw: None,
    };
    Ok(Batch::new(Arc::new(shared), Box::new(column)))
}

/// Nobody waits for a letter's outcome but who wrote it.
struct Nobody;

impl Settle for Nobody {
    fn settle(&self, _: u64, _: Range<u32>, _: Outcome) {}
    fn hold(&self, _: u64, _: u32) -> HoldId {
        HoldId(0)
    }
    fn release(&self, _: HoldId) {}
    fn seal(&self, _: u64, _: u32) {}
}
