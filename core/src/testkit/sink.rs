//! [`ScriptSink`]: a sink that does what it is told.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::script::{Server, number_of};
use super::{Act, Ledger};
use crate::commit::Ticket;
use crate::contracts::{
    Cause, Checkpoint, Error, Failures, Result, Sink, SinkContext, SinkFactory, SinkTraits, Where, WriteError,
};
use crate::data::{Column, Data, Records};

/// A declared sink that does what it is told and keeps what it was given. Clones share that, and their faults.
#[derive(Clone)]
pub struct ScriptSink<T> {
    name: String,
    ledger: Ledger,
    written: Written<T>,
    faults: Vec<Arc<Fault<T>>>,
    slow_write: Duration,
    slow_flush: Duration,
    transactional: bool,
    settles: Settles<T>,
    loses: Option<Pick<T>>,
    /// Rows that fail after they were taken over, and whose fault that is.
    late: Option<(Pick<T>, Cause)>,
    /// How many rows are left until the reader goes.
    reader: Arc<AtomicU64>,
    /// How many flushes go well.
    flushes: Arc<AtomicU32>,
    /// How many flushes there were, and which of them begin anew.
    flushed: Arc<AtomicU32>,
    anew: Vec<u32>,
    /// How often it was opened, and when it can't be.
    opened: Arc<AtomicU32>,
    away: Vec<u32>,
    /// The server of the source's positions that it commits there.
    commits_at: Option<String>,
    blocking: bool,
}

type Pick<T> = Arc<dyn Fn(&T) -> bool + Send + Sync>;

struct Fault<T> {
    on: Pick<T>,
    left: AtomicU32,
    cause: Cause,
}

/// When tickets are settled.
enum Settles<T> {
    AtOnce,
    AtFlush,
    After(Arc<dyn Fn(&T) -> Duration + Send + Sync>),
}

impl<T> Clone for Settles<T> {
    fn clone(&self) -> Self {
        match self {
            Self::AtOnce => Self::AtOnce,
            Self::AtFlush => Self::AtFlush,
            Self::After(delay) => Self::After(delay.clone()),
        }
    }
}

/// What a [`ScriptSink`] was given, of all runs. Clones share it.
pub struct Written<T>(Arc<Mutex<Rows<T>>>);

struct Rows<T> {
    rows: Vec<T>,
    /// How many of them are durable.
    durable: usize,
    /// What was stored with them, by a transactional sink.
    stored: Vec<Checkpoint>,
}

impl<T> Clone for Written<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Written<T> {
    fn lock(&self) -> MutexGuard<'_, Rows<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many rows were written.
    pub fn len(&self) -> usize {
        self.lock().rows.len()
    }

    /// Whether none was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Written<T> {
    /// All rows, in the order in which they were written.
    pub fn values(&self) -> Vec<T> {
        self.lock().rows.clone()
    }

    /// Those that are durable.
    pub fn durable(&self) -> Vec<T> {
        let rows = self.lock();
        rows.rows[..rows.durable].to_vec()
    }
}

impl<T: Data + Clone> ScriptSink<T> {
    /// A sink that takes everything, under this name in the ledger.
    pub fn new(ledger: &Ledger, name: &str) -> Self {
        let rows = Rows { rows: Vec::new(), durable: 0, stored: Vec::new() };
        Self {
            name: name.to_owned(),
            ledger: ledger.clone(),
            written: Written(Arc::new(Mutex::new(rows))),
            faults: Vec::new(),
            slow_write: Duration::ZERO,
            slow_flush: Duration::ZERO,
            transactional: false,
            settles: Settles::AtOnce,
            loses: None,
            late: None,
            reader: Arc::new(AtomicU64::new(u64::MAX)),
            flushes: Arc::new(AtomicU32::new(u32::MAX)),
            flushed: Arc::default(),
            anew: Vec::new(),
            opened: Arc::default(),
            away: Vec::new(),
            commits_at: None,
            blocking: false,
        }
    }

    /// What it is given, now and later.
    pub fn written(&self) -> Written<T> {
        self.written.clone()
    }

    /// Fails the first `times` times that it is given such a row (`u32::MAX`: always). [`Cause::Outside`] is worth a
    /// retry, [`Cause::Record`] is the record's own fault.
    #[must_use]
    pub fn fails_on(mut self, on: impl Fn(&T) -> bool + Send + Sync + 'static, times: u32, cause: Cause) -> Self {
        self.faults.push(Arc::new(Fault { on: Arc::new(on), left: AtomicU32::new(times), cause }));
        self
    }

    /// Takes so long for each batch.
    #[must_use]
    pub fn slow_writes(mut self, time: Duration) -> Self {
        self.slow_write = time;
        self
    }

