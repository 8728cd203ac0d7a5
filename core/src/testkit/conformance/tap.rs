//! [`Tap`]: what stands between the engine and the connector under test: it watches, cuts batches, and is where crashes
//! are put.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::doubles::{Count, Gate};
use super::fuse::Fuse;
use crate::commit::Ticket;
use crate::contracts::{
    BoxFuture, Checkpoint, DynChunk, DynEvent, DynSink, DynSinkFactory, DynSource, DynSourceFactory, Held, LetterForm,
    Opened, Result, Settlement, Shares, SinkContext, SinkTraits, SourceTraits, Store, StoreFactory, WriteError,
};
use crate::data::{Batch, Bytes, Column, Form, Marks, Packed, Partition, PartitionId, Position};

/// Which record each position stands behind: learned from the marks of a source, over all its runs.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<HashMap<Bytes, u64>>>);

impl Journal {
    fn note(&self, position: &Position, records: u64) -> Result<(), String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *known.entry(position.bytes().clone()).or_insert(records);
        if before == records {
            return Ok(());
        }
        Err(format!("the position {} stands behind {before} records and behind {records}", position.label()))
    }

    /// How many records lie before the first of these positions; 0 without one. `None`: it is none of this source's.
    pub(super) fn records(&self, kept: &[Checkpoint]) -> Option<u64> {
        let Some(checkpoint) = kept.first() else { return Some(0) };
        self.before(&checkpoint.position)
    }

    fn before(&self, position: &Position) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(position.bytes()).copied()
    }
}

/// One run's watch on source, sink and store.
#[derive(Clone)]
pub(super) struct Tap {
    pub(super) fuse: Arc<Fuse>,
    pub(super) journal: Journal,
    /// Records that the source has emitted.
    pub(super) emitted: Count,
    /// The most records in one batch of the source.
    pub(super) largest: Count,
    /// Rows that the sink has taken over.
    pub(super) written: Count,
    /// The end of the input waits behind it, if there is one.
    pub(super) end: Option<Gate>,
    /// Batches are cut into small ones.
    pub(super) cuts: bool,
    /// Asked whenever a position has been saved.
    pub(super) saved: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Tap {
    /// A watch that cuts batches and changes nothing else.
    pub(super) fn new(journal: &Journal) -> Self {
        Self {
            fuse: Fuse::never(),
            journal: journal.clone(),
            emitted: Count::default(),
            largest: Count::default(),
            written: Count::default(),
            end: None,
            cuts: true,
            saved: None,
        }
    }

    /// With this fuse.
    pub(super) fn fused(self, fuse: Arc<Fuse>) -> Self {
        Self { fuse, ..self }
    }
}

/// A source under watch.
pub(super) struct TappedSource {
    pub(super) inner: Arc<dyn DynSourceFactory>,
    pub(super) tap: Tap,
}

impl DynSourceFactory for TappedSource {
    fn traits(&self) -> SourceTraits {
        self.inner.traits()
    }
    fn check(&self) -> Vec<String> {
        self.inner.check()
    }
    fn reads(&self) -> Vec<std::path::PathBuf> {
        self.inner.reads()
    }
    fn shares(&self) -> Option<Shares> {
        self.inner.shares()
    }
    fn make(&self) -> Box<dyn DynSource> {
        Box::new(Watched {
            inner: self.inner.make(),
            tap: self.tap.clone(),
            left: None,
            ended: false,
            next: 0,
            batches: 0,
        })
    }
    fn form(&self) -> Form {
        self.inner.form()
    }
}

struct Watched {
    inner: Box<dyn DynSource>,
    tap: Tap,
    /// What is left of a batch that was cut.
    left: Option<DynChunk>,
    /// Whether the source has said that its input has ended.
    ended: bool,
    /// The number of the next record.
    next: u64,
    batches: u64,
}

impl DynSource for Watched {
    fn open<'a>(&'a mut self, held: &'a Held) -> BoxFuture<'a, Result<Vec<Partition>>> {
        Box::pin(async {
            let begins = held.all().first().and_then(|(_, position)| self.tap.journal.before(position));
            self.next = begins.unwrap_or_default();
            self.tap.fuse.around("source.open", self.inner.open(held)).await
        })
    }

    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn next(&mut self) -> BoxFuture<'_, Result<DynEvent>> {
        Box::pin(async {
            // Lets the others have a turn, so that commits, drains and crashes fall between any two batches.
            tokio::task::yield_now().await;
            let event = match self.left.take() {
                Some(chunk) => DynEvent::Records(chunk),
                None if self.ended => DynEvent::End,
                None => self.inner.next().await?,
            };
            let event = match event {
                DynEvent::Records(chunk) => self.emit(chunk),
                DynEvent::End => {
                    self.ended = true;
                    if let Some(gate) = &self.tap.end {
                        gate.passed().await;
                    }
                    DynEvent::End
                }
                event => event,
            };
            self.tap.fuse.moment("after", "source.next").await;
            Ok(event)
        })
    }

    fn commit<'a>(&'a mut self, positions: &'a [(PartitionId, Position)]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.tap.fuse.around("source.commit", self.inner.commit(positions)))
    }

    fn settle<'a>(&'a mut self, settled: &'a [Settlement]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.tap.fuse.around("source.settle", self.inner.settle(settled)))
    }

    fn extend(&mut self, partition: PartitionId, in_flight: Range<u64>) -> BoxFuture<'_, Result<()>> {
        self.inner.extend(partition, in_flight)
    }

    fn close(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.tap.fuse.around("source.close", self.inner.close()))
    }
}

