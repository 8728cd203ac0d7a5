//! Dead letters: written and made durable before the record settles.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError};

use tokio::sync::Mutex;

use super::nowhere::Nowhere;
use super::open_sink::OpenSink;
use crate::commit::{HoldId, Note, Outcome, Settle, Ticket};
use crate::contracts::{Cause, DynSinkFactory, Error, Failures, Letter, Result, Shares, SinkContext, WriteError};
use crate::data::{AnyColumn, Batch, EventTime, Partition, Shared, Times};

/// One destination of dead letters; several tasks may write to it.
pub(super) struct Letterbox {
    factory: Arc<dyn DynSinkFactory>,
    pipeline: String,
    /// Open, if it is.
    sink: Mutex<Option<OpenSink>>,
    /// What the pipeline's sink shares, if letters are written into the transactions of that.
    joins: Option<Shares>,
    /// Letters that are written when what is left of their batch has come to the sink, and the records they are of: by
    /// then all before them is in the same transaction, or in one before.
    waiting: std::sync::Mutex<HashMap<Span, Vec<(u32, Letter)>>>,
}

/// The batch that a record was emitted in.
type Span = (Partition, u64, u64);

fn span(shared: &Shared) -> Span {
    (shared.partition.clone(), shared.epoch, shared.first)
}

impl Letterbox {
    /// One that is opened when it is first written to; into the transactions of the pipeline's sink if it can, where
    /// that shares something.
    pub(super) fn new(factory: &Arc<dyn DynSinkFactory>, pipeline: &str, shares: Option<&Shares>) -> Arc<Self> {
        let joins = shares.filter(|shares| factory.joins(shares)).cloned();
        let (factory, waiting) = (factory.clone(), std::sync::Mutex::default());
        Arc::new(Self { factory, pipeline: pipeline.to_owned(), sink: Mutex::new(None), joins, waiting })
    }

    /// Whether letters are written into the transactions of the pipeline's sink.
    pub(super) fn is_joined(&self) -> bool {
        self.joins.is_some()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Span, Vec<(u32, Letter)>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These letters wait for what is left of their batch to come to the sink.
    pub(super) fn wait(&self, shared: &Shared, letters: impl IntoIterator<Item = (u32, Letter)>) {
        self.waiting().entry(span(shared)).or_default().extend(letters);
    }

    /// The letters that have waited for these records of a batch.
    pub(super) fn take_waiting(&self, shared: &Shared, part: &Range<u32>) -> Vec<Letter> {
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            return Vec::new();
        }
        let Entry::Occupied(mut entry) = waiting.entry(span(shared)) else { return Vec::new() };
        let mut taken: Vec<_> = entry.get_mut().extract_if(.., |(record, _)| part.contains(record)).collect();
        if entry.get().is_empty() {
            entry.remove();
        }
        taken.sort_by_key(|&(record, _)| record);
        taken.into_iter().map(|(_, letter)| letter).collect()
    }

    /// All begins anew: their records come again.
    pub(super) fn forget_waiting(&self) {
        self.waiting().clear();
    }

    /// Opens it, unless it is open.
    pub(super) async fn open(&self) -> Result<()> {
        self.opened(&mut *self.sink.lock().await).await.map(drop)
    }

