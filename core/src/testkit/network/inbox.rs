//! [`Inbox`]: what comes to one instance, by the time at which it comes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::contracts::{Error, Hello, Lane, PeerId};

/// Names one link between two starts of two instances.
pub(super) type LinkId = u64;

/// What comes to an instance from a peer.
pub(super) struct Item {
    /// The peer.
    pub(super) from: PeerId,
    /// The link.
    pub(super) link: LinkId,
    pub(super) what: What,
}

pub(super) enum What {
    Up(Hello),
    Down(String),
    Frame {
        lane: Lane,
        /// Which of the frames of this link and direction it is.
        number: u64,
        frame: Bytes,
    },
    /// The peer can't be linked with.
    Refused(Error),
}

/// What comes to one instance: what has come and what is still on its way.
#[derive(Default)]
pub(super) struct Inbox {
    items: BTreeMap<(Duration, u64), Item>,
    /// Keeps those of the same time in the order in which they were put in.
    next: u64,
}

impl Inbox {
    pub(super) fn put(&mut self, at: Duration, item: Item) {
        self.items.insert((at, self.next), item);
        self.next += 1;
    }

    /// What has come first, if it has come.
    pub(super) fn take(&mut self, now: Duration) -> Option<Item> {
        let first = self.items.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    /// When the next thing comes.
    pub(super) fn due(&self) -> Option<Duration> {
        self.items.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes out what comes after `at` and is so, in its order.
    pub(super) fn take_after(&mut self, at: Duration, mut is_so: impl FnMut(&Item) -> bool) -> Vec<(Duration, Item)> {
        let later = (at, u64::MAX);
        let keys: Vec<_> = self.items.range(later..).filter(|(_, item)| is_so(item)).map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| Some((key.0, self.items.remove(&key)?))).collect()
    }

    /// When the last thing of this kind comes.
    pub(super) fn last(&self, mut is_so: impl FnMut(&Item) -> bool) -> Option<Duration> {
        self.items.iter().rev().find(|(_, item)| is_so(item)).map(|((at, _), _)| *at)
    }
}
