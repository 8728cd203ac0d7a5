//! The suite's own ends and store, all in memory. Other than those of a script, they take any type and any position, and
//! lose in a crash what was not durable.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::commit::{Share, Ticket};
use crate::contracts::{
    BoxFuture, Cause, Checkpoint, Chunk, Commits, Error, Event, Held, Key, Opened, Result, Sink, SinkContext,
    SinkFactory, SinkTraits, Source, SourceFactory, SourceTraits, Store, StoreFactory, WriteError,
};
use crate::data::{Column, Data, Marks, Partition, Position, Records};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A checkpoint store in memory. Clones are the same store; what was saved outlives the run, so that a pipeline can be
/// started again from it.
#[derive(Clone, Default)]
pub(super) struct MemoryStore {
    kept: Arc<Mutex<BTreeMap<Key, Position>>>,
    ended: Arc<AtomicBool>,
}

impl MemoryStore {
    /// What has been saved, in the order of the keys.
    pub(super) fn kept(&self) -> Vec<Checkpoint> {
        let kept = lock(&self.kept);
        kept.iter().map(|(key, position)| Checkpoint { key: key.clone(), position: position.clone() }).collect()
    }
}

impl StoreFactory for MemoryStore {
    fn name(&self) -> String {
        "memory".into()
    }

    fn open(&self, _: &Opened) -> BoxFuture<'_, Result<Box<dyn Store>>> {
        Box::pin(async { Ok(Box::new(OpenStore(self.clone())) as Box<dyn Store>) })
    }
}

struct OpenStore(MemoryStore);

impl Store for OpenStore {
    fn load(&mut self) -> BoxFuture<'_, Result<Vec<Checkpoint>>> {
        Box::pin(async { Ok(self.0.kept()) })
    }

    fn save<'a>(&'a mut self, checkpoints: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let saved = checkpoints.iter().map(|checkpoint| (checkpoint.key.clone(), checkpoint.position.clone()));
            lock(&self.0.kept).extend(saved);
            Ok(())
        })
    }

    fn ended(&mut self) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async { Ok(self.0.ended.load(Ordering::Relaxed)) })
    }

    fn set_ended(&mut self, ended: bool) -> BoxFuture<'_, Result<()>> {
        self.0.ended.store(ended, Ordering::Relaxed);
        Box::pin(async { Ok(()) })
    }
}

/// A sink in memory that is as durable as its contract says and no more: what was written and not flushed (or committed)
/// is gone when the sink is dropped. What it holds outlives it, see [`Kept`].
pub(super) struct MemorySink<T> {
    kept: Kept<T>,
    transactional: bool,
    stall: Option<(u64, Gate)>,
}

/// What a [`MemorySink`] holds, over all runs. Clones are the same.
pub(super) struct Kept<T>(Arc<Mutex<Durable<T>>>);

struct Durable<T> {
    records: Vec<T>,
    positions: Vec<Checkpoint>,
    written: u64,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Kept<T> {
    /// The records that are durable, in the order in which they came.
    pub(super) fn records(&self) -> Vec<T> {
        lock(&self.0).records.clone()
    }

    /// How many records are durable.
    pub(super) fn len(&self) -> usize {
        lock(&self.0).records.len()
    }

    /// How many were written, durable or not, over all runs.
    pub(super) fn written(&self) -> u64 {
        lock(&self.0).written
    }

    /// The positions that a transactional sink holds with its records.
    pub(super) fn positions(&self) -> Vec<Checkpoint> {
        lock(&self.0).positions.clone()
    }
}

impl<T: Data + Clone> MemorySink<T> {
    /// One that keeps no positions.
    pub(super) fn new() -> Self {
        let durable = Durable { records: Vec::new(), positions: Vec::new(), written: 0 };
        Self { kept: Kept(Arc::new(Mutex::new(durable))), transactional: false, stall: None }
    }

    /// One that keeps positions with its records, both or neither.
    pub(super) fn transactional() -> Self {
        Self { transactional: true, ..Self::new() }
    }

    /// What it holds, now and later.
    pub(super) fn kept(&self) -> Kept<T> {
        self.kept.clone()
    }

    /// One that takes nothing more after so many records until the gate is open.
    pub(super) fn stalling(after: u64, gate: Gate) -> Self {
        Self { stall: Some((after, gate)), ..Self::new() }
    }
}

fn sink_traits(transactional: bool) -> SinkTraits {
    let traits = SinkTraits::new("MEMORY", "memory", "this memory keeps no positions");
    if transactional { SinkTraits { transactional: Ok(()), ..traits } } else { traits }
}

impl<T: Data + Clone> SinkFactory for MemorySink<T> {
    type Sink = OpenMemory<T>;

    fn traits(&self, _: bool) -> SinkTraits {
        sink_traits(self.transactional)
    }

    fn make(&self) -> OpenMemory<T> {
        let transactional = self.transactional;
        OpenMemory { kept: self.kept(), transactional, stall: self.stall.clone(), pending: Vec::new() }
    }
}

/// The sink that [`MemorySink`] declares.
pub(super) struct OpenMemory<T> {
    kept: Kept<T>,
    transactional: bool,
    stall: Option<(u64, Gate)>,
    pending: Vec<T>,
}

impl<T: Data + Clone> Sink for OpenMemory<T> {
    type In = T;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        Ok(self.transactional.then(|| self.kept.positions()))
    }

