//! [`Poison`]: the records that broke a transaction. No I/O.
//!
//! All begins anew when a transaction breaks, and its records come again. Those that broke it are known then: who was refused
//! together with others is tried alone, and who was refused alone is a failure, which meets its policy.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_core::data::{Bytes, Partition, Shared};
use rdkafka::error::RDKafkaErrorCode;
use xxhash_rust::xxh3::Xxh3;

use super::row::Ready;

/// What a record is known by when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// Its partition of the source, and the position behind it.
    Position(Partition, Bytes),
    /// What is sent of it, where positions are others when it comes again, or are not known here: what is the same is
    /// refused in the same way.
    Content(u128),
}

/// What is known of a record that broke a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was in a request that was refused.
    Suspect,
    /// It was refused alone.
    Guilty(RDKafkaErrorCode),
}

#[derive(Debug, Clone, Copy)]
struct Known {
    verdict: Verdict,
    /// It has come again since all began anew: the next commit is behind it.
    met: bool,
}

/// Records that broke a transaction.
#[derive(Debug, Default)]
pub(super) struct Poison {
    known: Mutex<HashMap<Identity, Known>>,
    /// Whether there are any.
    any: AtomicBool,
}

impl Identity {
    /// That of a record whose source's positions name the same record for ever; `None` if they can't be told here.
    pub(super) fn position(shared: &Shared, record: u32) -> Option<Self> {
        let position = shared.marks.position(record + 1).ok()??;
        Some(Self::Position(shared.partition.clone(), position.bytes().clone()))
    }

    /// That of what is sent.
    pub(super) fn content(ready: &Ready<'_>) -> Self {
        let mut hash = Xxh3::new();
        let mut put = |piece: Option<&[u8]>| {
            let length = piece.map_or(u64::MAX, |piece| piece.len() as u64);
            hash.update(&length.to_le_bytes());
            hash.update(piece.unwrap_or_default());
        };
        put(Some(ready.topic.as_bytes()));
        put(ready.key_bytes());
        put(ready.value);
        put(ready.partition.map(i32::to_le_bytes).as_ref().map(|it| &it[..]));
        put(ready.timestamp.map(i64::to_le_bytes).as_ref().map(|it| &it[..]));
        ready.each_header(|name, value| {
            put(Some(name.as_bytes()));
            put(value);
        });
        Self::Content(hash.digest128())
    }
}

impl Poison {
    fn change<T>(&self, change: impl FnOnce(&mut HashMap<Identity, Known>) -> T) -> T {
        let mut known: MutexGuard<'_, _> = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut known);
        self.any.store(!known.is_empty(), SeqCst);
        changed
    }

    /// What is known of a record that is about to be sent.
    pub(super) fn meet(&self, identity: impl FnOnce() -> Option<Identity>) -> Option<Verdict> {
        if !self.any.load(SeqCst) {
            return None;
        }
        let identity = identity()?;
        self.change(|known| {
            let known = known.get_mut(&identity)?;
            known.met = true;
            Some(known.verdict)
        })
    }

    pub(super) fn remember(&self, identity: Identity, verdict: Verdict) {
        self.change(|known| {
            if known.get(&identity).is_none_or(|before| before.verdict == Verdict::Suspect) {
                known.insert(identity, Known { verdict, met: true });
            }
        });
    }

    /// This record was delivered alone.
    pub(super) fn clear(&self, identity: &Identity) {
        self.change(|known| known.remove(identity));
    }

    /// What was met since all began anew is committed, in one way or the other; the rest is still to come.
    pub(super) fn forget_met(&self) {
        if self.any.load(SeqCst) {
            self.change(|known| known.retain(|_, known| !known.met));
        }
    }

    /// All begins anew, from the last commit.
    pub(super) fn comes_again(&self) {
        self.change(|known| known.values_mut().for_each(|known| known.met = false));
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use rdkafka::message::{Header, OwnedHeaders};

    use super::*;

    fn identity(number: u8) -> Identity {
        Identity::Position(Partition::new("p"), vec![number].into())
    }

    #[test]
    fn what_broke_a_transaction_is_known_until_a_commit_behind_it() {
        let poison = Poison::default();
        let meet = |number| poison.meet(|| Some(identity(number)));
        poison.remember(identity(2), Verdict::Suspect);
        poison.remember(identity(7), Verdict::Guilty(RDKafkaErrorCode::InvalidRecord));
        poison.remember(identity(7), Verdict::Suspect);
        poison.comes_again();
        assert_eq!(meet(2), Some(Verdict::Suspect));
        poison.forget_met();
        assert_eq!(meet(2), None);
        assert_eq!(meet(7), Some(Verdict::Guilty(RDKafkaErrorCode::InvalidRecord)));
        poison.comes_again();
        poison.forget_met();
        assert!(meet(7).is_some(), "the commit was before it");
        poison.forget_met();
        assert_eq!(meet(7), None);
        assert_eq!(poison.meet(|| unreachable!("nothing is known: nothing is looked at")), None);
    }

    #[test]
    fn contents_differ_by_all_that_is_sent() {
        let header = |value| OwnedHeaders::new().insert(Header { key: "h", value });
        let of = |value, key: Option<&'static [u8]>, headers, timestamp| {
            let key = key.map(super::super::row::Key::Of);
            Identity::content(&Ready { topic: Cow::Borrowed("t"), key, value, partition: None, headers, timestamp })
        };
        let all = [
            of(Some(&b"v"[..]), None, None, None),
            of(None, None, None, None),
            of(Some(&b""[..]), None, None, None),
            of(Some(&b"v"[..]), Some(&b""[..]), None, None),
            of(Some(&b"v"[..]), None, Some(header(Some("x"))), None),
            of(Some(&b"v"[..]), None, Some(header(None)), None),
            of(Some(&b"v"[..]), None, None, Some(0)),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| other != one), "{at}");
        }
        assert_eq!(all[0], of(Some(&b"v"[..]), None, None, None));
    }
}
