//! The sink's end of a pipeline: writes, and does what a commit asks for between two writes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::behind::Behind;
use super::kept::Upto;
use super::metrics::{Meters, add};
use super::open_sink::OpenSink;
use super::parcel::Parcel;
use super::resolve::Resolver;
use crate::commit::{Cut, Ticket};
use crate::contracts::{Cause, Clock, DynSink, Error, Failure, Result, WriteError};
use crate::data::Shared;
use crate::plan::{Options, Policy, StageId};

/// What the sink is asked to do between two batches.
pub(super) enum SinkRequest {
    /// Make durable what was written.
    Flush(oneshot::Sender<Result<()>>),
    /// Make durable what was written, together with the positions up to which it has settled. `None`: that can't be done
    /// just now, and nothing was.
    Commit(oneshot::Sender<Result<Option<Upto>>>),
    /// The run is over, and all is well: put the output in its place.
    Close(oneshot::Sender<Result<()>>),
}

/// What became of a batch that was given to the sink.
pub(super) enum Written {
    /// The sink has taken it over.
    Done,
    /// This part is to be written again after the wait.
    Again(Parcel, Duration),
    /// Whoever reads the output has gone.
    ReaderGone,
    /// The sink takes nothing any more: it has failed, and that has been told.
    Refused,
}

/// The sink's end of a pipeline.
pub(super) struct SinkEnd {
    sink: Box<dyn DynSink>,
    failures: mpsc::UnboundedReceiver<Failure>,
    /// The claim to the record that ended the run: to drop it would be to say that nobody knows what became of it.
    failed: Option<Ticket>,
    name: String,
    stage: StageId,
    options: Options,
    policy: Policy,
    cut: Cut,
    behind: Behind,
    resolver: Resolver,
    clock: Arc<dyn Clock>,
    meters: Arc<Meters>,
    /// How often the batch at hand was written again.
    attempt: u32,
    /// Rows since the last flush by a trigger.
    unflushed: u64,
    /// When the next timed flush is due.
    flush_at: Option<Duration>,
    /// Only some rows of a record have been taken over.
    half_written: bool,
    /// Whether the sink keeps positions with its data.
    transactional: bool,
    /// A write has failed for good: nothing is taken for durable any more.
    broken: bool,
}

impl SinkEnd {
    #[expect(clippy::too_many_arguments, reason = "called once, where a run is put together")]
    pub(super) fn new(
        OpenSink { sink, failures }: OpenSink,
        name: String,
        stage: StageId,
        options: Options,
        policy: Policy,
        transactional: bool,
        behind: Behind,
        resolver: Resolver,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let meters = resolver.meters.clone();
        let flush_at = options.trigger.every.map(|every| clock.elapsed() + every);
        Self {
            sink,
            failures,
            failed: None,
            name,
            stage,
            options,
            policy,
            cut: Cut::new(),
            behind,
            resolver,
            clock,
            meters,
            attempt: 0,
            unflushed: 0,
            flush_at,
            half_written: false,
            transactional,
            broken: false,
        }
    }

    /// Writes a batch and settles what the sink took over.
    pub(super) async fn write(&mut self, parcel: Parcel) -> Result<Written> {
        let Parcel { batch, ticket } = parcel;
        let rows = batch.len();
        if !self.behind.may_be_written(&batch) {
            // The ticket goes, and with it these come again behind what was let go of before them.
            (self.attempt, self.half_written) = (0, false);
            return Ok(Written::Done);
        }
        let letters = self.resolver.waiting(batch.shared(), &batch.part());
        if (self.broken || !self.cut.may_feed()) && (rows > 0 || !letters.is_empty()) {
            return Ok(Written::Refused);
        }
        for (letterbox, letters) in letters {
            let written = letterbox.write(&letters).await;
            written.map_err(|error| self.broke(error))?;
            self.behind.touch();
        }
        if rows == 0 {
            ticket.delivered();
            return Ok(Written::Done);
        }
        let mut claim = Some(ticket);
        self.cut.fed();
        let written = self.sink.write(&batch, &mut claim).await;
        let written = match written {
            Ok(()) => {
                self.took_all(claim, rows)?;
                Ok(Written::Done)
            }
            Err(WriteError::ReaderGone) => {
                self.broken = true;
                Ok(Written::ReaderGone)
            }
            Err(WriteError::Row { row, error }) => match claim {
                Some(ticket) => self.failed(Parcel { batch, ticket }, row, error).await,
                None => Err(error),
            },
        };
        self.cut.settled();
        let written = written.map_err(|error| self.judge(error))?;
        self.take_failures().await?;
        if !self.broken {
            self.flush_if_due().await?;
        }
        Ok(written)
    }

