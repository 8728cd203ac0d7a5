//! [`Origin`]: where records began, as all instances know it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use millstream_core::data::Partition;

/// Where records began: sequence numbers are dense within it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin {
    /// The instance.
    pub(crate) instance: u16,
    /// The stage: a source or a fold.
    pub(crate) stage: Arc<str>,
    /// The partition.
    pub(crate) partition: Partition,
    /// Another each time the origin is opened anew.
    pub(crate) epoch: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.stage, self.partition, self.instance)
    }
}

/// Records of one origin on their way, as the state machines see them: what became of `records`, by sequence number.
/// Cloning is cheap.
pub(crate) trait Load: Clone {
    /// The origin.
    fn origin(&self) -> &Arc<Origin>;

    /// The records that it stands for, whether or not they have rows.
    fn records(&self) -> Range<u64>;

    /// What it counts for in grants and bounds, in bytes; at least 1.
    fn bytes(&self) -> u64;

    /// The earliest event time, in microseconds since the Unix epoch.
    fn time(&self) -> i64;

    /// These of its records alone.
    fn slice(&self, records: Range<u64>) -> Self;
}