    /// Takes so long for each flush.
    #[must_use]
    pub fn slow_flushes(mut self, time: Duration) -> Self {
        self.slow_flush = time;
        self
    }

    /// Fails to flush, for ever, after so many flushes.
    #[must_use]
    pub fn fails_after_flushes(self, flushes: u32) -> Self {
        self.flushes.store(flushes, Relaxed);
        self
    }

    /// Stores positions with its data, in a run that keeps positions; opening it cuts off what was not committed.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Commits the positions of a [`Script`](super::Script) at its server, if that is
    /// [this one](super::Script::at_server).
    #[must_use]
    pub fn commits_at(mut self, server: &str) -> Self {
        self.commits_at = Some(server.to_owned());
        self
    }

    /// Can't commit what it was given when it is flushed for these times, counted from 1 over all runs: all begins anew.
    #[must_use]
    pub fn begins_anew_at(mut self, flushes: &[u32]) -> Self {
        self.anew = flushes.to_vec();
        self
    }

    /// Can't be opened these times, counted from 1 over all runs: what is outside doesn't let it.
    #[must_use]
    pub fn away_at(mut self, openings: &[u32]) -> Self {
        self.away = openings.to_vec();
        self
    }

    /// Keeps tickets until it is flushed, and settles them last to first.
    #[must_use]
    pub fn settles_at_flush(mut self) -> Self {
        self.settles = Settles::AtFlush;
        self
    }

    /// Settles each row by itself, so long after it was written. A flush waits for all of them.
    #[must_use]
    pub fn settles_after(mut self, delay: impl Fn(&T) -> Duration + Send + Sync + 'static) -> Self {
        self.settles = Settles::After(Arc::new(delay));
        self
    }

    /// Drops the claim of such rows without a word.
    #[must_use]
    pub fn loses(mut self, which: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.loses = Some(Arc::new(which));
        self
    }

    /// Such rows fail when they are settled, after their batch was taken over.
    #[must_use]
    pub fn fails_late(mut self, which: impl Fn(&T) -> bool + Send + Sync + 'static, cause: Cause) -> Self {
        self.late = Some((Arc::new(which), cause));
        self
    }

    /// Whoever reads the output goes away after so many rows.
    #[must_use]
    pub fn reader_goes_after(self, rows: u64) -> Self {
        self.reader.store(rows, Relaxed);
        self
    }

    /// Asks for a thread of its own.
    #[must_use]
    pub fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }
}

impl<T: Data + Clone> SinkFactory for ScriptSink<T> {
    type Sink = ScriptedSink<T>;

    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        let transactional = match self.transactional && keeps_positions {
            true => Ok(()),
            false => Err("the script doesn't take back what was written".to_owned()),
        };
        SinkTraits {
            kind: "SCRIPT-SINK".to_owned(),
            output: self.name.clone(),
            place: Where::Last,
            ordered: true,
            transactional,
            positions_in: None,
            commits_at: self.commits_at.clone(),
            durable_at_close: false,
            local_state: false,
            blocking: self.blocking,
        }
    }

    fn make(&self) -> ScriptedSink<T> {
        ScriptedSink {
            script: self.clone(),
            server: None,
            failures: Failures::default(),
            kept: Vec::new(),
            late: Vec::new(),
        }
    }
}

/// The sink that [`ScriptSink`] declares.
pub struct ScriptedSink<T> {
    script: ScriptSink<T>,
    /// Where it commits the positions of the source.
    server: Option<Arc<Server>>,
    failures: Failures,
    kept: Vec<Ticket>,
    late: Vec<JoinHandle<()>>,
}

impl<T: Data + Clone> Sink for ScriptedSink<T> {
    type In = T;

    async fn open(&mut self, context: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        if self.script.away.contains(&(self.script.opened.fetch_add(1, Relaxed) + 1)) {
            return Err(Error::new(Cause::Outside, "the script says that it can't be opened"));
        }
        self.failures = context.failures.clone();
        self.server = context.source.clone().and_then(|source| source.downcast().ok());
        if self.server.is_none() && !(self.script.transactional && context.keeps_positions) {
            return Ok(None);
        }
        let mut rows = self.script.written.lock();
        let durable = rows.durable;
        rows.rows.truncate(durable);
        if self.server.is_some() {
            return Ok(Some(Vec::new()));
        }
        Ok((!rows.stored.is_empty()).then(|| rows.stored.clone()))
    }