    async fn write(&mut self, records: Records<'_, T::Column>, _: &mut Option<Ticket>) -> Result<(), WriteError> {
        let rows: Vec<T> = (0..records.len()).map(|row| records.column().with(row, T::clone)).collect();
        if let Some((_, gate)) = self.stall.as_ref().filter(|(after, _)| self.kept.written() >= *after) {
            gate.passed().await;
        }
        lock(&self.kept.0).written += rows.len() as u64;
        self.pending.extend(rows);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        if !self.transactional {
            lock(&self.kept.0).records.append(&mut self.pending);
        }
        Ok(())
    }

    async fn commit(&mut self, positions: &[Checkpoint]) -> Result<()> {
        let mut durable = lock(&self.kept.0);
        durable.records.append(&mut self.pending);
        durable.positions = positions.to_vec();
        Ok(())
    }
}

/// A door that is shut until it is opened.
#[derive(Clone)]
pub(super) struct Gate(Arc<watch::Sender<bool>>);

impl Gate {
    pub(super) fn shut() -> Self {
        Self(Arc::new(watch::Sender::new(false)))
    }

    pub(super) fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is open. May be dropped at any time.
    pub(super) async fn passed(&self) {
        // The sender is here: it is never gone.
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

/// A sink that takes each row's share of its ticket: all but one row are settled last row first, that one is kept back.
pub(super) struct Withholding<T> {
    pub(super) withheld: u64,
    pub(super) taken: Arc<Mutex<Taken<T>>>,
}

/// What a [`Withholding`] sink has.
pub(super) struct Taken<T> {
    pub(super) records: Vec<T>,
    pub(super) share: Option<Share>,
}

impl<T: Data + Clone> Withholding<T> {
    pub(super) fn new(withheld: u64) -> Self {
        Self { withheld, taken: Arc::new(Mutex::new(Taken { records: Vec::new(), share: None })) }
    }
}

impl<T: Data + Clone> SinkFactory for Withholding<T> {
    type Sink = OpenWithholding<T>;

    fn traits(&self, _: bool) -> SinkTraits {
        sink_traits(false)
    }

    fn make(&self) -> OpenWithholding<T> {
        OpenWithholding { withheld: self.withheld, taken: self.taken.clone(), late: Vec::new() }
    }
}

pub(super) struct OpenWithholding<T> {
    withheld: u64,
    taken: Arc<Mutex<Taken<T>>>,
    /// What is settled only after the batch that follows.
    late: Vec<Share>,
}

impl<T: Data + Clone> Sink for OpenWithholding<T> {
    type In = T;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        Ok(None)
    }

    async fn write(&mut self, records: Records<'_, T::Column>, ticket: &mut Option<Ticket>) -> Result<(), WriteError> {
        let rows: Vec<u32> = (0..records.len()).map(|row| records.record(row)).collect();
        let mut taken = lock(&self.taken);
        let first = taken.records.len() as u64;
        taken.records.extend((0..records.len()).map(|row| records.column().with(row, T::clone)));
        let mut shares = ticket.take().map(|ticket| ticket.share(&rows)).unwrap_or_default();
        if let Some(at) = self.withheld.checked_sub(first).filter(|at| *at < shares.len() as u64) {
            taken.share = Some(shares.remove(at as usize));
        }
        let before = std::mem::replace(&mut self.late, shares);
        drop(taken);
        before.into_iter().rev().for_each(Share::delivered);
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        std::mem::take(&mut self.late).into_iter().rev().for_each(Share::delivered);
        Ok(())
    }
}

/// A source in memory: `count` records, each made from its number, in batches of many sizes. A position is a number, u64,
/// little endian.
pub(super) struct Numbered<T> {
    pub(super) count: u64,
    pub(super) record: Arc<dyn Fn(u64) -> T + Send + Sync>,
}

impl<T: Data> SourceFactory for Numbered<T> {
    type Source = OpenNumbered<T>;

    fn traits(&self) -> SourceTraits {
        let traits = SourceTraits::new("NUMBERED", "records made from their numbers");
        SourceTraits { commits: Commits::Optimistic, ..traits }
    }

    fn make(&self) -> OpenNumbered<T> {
        OpenNumbered { count: self.count, record: self.record.clone(), next: 0 }
    }
}

pub(super) struct OpenNumbered<T> {
    count: u64,
    record: Arc<dyn Fn(u64) -> T + Send + Sync>,
    next: u64,
}

impl<T: Data> Source for OpenNumbered<T> {
    type Out = T;

    async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
        let partition = Partition::new("numbers");
        if let Some(position) = held.position(&partition) {
            let wrong = |_| Error::new(Cause::State, format!("{} is no number", position.label()));
            self.next = u64::from_le_bytes(position.bytes()[..].try_into().map_err(wrong)?);
        }
        Ok(vec![partition])
    }

    async fn next(&mut self) -> Result<Event<T>> {
        if self.next >= self.count {
            return Ok(Event::End);
        }
        let first = self.next;
        self.next = self.count.min(first + [1, 2, 7, 3, 23][(first % 5) as usize]);
        let mut column = T::Column::default();
        (first..self.next).for_each(|number| column.push((self.record)(number)));
        let marks = Arc::new(NumberMarks(first));
        Ok(Event::Records(Chunk { partition: 0, column, times: None, marks, refused: Vec::new() }))
    }
}

struct NumberMarks(u64);

impl Marks for NumberMarks {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let number = self.0 + u64::from(count);
        let position = Position::new(number.to_le_bytes().to_vec(), format!("number {number}"));
        position.map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("number {}", self.0 + u64::from(index))
    }
}

/// A counter that is shared.
#[derive(Clone, Default)]
pub(super) struct Count(Arc<AtomicU64>);

impl Count {
    pub(super) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(super) fn raise(&self, to: u64) {
        self.0.fetch_max(to, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
