//! [`Upstream`]: who hears of a commit: the checkpoint store and the source, or whoever sent what came in by a network
//! stage.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::arrivals::Arrivals;
use super::kept::Upto;
use super::source_end::{Partitions, SourceRequest};
use crate::contracts::{Cause, Error, Result, Settlement, Store};
use crate::data::{Partition, PartitionId, Position};

/// A checkpoint store: opened once, however often the source is.
pub(super) type SharedStore = Arc<Mutex<Box<dyn Store>>>;

/// A run begins, and its source is open: the input has not ended any more, whatever an earlier run has seen.
pub(super) async fn begins(store: &SharedStore) -> Result<()> {
    let mut store = store.lock().await;
    match store.ended().await? {
        true => store.set_ended(false).await,
        false => Ok(()),
    }
}

/// Who hears of a commit.
pub(super) enum Upstream {
    Source(SourceSide),
    /// Outcomes go there as soon as the sink has made them durable.
    Entry(Arc<Arrivals>),
}

/// The checkpoint store and the source.
pub(super) struct SourceSide {
    pub(super) partitions: Arc<Partitions>,
    pub(super) source: mpsc::Sender<SourceRequest>,
    pub(super) store: Option<SharedStore>,
    /// How long a record stays invisible to others at its source, unless that is extended.
    pub(super) visibility: Option<Duration>,
    /// What has settled and was not acknowledged, for a source that wants to hear of each record.
    settled: Vec<Settlement>,
    /// Up to where all had settled when the commit began, and at the last one.
    points: Vec<u64>,
    committed: Vec<u64>,
}

impl Upstream {
    /// Whether there is something to commit.
    pub(super) fn has_news(&mut self) -> bool {
        match self {
            Self::Source(source) => source.has_news(),
            Self::Entry(arrivals) => arrivals.has_waiting(),
        }
    }

    /// The positions up to which everything has settled.
    pub(super) fn positions(&self) -> Result<Vec<(PartitionId, Partition, Position)>> {
        match self {
            Self::Source(source) => source.partitions.positions(),
            Self::Entry(_) => Ok(Vec::new()),
        }
    }

    /// Everything before these positions is durable.
    pub(super) fn hold(&self, positions: &[(PartitionId, Partition, Position)]) {
        if let Self::Source(source) = self {
            source.partitions.committed();
            source.partitions.hold(positions);
        }
    }

    /// The store keeps the positions, and then the source acknowledges.
    pub(super) async fn acknowledge(&mut self, positions: Upto) -> Result<()> {
        match self {
            Self::Source(source) => source.acknowledge(positions).await,
            Self::Entry(_) => Ok(()),
        }
    }

    /// The source, if it is here.
    pub(super) fn source(&self) -> Option<&SourceSide> {
        match self {
            Self::Source(source) => Some(source),
            Self::Entry(_) => None,
        }
    }
}

impl SourceSide {
    pub(super) fn new(
        partitions: Arc<Partitions>,
        source: mpsc::Sender<SourceRequest>,
        store: Option<SharedStore>,
        visibility: Option<Duration>,
    ) -> Self {
        let (settled, points, committed) = (Vec::new(), Vec::new(), Vec::new());
        Self { partitions, source, store, visibility, settled, points, committed }
    }

    fn has_news(&mut self) -> bool {
        let ledgers = self.partitions.all();
        self.settled.extend(ledgers.iter().flat_map(|ledger| ledger.take_settled()));
        self.points = ledgers.iter().map(|ledger| ledger.point().sequence).collect();
        !self.settled.is_empty() || self.points != self.committed
    }

    async fn acknowledge(&mut self, positions: Upto) -> Result<()> {
        self.save(&positions).await?;
        self.partitions.keep_counts();
        if self.partitions.how.pessimistic {
            let settled = std::mem::take(&mut self.settled);
            if !settled.is_empty() {
                ask(&self.source, |answer| SourceRequest::Settle(settled, answer)).await?;
                self.partitions.all().iter().for_each(|ledger| ledger.acknowledged());
            }
        } else if !positions.is_empty() {
            ask(&self.source, |answer| SourceRequest::Commit(positions, answer)).await?;
        }
        self.committed = std::mem::take(&mut self.points);
        Ok(())
    }

    async fn save(&self, positions: &[(PartitionId, Position)]) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let ledgers = self.partitions.all();
        let named = |(id, position): &(PartitionId, Position)| {
            let ledger = ledgers.iter().find(|ledger| ledger.id == *id)?;
            Some(self.partitions.kept.checkpoint(ledger.partition.clone(), position.clone()))
        };
        let checkpoints: Vec<_> = positions.iter().filter_map(named).collect();
        if checkpoints.is_empty() { Ok(()) } else { store.lock().await.save(&checkpoints).await }
    }
}

/// Asks a task for something and waits for the answer.
pub(super) async fn ask<R, T>(
    whom: &mpsc::Sender<R>,
    request: impl FnOnce(oneshot::Sender<Result<T>>) -> R,
) -> Result<T> {
    let gone = || Error::new(Cause::Bug, "a task ended before the run was over");
    let (answer, answered) = oneshot::channel();
    whom.send(request(answer)).await.map_err(|_| gone())?;
    answered.await.map_err(|_| gone())?
}
