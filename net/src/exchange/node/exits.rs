//! The exits of the parts here: records go out by the outboxes, to those who can take them, and what became of them comes
//! back.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::{Outcome, Owed};
use millstream_core::contracts::{Hop, NetKind, PeerId};

use super::super::message::{WireHold, WireOrigin, WireOutcome};
use super::super::origin::{Load as _, Origin};
use super::super::outbox::{Aim, Cut, Loss, Outbox, Owes};
use super::super::piece::Piece;
use super::{Act, Input, Limits, Node, Outgoing};

/// So many pieces given back in a row, and dealing rests so long.
const MOST_RETURNED: u32 = 16;
const REST: Duration = Duration::from_millis(100);

/// A ticket whose records are on their way, by their sequence numbers.
pub(super) struct Mine {
    pub(super) owed: Owed,
    /// The sequence number of the span's first record.
    first: u64,
}

impl Mine {
    pub(super) fn record(&self, sequence: u64) -> u32 {
        u32::try_from(sequence.saturating_sub(self.first)).unwrap_or(u32::MAX)
    }
}

impl Owes for Mine {
    fn open(&self) -> Vec<Range<u64>> {
        let sequence = |record: u32| self.first + u64::from(record);
        self.owed.open().iter().map(|range| sequence(range.start)..sequence(range.end)).collect()
    }

    fn settle(&mut self, records: Range<u64>, outcome: Outcome) {
        let records = self.record(records.start)..self.record(records.end);
        self.owed.settle(records, outcome);
    }
}

impl Outgoing {
    pub(super) fn of(hop: usize, hops: &[Hop], me: PeerId, limits: Limits) -> Option<Self> {
        let at = &hops[hop];
        let loss = match at.kind {
            NetKind::Split => Loss::Redeal,
            _ if at.begins => Loss::Keep,
            // Behind a split others can take it.
            _ if hops[hop - 1].kind == NetKind::Split => Loss::GoRound,
            _ => Loss::HandBack,
        };
        at.from.contains(&me).then(|| Self {
            outbox: Outbox::new(loss, limits.room),
            made: 0,
            ended: false,
            told: false,
            full: false,
            returned: 0,
            rests_until: Duration::ZERO,
        })
    }
}

impl Node {
    pub(super) fn exit_made(&mut self, hop: usize, made: u64) {
        self.empty_outbox(hop);
        if let Some(out) = &mut self.outboxes[hop] {
            (out.made, out.ended, out.told) = (made, false, false);
        }
        self.peers[self.me].drained.remove(&hop);
    }

    pub(super) fn exit_ended(&mut self, hop: usize, made: u64) {
        if let Some(out) = self.outboxes[hop].as_mut().filter(|out| out.made == made) {
            out.ended = true;
        }
    }

    pub(super) fn exit_gone(&mut self, hop: usize, made: u64) {
        if self.outboxes[hop].as_ref().is_some_and(|out| out.made == made) {
            self.empty_outbox(hop);
        }
    }

    /// The part before this network stage is given up, whether or not it has ended: what came of it, and still comes, would
    /// be refused and dealt anew, for ever.
    pub(super) fn close_outbox(&mut self, hop: usize) {
        self.empty_outbox(hop);
        if let Some(Some(out)) = self.outboxes.get_mut(hop) {
            out.made = 0;
        }
    }

    pub(super) fn empty_outbox(&mut self, hop: usize) {
        let begins = self.hops.get(hop).is_some_and(|at| at.begins);
        if let Some(Some(out)) = self.outboxes.get_mut(hop) {
            match begins {
                // What comes next is of other epochs.
                true => out.outbox.drop_origins(|_| true),
                false => out.outbox.clear(),
            }
        }
        // They are not given back: what they stand for has not arrived.
        self.kept.retain(|&(at, _), _| at != hop);
    }

