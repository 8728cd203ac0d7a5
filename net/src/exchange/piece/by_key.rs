//! Pieces of pairs, dealt by their keys.

use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::{Piece, Rows};

/// The rows of a piece whose keys belong to one instance.
#[derive(Debug)]
pub(crate) struct KeyShare {
    /// The instance, by its place among those that keys are dealt to.
    pub(crate) peer: usize,
    /// Its rows. It stands for all records of the piece that it was taken from.
    pub(crate) piece: Piece,
    /// The records that have rows here, by sequence number: ascending ranges that don't touch.
    pub(crate) records: Vec<Range<u64>>,
}

/// Which of `peers` a key belongs to: the 64-bit XXH3 hash of its encoded bytes, with seed 0, modulo their number. It
/// is a part of the protocol: all instances have to agree on it, whatever machine they run on.
pub(super) fn peer_of(key: &[u8], peers: usize) -> usize {
    // It is below `peers`, so it fits again.
    (xxh3_64(key) % peers.max(1) as u64) as usize
}

impl Piece {
    /// Deals its rows to `peers` by their keys: a share each for those that get any. Records without rows are in no
    /// share. An error is a bug: its rows are not pairs.
    pub(crate) fn split_by_key(&self, peers: usize) -> Result<Vec<KeyShare>, String> {
        let Rows::Pairs(keys, _) = &self.rows else {
            return Err("a batch at a split by key has rows that are not pairs".to_owned());
        };
        let mut dealt = vec![Vec::new(); peers.max(1)];
        for row in 0..keys.len() {
            dealt[peer_of(keys.get(row), peers)].push(row as u32);
        }
        let dealt = dealt.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty());
        Ok(dealt.map(|(peer, rows)| self.share(peer, &rows)).collect())
    }

    fn share(&self, peer: usize, rows: &[u32]) -> KeyShare {
        let index: Arc<[u32]> = rows.iter().map(|&row| self.record(row as usize)).collect();
        let records = runs(&index)
            .map(|run| self.span.first + u64::from(run.start)..self.span.first + u64::from(run.end))
            .collect();
        let rows = self.rows.select(rows);
        let piece = Self::new(self.span.clone(), self.part.clone(), Some(index), rows, self.late);
        KeyShare { peer, piece, records }
    }
}

/// The ranges that ascending numbers make; some may be there more than once.
fn runs(ascending: &[u32]) -> impl Iterator<Item = Range<u32>> + '_ {
    ascending.chunk_by(|a, b| b - a <= 1).map(|run| run[0]..run[run.len() - 1] + 1)
}
