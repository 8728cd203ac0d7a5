//! The entries of the parts here: records come in by the inboxes, and whoever sent them hears what became of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use millstream_core::commit::Outcome;
use millstream_core::contracts::PeerId;

use super::super::message::{Message, WireHold, WireOrigin, WireOutcome};
use super::super::origin::{Load as _, Origin};
use super::super::piece::Piece;
use super::inbox::{Answer, Inbox, Token};
use super::{Act, Node};

impl Node {
    /// Records come in from a peer.
    pub(super) fn came(&mut self, peer: PeerId, hop: usize, tag: u64, piece: Piece) {
        let link = self.peers[peer].link;
        let fits = self.hops.get(hop).is_some_and(|at| at.from.contains(&peer));
        let (Some(link), true) = (link, fits) else {
            self.counts.late += 1;
            return;
        };
        let Some(inbox) = self.inboxes[hop].as_mut() else { return };
        let origin = piece.origin().clone();
        let answers = inbox.came(Token { peer, link, tag }, piece);
        self.answer(hop, Some(&origin), answers);
    }

    pub(super) fn took(&mut self, hop: usize, made: u64) {
        if let Some(inbox) = &mut self.inboxes[hop] {
            inbox.took(made);
        }
    }

    /// What became of records that came in.
    pub(super) fn settled(&mut self, hop: usize, made: u64, slot: u64, records: &Range<u32>, outcome: Outcome) {
        let Some(inbox) = self.inbox(hop, made) else { return };
        let origin = inbox.slot(slot).map(|(origin, _)| origin);
        let answers = inbox.settled(slot, records, outcome);
        self.answer(hop, origin.as_deref(), answers);
    }

    /// The inbox, if what feeds on it is the part that was begun last.
    pub(super) fn inbox(&mut self, hop: usize, made: u64) -> Option<&mut Inbox> {
        self.inboxes[hop].as_mut().filter(|inbox| inbox.made == made)
    }

    /// Tells those who wait for it what became of records.
    pub(super) fn answer(&mut self, hop: usize, origin: Option<&Origin>, answers: Vec<Answer>) {
        for Answer { to, records, outcome } in answers {
            if self.peers[to.peer].link != Some(to.link) {
                self.counts.late += 1;
                continue;
            }
            let mut holds = Vec::new();
            if let (Outcome::Absorbed, Some(origin)) = (outcome, origin) {
                holds = self.wire_holds(self.anchors.holds_on(hop, origin, &records));
                let passed = self.inboxes[hop].as_ref().map(|inbox| inbox.holds_on(origin, &records));
                holds.extend(passed.into_iter().flatten().map(|(hold, record)| WireHold::of(hold, record)));
            }
            let (hop, tag, outcome) = (hop as u16, to.tag, WireOutcome::of(outcome));
            self.tell(to.peer, Message::Outcome { hop, tag, from: records.start, to: records.end, outcome, holds });
        }
    }

    /// The origin and the first sequence number of what was handed on as this slot.
    pub(super) fn slot(&mut self, hop: usize, made: u64, slot: u64) -> Option<(Arc<Origin>, u64)> {
        self.inbox(hop, made)?.slot(slot)
    }

    pub(super) fn is_clear(&self, hop: usize, peer: PeerId, epoch: u64) -> bool {
        self.inboxes[hop].as_ref().is_none_or(|inbox| inbox.is_clear(peer, epoch))
    }

    /// The part behind this network stage begins anew.
    pub(super) fn empty_inbox(&mut self, hop: usize) {
        let Some(inbox) = &mut self.inboxes[hop] else { return };
        let dropped = inbox.empty();
        let made = inbox.made;
        self.acts.push(Act::Feed { hop, made });
        for (peer, bytes) in dropped {
            self.tell(peer, Message::Grant { hop: hop as u16, bytes });
        }
    }

    /// The part behind this network stage has begun anew: it is handed records again.
    pub(super) fn feed_again(&mut self, hop: usize) {
        if let Some(inbox) = &mut self.inboxes[hop] {
            inbox.rests = false;
        }
    }

    /// Nothing passes this network stage any more: the frontiers of its origins.
    pub(super) fn seal_inbox(&mut self, hop: usize) -> BTreeMap<WireOrigin, u64> {
        let frontiers = self.inboxes[hop].as_mut().map(Inbox::seal).unwrap_or_default();
        frontiers.into_iter().map(|(origin, frontier)| (WireOrigin::of(&origin), frontier)).collect()
    }

    pub(super) fn hand_on(&mut self, hop: usize) {
        let now = self.now;
        let Some(inbox) = &mut self.inboxes[hop] else { return };
        while let Some(handed) = inbox.next(now) {
            self.acts.push(Act::Hand { hop, handed });
        }
        let (grants, needs, discarded) = (inbox.grants(), inbox.needs(now), inbox.discarded());
        self.answer(hop, None, discarded);
        for (peer, bytes) in grants {
            self.tell(peer, Message::Grant { hop: hop as u16, bytes });
        }
        if needs.is_empty() {
            return;
        }
        let from: BTreeSet<PeerId> =
            self.ways_to(hop).into_iter().flat_map(|at| self.hops[at].from.iter().copied()).collect();
        for (origin, sequence) in needs {
            if let Some(sequence) = sequence {
                tracing::debug!(%origin, sequence, "a merge asks for a record that it waits for");
            }
            for &peer in &from {
                let origin = WireOrigin::of(&origin);
                self.tell(peer, Message::Need { hop: hop as u16, origin, sequence });
            }
        }
    }
}