    /// A batch has left the part here.
    pub(super) fn put(&mut self, hop: usize, made: u64, piece: Piece, owed: Owed) {
        let bytes = piece.bytes();
        self.acts.push(Act::Took { hop, bytes });
        if self.is_over_before(hop, piece.origin()) || self.was_given_up(hop, piece.origin()) {
            return;
        }
        let (kind, to) = (self.hops[hop].kind, &self.hops[hop].to);
        let Some(out) = self.outboxes[hop].as_mut().filter(|out| out.made == made) else { return };
        let mine = Mine { owed, first: piece.span().first };
        match kind {
            NetKind::Split => out.outbox.put(piece, mine, Aim::Any),
            NetKind::Merge | NetKind::MergeSort => out.outbox.put(piece, mine, Aim::Peer(to[0])),
            NetKind::SplitByKey => {
                let shares = match piece.split_by_key(to.len()) {
                    Ok(shares) => shares,
                    Err(why) => return self.fail_here(&why),
                };
                let cut = |(piece, &peer): (Piece, &PeerId)| Cut { peer, records: vec![piece.records()], piece };
                let shares = shares.into_iter().zip(to).map(cut);
                out.outbox.put_shared(shares.collect(), mine);
            }
        }
    }

    /// Whether a piece that leaves a part here is of an epoch that its source is not open as any more, or of a partition
    /// that this has lost: nobody would take it.
    fn is_over_before(&self, hop: usize, origin: &Origin) -> bool {
        let began_elsewhere = hop > 0 && !self.hops[1..=hop].iter().any(|at| at.begins);
        let opened = self.opened.get(&usize::from(origin.instance));
        began_elsewhere && (opened.is_some_and(|&epoch| epoch != origin.epoch) || self.is_fenced(origin))
    }

    /// Whether it comes of a partition that the source here has given up: what is still inside the part, too, is moot.
    fn was_given_up(&self, hop: usize, origin: &Origin) -> bool {
        hop == 0 && self.source.gave_up.contains(&origin.partition)
    }

    /// Whether another instance has the partition now.
    fn is_fenced(&self, origin: &Origin) -> bool {
        // Cloned only where any was ever lost.
        !self.fenced.is_empty() && self.fenced.contains(&(origin.instance, origin.epoch, origin.partition.clone()))
    }

    /// A peer says what became of records that it was dealt.
    pub(super) fn outcome(
        &mut self,
        peer: PeerId,
        hop: usize,
        tag: u64,
        records: Range<u64>,
        outcome: WireOutcome,
        holds: &[WireHold],
    ) {
        if hop >= self.hops.len() || records.start > records.end {
            self.counts.late += 1;
            return;
        }
        if outcome == WireOutcome::Abandoned {
            tracing::trace!(me = self.me, peer, hop, tag, ?records, "records are given back");
        }
        for hold in holds {
            self.keep_hold(peer, hop, tag, hold);
        }
        let (now, freely) = (self.now, self.deals_freely(hop));
        if let Some(out) = &mut self.outboxes[hop] {
            out.outbox.outcome(peer, tag, records, outcome.outcome());
            out.returned = if outcome == WireOutcome::Abandoned && freely { out.returned + 1 } else { 0 };
            if out.returned == MOST_RETURNED {
                (out.returned, out.rests_until) = (0, now + REST);
            }
        }
    }

    pub(super) fn granted(&mut self, peer: PeerId, hop: usize, bytes: u64) {
        if let Some(Some(out)) = self.outboxes.get_mut(hop) {
            out.outbox.grant(peer, bytes);
        }
    }

    /// The merge of a peer waits for a record that may be in the part before it here, or at a split before that; or for
    /// none of the origin any more.
    pub(super) fn needed(&mut self, peer: PeerId, hop: usize, origin: &WireOrigin, sequence: Option<u64>) {
        if hop >= self.hops.len() {
            return;
        }
        let origin = origin.origin();
        for at in self.ways_to(hop) {
            let is_over = self.is_over_before(at, &origin);
            let Some(out) = &mut self.outboxes[at] else { continue };
            match sequence.filter(|_| !is_over) {
                Some(sequence) => out.outbox.need(peer, &origin, sequence),
                None => out.outbox.met(peer, &origin),
            }
        }
    }