    async fn opened<'a>(&self, sink: &'a mut Option<OpenSink>) -> Result<&'a mut OpenSink> {
        if sink.is_none() {
            let mut fresh = self.factory.make();
            let (failures, failed) = Failures::channel();
            let (pipeline, joins) = (self.pipeline.clone(), self.joins.clone());
            let context = SinkContext { pipeline, failures, sink: joins, ..SinkContext::default() };
            fresh.open(&context).await.map_err(|error| error.in_stage("dead letters"))?;
            *sink = Some(OpenSink { sink: fresh, failures: failed });
        }
        sink.as_mut().ok_or_else(|| Error::new(Cause::Bug, "dead letters were opened and are not open"))
    }

    /// Writes letters; they are durable when it returns, or in the transaction of the pipeline's sink.
    pub(super) async fn write(&self, letters: &[Letter]) -> Result<()> {
        let batch = batch(letters, self.factory.letters().column(letters)?);
        let mut sink = self.sink.lock().await;
        let OpenSink { sink, failures } = self.opened(&mut sink).await?;
        let delivered = Arc::new(Delivered::default());
        let mut ticket = Some(Ticket::new(delivered.clone(), 0, 0..letters.len() as u32));
        let written = sink.write(&batch, &mut ticket).await;
        written.map_err(undelivered)?;
        if self.is_joined() {
            return Ok(());
        }
        sink.flush().await.map_err(|error| error.in_stage("dead letters"))?;
        if let Ok(failure) = failures.try_recv() {
            return Err(failure.error.in_stage("dead letters"));
        }
        match ticket.is_none() && delivered.count() < letters.len() {
            true => Err(Error::new(Cause::Bug, LOST).in_stage("dead letters")),
            false => Ok(()),
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
        original: shared.marks.original(record),
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

fn batch(letters: &[Letter], column: Box<dyn AnyColumn>) -> Batch {
    let shared = Shared {
        stage: "letters".into(),
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
    Batch::new(Arc::new(shared), column)
}

/// A sink that says nothing of a letter when it has flushed has not written it.
const LOST: &str = "the sink of dead letters has flushed, and has not said of each that it was delivered";

/// The letters that their sink has said to be delivered; only who wrote them waits for that.
#[derive(Default)]
struct Delivered(std::sync::Mutex<HashSet<u32>>);

impl Delivered {
    fn letters(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) -> usize {
        self.letters().len()
    }
}

impl Settle for Delivered {
    fn settle(&self, _: u64, letters: Range<u32>, outcome: Outcome) {
        if outcome == Outcome::Delivered {
            self.letters().extend(letters);
        }
    }
    fn hold(&self, _: u64, _: u32) -> HoldId {
        HoldId(0)
    }
    fn release(&self, _: HoldId) {}
    fn seal(&self, _: u64, _: u32) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contracts::LetterForm;
    use crate::data::{Bytes, Original};
    use crate::testkit::{Ledger, ScriptSink};

    fn shared(first: u64) -> Arc<Shared> {
        let letter = |number: u64| Letter {
            time: EventTime { micros: 0, ingested: true },
            source: String::new(),
            position: number.to_string(),
            stage: String::new(),
            reason: String::new(),
            bytes: Vec::new(),
            original: Original::default(),
        };
        let letters = [letter(0), letter(1)];
        let column = LetterForm::lines().column(&letters).expect("they are lines");
        let batch = batch(&letters, column);
        let (mut shared, ..) = batch.into_parts();
        Arc::get_mut(&mut shared).expect("nobody else has it").first = first;
        shared
    }

    #[test]
    fn letters_wait_for_what_is_left_of_their_batch() {
        let factory: Arc<dyn DynSinkFactory> = Arc::new(ScriptSink::<Bytes>::new(&Ledger::new(), "letters"));
        let letters = Letterbox::new(&factory, "p", None);
        assert!(!letters.is_joined(), "nothing is shared");
        let (shared, other) = (shared(0), shared(100));
        let letter = |record: u32| {
            let note = Note { letters: 0, stage: record.to_string(), reason: String::new() };
            (record, letter(&shared, 0, &note))
        };
        letters.wait(&shared, [letter(4), letter(7)]);
        letters.wait(&shared, [letter(1)]);
        let take = |shared: &Shared, part| {
            let taken = letters.take_waiting(shared, &part);
            taken.into_iter().map(|letter| letter.stage).collect::<Vec<_>>().join(" ")
        };
        assert_eq!([take(&other, 0..9), take(&shared, 0..1), take(&shared, 0..5)], ["", "", "1 4"]);
        assert_eq!(take(&shared, 0..5), "", "each is taken once");
        letters.forget_waiting();
        assert_eq!(take(&shared, 0..9), "");
    }
}
