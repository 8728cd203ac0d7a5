//! [`Inbox`]: what has come in from all peers, until the exchange takes it.
//!
//! Each lane has a queue of its own, bounded in bytes: a lane that isn't taken from stops the peer on that lane, by
//! QUIC's flow control, and no other. Peers have turns, and within a peer its lanes.
//!
//! A peer's links stand one behind the other: what came by the first is taken before the second is up.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_core::contracts::{Cause, Error, Lane, PeerId};
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// What is taken out. `L` is what a link is to the taker.
#[derive(Debug)]
pub(super) enum Taken<L> {
    Up(PeerId, L),
    Down(PeerId, String),
    Frame(PeerId, Lane, Bytes),
    Unreached(Option<PeerId>, String),
    Fatal(Error),
}

/// Names a link among all of a process.
pub(super) type LinkId = u64;

/// See the module.
pub(super) struct Inbox<L> {
    state: Mutex<State<L>>,
    wake: Notify,
}

struct State<L> {
    peers: Vec<VecDeque<Entry<L>>>,
    /// The peers that have something to take, each once.
    turn: VecDeque<PeerId>,
    /// Why a peer, or somebody unknown, is not reached: the last reason of each.
    unreached: BTreeMap<Option<PeerId>, String>,
    fatal: Option<(Cause, String)>,
}

/// One link, from when it is up until its end has been taken.
struct Entry<L> {
    id: LinkId,
    up: Option<L>,
    lanes: BTreeMap<Lane, VecDeque<(Bytes, OwnedSemaphorePermit)>>,
    /// The lanes that have something, each once.
    turn: VecDeque<Lane>,
    gone: Option<String>,
}

impl<L> Entry<L> {
    fn has_something(&self) -> bool {
        self.up.is_some() || self.gone.is_some() || !self.turn.is_empty()
    }

    fn frame(&mut self) -> Option<(Lane, Bytes)> {
        let lane = self.turn.pop_front()?;
        let queue = self.lanes.get_mut(&lane)?;
        let (frame, _room) = queue.pop_front()?;
        if !queue.is_empty() {
            self.turn.push_back(lane);
        }
        Some((lane, frame))
    }
}

impl<L> Inbox<L> {
    pub(super) fn new(peers: usize) -> Arc<Self> {
        let peers = (0..peers).map(|_| VecDeque::new()).collect();
        let state = State { peers, turn: VecDeque::new(), unreached: BTreeMap::new(), fatal: None };
        Arc::new(Self { state: Mutex::new(state), wake: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State<L>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A link to a peer is up.
    pub(super) fn up(&self, peer: PeerId, id: LinkId, link: L) {
        let entry = Entry { id, up: Some(link), lanes: BTreeMap::new(), turn: VecDeque::new(), gone: None };
        let mut state = self.lock();
        state.unreached.remove(&Some(peer));
        // One that came and went before anybody looked is forgotten: links that flap don't pile up.
        state.peers[peer].retain(|entry| entry.up.is_none() || entry.gone.is_none());
        state.peers[peer].push_back(entry);
        self.woken(state, peer);
    }

    /// A frame has come. `room` is given back when it is taken.
    pub(super) fn frame(&self, peer: PeerId, id: LinkId, lane: Lane, frame: Bytes, room: OwnedSemaphorePermit) {
        let mut state = self.lock();
        let Some(entry) = state.peers[peer].iter_mut().find(|entry| entry.id == id) else { return };
        let queue = entry.lanes.entry(lane).or_default();
        queue.push_back((frame, room));
        if queue.len() == 1 {
            entry.turn.push_back(lane);
        }
        self.woken(state, peer);
    }

    /// A link is down, and nothing more comes by it.
    pub(super) fn gone(&self, peer: PeerId, id: LinkId, why: String) {
        let mut state = self.lock();
        let Some(entry) = state.peers[peer].iter_mut().find(|entry| entry.id == id) else { return };
        entry.gone = Some(why);
        self.woken(state, peer);
    }

    /// A peer is not reached, or somebody unknown is refused. A reason that nobody has looked at gives way to the next.
    pub(super) fn unreached(&self, peer: Option<PeerId>, why: String) {
        self.lock().unreached.insert(peer, why);
        self.wake.notify_one();
    }

    /// This instance can't go on; the first reason counts.
    pub(super) fn fail(&self, cause: Cause, why: String) {
        self.lock().fatal.get_or_insert((cause, why));
        self.wake.notify_one();
    }

    fn woken(&self, mut state: MutexGuard<'_, State<L>>, peer: PeerId) {
        if !state.turn.contains(&peer) {
            state.turn.push_back(peer);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for the next thing. May be dropped at any time.
    pub(super) async fn next(&self) -> Taken<L> {
        loop {
            if let Some(taken) = self.take() {
                return taken;
            }
            self.wake.notified().await;
        }
    }

    fn take(&self) -> Option<Taken<L>> {
        let mut state = self.lock();
        if let Some((cause, why)) = &state.fatal {
            return Some(Taken::Fatal(Error::new(*cause, why.clone()).retryable(false)));
        }
        // They are rare: nothing else waits for long.
        if let Some((peer, why)) = state.unreached.pop_first() {
            return Some(Taken::Unreached(peer, why));
        }
        loop {
            let peer = state.turn.pop_front()?;
            let links = &mut state.peers[peer];
            let Some(first) = links.front_mut() else { continue };
            let taken = if let Some(link) = first.up.take() {
                Some(Taken::Up(peer, link))
            } else if let Some((lane, frame)) = first.frame() {
                Some(Taken::Frame(peer, lane, frame))
            } else if let Some(why) = first.gone.take() {
                links.pop_front();
                Some(Taken::Down(peer, why))
            } else {
                None
            };
            if links.front().is_some_and(Entry::has_something) {
                state.turn.push_back(peer);
            }
            if taken.is_some() {
                return taken;
            }
        }
    }
}

#[cfg(test)]
mod tests;
