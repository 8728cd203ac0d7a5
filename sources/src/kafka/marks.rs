//! [`OffsetMarks`]: where the records of a batch stand.

use std::sync::Arc;

use millstream_core::data::{Marks, Partition, Position};
use millstream_net::kafka::encode;

/// The offsets of a batch's records.
pub(super) struct OffsetMarks {
    partition: Partition,
    /// The id of its cluster; empty if it isn't known.
    cluster: Arc<str>,
    offsets: Offsets,
}

/// Offsets may have gaps; mostly they have none.
enum Offsets {
    From(i64),
    Each(Arc<[i64]>),
}

impl OffsetMarks {
    /// Those of a batch of at least one record; ascending.
    pub(super) fn new(partition: Partition, cluster: Arc<str>, offsets: &[i64]) -> Self {
        let first = offsets.first().copied().unwrap_or_default();
        let last = offsets.last().copied().unwrap_or_default();
        let offsets = match last - first == offsets.len() as i64 - 1 {
            true => Offsets::From(first),
            false => Offsets::Each(offsets.into()),
        };
        Self { partition, cluster, offsets }
    }

    fn at(&self, index: u32) -> i64 {
        match &self.offsets {
            Offsets::From(first) => first + i64::from(index),
            Offsets::Each(each) => each[index as usize],
        }
    }
}

impl Marks for OffsetMarks {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let offset = match count.checked_sub(1) {
            Some(last) => self.at(last) + 1,
            None => self.at(0),
        };
        encode(self.partition.name(), offset, &self.cluster).map(Some)
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("{} offset {}", self.partition, self.at(index))
    }
}
