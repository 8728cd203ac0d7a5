//! [`Sink`]: where records go.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::source::BoxFuture;
use super::{Cause, Checkpoint, Error, LetterForm, Result, Shares, SinkTraits};
use crate::commit::{Share, Ticket};
use crate::data::{Batch, Data, Form, Records, Shared};

/// Where records go.
///
/// The engine calls, in this order: [`open`](Self::open) once; then [`write`](Self::write) with one batch after the
/// other, in order, and between two calls of it [`flush`](Self::flush) or [`commit`](Self::commit) as they fall due;
/// [`close`](Self::close) once at the end if all went well. No two calls run at once and none is dropped before it is
/// ready, except when the run is aborted.
///
/// **Who acknowledges:** a `write` that returns `Ok` and leaves the ticket alone has taken the records over, and the
/// engine settles the ticket. A sink that hears later takes the ticket and settles it itself, whole or shared by row.
///
/// **Beginning anew:** a sink that keeps positions with its data, and can't commit what it was given (a transaction that
/// has to be aborted), says so by an error that [begins anew](Error::begin_anew): the engine drops it and the source
/// without closing them, makes both again, and goes on from the last commit.
///
/// Of a row that failed after its batch was taken over it [tells](Failures::tell) the engine, before the next flush
/// returns; what is worth a retry it tries again by itself before that.
///
/// **Durability:** what was written is durable once `flush` has returned; the engine commits nothing before that. A
/// sink that stores positions with its data is given `commit` instead.
pub trait Sink: Send + 'static {
    /// What it takes.
    type In: Data;

    /// Opens it, and settles or cuts off what a crash left behind. A sink that keeps positions says which it holds:
    /// they win over the checkpoint store. `None`: it keeps none.
    fn open(&mut self, context: &SinkContext) -> impl Future<Output = Result<Option<Vec<Checkpoint>>>> + Send;

    /// Writes a batch.
    fn write(
        &mut self,
        records: Records<'_, <Self::In as Data>::Column>,
        ticket: &mut Option<Ticket>,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Makes durable what was written.
    fn flush(&mut self) -> impl Future<Output = Result<()>> + Send;

    /// Makes durable what was written, together with these positions (all of them, each time): both or neither. Called
    /// only on sinks whose traits say that they are transactional, and only when everything written has settled.
    fn commit(&mut self, positions: &[Checkpoint]) -> impl Future<Output = Result<()>> + Send {
        let _ = positions;
        async { Err(Error::new(Cause::Bug, "this sink keeps no positions")) }
    }

    /// The run is over and all is committed: puts the output in its place.
    fn close(&mut self) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// What a sink is told when it opens.
#[derive(Debug, Clone, Default)]
pub struct SinkContext {
    /// The pipeline's name.
    pub pipeline: String,
    /// The name of the source's stage.
    pub stage: String,
    /// Whether the run keeps positions: a sink that can should keep them with its data.
    pub keeps_positions: bool,
    /// What the checkpoint store knows of this pipeline.
    pub committed: Vec<Checkpoint>,
    /// What the source reads, as the checkpoint store knows it ([`Opened::input`](super::Opened::input)): a sink that
    /// keeps positions remembers it with them, and refuses another. `None`: the store, and with it the source, is on
    /// another instance.
    pub input: Option<String>,
    /// Where to tell of rows that failed after their batch was taken over.
    pub failures: Failures,
    /// What the source shares, for a sink that commits the source's positions at their own server: such a sink holds none
    /// itself, and says so by an empty list.
    pub source: Option<Shares>,
    /// Whether the source's positions name the same records in a later life of the run
    /// ([`SourceTraits::resumable`](super::SourceTraits::resumable)).
    pub resumable: bool,
    /// For a sink of dead letters that [joins](SinkFactory::joins) the pipeline's: what that one shares.
    pub sink: Option<Shares>,
    /// The number of this instance, where sinks of the same pipeline run on others as well; `None`: it is the only one.
    pub instance: Option<u16>,
    /// Where to ask for a commit before it is due.
    pub commit_soon: CommitSoon,
}

/// Where a sink asks for a commit before it is due: because what it has taken since the last one is to get no larger. It
/// goes on taking what it is given until the commit comes. The default one has nobody who listens.
#[derive(Debug, Clone, Default)]
pub struct CommitSoon(Option<Arc<Notify>>);

impl CommitSoon {
    pub(crate) fn telling(whom: &Arc<Notify>) -> Self {
        Self(Some(whom.clone()))
    }

    /// Asks for a commit as soon as may be. To ask again before it comes changes nothing.
    pub fn ask(&self) {
        if let Some(whom) = &self.0 {
            whom.notify_one();
        }
    }
}

/// Where a sink tells of rows that failed after it had taken over their batch: the stage's error policy deals with their
/// records. The default one has nobody who listens, and what it is told of counts as abandoned.
#[derive(Debug, Clone, Default)]
pub struct Failures(Option<mpsc::UnboundedSender<Failure>>);

/// A record that failed after its batch was taken over.
pub(crate) struct Failure {
    /// The claim to the record.
    pub(crate) ticket: Ticket,
    /// Where it comes from.
    pub(crate) shared: Arc<Shared>,
    /// Why it failed.
    pub(crate) error: Error,
}

impl Failures {
    pub(crate) fn channel() -> (Self, mpsc::UnboundedReceiver<Failure>) {
        let (tell, told) = mpsc::unbounded_channel();
        (Self(Some(tell)), told)
    }

    /// The row of this share failed; [`Records::shared`] says where its batch comes from. Its record counts as failed
    /// whatever becomes of its other rows. An error that is not the [record's own](Cause::Record) ends the run, whatever
    /// the policy.
    pub fn tell(&self, share: Share, shared: &Arc<Shared>, error: Error) {
        if let (Some(tell), Some(ticket)) = (&self.0, share.failed()) {
            // One that nobody takes is dropped, and so abandoned.
            let _ = tell.send(Failure { ticket, shared: shared.clone(), error });
        }
    }
}

/// Why a batch could not be written whole.
#[derive(Debug)]
pub enum WriteError {
    /// The rows before `row` were taken over; this one was not, and none after it.
    Row {
        /// The row.
        row: usize,
        /// What went wrong.
        error: Error,
    },
    /// Whoever reads the output has gone away and wants no more: the run ends quietly, without a commit.
    ReaderGone,
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self::Row { row: 0, error }
    }
}

