//! Is it still that file? A file is known again by a hash of its first KiB as it is stored, and by one of the last KiB
//! (uncompressed) before the place up to which it has been read.
//!
//! The last KiB is hashed as it was read, out of the block that the records are in: a position says what has been
//! processed, not what stands in the file by then. Hashes are XXH3 (64 bits): they tell accidents, not forgeries.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// How many bytes are hashed at most.
pub(super) const KIB: usize = 1024;

/// What a stretch of bytes is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Print {
    /// How many bytes, up to [`KIB`].
    pub(super) len: u16,
    /// Their XXH3.
    pub(super) hash: u64,
}

impl Print {
    /// Of the first KiB of these.
    pub(super) fn of_head(bytes: &[u8]) -> Self {
        Self::of(&bytes[..bytes.len().min(KIB)])
    }

    /// Of the last KiB of these.
    pub(super) fn of_tail(bytes: &[u8]) -> Self {
        Self::of(&bytes[bytes.len().saturating_sub(KIB)..])
    }

    /// Of the last KiB of these, and of what was unpacked behind them.
    pub(super) fn of_tail_and(bytes: &[u8], unpacked: &[u8]) -> Self {
        let Self { len, hash } = Self::of_tail(bytes);
        Self { len, hash: hash ^ xxh3_64(unpacked).rotate_left(1) }
    }

    fn of(bytes: &[u8]) -> Self {
        Self { len: bytes.len() as u16, hash: xxh3_64(bytes) }
    }
}

/// What a list of paths is known by, one after the other.
pub(super) fn chain(before: u64, path: &std::path::Path) -> u64 {
    let mut bytes = before.to_le_bytes().to_vec();
    bytes.extend_from_slice(path.as_os_str().as_encoded_bytes());
    xxh3_64(&bytes)
}
