//! [`Tally`]: what a limit has counted, over all lives of its part.
//!
//! What the sink lets go of, and comes again, counts once. So a part that is opened anew without what could not be
//! committed goes on counting from what was; but where a fold stands behind the limit in the same part, which begins
//! afresh, the count does so, too.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::origin::OriginKey;
use crate::commit::Ranges;
use crate::data::Batch;

/// What a limit has counted.
pub(super) struct Tally(Mutex<State>);

struct State {
    /// How many may pass in all.
    rows: u64,
    left: u64,
    /// What may still come again.
    origins: Vec<Counted>,
}

/// Records of one origin that have passed, and may be let go of.
struct Counted {
    key: OriginKey,
    /// Those of one row.
    single: Ranges,
    /// Those of several: how many.
    several: BTreeMap<u64, u64>,
}

impl Tally {
    /// So many rows may pass.
    pub(super) fn new(rows: u64) -> Self {
        Self(Mutex::new(State { rows, left: rows, origins: Vec::new() }))
    }

    /// Nothing has passed.
    pub(super) fn begin_anew(&self) {
        let mut state = self.lock();
        (state.left, state.origins) = (state.rows, Vec::new());
    }

    /// How many rows may still pass.
    pub(super) fn left(&self) -> u64 {
        self.lock().left
    }

    /// The rows of this batch pass, which are not more than are left. `again`: they may come again.
    pub(super) fn count(&self, batch: &Batch, again: bool) {
        let mut state = self.lock();
        state.left = state.left.saturating_sub(batch.len() as u64);
        if again && !batch.is_empty() {
            let first = batch.shared().first;
            let records = (0..batch.len()).map(|row| first + u64::from(batch.record(row)));
            state.origin(OriginKey::of(batch.shared())).add_all(records);
        }
    }

    /// These records of an origin were let go of: they don't count unless they come again.
    pub(super) fn give_back(&self, of: impl Fn(&OriginKey) -> bool, records: &Range<u64>) {
        let mut state = self.lock();
        let rows = state.take(of, records);
        state.left = state.left.saturating_add(rows);
    }

    /// These records of an origin have arrived: they don't come again.
    pub(super) fn keep(&self, of: impl Fn(&OriginKey) -> bool, records: &Range<u64>) {
        self.lock().take(of, records);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn origin(&mut self, key: OriginKey) -> &mut Counted {
        let at = self.origins.iter().position(|origin| origin.key == key).unwrap_or_else(|| {
            self.origins.push(Counted { key, single: Ranges::default(), several: BTreeMap::new() });
            self.origins.len() - 1
        });
        &mut self.origins[at]
    }

    /// Forgets these records. Returns how many rows they were.
    fn take(&mut self, of: impl Fn(&OriginKey) -> bool, records: &Range<u64>) -> u64 {
        let Some(at) = self.origins.iter().position(|origin| of(&origin.key)) else { return 0 };
        let rows = self.origins[at].take(records);
        if self.origins[at].is_empty() {
            self.origins.swap_remove(at);
        }
        rows
    }
}

impl Counted {
    /// A row each of these records, ascending.
    fn add_all(&mut self, records: impl Iterator<Item = u64>) {
        let mut run = 0..0;
        for record in records {
            if record == run.end && !run.is_empty() {
                run.end += 1;
                continue;
            }
            let again = !run.is_empty() && record + 1 == run.end;
            if again {
                run.end -= 1;
            }
            self.single.add(run);
            run = record..record + 1;
            if again || self.several.contains_key(&record) {
                *self.several.entry(record).or_insert(1) += 1;
                run = 0..0;
            }
        }
        self.single.add(run);
    }

    fn take(&mut self, records: &Range<u64>) -> u64 {
        let single: u64 = self.single.take(records.clone()).iter().map(|range| range.end - range.start).sum();
        let several: u64 = self.several.extract_if(records.clone(), |_, _| true).map(|(_, rows)| rows).sum();
        single + several
    }

    fn is_empty(&self) -> bool {
        self.single.is_empty() && self.several.is_empty()
    }
}

#[cfg(test)]
mod tests;
