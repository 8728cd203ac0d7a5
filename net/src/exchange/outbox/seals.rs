//! [`Seals`]: where origins end since a limit has ended the run. Of records from there on an exit keeps nothing: whoever
//! gets them would give them back, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{At, Load, Origin, Outbox, Owes};

/// The first record of each origin that is not in the run any more.
#[derive(Debug, Default)]
pub(super) struct Seals(BTreeMap<Arc<Origin>, u64>);

impl Seals {
    /// The origin ends before this record, or before one that was told earlier.
    fn add(&mut self, origin: &Origin, record: u64) {
        let seal = self.0.entry(Arc::new(origin.clone())).or_insert(record);
        *seal = record.min(*seal);
    }

    pub(super) fn of(&self, origin: &Origin) -> Option<u64> {
        self.0.get(origin).copied()
    }

    pub(super) fn forget(&mut self, over: impl Fn(&Origin) -> bool) {
        self.0.retain(|origin, _| !over(origin));
    }
}

impl<P: Load, C: Owes> Outbox<P, C> {
    /// The origin ends before this record: what is here of it from there on is given up, and so is what still comes. Whoever
    /// was dealt it gives it back, and nobody is to have it.
    pub(crate) fn seal(&mut self, origin: &Origin, record: u64) {
        self.seals.add(origin, record);
        let Some(&lane) = self.names.get(origin) else { return };
        let items: Vec<u64> =
            self.lanes.get(&lane).into_iter().flat_map(|lane| lane.items.iter().map(|at| at.1)).collect();
        for id in items {
            self.cut_off(id, record);
        }
        self.review(lane);
    }

    /// An item answers for nothing from this record on.
    fn cut_off(&mut self, id: u64, record: u64) {
        let Some(item) = self.items.get_mut(&id) else { return };
        if item.open.first().is_some_and(|first| first >= record) {
            return self.give_up(id);
        }
        let none_beyond = item.open.take(record..u64::MAX).is_empty();
        match item.at {
            At::Dealt(_) => item.whole &= none_beyond,
            At::Waiting(_) if item.stock.piece.records().end <= record => {}
            At::Waiting(_) => {
                let before = item.stock.piece.bytes();
                item.stock.piece = item.stock.piece.slice(item.stock.piece.records().start..record);
                self.waits = self.waits.saturating_sub(before.saturating_sub(item.stock.piece.bytes()));
            }
        }
    }
}
