//! Decides when to commit, and sees to the order of acts: the sink's durability first, our own checkpoint second, the
//! upstream acknowledgement last.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::control::{Control, Phase};
use super::ledger::Ledger;
use super::metrics::Meters;
use super::sink_end::SinkRequest;
use super::source_end::{Partitions, SourceRequest};
use crate::commit::Blocking;
use crate::contracts::{Cause, Clock, Error, Result, Settlement, Store};
use crate::data::{PartitionId, Position};

/// Commits are at most as frequent as this.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// Decides when to commit.
pub(super) struct Committer {
    pub(super) partitions: Arc<Partitions>,
    pub(super) source: mpsc::Sender<SourceRequest>,
    pub(super) sink: mpsc::Sender<SinkRequest>,
    pub(super) store: Option<Box<dyn Store>>,
    /// Whether the sink keeps positions with its data.
    pub(super) transactional: bool,
    /// How long a record stays invisible to others at its source, unless that is extended.
    pub(super) visibility: Option<Duration>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) meters: Arc<Meters>,
    pub(super) interval: Duration,
    /// The points of the last commit, by partition.
    pub(super) committed: Vec<u64>,
    /// How many rows the sink had taken at the last commit.
    pub(super) written: u64,
    /// What folds have emitted.
    pub(super) folds: Vec<Arc<Ledger>>,
    pub(super) control: Arc<Control>,
}

impl Committer {
    /// Commits as long as the run goes on; ends when `until` does.
    pub(super) async fn run<T>(&mut self, until: &mut (impl Future<Output = T> + Unpin)) -> Result<T> {
        let mut wait = self.interval;
        loop {
            tokio::select! {
                biased;
                ended = &mut *until => return Ok(ended),
                () = self.clock.sleep(wait) => {}
            }
            let began = self.clock.elapsed();
            self.commit(false).await?;
            self.check_abandoned()?;
            // Slow commits get rarer, so that they never take more than a third of the time.
            wait = self.interval.max((self.clock.elapsed() - began) * 2);
        }
    }

    /// Commits what may be committed now. The `last` commit makes durable whatever the sink holds, even if no position
    /// has moved.
    pub(super) async fn commit(&mut self, last: bool) -> Result<()> {
        let settled: Vec<Settlement> = self.partitions.all().iter().flat_map(|ledger| ledger.take_settled()).collect();
        let points: Vec<u64> = self.partitions.all().iter().map(|ledger| ledger.point().sequence).collect();
        // A sink may settle what it keeps only when it flushes: what it has taken since is reason enough.
        let written = self.meters.stages.last().map_or(0, |sink| sink.rows_in.load(Relaxed));
        if !last && settled.is_empty() && points == self.committed && written == self.written {
            return Ok(());
        }
        self.written = written;
        let positions = self.make_durable().await?;
        self.meters.commits.fetch_add(1, Relaxed);
        self.save(&positions).await?;
        self.acknowledge(positions, settled).await?;
        self.committed = points;
        Ok(())
    }

    /// Makes durable in the sink what has settled, and returns the positions up to which it has.
    async fn make_durable(&mut self) -> Result<Vec<(PartitionId, Position)>> {
        if self.transactional {
            return ask(&self.sink, SinkRequest::Commit).await;
        }
        // The positions first: what settles while the sink flushes may not be durable yet.
        let positions = self.partitions.positions()?;
        ask(&self.sink, SinkRequest::Flush).await?;
        for (_, partition, position) in &positions {
            self.partitions.held.put(partition.clone(), position.clone());
        }
        Ok(positions.into_iter().map(|(id, _, position)| (id, position)).collect())
    }

