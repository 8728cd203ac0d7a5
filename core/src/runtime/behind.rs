//! [`Behind`]: what a sink's commit covers, and who hears of it.

use std::sync::Arc;

use super::arrivals::{Arrivals, Stands};
use super::control::{Control, Phase};
use super::kept::Kept;
use super::locator::Locator;
use super::source_end::Partitions;
use crate::contracts::{Cause, Error, Result};
use crate::data::{Batch, Partition, PartitionId, Position};

/// What a sink's commit covers.
#[derive(Clone)]
pub(super) enum Behind {
    /// The source's partitions, in the same part.
    Source(Arc<Partitions>),
    /// What came in by a network stage, and who is asked for positions that are not known here.
    Entry(Arc<Arrivals>, Arc<Locator>),
}

impl Behind {
    pub(super) fn kept(&self) -> &Kept {
        match self {
            Self::Source(partitions) => &partitions.kept,
            Self::Entry(arrivals, _) => &arrivals.kept,
        }
    }

    /// The positions up to which everything has settled; `None` if one of them can't be told.
    pub(super) async fn positions(&self, control: &Control) -> Result<Option<Vec<(PartitionId, Partition, Position)>>> {
        let (arrivals, locator) = match self {
            Self::Source(partitions) => return partitions.positions().map(Some),
            Self::Entry(arrivals, locator) => (arrivals, locator),
        };
        let mut positions = Vec::new();
        for Stands { at, partition, marks, count } in arrivals.stands() {
            if !marks.knows(count) {
                let mut phase = control.listen();
                let located = tokio::select! {
                    biased;
                    located = locator.ask(at) => located,
                    _ = phase.wait_for(|phase| *phase == Phase::Aborting) => None,
                };
                let Some(position) = located else {
                    arrivals.lose();
                    return Ok(None);
                };
                marks.learn(count, Some(position));
            }
            let wrong = |message: String| Error::new(Cause::Outside, message).in_stage(arrivals.kept.stage.to_string());
            if let Some(position) = marks.position(count).map_err(wrong)? {
                positions.push((0, partition, position));
            }
        }
        Ok(Some(positions))
    }

    /// Whether this may be written now: in the order of its origin.
    pub(super) fn may_be_written(&self, batch: &Batch) -> bool {
        match self {
            Self::Source(_) => true,
            Self::Entry(arrivals, _) => arrivals.may_be_written(batch.shared(), &batch.part()),
        }
    }

    /// These positions are kept with the data.
    pub(super) fn hold(&self, positions: &[(PartitionId, Partition, Position)]) {
        match self {
            Self::Source(partitions) => partitions.hold(positions),
            Self::Entry(arrivals, _) => {
                for (_, partition, position) in positions {
                    arrivals.kept.held.put(partition.clone(), position.clone());
                }
            }
        }
    }

    /// The positions are stored.
    pub(super) fn stored(&self) {
        match self {
            Self::Source(partitions) => partitions.committed(),
            Self::Entry(arrivals, _) => arrivals.stored(),
        }
    }

    /// Something was written.
    pub(super) fn touch(&self) {
        if let Self::Entry(arrivals, _) = self {
            arrivals.touch();
        }
    }

    /// Marks what has settled: a flush that begins after this makes it durable.
    pub(super) fn mark(&self) -> u64 {
        match self {
            Self::Source(_) => 0,
            Self::Entry(arrivals, _) => arrivals.mark(),
        }
    }

    /// What had settled at `mark` is durable. On one instance the committer sees to what follows.
    pub(super) fn durable(&self, mark: u64) {
        if let Self::Entry(arrivals, _) = self {
            arrivals.tell(mark);
        }
    }
}