    /// The sink has taken over a batch.
    fn took_all(&mut self, claim: Option<Ticket>, rows: usize) -> Result<()> {
        match claim {
            Some(ticket) => ticket.delivered(),
            None if self.transactional => return Err(self.broke(kept_ticket())),
            None => {}
        }
        (self.attempt, self.half_written) = (0, false);
        self.took(rows);
        Ok(())
    }

    /// Deals with records of earlier batches that have failed since.
    async fn take_failures(&mut self) -> Result<()> {
        while let Ok(Failure { ticket, shared, error }) = self.failures.try_recv() {
            let (record, error) = (ticket.records().start, error.in_stage(self.name.clone()));
            if error.cause() == Cause::Record && self.policy != Policy::Fail {
                self.dispose(ticket, &shared, record, error).await.map_err(|error| self.judge(error))?;
                continue;
            }
            self.failed = Some(ticket);
            let error = error.at(shared.place(record));
            return Err(self.judge(error));
        }
        Ok(())
    }

    /// The rows before `row` were taken over; the one at `row` was not.
    async fn failed(&mut self, mut parcel: Parcel, row: usize, error: Error) -> Result<Written> {
        let record = parcel.batch.record(row.min(parcel.batch.len().saturating_sub(1)));
        let error = error.in_stage(self.name.clone());
        let mut rest = parcel.split_at(record);
        // The first rows of this record may have been taken over: they don't go out again, but it settles whole.
        let taken = row.saturating_sub(parcel.batch.len());
        rest.batch.drop_rows(taken);
        // A record that a try before this one began stays half written until it is through.
        self.half_written = taken > 0 || (self.half_written && parcel.batch.part().is_empty());
        self.took(row);
        if !parcel.batch.part().is_empty() {
            // It has got further: this record has all of its retries before it.
            self.attempt = 0;
        }
        parcel.ticket.delivered();
        // What begins anew can't be written again as things stand.
        let again = error.is_retryable() && !error.begins_anew();
        if let Some(retry) = self.options.retry.filter(|retry| again && self.attempt < retry.times) {
            let wait = retry.wait(self.attempt);
            self.attempt += 1;
            add(&self.meters.stages[self.stage].retried, 1);
            tracing::warn!(error = error.chain(), ?wait, "a batch will be written again");
            return Ok(Written::Again(rest, wait));
        }
        self.attempt = 0;
        // A policy is about records. A full disk is not a record's fault: to skip for it would lose them all.
        if error.cause() != Cause::Record || self.policy == Policy::Fail {
            return Err(error.at(rest.batch.shared().place(record)));
        }
        self.half_written = false;
        let after = rest.split_at(record + 1);
        self.dispose(rest.ticket, rest.batch.shared(), record, error).await?;
        Ok(Written::Again(after, Duration::ZERO))
    }

    /// Deals with a record that failed, by the policy.
    async fn dispose(&mut self, mut ticket: Ticket, shared: &Shared, record: u32, error: Error) -> Result<()> {
        let counters = &self.meters.stages[self.stage];
        match self.policy {
            Policy::DeadLetter(letters) => {
                let faults = [(record, error)];
                let given_up = match self.resolver.bury(letters, &ticket, shared, &faults).await {
                    Ok(given_up) => given_up,
                    Err(error) => {
                        self.failed = Some(ticket);
                        return Err(error);
                    }
                };
                add(&counters.dead_lettered, faults.len() - given_up.len());
                given_up.into_iter().for_each(|record| ticket.abandon(record));
            }
            Policy::Skip | Policy::Fail => {
                tracing::warn!(error = error.chain(), "a record is skipped");
                add(&counters.skipped, 1);
            }
        }
        ticket.dispose(record);
        ticket.delivered();
        Ok(())
    }