    /// A network stage, and the splits right before it, where something that it waits for may wait.
    pub(super) fn ways_to(&self, hop: usize) -> Vec<usize> {
        let is_split = |&at: &usize| self.hops[at].kind == NetKind::Split && !self.hops[at + 1].begins;
        std::iter::once(hop).chain((0..hop).rev().take_while(is_split)).collect()
    }

    /// Hands back what can wait, while something that a merge waits for can't get to this exit for want of room.
    pub(super) fn make_room(&mut self, hop: usize) {
        let Some(out) = &self.outboxes[hop] else { return };
        if out.outbox.has_room() {
            return;
        }
        let inbox = hop.checked_sub(1).and_then(|before| self.inboxes[before].as_ref());
        let here = |(_, at, record): &(PeerId, &Arc<Origin>, u64)| inbox.is_some_and(|inbox| inbox.has(at, *record));
        let missing = out.outbox.missing().filter(here);
        let missing: Vec<_> = missing.map(|(peer, origin, record)| (peer, origin.clone(), record)).collect();
        let Some(out) = &mut self.outboxes[hop] else { return };
        for (peer, origin, record) in missing {
            out.outbox.make_room(peer, &origin, record);
        }
    }

    /// Gives up what only passes the parts here of origins that are over: who gets it would refuse it, again and again.
    pub(super) fn drop_relayed(&mut self, is_over: impl Fn(&Origin) -> bool) {
        for hop in (1..self.hops.len()).take_while(|&hop| !self.hops[hop].begins) {
            if let Some(out) = &mut self.outboxes[hop] {
                out.outbox.drop_origins(&is_over);
            }
        }
    }

    /// Whether batches may be dealt to any of several instances here.
    pub(super) fn deals_freely(&self, hop: usize) -> bool {
        self.hops[hop].kind == NetKind::Split
    }

    /// The instances that can be dealt to over this network stage: they reach where the records go on to.
    pub(super) fn workers(&self, hop: usize) -> impl Iterator<Item = PeerId> + '_ {
        let on = self.hops.get(hop + 1).map(|next| next.to.as_slice()).unwrap_or_default();
        let able =
            move |&peer: &PeerId| self.is_up(peer) && on.iter().all(|next| self.peers[peer].reach.contains(next));
        self.hops[hop].to.iter().copied().filter(able)
    }

    /// Says which peers may be dealt to: those that are leaving only where nobody else can.
    pub(super) fn choose_workers(&mut self) {
        for hop in 0..self.hops.len() {
            if self.outboxes[hop].is_none() {
                continue;
            }
            let workers: Vec<PeerId> = match self.deals_freely(hop) {
                true => self.workers(hop).collect(),
                false => self.hops[hop].to.iter().copied().filter(|&peer| self.is_up(peer)).collect(),
            };
            let stays = workers.iter().any(|&peer| !self.peers[peer].leaving) && self.deals_freely(hop);
            for &peer in &self.hops[hop].to {
                let may = workers.contains(&peer) && !(stays && self.peers[peer].leaving);
                if let Some(out) = &mut self.outboxes[hop] {
                    out.outbox.eligible(peer, may);
                }
            }
        }
    }

    pub(super) fn deal(&mut self, hop: usize) {
        let now = self.now;
        let Some(out) = &mut self.outboxes[hop] else { return };
        let mut to_self = Vec::new();
        while now >= out.rests_until
            && let Some(deal) = out.outbox.next()
        {
            let (peer, tag, piece) = (deal.peer, deal.tag, deal.piece);
            let (me, origin) = (self.me, piece.origin());
            tracing::trace!(me, peer, hop, tag, %origin, records = ?piece.records(), "records are dealt");
            if peer == self.me {
                to_self.push(Input::Came { peer, hop, tag, piece });
            } else {
                self.acts.push(Act::Deal { peer, hop, tag, piece });
            }
        }
        self.to_self.extend(to_self);
        self.make_room(hop);
        let Some(out) = &mut self.outboxes[hop] else { return };
        let full = !out.outbox.has_room();
        if std::mem::replace(&mut out.full, full) != full {
            self.acts.push(Act::Full { hop, full });
        }
    }
}
