//! [`Group`]: what a source that is a member of a consumer group, and a sink that commits the group's offsets in its
//! transactions, have to know of each other.
//!
//! A transaction may commit offsets of a partition only while it is this member's. Both the group's brokers and this
//! state see to that: the sink commits between [`Group::commit`] and the end of what that returns, and meanwhile the
//! source neither gives a partition back nor joins anew.

use std::any::Any;
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rdkafka::consumer::ConsumerGroupMetadata;
use tokio::sync::Notify;

use super::position::Place;
use super::questions::thread;

/// How long a membership that nobody takes up again is kept.
const KEPT: Duration = Duration::from_secs(30);

/// What a source and a sink of one consumer group share.
pub struct Group {
    state: Mutex<State>,
    name: String,
    mark: String,
    /// The name that the group knows its member by over restarts, if it has one.
    instance: Option<String>,
}

#[derive(Default)]
struct State {
    /// The sink commits the offsets.
    transactions: bool,
    metadata: Option<Metadata>,
    /// The partitions that are being read.
    ours: HashSet<Place>,
    /// How many transactions are being committed: of a sink that was given up one may still be under way when the next
    /// commits.
    committing: usize,
    /// Told when one is not any more.
    wake: Option<Arc<Notify>>,
    parked: Option<Box<dyn Any + Send>>,
    /// How often something was parked.
    times: u64,
}

/// What says the group's generation and this member's name in it, as the partitions that are read were its by; `None` if it
/// has lost them.
pub type Metadata = Box<dyn Fn() -> Option<Arc<ConsumerGroupMetadata>> + Send + Sync>;

impl Group {
    /// The group of this name, with a member of such a name if it has one that lasts over restarts.
    pub fn of(name: impl Into<String>, instance: Option<String>) -> Arc<Self> {
        let mark = format!("millstream {:016x}", RandomState::new().hash_one("a run"));
        Arc::new(Self { state: Mutex::default(), name: name.into(), mark, instance })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What stands beside each offset that is committed (Kafka's *metadata*): no other run has it, so that an offset that
    /// was committed in this one is told from the same offset of an earlier one.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    /// The name that the group knows its member by over restarts, if it has one.
    pub fn instance(&self) -> Option<&str> {
        self.instance.as_deref()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sink commits the group's offsets from now on, or doesn't.
    pub fn set_transactions(&self, transactions: bool) {
        self.state().transactions = transactions;
    }

    /// Whether the sink commits the group's offsets.
    pub fn has_transactions(&self) -> bool {
        self.state().transactions
    }

    /// A source has joined: `metadata` tells how, `wake` is told whenever a commit has ended.
    pub fn joined(&self, metadata: Metadata, wake: Arc<Notify>) {
        let mut state = self.state();
        (state.metadata, state.wake) = (Some(metadata), Some(wake));
        state.ours.clear();
    }

    /// These partitions are being read from now on.
    pub fn takes(&self, places: impl IntoIterator<Item = Place>) {
        self.state().ours.extend(places);
    }

    /// These are not this member's any more. `false`: a transaction is being committed that may hold some of them, and it
    /// has to wait for its end.
    #[must_use]
    pub fn lets_go(&self, places: &[Place]) -> bool {
        let mut state = self.state();
        if state.committing > 0 {
            return false;
        }
        places.iter().for_each(|place| {
            state.ours.remove(place);
        });
        true
    }

    /// A transaction with offsets of these partitions is about to be committed. `None`: some of them are not this
    /// member's any more.
    pub fn commit<'a>(self: &Arc<Self>, places: impl IntoIterator<Item = &'a Place>) -> Option<Committing> {
        let mut state = self.state();
        if !places.into_iter().all(|place| state.ours.contains(place)) {
            return None;
        }
        state.committing += 1;
        Some(Committing(self.clone()))
    }

    /// Keeps a membership for the next that is opened, for up to 30 seconds.
    pub fn park(self: &Arc<Self>, membership: Box<dyn Any + Send>) {
        let mut state = self.state();
        state.ours.clear();
        state.parked = Some(membership);
        state.times += 1;
        let (times, group) = (state.times, Arc::downgrade(self));
        drop(state);
        // Without such a thread it is kept for as long as the declaration.
        let _ = thread("kafka parked", move || forget(&group, times));
    }

    /// The membership that was kept.
    pub fn unpark(&self) -> Option<Box<dyn Any + Send>> {
        self.state().parked.take()
    }
}

fn forget(group: &Weak<Group>, times: u64) {
    let until = std::time::Instant::now() + KEPT;
    while std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_secs(1));
        let still = group.upgrade().is_some_and(|group| {
            let state = group.state();
            state.times == times && state.parked.is_some()
        });
        if !still {
            return;
        }
    }
    if let Some(group) = group.upgrade() {
        let mut state = group.state();
        let parked = if state.times == times { state.parked.take() } else { None };
        drop(state);
        drop(parked);
    }
}

/// A transaction is being committed. Ends with it.
pub struct Committing(Arc<Group>);

impl Committing {
    /// How this member is known to the group; `None` if it has lost its partitions.
    pub fn metadata(&self) -> Option<Arc<ConsumerGroupMetadata>> {
        self.0.state().metadata.as_ref().and_then(|metadata| metadata())
    }
}

impl Drop for Committing {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.committing -= 1;
        if let Some(wake) = &state.wake {
            wake.notify_one();
        }
    }
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state();
        let mut told = f.debug_struct("Group");
        told.field("transactions", &state.transactions).field("ours", &state.ours.len());
        told.field("committing", &state.committing).field("parked", &state.parked.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(partition: i32) -> Place {
        Place { topic: "orders".into(), partition }
    }

    #[test]
    fn what_is_committed_is_held_and_what_has_gone_is_not_committed() {
        let (group, wake) = (Group::of("billing", None), Arc::new(Notify::new()));
        group.joined(Box::new(|| None), wake);
        group.takes([place(0), place(1)]);
        assert!(group.commit(&[place(0), place(2)]).is_none(), "never ours");
        let committing = group.commit(&[place(0)]).expect("ours");
        assert!(committing.metadata().is_none());
        assert!(!group.lets_go(&[place(1)]), "not while something is being committed");
        drop(committing);
        assert!(group.lets_go(&[place(0)]));
        assert!(group.commit(&[place(0)]).is_none(), "not ours any more");
        let (first, second) = (group.commit(&[place(1)]), group.commit(&[place(1)]));
        assert!(first.is_some() && second.is_some());
        drop(first);
        assert!(!group.lets_go(&[place(1)]), "the other is under way");
        drop(second);
        assert!(group.lets_go(&[place(1)]));
    }

    #[test]
    fn a_membership_is_taken_up_once() {
        let group = Group::of("billing", None);
        group.takes([place(0)]);
        group.park(Box::new(7_u8));
        assert!(group.commit(&[place(0)]).is_none(), "nobody reads");
        assert_eq!(group.unpark().and_then(|parked| parked.downcast::<u8>().ok()).as_deref(), Some(&7));
        assert!(group.unpark().is_none());
    }
}