    fn took(&mut self, rows: usize) {
        self.unflushed += rows as u64;
        add(&self.meters.stages[self.stage].rows_in, rows);
        add(&self.meters.stages[self.stage].rows_out, rows);
        self.behind.touch();
    }

    /// Cuts a batch behind the record with which a flush by count is due, and returns the rest.
    pub(super) fn cut_at_trigger(&self, parcel: &mut Parcel) -> Option<Parcel> {
        let left = self.options.trigger.each?.saturating_sub(self.unflushed).max(1);
        if parcel.batch.len() as u64 <= left {
            return None;
        }
        let last = parcel.batch.record(left as usize - 1);
        Some(parcel.split_at(last + 1))
    }

    /// When a timed flush is due, in the run's time.
    pub(super) fn flush_at(&self) -> Option<Duration> {
        self.flush_at
    }

    /// Flushes if a trigger says so.
    pub(super) async fn flush_if_due(&mut self) -> Result<()> {
        let by_count = self.options.trigger.each.is_some_and(|each| self.unflushed >= each);
        let now = self.flush_at.map(|_| self.clock.elapsed());
        let by_time = self.flush_at <= now && now.is_some();
        if !by_count && !by_time {
            return Ok(());
        }
        if let Some(every) = self.options.trigger.every {
            self.flush_at = Some(self.clock.elapsed() + every);
        }
        if self.unflushed == 0 {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<()> {
        if self.broken {
            return Err(self.refuses());
        }
        self.unflushed = 0;
        // What settles while the sink flushes may not be durable yet.
        let mark = self.behind.mark();
        let flushed = self.sink.flush().await;
        flushed.map_err(|error| self.broke(error))?;
        self.take_failures().await?;
        if !self.transactional {
            self.behind.durable(mark);
        }
        Ok(())
    }

    /// Does what it is asked to. An asker that is gone needs no answer.
    pub(super) async fn serve(&mut self, request: SinkRequest) {
        match request {
            SinkRequest::Flush(answer) => {
                let _ = answer.send(self.flush().await);
            }
            SinkRequest::Commit(answer) => {
                let _ = answer.send(self.commit().await);
            }
            SinkRequest::Close(answer) => {
                let closed = self.sink.close().await;
                let _ = answer.send(closed.map_err(|error| self.broke(error)));
            }
        }
    }

    /// Commits at a cut: what the sink was given has settled once it has flushed, and nothing more is given to it until
    /// the positions are stored.
    async fn commit(&mut self) -> Result<Option<Upto>> {
        if self.half_written {
            // A record of which only some rows are in the sink can't be in a position: the next commit has it.
            return Ok(None);
        }
        self.flush().await?;
        // What settles from here on may be in no position: it is told of by the next commit.
        let mark = self.behind.mark();
        let Some(positions) = self.behind.positions(&self.resolver.control).await? else { return Ok(None) };
        // A partition that is gone is in none of these, and its records are in the sink.
        if self.resolver.control.is_parked() {
            return Ok(None);
        }
        self.cut.ask();
        let stored = self.sink.commit(&self.behind.kept().checkpoints_with(&positions)).await;
        stored.map_err(|error| self.broke(error))?;
        self.cut.committed();
        self.behind.stored();
        self.behind.hold(&positions);
        self.behind.durable(mark);
        Ok(Some(positions.into_iter().map(|(id, _, position)| (id, position)).collect()))
    }

    fn refuses(&self) -> Error {
        let message = "nothing is written or committed after a write that failed, or whose reader went away";
        Error::new(Cause::Outside, message).in_stage(self.name.clone())
    }

    /// Of a record's own fault the sink is whole, and what it took over before counts.
    fn judge(&mut self, error: Error) -> Error {
        match error.cause() {
            Cause::Record => error,
            _ => self.broke(error),
        }
    }

    fn broke(&mut self, error: Error) -> Error {
        self.broken = true;
        error.in_stage(self.name.clone())
    }
}

fn kept_ticket() -> Error {
    let message = "a sink that keeps positions with its data took a ticket: what it was given settles by its commit, so it \
                   has to leave tickets alone";
    Error::new(Cause::Bug, message)
}
