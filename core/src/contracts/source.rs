//! [`Source`]: where records come from.

use std::any::Any;
use std::collections::HashMap;
use std::future::Future;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Refused, Result, SourceTraits};
use crate::commit::Outcome;
use crate::data::{AnyColumn, Bytes, Column, Data, Form, Marks, Packed, Partition, PartitionId, Position, Times};

/// Where records come from.
///
/// The engine calls, in this order: [`open`](Self::open) once; then [`next`](Self::next) again and again, and between
/// two calls of it [`commit`](Self::commit), [`settle`](Self::settle) and [`extend`](Self::extend) as they fall due;
/// [`close`](Self::close) once at the end, after the last commit. No two calls run at once.
///
/// **Cancellation:** `next` may be dropped before it is ready, and what it would have returned must come from the next
/// call. The other calls are never dropped except when the run is aborted.
///
/// **Retries:** an error that [is worth a retry](super::Error::is_retryable) ends the run like any other; a source
/// that reconnects does so inside `next`.
///
/// **Who acknowledges:** the engine decides what may be acknowledged, the source does it, in `commit` or `settle`. A
/// source never acknowledges on its own.
pub trait Source: Send + 'static {
    /// What it emits. [`Bytes`] are kept with their batch, as what letters and retries are made from.
    type Out: Data;

    /// Opens it and goes to where `held` says that each partition stands; where that says nothing, to the beginning.
    /// Returns the partitions that are open from the start. A position that can't be gone to (a file that has changed,
    /// an expired offset) is an error that names the way out.
    fn open(&mut self, held: &Held) -> impl Future<Output = Result<Vec<Partition>>> + Send;

    /// How many bytes of input lie between where it was opened and the end, counted as the blocks that its chunks bring
    /// (decompressed); `None` when that isn't known. Asked after [`open`](Self::open), for percent and time to go.
    fn size(&self) -> Option<u64> {
        None
    }

    /// The next thing to happen. Records are given as soon as there are any; it doesn't wait for a batch to fill.
    fn next(&mut self) -> impl Future<Output = Result<Event<Self::Out>>> + Send;

    /// Everything before these positions has arrived and is stored. Optimistic sources acknowledge upstream here.
    fn commit(&mut self, positions: &[(PartitionId, Position)]) -> impl Future<Output = Result<()>> + Send {
        let _ = positions;
        async { Ok(()) }
    }

    /// These records have settled. Pessimistic sources acknowledge what was delivered or disposed of, and give back
    /// what was abandoned.
    fn settle(&mut self, settled: &[Settlement]) -> impl Future<Output = Result<()>> + Send {
        let _ = settled;
        async { Ok(()) }
    }

    /// These records are not acknowledged yet: pessimistic sources extend the time that they stay invisible to others. Some
    /// of them may be acknowledged meanwhile.
    fn extend(&mut self, partition: PartitionId, in_flight: Range<u64>) -> impl Future<Output = Result<()>> + Send {
        let _ = (partition, in_flight);
        async { Ok(()) }
    }

    /// The run is over, or the source gives up its claim on what it reads. One that is dropped without it is made and
    /// opened again at once in the same run (unless that is aborted): what it reads may be kept for it until then.
    fn close(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// What a source says.
pub enum Event<T: Data> {
    /// Records.
    Records(Chunk<T>),
    /// A partition has come; it gets the next number. Where several instances share partitions out before a sink that keeps
    /// positions, the source is opened anew before it is read: best with all that has come by then.
    Opened(Partition),
    /// A partition is gone; what is in flight of it can no longer be acknowledged. Where the sink keeps positions with its
    /// data, and was given records of it that are not committed, source and sink are opened anew from the last commit.
    Closed(PartitionId),
    /// Nothing of this partition will come that happened before this time (microseconds since the Unix epoch).
    Promise(PartitionId, i64),
    /// The input has ended.
    End,
}

/// Records that a source emits together: about 256 to 1,024 of them. They get the next sequence numbers of their
/// partition.
pub struct Chunk<T: Data> {
    /// The partition: partitions are numbered from 0 in the order in which they were opened.
    pub partition: PartitionId,
    /// The records.
    pub column: T::Column,
    /// When they happened; `None`: when they were read.
    pub times: Option<Times>,
    /// Where they stand.
    pub marks: Arc<dyn Marks>,
    /// Records that can't be given, by index (ascending): their rows hold what there is of them. They meet the source
    /// stage's error policy.
    pub refused: Vec<(u32, Refused)>,
}

/// What became of records of a pessimistic source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The partition.
    pub partition: PartitionId,
    /// The sequence numbers: dense from 0, in the order in which the source emitted the records.
    pub records: Range<u64>,
    /// What became of them; never [`Outcome::Absorbed`].
    pub outcome: Outcome,
}

