//! [`Origin`]: where records began, as all instances know it.

use std::fmt;
use std::ops::{Range, RangeInclusive};
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

/// By what records of different origins are ordered; each is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// When they happened, in microseconds since the Unix epoch.
    EventTime,
    /// Their turns among what the folds of all instances emit.
    Turn,
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

    /// Where its first record stands.
    fn place(&self, by: By) -> i64;

    /// The longest run of its records, from the first on and with that in any case, which all stand within this: the
    /// sequence number after it, and where the highest of them stands.
    fn run(&self, by: By, within: RangeInclusive<i64>) -> (u64, i64);

    /// These of its records alone.
    fn slice(&self, records: Range<u64>) -> Self;
}
