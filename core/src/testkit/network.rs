//! [`SimNetwork`]: the links of many instances in one process, in memory and on simulated time.
//!
//! ```text
//!   instance 0 ── Links ──┐   a pair of instances: is it cut, which link is up     ┌── Links ── instance 1
//!                         └─> inbox of 1: what comes to it, by the time it comes ──┘
//! ```
//!
//! Nothing runs here: whatever happens puts what each side will hear into its inbox, under the time at which it comes,
//! and `Links::next` waits for that time. All delays are drawn from the seed, and no map is walked in random order: the
//! same calls at the same times give the same events.
//!
//! What a link does is what a reliable, encrypted transport does: frames of one lane keep their order and each lane is
//! late by itself; a cut that is healed before anybody has noticed it only delays; one that is noticed ends the link at
//! both ends, each in its own time, and what was on its way is lost.

mod inbox;
mod links;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::contracts::{BoxFuture, Clock, Hello, Links, Network, PeerId, Result};
use state::State;

/// The links of many instances in one process, in memory and on simulated time. Clones share it.
#[derive(Clone)]
pub struct SimNetwork {
    state: Arc<Mutex<State>>,
    /// One for each instance: its inbox has changed.
    changed: Arc<[Notify]>,
    clock: Arc<dyn Clock>,
}

/// What has happened on a [`SimNetwork`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Times that an instance opened its links.
    pub opened: u64,
    /// Times that an instance was refused because the same one was there already.
    pub refused: u64,
    /// Times that the links of an instance were dropped without being closed.
    pub dropped: u64,
    /// Times that an instance heard that a peer is up.
    pub ups: u64,
    /// Times that an instance heard that a peer is down.
    pub downs: u64,
    /// Pairs that were cut.
    pub cuts: u64,
    /// Cuts that were healed.
    pub heals: u64,
    /// Cuts that were healed before anybody had noticed them.
    pub unnoticed: u64,
    /// Links that an instance gave up.
    pub given_up: u64,
    /// Frames that were sent.
    pub frames: u64,
    /// Frames that arrived.
    pub arrived: u64,
    /// Frames that were lost with their link, or sent to a peer that was not up.
    pub lost: u64,
    /// Frames that arrived before one of the same peer that was sent earlier, on another lane.
    pub overtaken: u64,
}

/// How late things are on a [`SimNetwork`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// The longest time that a frame is on its way; 20 ms by default. The shortest is 0.
    pub frame: Duration,
    /// The longest time until a peer that can't be reached is noticed; 5 s by default. The shortest is half of it.
    pub detection: Duration,
    /// The longest time between two attempts to reach a peer; 200 ms by default.
    pub retry: Duration,
    /// How long a peer that seems to be up is probed before another start of the same instance is believed; 1 s by
    /// default.
    pub probe: Duration,
    /// How long a close waits for what was sent; 3 s by default.
    pub linger: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        Self {
            frame: Duration::from_millis(20),
            detection: Duration::from_secs(5),
            retry: Duration::from_millis(200),
            probe: Duration::from_secs(1),
            linger: Duration::from_secs(3),
        }
    }
}

impl SimNetwork {
    /// A network of so many instances, whose delays are drawn from `seed` and measured by `clock`.
    pub fn new(instances: usize, seed: u64, clock: Arc<dyn Clock>) -> Self {
        let state = Arc::new(Mutex::new(State::new(instances, seed)));
        Self { state, changed: (0..instances).map(|_| Notify::new()).collect(), clock }
    }

    /// With these delays.
    #[must_use]
    pub fn delays(self, delays: Delays) -> Self {
        self.lock().delays = delays;
        self
    }

    /// Tells of what happens, a sentence each, as it happens.
    #[must_use]
    pub fn tells(self, tell: impl Fn(String) + Send + Sync + 'static) -> Self {
        self.lock().tell = Some(Arc::new(tell));
        self
    }

    /// The network as this instance sees it. It can be opened again once its links are closed or dropped.
    pub fn instance(&self, me: PeerId) -> impl Network + use<> {
        Instance { network: self.clone(), me }
    }

    /// Kills an instance where it stands, as dropping its links does: what is left of it hears nothing any more, and
    /// what it sends goes nowhere.
    pub fn kill(&self, instance: PeerId) {
        self.change(|state, now| state.kill(instance, None, now));
    }

    /// Cuts a pair: neither reaches the other.
    pub fn cut(&self, a: PeerId, b: PeerId) {
        self.change(|state, now| state.cut(a, b, now));
    }

    /// Heals a pair that was cut.
    pub fn heal(&self, a: PeerId, b: PeerId) {
        self.change(|state, now| state.heal(a, b, now));
    }

    /// Heals all pairs.
    pub fn heal_all(&self) {
        let instances = self.changed.len();
        for a in 0..instances {
            (a + 1..instances).for_each(|b| self.heal(a, b));
        }
    }

    /// Whether a pair is cut.
    pub fn is_cut(&self, a: PeerId, b: PeerId) -> bool {
        self.lock().is_cut(a, b)
    }

    /// Whether the links of this instance are open.
    pub fn is_open(&self, instance: PeerId) -> bool {
        self.lock().is_open(instance)
    }

    /// What has happened so far.
    pub fn traffic(&self) -> Traffic {
        self.lock().traffic
    }

    /// Changes the state, and wakes everybody: inboxes may have changed.
    fn change<T>(&self, change: impl FnOnce(&mut State, Duration) -> T) -> T {
        let changed = change(&mut self.lock(), self.clock.elapsed());
        self.changed.iter().for_each(Notify::notify_one);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The network as one instance sees it.
struct Instance {
    network: SimNetwork,
    me: PeerId,
}

impl Network for Instance {
    fn peers(&self) -> Vec<String> {
        (0..self.network.changed.len()).map(state::name).collect()
    }

    fn me(&self) -> PeerId {
        self.me
    }

    fn open(&self, hello: Hello) -> BoxFuture<'_, Result<Box<dyn Links>>> {
        let opened = self.network.change(|state, now| state.open(self.me, hello, now));
        let links = opened.map(|start| {
            let links: Box<dyn Links> = Box::new(links::SimLinks::new(self.network.clone(), self.me, start));
            links
        });
        Box::pin(std::future::ready(links))
    }
}

#[cfg(test)]
mod tests;