/// The positions that a run starts from and has committed since.
#[derive(Debug, Clone, Default)]
pub struct Held(Arc<Mutex<HashMap<Partition, Position>>>);

impl Held {
    /// Holding these.
    pub fn new(positions: impl IntoIterator<Item = (Partition, Position)>) -> Self {
        Self(Arc::new(Mutex::new(positions.into_iter().collect())))
    }

    /// Where a partition stands.
    pub fn position(&self, partition: &Partition) -> Option<Position> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(partition).cloned()
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> Vec<(Partition, Position)> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = held.iter().map(|(partition, position)| (partition.clone(), position.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// A partition has been committed up to here.
    pub fn put(&self, partition: Partition, position: Position) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, position);
    }

    /// Where a partition stands is not known here any more.
    pub(crate) fn forget(&self, partition: &Partition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }
}

/// A declared source: what it can do, and how to make it. Making one opens nothing.
pub trait SourceFactory: Send + Sync + 'static {
    /// The source it makes.
    type Source: Source;

    /// What it can do.
    fn traits(&self) -> SourceTraits;

    /// What is wrong with its settings, one message each with what to do; found before anything is opened.
    fn check(&self) -> Vec<String> {
        Vec::new()
    }

    /// The files that it reads, if it reads files: a sink may not write to them.
    fn reads(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    /// What a sink that commits its positions ([`SinkTraits::commits_for`](super::SinkTraits::commits_for)) needs of it,
    /// handed to the sink as [`SinkContext::source`](super::SinkContext::source): the same each time.
    fn shares(&self) -> Option<Shares> {
        None
    }

    /// Makes one.
    fn make(&self) -> Self::Source;
}

/// What a source shares with a sink of the same server: of a type that both know.
pub type Shares = Arc<dyn Any + Send + Sync>;

/// A declared source of these traits that `make` makes: for a source that has no settings to be checked.
pub fn source<S: Source>(
    traits: SourceTraits,
    make: impl Fn() -> S + Send + Sync + 'static,
) -> impl SourceFactory<Source = S> {
    Made { traits, make }
}

struct Made<F> {
    traits: SourceTraits,
    make: F,
}

impl<S: Source, F: Fn() -> S + Send + Sync + 'static> SourceFactory for Made<F> {
    type Source = S;

    fn traits(&self) -> SourceTraits {
        self.traits.clone()
    }

    fn make(&self) -> S {
        (self.make)()
    }
}

/// A boxed future, as the traits whose types are not known return it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A [`Source`] whose type is not known.
pub trait DynSource: Send {
    /// See [`Source::open`].
    fn open<'a>(&'a mut self, held: &'a Held) -> BoxFuture<'a, Result<Vec<Partition>>>;
    /// See [`Source::size`].
    fn size(&self) -> Option<u64>;
    /// See [`Source::next`].
    fn next(&mut self) -> BoxFuture<'_, Result<DynEvent>>;
    /// See [`Source::commit`].
    fn commit<'a>(&'a mut self, positions: &'a [(PartitionId, Position)]) -> BoxFuture<'a, Result<()>>;
    /// See [`Source::settle`].
    fn settle<'a>(&'a mut self, settled: &'a [Settlement]) -> BoxFuture<'a, Result<()>>;
    /// See [`Source::extend`].
    fn extend(&mut self, partition: PartitionId, in_flight: Range<u64>) -> BoxFuture<'_, Result<()>>;
    /// See [`Source::close`].
    fn close(&mut self) -> BoxFuture<'_, Result<()>>;
}