    async fn save(&mut self, positions: &[(PartitionId, Position)]) -> Result<()> {
        let Some(store) = &mut self.store else { return Ok(()) };
        let ledgers = self.partitions.all();
        let named = |(id, position): &(PartitionId, Position)| {
            let ledger = ledgers.iter().find(|ledger| ledger.id == *id)?;
            Some(self.partitions.checkpoint(ledger.partition.clone(), position.clone()))
        };
        let checkpoints: Vec<_> = positions.iter().filter_map(named).collect();
        if checkpoints.is_empty() { Ok(()) } else { store.save(&checkpoints).await }
    }

    async fn acknowledge(&mut self, positions: Vec<(PartitionId, Position)>, settled: Vec<Settlement>) -> Result<()> {
        if self.partitions.pessimistic {
            if settled.is_empty() {
                return Ok(());
            }
            return ask(&self.source, |answer| SourceRequest::Settle(settled, answer)).await;
        }
        if positions.is_empty() {
            return Ok(());
        }
        ask(&self.source, |answer| SourceRequest::Commit(positions, answer)).await
    }

    /// Commits all that may be: also what settles only when the sink flushes.
    pub(super) async fn commit_all(&mut self) -> Result<()> {
        self.commit(true).await?;
        self.commit(false).await
    }

    /// What extends visibility, beside the commits: these may have to wait for the sink.
    pub(super) fn extender(&self) -> Extender {
        let (partitions, source, clock) = (self.partitions.clone(), self.source.clone(), self.clock.clone());
        Extender { partitions, source, clock, visibility: self.visibility }
    }

    /// On one instance nobody runs an abandoned record again: to go on would be to commit nothing more, in silence.
    fn check_abandoned(&self) -> Result<()> {
        if self.control.phase() > Phase::Running {
            return Ok(());
        }
        for ledger in self.partitions.all().iter().chain(&self.folds) {
            if let Some(Blocking::Abandoned(sequence)) = ledger.standing().blocking {
                let message = format!(
                    "record {sequence} of partition {} was dropped without an outcome: a sink or a task lost it. Nothing \
                     past it is committed; run again to go on from there",
                    ledger.partition
                );
                return Err(Error::new(Cause::Bug, message));
            }
        }
        Ok(())
    }

    /// The run is over, and all is well: the sink puts its output in its place.
    pub(super) async fn close_sink(&mut self) -> Result<()> {
        ask(&self.sink, SinkRequest::Close).await
    }

    /// The run is over, well or not.
    pub(super) async fn close_source(&mut self) -> Result<()> {
        ask(&self.source, SourceRequest::Close).await
    }
}

/// Visibility is extended at most as often as this.
const SHORTEST: Duration = Duration::from_millis(10);

/// Extends the time that what is in flight stays invisible to others, three times in that time.
pub(super) struct Extender {
    partitions: Arc<Partitions>,
    source: mpsc::Sender<SourceRequest>,
    clock: Arc<dyn Clock>,
    visibility: Option<Duration>,
}

impl Extender {
    /// Never ends. An error fails the run.
    pub(super) async fn run(self, control: &Control) {
        while let Some(visibility) = self.visibility {
            self.clock.sleep((visibility / 3).max(SHORTEST)).await;
            if let Err(error) = self.extend().await {
                control.fail(error);
                break;
            }
        }
        std::future::pending().await
    }

    async fn extend(&self) -> Result<()> {
        let open = |ledger: &Arc<Ledger>| {
            let id = ledger.id;
            ledger.in_flight().into_iter().map(move |records| (id, records))
        };
        let in_flight: Vec<_> = self.partitions.all().iter().flat_map(open).collect();
        if in_flight.is_empty() {
            return Ok(());
        }
        ask(&self.source, |answer| SourceRequest::Extend(in_flight, answer)).await
    }
}

/// Asks a task for something and waits for the answer.
async fn ask<R, T>(whom: &mpsc::Sender<R>, request: impl FnOnce(oneshot::Sender<Result<T>>) -> R) -> Result<T> {
    let gone = || Error::new(Cause::Bug, "a task ended before the run was over");
    let (answer, answered) = oneshot::channel();
    whom.send(request(answer)).await.map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}
