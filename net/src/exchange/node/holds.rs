//! Holds: what a fold elsewhere has taken in keeps the commit behind it where it began, until the fold gives it back.

use millstream_core::commit::{Hold, RemoteHold};
use millstream_core::contracts::PeerId;

use super::super::message::WireHold;
use super::Node;

impl Node {
    pub(super) fn pass_hold(&mut self, hop: usize, made: u64, slot: u64, record: u32, hold: RemoteHold) {
        if self.is_given(&hold) {
            return;
        }
        if let Some(inbox) = self.inbox(hop, made) {
            inbox.pass_hold(slot, record, hold);
        }
    }

    /// Keeps the commit behind a record that a fold elsewhere has taken in.
    pub(super) fn keep_hold(&mut self, peer: PeerId, hop: usize, tag: u64, hold: &WireHold) {
        let name = RemoteHold { holder: hold.holder, epoch: hold.epoch, id: hold.id };
        if self.is_given(&name) || self.kept.contains_key(&(hop, name)) {
            return;
        }
        let Some(out) = &self.outboxes[hop] else { return };
        let Some((mine, _)) = out.outbox.with_claim(peer, tag) else { return };
        if let Some(kept) = mine.owed.hold(mine.record(hold.record), name) {
            self.kept.insert((hop, name), kept);
        }
    }

    /// Whether a hold was given back already, by another way than it came.
    pub(super) fn is_given(&self, hold: &RemoteHold) -> bool {
        let below = self.below.get(&(hold.holder, hold.epoch)).is_some_and(|&below| hold.id < below);
        below || self.given.contains(hold)
    }

    /// A peer gives holds back.
    pub(super) fn released(&mut self, peer: PeerId, below: u64, holds: &[u64]) {
        let Some(epoch) = self.peers[peer].epoch else { return };
        let holder = peer as u16;
        self.below.insert((holder, epoch), below);
        let name = |id: u64| RemoteHold { holder, epoch, id };
        let named: Vec<RemoteHold> = holds.iter().map(|&id| name(id)).collect();
        for hop in 0..self.hops.len() {
            let older = self.kept.range((hop, name(0))..(hop, name(below))).map(|(&(_, hold), _)| hold);
            let due: Vec<RemoteHold> = older.chain(named.iter().copied()).collect();
            due.into_iter().filter_map(|hold| self.kept.remove(&(hop, hold))).for_each(Hold::release);
        }
        self.given.extend(named.into_iter().filter(|hold| hold.id >= below));
        self.given.retain(|hold| hold.holder != holder || (hold.epoch == epoch && hold.id >= below));
        let is_given = |hold: &RemoteHold| hold.holder == holder && (hold.id < below || holds.contains(&hold.id));
        self.inboxes.iter_mut().flatten().for_each(|inbox| inbox.forget_holds(is_given));
    }
}