/// An [`Event`] whose type is not known.
pub enum DynEvent {
    /// Records.
    Records(DynChunk),
    /// A partition has come.
    Opened(Partition),
    /// A partition is gone.
    Closed(PartitionId),
    /// Nothing earlier will come.
    Promise(PartitionId, i64),
    /// The input has ended.
    End,
}

/// A [`Chunk`] whose type is not known.
pub struct DynChunk {
    pub(crate) partition: PartitionId,
    pub(crate) column: Box<dyn AnyColumn>,
    pub(crate) raw: Option<Packed<Bytes>>,
    pub(crate) times: Option<Times>,
    pub(crate) marks: Arc<dyn Marks>,
    pub(crate) refused: Vec<(u32, Refused)>,
}

impl<S: Source> DynSource for S {
    fn open<'a>(&'a mut self, held: &'a Held) -> BoxFuture<'a, Result<Vec<Partition>>> {
        Box::pin(Source::open(self, held))
    }

    fn size(&self) -> Option<u64> {
        Source::size(self)
    }

    fn next(&mut self) -> BoxFuture<'_, Result<DynEvent>> {
        Box::pin(async {
            Ok(match Source::next(self).await? {
                Event::Records(chunk) => DynEvent::Records(erase(chunk)),
                Event::Opened(partition) => DynEvent::Opened(partition),
                Event::Closed(partition) => DynEvent::Closed(partition),
                Event::Promise(partition, time) => DynEvent::Promise(partition, time),
                Event::End => DynEvent::End,
            })
        })
    }

    fn commit<'a>(&'a mut self, positions: &'a [(PartitionId, Position)]) -> BoxFuture<'a, Result<()>> {
        Box::pin(Source::commit(self, positions))
    }

    fn settle<'a>(&'a mut self, settled: &'a [Settlement]) -> BoxFuture<'a, Result<()>> {
        Box::pin(Source::settle(self, settled))
    }

    fn extend(&mut self, partition: PartitionId, in_flight: Range<u64>) -> BoxFuture<'_, Result<()>> {
        Box::pin(Source::extend(self, partition, in_flight))
    }

    fn close(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(Source::close(self))
    }
}

fn erase<T: Data>(chunk: Chunk<T>) -> DynChunk {
    let Chunk { partition, mut column, times, marks, refused } = chunk;
    let any: &mut dyn AnyColumn = &mut column;
    let raw = any.cast_mut::<Packed<Bytes>>().map(|packed| {
        packed.freeze();
        packed.clone()
    });
    DynChunk { partition, column: Box::new(column), raw, times, marks, refused }
}

/// A [`SourceFactory`] whose type is not known.
pub trait DynSourceFactory: Send + Sync {
    /// See [`SourceFactory::traits`].
    fn traits(&self) -> SourceTraits;
    /// See [`SourceFactory::check`].
    fn check(&self) -> Vec<String>;
    /// See [`SourceFactory::reads`].
    fn reads(&self) -> Vec<PathBuf>;
    /// See [`SourceFactory::shares`].
    fn shares(&self) -> Option<Shares>;
    /// See [`SourceFactory::make`].
    fn make(&self) -> Box<dyn DynSource>;
    /// What it emits.
    fn form(&self) -> Form;
}

impl<F: SourceFactory> DynSourceFactory for F {
    fn traits(&self) -> SourceTraits {
        SourceFactory::traits(self)
    }

    fn check(&self) -> Vec<String> {
        SourceFactory::check(self)
    }

    fn reads(&self) -> Vec<PathBuf> {
        SourceFactory::reads(self)
    }

    fn shares(&self) -> Option<Shares> {
        SourceFactory::shares(self)
    }

    fn make(&self) -> Box<dyn DynSource> {
        Box::new(SourceFactory::make(self))
    }

    fn form(&self) -> Form {
        <F::Source as Source>::Out::form()
    }
}

impl<T: Data> Chunk<T> {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.column.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.column.is_empty()
    }
}