/// A declared sink: what it can do, and how to make it. Making one opens nothing.
pub trait SinkFactory: Send + Sync + 'static {
    /// The sink it makes.
    type Sink: Sink;

    /// What it can do, in a run that keeps positions or in one that doesn't.
    fn traits(&self, keeps_positions: bool) -> SinkTraits;

    /// What is wrong with its settings, one message each with what to do; found before anything is opened.
    fn check(&self) -> Vec<String> {
        Vec::new()
    }

    /// The file that it writes, if it writes one: the source may not read it.
    fn writes(&self) -> Option<PathBuf> {
        None
    }

    /// What a sink of dead letters has to have of this one to write into the same transactions.
    fn shares(&self) -> Option<Shares> {
        None
    }

    /// Whether, as a sink of dead letters, it writes into the transactions of the pipeline's sink, which shares this: what
    /// it was given is durable with that one's next commit and not before, or is gone with it when all begins anew. It is
    /// written to only between that one's writes.
    fn joins(&self, sink: &Shares) -> bool {
        let _ = sink;
        false
    }

    /// As a sink of dead letters: what is wrong with it beside what [`check`](Self::check) finds, one message each with
    /// what to do.
    fn check_letters(&self) -> Vec<String> {
        Vec::new()
    }

    /// As a sink of dead letters: how they become its records. `OnError::dead_letter` sees to it.
    fn letters(&self) -> LetterForm {
        LetterForm::lines()
    }

    /// Makes one.
    fn make(&self) -> Self::Sink;
}

