//! Pieces of pairs, dealt by their keys.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::{Piece, Rows};

/// Which of `peers` a key belongs to: the 64-bit XXH3 hash of its encoded bytes, with seed 0, modulo their number. It
/// is a part of the protocol: all instances have to agree on it, whatever machine they run on.
pub(super) fn peer_of(key: &[u8], peers: usize) -> usize {
    // It is below `peers`, so it fits again.
    (xxh3_64(key) % peers.max(1) as u64) as usize
}

impl Piece {
    /// Deals its rows to `peers` by their keys: a share each, with rows or without, because whoever gets them restores
    /// their order, and has to hear of every record. An error is a bug: its rows are not pairs.
    pub(crate) fn split_by_key(&self, peers: usize) -> Result<Vec<Self>, String> {
        let Rows::Pairs(keys, _) = &self.rows else {
            return Err("a batch at a split by key has rows that are not pairs".to_owned());
        };
        let mut dealt = vec![Vec::new(); peers.max(1)];
        for row in 0..keys.len() {
            dealt[peer_of(keys.get(row), peers)].push(row as u32);
        }
        let places = self.places();
        Ok(dealt.iter().map(|rows| self.share(rows, places.as_deref())).collect())
    }

    /// Each row's place within its record; `None` if each record has one row at most.
    fn places(&self) -> Option<Vec<u32>> {
        let index = self.index.as_ref()?;
        let mut places = vec![0; index.len()];
        for row in 1..index.len() {
            if index[row] == index[row - 1] {
                places[row] = places[row - 1] + 1;
            }
        }
        places.iter().any(|&place| place > 0).then_some(places)
    }

    fn share(&self, rows: &[u32], places: Option<&[u32]>) -> Self {
        let index: Arc<[u32]> = rows.iter().map(|&row| self.record(row as usize)).collect();
        let subs = places.map(|places| rows.iter().map(|&row| places[row as usize]).collect());
        let rows = self.rows.select(rows);
        Self::new(self.span.clone(), self.part.clone(), Some(index), rows, self.late).with_subs(subs)
    }
}
