//! [`Position`]: how far a source has been read, in words that only the source understands.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::Original;

/// The number of a partition within one run of one source; it never outlives the run.
pub type PartitionId = u32;

/// A part of a source that is read in order by itself: a Kafka partition, a shard, a list of files. Its name is stable
/// over restarts and is what positions are kept under.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(Arc<str>);

impl Partition {
    /// The partition of this name.
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(name.as_ref().into())
    }

    /// The stable name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a partition has been read: opaque, versioned bytes that only its source reads (at most
/// [`Position::MAX_BYTES`]), and a label for people, such as `orders.xml:120394`.
#[derive(Clone, PartialEq, Eq)]
pub struct Position {
    bytes: Bytes,
    label: Arc<str>,
}

/// A source made a position of more than [`Position::MAX_BYTES`].
#[derive(Debug, thiserror::Error)]
#[error("a position of {found} bytes ({label}) is larger than the {} bytes that are kept", Position::MAX_BYTES)]
pub struct PositionTooLarge {
    /// The position's label.
    pub label: String,
    /// Its size in bytes.
    pub found: usize,
}

impl Position {
    /// The most bytes a position may have.
    pub const MAX_BYTES: usize = 4096;

    /// A position; the label is cut to 1,000 characters.
    pub fn new(bytes: impl Into<Bytes>, label: impl AsRef<str>) -> Result<Self, PositionTooLarge> {
        let (bytes, label) = (bytes.into(), label.as_ref());
        if bytes.len() > Self::MAX_BYTES {
            return Err(PositionTooLarge { label: label.to_owned(), found: bytes.len() });
        }
        let label = match label.char_indices().nth(1_000) {
            Some((end, _)) => &label[..end],
            None => label,
        };
        Ok(Self { bytes, label: label.into() })
    }

    /// What the source wrote.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// For people.
    pub fn label(&self) -> &str {
        &self.label
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Position({})", self.label)
    }
}

/// What a source knows of the places in one batch it emitted. Positions are made only when one is committed or shown,
/// which is rare: keep what it takes, and do the work in the call.
pub trait Marks: Send + Sync + 'static {
    /// The position after the first `count` records of the batch; `count` is from 0 to the batch's length. `None` when
    /// this source has no positions (what it read can't be read again).
    fn position(&self, count: u32) -> Result<Option<Position>, String>;

    /// Whether [`position`](Self::position) can be told here for this `count`. `false`: the batch began on another
    /// instance, which has to be asked first; [`learn`](Self::learn) takes its answer.
    fn knows(&self, count: u32) -> bool {
        let _ = count;
        true
    }

    /// Takes what the instance that the batch began on says of this `count`; [`knows`](Self::knows) it from then on.
    /// Marks that know all of their positions have no use for it.
    fn learn(&self, count: u32, position: Option<Position>) {
        let _ = (count, position);
    }

    /// Where the record `index` of the batch stands, for people: `orders.xml line 12, byte 4711`. `offset` is the
    /// record's first byte within `block`, the block that the batch was emitted with, when there is one.
    fn place(&self, index: u32, block: &[u8], offset: usize) -> String;

    /// The record `index` as the source gave it. The engine sees to it where dead letters may want it.
    fn original(&self, index: u32) -> Original {
        let _ = index;
        Original::default()
    }
}
