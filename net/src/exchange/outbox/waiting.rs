//! [`Waiting`]: what waits to be dealt, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use millstream_core::contracts::PeerId;

/// Whom something may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whom {
    /// Any peer.
    Any,
    /// Any but this one, which has given it back; this one too where there is no other.
    But(PeerId),
    /// This peer.
    Only(PeerId),
}

/// Sets by key; empty ones are not kept.
#[derive(Debug)]
pub(super) struct Sets<K, V>(BTreeMap<K, BTreeSet<V>>);

impl<K, V> Default for Sets<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V: Ord> Sets<K, V> {
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.0.entry(key).or_default().insert(value);
    }

    pub(super) fn remove(&mut self, key: &K, value: &V) {
        if let Some(set) = self.0.get_mut(key) {
            set.remove(value);
            if set.is_empty() {
                self.0.remove(key);
            }
        }
    }

    /// The lowest of each set.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (&K, &V)> {
        self.0.iter().filter_map(|(key, set)| Some((key, set.first()?)))
    }
}

/// Waiting items that go without credit, by whom they may go to. Those of a lane are worked out together.
#[derive(Debug, Default)]
pub(super) struct Favoured {
    by_whom: Sets<Whom, u64>,
    /// The same, by lane: kept as long as the lane, which fills and empties with each piece.
    of_lane: BTreeMap<u64, Vec<(Whom, u64)>>,
}

impl Favoured {
    /// These of the lane are, and no others.
    pub(super) fn set(&mut self, lane: u64, items: impl IntoIterator<Item = (Whom, u64)>) {
        let of_lane = self.of_lane.entry(lane).or_default();
        for (whom, item) in of_lane.drain(..) {
            self.by_whom.remove(&whom, &item);
        }
        for (whom, item) in items {
            self.by_whom.insert(whom, item);
            of_lane.push((whom, item));
        }
    }

    /// The lane is no more.
    pub(super) fn forget(&mut self, lane: u64) {
        self.set(lane, []);
        self.of_lane.remove(&lane);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_whom.0.is_empty()
    }

    pub(super) fn by_whom(&self) -> &Sets<Whom, u64> {
        &self.by_whom
    }
}

/// What waits, by whom it may go to; then by lane, the lanes in turn; within a lane by the lowest record, then by item.
#[derive(Debug)]
pub(super) struct Waiting(BTreeMap<Whom, Sets<u64, (u64, u64)>>);

impl Waiting {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn insert(&mut self, whom: Whom, lane: u64, record: u64, item: u64) {
        self.0.entry(whom).or_default().insert(lane, (record, item));
    }

    pub(super) fn remove(&mut self, whom: Whom, lane: u64, record: u64, item: u64) {
        if let Some(lanes) = self.0.get_mut(&whom) {
            lanes.remove(&lane, &(record, item));
            if lanes.0.is_empty() {
                self.0.remove(&whom);
            }
        }
    }

    /// The lane whose turn it is after `last`, and its lowest item, among those that `may` go.
    pub(super) fn after(&self, last: u64, may: impl Fn(Whom) -> bool) -> Option<(u64, u64)> {
        let lowest = |(lane, items): (&u64, &BTreeSet<(u64, u64)>)| Some((*lane, *items.first()?));
        let open = self.0.iter().filter(|(whom, _)| may(**whom)).filter_map(|(_, Sets(lanes))| {
            lanes.range((Excluded(last), Unbounded)).next().or_else(|| lanes.first_key_value()).and_then(lowest)
        });
        open.min_by_key(|&(lane, place)| (lane <= last, lane, place)).map(|(lane, (_, item))| (lane, item))
    }

    /// All: the lowest record, then the item.
    pub(super) fn all(&self) -> Vec<(u64, u64)> {
        self.0.values().flat_map(|lanes| lanes.0.values().flatten()).copied().collect()
    }
}
