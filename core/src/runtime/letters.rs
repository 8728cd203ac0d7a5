//! Dead letters: written and made durable before the record settles.

use std::ops::Range;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::nowhere::Nowhere;
use super::sink_end::OpenSink;
use crate::commit::{HoldId, Note, Outcome, Settle, Ticket};
use crate::contracts::{Cause, DynSinkFactory, Error, Failures, Letter, Result, SinkContext, WriteError};
use crate::data::{Batch, Bytes, Data, EventTime, Packed, Partition, Shared, Times};

/// One destination of dead letters; several tasks may write to it.
pub(super) struct Letterbox {
    factory: Arc<dyn DynSinkFactory>,
    pipeline: String,
    /// Open, if it is.
    sink: Mutex<Option<OpenSink>>,
}

impl Letterbox {
    /// One that is opened when it is first written to.
    pub(super) fn new(factory: &Arc<dyn DynSinkFactory>, pipeline: &str) -> Arc<Self> {
        Arc::new(Self { factory: factory.clone(), pipeline: pipeline.to_owned(), sink: Mutex::new(None) })
    }

    /// Opens it, unless it is open.
    pub(super) async fn open(&self) -> Result<()> {
        self.opened(&mut *self.sink.lock().await).await.map(drop)
    }

    async fn opened<'a>(&self, sink: &'a mut Option<OpenSink>) -> Result<&'a mut OpenSink> {
        if sink.is_none() {
            let mut fresh = self.factory.make();
            let (failures, failed) = Failures::channel();
            let context = SinkContext { pipeline: self.pipeline.clone(), failures, ..SinkContext::default() };
            fresh.open(&context).await.map_err(|error| error.in_stage("dead letters"))?;
            *sink = Some(OpenSink { sink: fresh, failures: failed });
        }
        sink.as_mut().ok_or_else(|| Error::new(Cause::Bug, "dead letters were opened and are not open"))
    }

    /// Writes letters; they are durable when it returns.
    pub(super) async fn write(&self, letters: &[Letter]) -> Result<()> {
        let batch = batch(letters)?;
        let mut sink = self.sink.lock().await;
        let OpenSink { sink, failures } = self.opened(&mut sink).await?;
        let mut ticket = Some(Ticket::new(Arc::new(Nobody), 0, 0..0));
        let written = sink.write(&batch, &mut ticket).await;
        written.map_err(undelivered)?;
        sink.flush().await.map_err(|error| error.in_stage("dead letters"))?;
        match failures.try_recv() {
            Ok(failure) => Err(failure.error.in_stage("dead letters")),
            Err(_) => Ok(()),
        }
    }

    pub(super) async fn close(&self) -> Result<()> {
        match &mut *self.sink.lock().await {
            Some(OpenSink { sink, .. }) => sink.close().await.map_err(|error| error.in_stage("dead letters")),
            None => Ok(()),
        }
    }
}

/// What a letter tells of an error.
pub(super) fn note(letters: usize, error: &Error) -> Note {
    let stage = error.stage().unwrap_or_default().to_owned();
    Note { letters: u32::try_from(letters).unwrap_or(u32::MAX), stage, reason: reason(error) }
}

/// The letter of a record of this span.
pub(super) fn letter(shared: &Shared, record: u32, note: &Note) -> Letter {
    let raw = shared.raw.as_ref();
    Letter {
        time: shared.times.at(record),
        source: shared.stage.to_string(),
        position: shared.place(record),
        stage: note.stage.clone(),
        reason: note.reason.clone(),
        bytes: raw.map(|raw| raw.get(record as usize).to_vec()).unwrap_or_default(),
    }
}

/// The message and those below it; stage and place stand beside it in the letter.
fn reason(error: &Error) -> String {
    let whole = error.chain();
    let told = error.to_string();
    format!("{}{}", error.message(), whole.strip_prefix(&told).unwrap_or_default())
}

fn undelivered(error: WriteError) -> Error {
    match error {
        WriteError::Row { error, .. } => error.in_stage("dead letters"),
        WriteError::ReaderGone => {
            Error::new(Cause::Outside, "whoever read the dead letters went away").in_stage("dead letters")
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
        instance: 0,
        epoch: 0,
        first: 0,
        len: letters.len() as u32,
        times: Times::Uniform(EventTime { micros: 0, ingested: true }),
        marks: Arc::new(Nowhere),
        raw: None,
        late: false,
        turns: None,
        dealt: None,
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
