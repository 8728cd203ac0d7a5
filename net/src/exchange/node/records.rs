//! What concerns exits and entries alike: links that come and go, epochs that are over, and what moves next.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::contracts::{PeerId, Traffic};
use millstream_core::data::Partition;

use super::super::message::Message;
use super::super::origin::Origin;
use super::inbox::{Inbox, Token};
use super::{Asker, Node};

impl Node {
    /// A link to a peer is there.
    pub(super) fn connect(&mut self, peer: PeerId, same: bool) {
        for hop in 0..self.hops.len() {
            if let Some(out) = self.outboxes[hop].as_mut().filter(|_| self.hops[hop].to.contains(&peer)) {
                out.outbox.up(peer, 0);
            }
            let feeds = self.hops[hop].from.contains(&peer);
            let Some(inbox) = &mut self.inboxes[hop] else { continue };
            match same || peer == self.me {
                true => inbox.thaw(peer),
                false => inbox.started(peer, self.peers[peer].epoch.unwrap_or_default()),
            }
            inbox.ask_again();
            if feeds {
                let bytes = self.limits.window;
                self.tell(peer, Message::Grant { hop: hop as u16, bytes });
            }
        }
    }

    /// The link of this number to a peer is lost.
    pub(super) fn disconnect(&mut self, peer: PeerId, link: u64) {
        let done = self.peers[peer].done;
        for out in self.outboxes.iter_mut().flatten() {
            out.outbox.down(peer);
        }
        for inbox in self.inboxes.iter_mut().flatten() {
            inbox.lost(peer, link);
            if !done {
                inbox.freeze(peer);
            }
        }
        self.forget_places(peer);
        // Whoever waits for a letter from there gives its records up: they run again.
        self.burials.retain(|_, asker| !matches!(asker, Asker::Here(_, from) if *from == peer));
    }

    /// What a peer's source had sent in older epochs is over.
    pub(super) fn close_older(&mut self, peer: PeerId, epoch: u64) {
        for inbox in self.inboxes.iter_mut().flatten() {
            inbox.open(peer, epoch);
            inbox.thaw(peer);
        }
        self.fenced.retain(|&(instance, of, _)| usize::from(instance) != peer || of == epoch);
        self.drop_relayed(|origin| usize::from(origin.instance) == peer && origin.epoch != epoch);
    }

    pub(super) fn claim_in(&mut self, peer: PeerId, epoch: u64, partitions: &[Partition]) -> Vec<Arc<Origin>> {
        let inboxes = self.inboxes.iter_mut().flatten();
        let lost: Vec<_> = inboxes.flat_map(|inbox| inbox.claim(peer, epoch, partitions)).collect();
        let name = |at: &Origin| (at.instance, at.epoch, at.partition.clone());
        let fenced: BTreeSet<_> = lost.iter().map(|at| name(at)).collect();
        if !fenced.is_empty() {
            self.drop_relayed(|at| fenced.contains(&name(at)));
            self.fenced.extend(fenced);
        }
        lost
    }

    /// Deals, hands on, grants and asks for what can be now.
    pub(super) fn move_records(&mut self) {
        self.choose_workers();
        for hop in 0..self.hops.len() {
            self.hand_on(hop);
            self.deal(hop);
        }
    }

    /// Whether nothing is on its way through the parts here that others' records only pass, for anyone who is reached.
    pub(super) fn is_idle(&self) -> bool {
        let waits = |token: &Token| self.peers[token.peer].link == Some(token.link);
        (0..self.hops.len()).all(|hop| {
            let passes_on = !self.hops[hop].anchors;
            !passes_on || self.inboxes[hop].as_ref().is_none_or(|inbox| inbox.is_idle(waits))
        })
    }

    pub(super) fn records_wake(&self) -> Option<Duration> {
        let inboxes = self.inboxes.iter().flatten().filter_map(|inbox| inbox.wake(self.now));
        let rests = self.outboxes.iter().flatten().map(|out| out.rests_until).filter(|&until| until > self.now);
        inboxes.chain(rests).min()
    }

    /// What the records here met with.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut traffic = self.counts;
        for out in self.outboxes.iter().flatten() {
            let counts = out.outbox.counts();
            traffic.redealt += counts.redealt;
            traffic.handed_back += counts.handed_back;
            traffic.late += counts.late;
        }
        for counts in self.inboxes.iter().flatten().map(Inbox::counts) {
            traffic.discarded += counts.discarded;
            traffic.replayed += counts.replayed;
            traffic.frozen += counts.frozen;
            traffic.passed_late += counts.late;
            traffic.late += counts.dead;
        }
        traffic
    }
}
