//! [`OriginKey`]: where records began, told from others.

use std::sync::Arc;

use crate::contracts::OriginAt;
use crate::data::{Partition, Shared};

/// Where records began: sequence numbers are dense within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OriginKey {
    pub(super) stage: Arc<str>,
    pub(super) partition: Partition,
    pub(super) instance: u16,
    pub(super) epoch: u64,
}

impl OriginKey {
    pub(super) fn of(shared: &Shared) -> Self {
        let (stage, partition) = (shared.stage.clone(), shared.partition.clone());
        Self { stage, partition, instance: shared.instance, epoch: shared.epoch }
    }

    /// Whether the records began here.
    pub(super) fn is(&self, shared: &Shared) -> bool {
        self.epoch == shared.epoch
            && self.instance == shared.instance
            && (Arc::ptr_eq(&self.stage, &shared.stage) || self.stage == shared.stage)
            && self.partition == shared.partition
    }

    /// Whether it follows the other, or the other follows it: the same stage and partition, opened anew or elsewhere.
    pub(super) fn replaces(&self, other: &Self, exclusive: bool) -> bool {
        self.stage == other.stage
            && self.partition == other.partition
            && (self.instance != other.instance || self.epoch != other.epoch)
            && (exclusive || self.instance == other.instance)
    }

    /// One of its records.
    pub(super) fn at(&self, sequence: u64) -> OriginAt {
        OriginAt {
            instance: self.instance,
            stage: self.stage.clone(),
            partition: self.partition.clone(),
            epoch: self.epoch,
            sequence,
        }
    }
}