impl Watched {
    fn emit(&mut self, mut chunk: DynChunk) -> DynEvent {
        self.batches += 1;
        let wanted = [1, 3, 2, 8][(self.batches % 4) as usize];
        if self.tap.cuts && chunk.column.rows() > wanted && chunk.times.is_none() {
            self.left = Some(cut(&mut chunk, wanted));
        }
        let rows = chunk.column.rows() as u64;
        chunk.marks = Arc::new(Noted { inner: chunk.marks, first: self.next, journal: self.tap.journal.clone() });
        self.next += rows;
        self.tap.emitted.add(rows);
        self.tap.largest.raise(rows);
        DynEvent::Records(chunk)
    }
}

/// Cuts a batch before `row` and returns the rest.
fn cut(chunk: &mut DynChunk, row: usize) -> DynChunk {
    let column = chunk.column.cut(row);
    let raw = chunk.raw.as_mut().map(|raw: &mut Packed<Bytes>| raw.split_off(row));
    let at = chunk.refused.partition_point(|(record, _)| (*record as usize) < row);
    let refused = chunk.refused.split_off(at).into_iter().map(|(record, why)| (record - row as u32, why)).collect();
    let marks = Arc::new(Behind { inner: chunk.marks.clone(), records: row as u32 });
    DynChunk { partition: chunk.partition, column, raw, times: None, marks, refused }
}

/// The marks of the rest of a batch that was cut.
struct Behind {
    inner: Arc<dyn Marks>,
    records: u32,
}

impl Marks for Behind {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        self.inner.position(self.records + count)
    }
    fn place(&self, index: u32, block: &[u8], offset: usize) -> String {
        self.inner.place(self.records + index, block, offset)
    }
}

/// Marks whose positions are written down.
struct Noted {
    inner: Arc<dyn Marks>,
    first: u64,
    journal: Journal,
}

impl Marks for Noted {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let position = self.inner.position(count)?;
        if let Some(position) = &position {
            self.journal.note(position, self.first + u64::from(count))?;
        }
        Ok(position)
    }
    fn place(&self, index: u32, block: &[u8], offset: usize) -> String {
        self.inner.place(index, block, offset)
    }
}

/// A sink under watch.
pub(super) struct TappedSink {
    pub(super) inner: Arc<dyn DynSinkFactory>,
    pub(super) tap: Tap,
}

impl DynSinkFactory for TappedSink {
    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        self.inner.traits(keeps_positions)
    }
    fn check(&self) -> Vec<String> {
        self.inner.check()
    }
    fn writes(&self) -> Option<std::path::PathBuf> {
        self.inner.writes()
    }
    fn shares(&self) -> Option<Shares> {
        self.inner.shares()
    }
    fn joins(&self, sink: &Shares) -> bool {
        self.inner.joins(sink)
    }
    fn letters(&self) -> LetterForm {
        self.inner.letters()
    }
    fn make(&self) -> Box<dyn DynSink> {
        Box::new(WatchedSink { inner: self.inner.make(), tap: self.tap.clone() })
    }
    fn form(&self) -> Form {
        self.inner.form()
    }
}

struct WatchedSink {
    inner: Box<dyn DynSink>,
    tap: Tap,
}

impl DynSink for WatchedSink {
    fn open<'a>(&'a mut self, context: &'a SinkContext) -> BoxFuture<'a, Result<Option<Vec<Checkpoint>>>> {
        Box::pin(self.tap.fuse.around("sink.open", self.inner.open(context)))
    }

    fn write<'a>(
        &'a mut self,
        batch: &'a Batch,
        ticket: &'a mut Option<Ticket>,
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async {
            self.tap.fuse.around("sink.write", self.inner.write(batch, ticket)).await?;
            self.tap.written.add(batch.len() as u64);
            Ok(())
        })
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.tap.fuse.around("sink.flush", self.inner.flush()))
    }

    fn commit<'a>(&'a mut self, positions: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.tap.fuse.around("sink.commit", self.inner.commit(positions)))
    }

    fn close(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.tap.fuse.around("sink.close", self.inner.close()))
    }
}

/// A store under watch.
pub(super) struct TappedStore {
    pub(super) inner: Arc<dyn StoreFactory>,
    pub(super) tap: Tap,
}

impl StoreFactory for TappedStore {
    fn name(&self) -> String {
        self.inner.name()
    }

    fn open(&self, by: &Opened) -> BoxFuture<'_, Result<Box<dyn Store>>> {
        let by = by.clone();
        Box::pin(async move {
            let inner = self.tap.fuse.around("store.open", self.inner.open(&by)).await?;
            Ok(Box::new(WatchedStore { inner, tap: self.tap.clone() }) as Box<dyn Store>)
        })
    }
}

struct WatchedStore {
    inner: Box<dyn Store>,
    tap: Tap,
}

impl Store for WatchedStore {
    fn load(&mut self) -> BoxFuture<'_, Result<Vec<Checkpoint>>> {
        self.inner.load()
    }

    fn save<'a>(&'a mut self, checkpoints: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            self.tap.fuse.around("store.save", self.inner.save(checkpoints)).await?;
            if let Some(saved) = &self.tap.saved {
                saved();
            }
            Ok(())
        })
    }

    fn ended(&mut self) -> BoxFuture<'_, Result<bool>> {
        self.inner.ended()
    }

    fn set_ended(&mut self, ended: bool) -> BoxFuture<'_, Result<()>> {
        Box::pin(self.tap.fuse.around("store.set_ended", self.inner.set_ended(ended)))
    }
}