/// A declared sink of these traits that `make` makes: for a sink that has no settings to be checked.
pub fn sink<S: Sink>(traits: SinkTraits, make: impl Fn() -> S + Send + Sync + 'static) -> impl SinkFactory<Sink = S> {
    Made { traits, make }
}

struct Made<F> {
    traits: SinkTraits,
    make: F,
}

impl<S: Sink, F: Fn() -> S + Send + Sync + 'static> SinkFactory for Made<F> {
    type Sink = S;

    fn traits(&self, _: bool) -> SinkTraits {
        self.traits.clone()
    }

    fn make(&self) -> S {
        (self.make)()
    }
}

/// A [`Sink`] whose type is not known.
pub trait DynSink: Send {
    /// See [`Sink::open`].
    fn open<'a>(&'a mut self, context: &'a SinkContext) -> BoxFuture<'a, Result<Option<Vec<Checkpoint>>>>;
    /// See [`Sink::write`].
    fn write<'a>(
        &'a mut self,
        batch: &'a Batch,
        ticket: &'a mut Option<Ticket>,
    ) -> BoxFuture<'a, Result<(), WriteError>>;
    /// See [`Sink::flush`].
    fn flush(&mut self) -> BoxFuture<'_, Result<()>>;
    /// See [`Sink::commit`].
    fn commit<'a>(&'a mut self, positions: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>>;
    /// See [`Sink::close`].
    fn close(&mut self) -> BoxFuture<'_, Result<()>>;
}

impl<S: Sink> DynSink for S {
    fn open<'a>(&'a mut self, context: &'a SinkContext) -> BoxFuture<'a, Result<Option<Vec<Checkpoint>>>> {
        Box::pin(Sink::open(self, context))
    }

    fn write<'a>(
        &'a mut self,
        batch: &'a Batch,
        ticket: &'a mut Option<Ticket>,
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        match Records::of(batch) {
            Some(records) => Box::pin(Sink::write(self, records, ticket)),
            None => Box::pin(async {
                Err(Error::new(Cause::Bug, "a sink was given a batch of another type: the graph does not fit it")
                    .into())
            }),
        }
    }

    fn flush(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(Sink::flush(self))
    }

    fn commit<'a>(&'a mut self, positions: &'a [Checkpoint]) -> BoxFuture<'a, Result<()>> {
        Box::pin(Sink::commit(self, positions))
    }

    fn close(&mut self) -> BoxFuture<'_, Result<()>> {
        Box::pin(Sink::close(self))
    }
}

/// A [`SinkFactory`] whose type is not known.
pub trait DynSinkFactory: Send + Sync {
    /// See [`SinkFactory::traits`].
    fn traits(&self, keeps_positions: bool) -> SinkTraits;
    /// See [`SinkFactory::check`].
    fn check(&self) -> Vec<String>;
    /// See [`SinkFactory::writes`].
    fn writes(&self) -> Option<PathBuf>;
    /// See [`SinkFactory::shares`].
    fn shares(&self) -> Option<Shares>;
    /// See [`SinkFactory::joins`].
    fn joins(&self, sink: &Shares) -> bool;
    /// See [`SinkFactory::letters`].
    fn letters(&self) -> LetterForm;
    /// See [`SinkFactory::make`].
    fn make(&self) -> Box<dyn DynSink>;
    /// What it takes.
    fn form(&self) -> Form;
}

impl<F: SinkFactory> DynSinkFactory for F {
    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        SinkFactory::traits(self, keeps_positions)
    }

    fn check(&self) -> Vec<String> {
        SinkFactory::check(self)
    }

    fn writes(&self) -> Option<PathBuf> {
        SinkFactory::writes(self)
    }

    fn shares(&self) -> Option<Shares> {
        SinkFactory::shares(self)
    }

    fn joins(&self, sink: &Shares) -> bool {
        SinkFactory::joins(self, sink)
    }

    fn letters(&self) -> LetterForm {
        SinkFactory::letters(self)
    }

    fn make(&self) -> Box<dyn DynSink> {
        Box::new(SinkFactory::make(self))
    }

    fn form(&self) -> Form {
        <F::Sink as Sink>::In::form()
    }
}