    async fn write(&mut self, records: Records<'_, T::Column>, ticket: &mut Option<Ticket>) -> Result<(), WriteError> {
        sleep(self.script.slow_write).await;
        let room = self.script.reader.load(Relaxed);
        let fault = (0..records.len()).find_map(|row| Some((row, self.fault(&value(&records, row))?)));
        let good = fault.as_ref().map_or(records.len(), |(row, _)| *row);
        let taken = good.min(usize::try_from(room).unwrap_or(usize::MAX));
        (0..taken).for_each(|row| self.take(&records, row));
        self.script.reader.store(room - taken as u64, Relaxed);
        if taken < good {
            return Err(WriteError::ReaderGone);
        }
        match fault {
            Some((row, error)) => Err(WriteError::Row { row, error }),
            None => {
                self.settle(&records, ticket);
                Ok(())
            }
        }
    }

    async fn flush(&mut self) -> Result<()> {
        sleep(self.script.slow_flush).await;
        if self.script.flushes.load(Relaxed) == 0 {
            return Err(Error::new(Cause::Outside, "the script says that the flush fails"));
        }
        self.script.flushes.fetch_sub(1, Relaxed);
        if self.script.anew.contains(&(self.script.flushed.fetch_add(1, Relaxed) + 1)) {
            return Err(Error::new(Cause::Outside, "the script says that it can't be committed").begin_anew());
        }
        while let Some(ticket) = self.kept.pop() {
            ticket.delivered();
        }
        for late in self.late.drain(..) {
            // One that panicked dropped its claim, which is its word.
            let _ = late.await;
        }
        if !self.script.transactional && self.server.is_none() {
            self.all_durable();
            self.script.ledger.note(Act::Flushed { sink: self.script.name.clone() });
        }
        Ok(())
    }

    async fn commit(&mut self, positions: &[Checkpoint]) -> Result<()> {
        self.all_durable();
        self.script.written.lock().stored = positions.to_vec();
        for Checkpoint { key, position } in positions {
            let (sink, partition) = (self.script.name.clone(), key.partition.to_string());
            self.script.ledger.note(Act::Stored { sink, partition, upto: number_of(position) });
            if let Some(server) = &self.server {
                server.commit(key.partition.name(), number_of(position));
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.script.ledger.note(Act::SinkClosed { sink: self.script.name.clone() });
        Ok(())
    }
}

fn value<T: Data + Clone>(records: &Records<'_, T::Column>, row: usize) -> T {
    records.column().with(row, T::clone)
}

impl<T: Data + Clone> ScriptedSink<T> {
    fn all_durable(&self) {
        let mut rows = self.script.written.lock();
        rows.durable = rows.rows.len();
    }

    fn fault(&self, value: &T) -> Option<Error> {
        let due = |fault: &&Arc<Fault<T>>| (fault.on)(value) && fault.left.load(Relaxed) > 0;
        let fault = self.script.faults.iter().find(due)?;
        if fault.left.load(Relaxed) < u32::MAX {
            fault.left.fetch_sub(1, Relaxed);
        }
        Some(Error::new(fault.cause, "the script says that this row fails"))
    }

    fn take(&self, records: &Records<'_, T::Column>, row: usize) {
        self.script.written.lock().rows.push(value(records, row));
        let stamp = records.stamp(row);
        let (sink, partition) = (self.script.name.clone(), stamp.partition.to_string());
        self.script.ledger.note(Act::Wrote { sink, partition, sequence: stamp.sequence });
    }

    fn settle(&mut self, records: &Records<'_, T::Column>, ticket: &mut Option<Ticket>) {
        let loses = self.script.loses.clone();
        let lost = |row: usize| loses.as_ref().is_some_and(|loses| loses(&value(records, row)));
        let late = |row: usize| {
            let (which, cause) = self.script.late.as_ref()?;
            which(&value(records, row)).then(|| Error::new(*cause, "the script says that this row fails late"))
        };
        match &self.script.settles {
            Settles::AtOnce if !(0..records.len()).any(|row| lost(row) || late(row).is_some()) => {}
            Settles::AtFlush => self.kept.extend(ticket.take()),
            settles => {
                let Some(ticket) = ticket.take() else { return };
                let of: Vec<u32> = (0..records.len()).map(|row| records.record(row)).collect();
                for (row, share) in ticket.share(&of).into_iter().enumerate() {
                    if lost(row) {
                        drop(share);
                        continue;
                    }
                    if let Some(error) = late(row) {
                        self.failures.tell(share, records.shared(), error);
                        continue;
                    }
                    match settles {
                        Settles::After(delay) => {
                            let delay = delay(&value(records, row));
                            self.late.push(tokio::spawn(async move {
                                sleep(delay).await;
                                share.delivered();
                            }));
                        }
                        _ => share.delivered(),
                    }
                }
            }
        }
    }
}
