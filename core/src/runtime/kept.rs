//! [`Kept`]: the positions of a pipeline's source, under the names that they are kept by.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::contracts::{Checkpoint, Held, Key};
use crate::data::{Partition, PartitionId, Position};

/// Positions of partitions, by number: everything before them is durable.
pub(super) type Upto = Vec<(PartitionId, Position)>;

/// The positions of a pipeline's source.
#[derive(Clone)]
pub(super) struct Kept {
    pub(super) pipeline: String,
    /// The source stage's name.
    pub(super) stage: Arc<str>,
    pub(super) held: Held,
}

impl Kept {
    /// Those of this pipeline's source among `checkpoints`.
    pub(super) fn new(pipeline: &str, stage: &str, checkpoints: Vec<Checkpoint>) -> Self {
        let mine = |checkpoint: &Checkpoint| checkpoint.key.pipeline == pipeline && checkpoint.key.stage == stage;
        let mine = checkpoints.into_iter().filter(mine);
        let held = Held::new(mine.map(|checkpoint| (checkpoint.key.partition, checkpoint.position)));
        Self { pipeline: pipeline.to_owned(), stage: stage.into(), held }
    }

    /// A position as it is kept.
    pub(super) fn checkpoint(&self, partition: Partition, position: Position) -> Checkpoint {
        let key = Key { pipeline: self.pipeline.clone(), stage: self.stage.to_string(), partition };
        Checkpoint { key, position }
    }

    /// Everything that is held, as it is kept.
    pub(super) fn checkpoints(&self) -> Vec<Checkpoint> {
        self.held.all().into_iter().map(|(partition, position)| self.checkpoint(partition, position)).collect()
    }

    /// Everything that will be held once these are.
    pub(super) fn checkpoints_with(&self, positions: &[(PartitionId, Partition, Position)]) -> Vec<Checkpoint> {
        let mut all: BTreeMap<Partition, Position> = self.held.all().into_iter().collect();
        all.extend(positions.iter().map(|(_, partition, position)| (partition.clone(), position.clone())));
        all.into_iter().map(|(partition, position)| self.checkpoint(partition, position)).collect()
    }

    /// What is held, for people: a partition's position each.
    pub(super) fn labels(&self) -> Vec<String> {
        let label = |(partition, position): (Partition, Position)| format!("{partition}: {}", position.label());
        self.held.all().into_iter().map(label).collect()
    }
}
