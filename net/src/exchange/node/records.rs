//! Records: out by the outboxes, in by the inboxes, and what became of them back the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::{Hold, Note, Outcome, Owed, RemoteHold};
use millstream_core::contracts::{Hop, NetKind, Order, PeerId, Traffic};
use millstream_core::data::Partition;
use tokio::sync::oneshot;

use super::super::message::{Message, WireHold, WireOrigin, WireOutcome};
use super::super::origin::{Load as _, Origin};
use super::super::outbox::{Aim, Cut, Loss, Outbox, Owes};
use super::super::piece::Piece;
use super::inbox::{Answer, Token};
use super::{Act, Asker, Limits, Node, Outgoing};

/// A ticket whose records are on their way, by their sequence numbers.
pub(super) struct Mine {
    owed: Owed,
    /// The sequence number of the span's first record.
    first: u64,
}

impl Mine {
    fn record(&self, sequence: u64) -> u32 {
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
        })
    }
}

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
        // Whoever waits for a letter from there gives its records up: they run again.
        self.burials.retain(|_, asker| !matches!(asker, Asker::Here(_, from) if *from == peer));
    }

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

    /// The part before this network stage is given up, if it has not ended already: what came of it, and still comes, would
    /// be refused and dealt anew, for ever.
    pub(super) fn close_outbox(&mut self, hop: usize) {
        self.empty_outbox(hop);
        if let Some(Some(out)) = self.outboxes.get_mut(hop) {
            out.made = 0;
        }
    }

    fn empty_outbox(&mut self, hop: usize) {
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
        if self.is_over_before(hop, piece.origin()) {
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

    /// Hands back what can wait, while something that a merge waits for can't get to this exit for want of room.
    fn make_room(&mut self, hop: usize) {
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

    /// Whether a piece that leaves a part here is of an epoch that its source is not open as any more, or of a partition
    /// that this has lost: nobody would take it.
    fn is_over_before(&self, hop: usize, origin: &Origin) -> bool {
        let began_elsewhere = hop > 0 && !self.hops[1..=hop].iter().any(|at| at.begins);
        let opened = self.opened.get(&usize::from(origin.instance));
        began_elsewhere && (opened.is_some_and(|&epoch| epoch != origin.epoch) || self.has_lost(origin))
    }

    /// Whether another instance has the partition now.
    fn has_lost(&self, origin: &Origin) -> bool {
        // Cloned only where any was ever lost.
        !self.lost.is_empty() && self.lost.contains(&(origin.instance, origin.epoch, origin.partition.clone()))
    }

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
    fn inbox(&mut self, hop: usize, made: u64) -> Option<&mut super::inbox::Inbox> {
        self.inboxes[hop].as_mut().filter(|inbox| inbox.made == made)
    }

    /// Tells those who wait for it what became of records.
    fn answer(&mut self, hop: usize, origin: Option<&Origin>, answers: Vec<Answer>) {
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

    pub(super) fn pass_hold(&mut self, hop: usize, made: u64, slot: u64, record: u32, hold: RemoteHold) {
        if self.is_given(&hold) {
            return;
        }
        if let Some(inbox) = self.inbox(hop, made) {
            inbox.pass_hold(slot, record, hold);
        }
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
        if let Some(out) = &mut self.outboxes[hop] {
            out.outbox.outcome(peer, tag, records, outcome.outcome());
        }
    }

    /// Keeps the commit behind a record that a fold elsewhere has taken in.
    fn keep_hold(&mut self, peer: PeerId, hop: usize, tag: u64, hold: &WireHold) {
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
    fn is_given(&self, hold: &RemoteHold) -> bool {
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

    pub(super) fn granted(&mut self, peer: PeerId, hop: usize, bytes: u64) {
        if let Some(Some(out)) = self.outboxes.get_mut(hop) {
            out.outbox.grant(peer, bytes);
        }
    }

    /// The merge of a peer waits for a record that may be in the part before it here, or at a split before that.
    pub(super) fn needed(&mut self, peer: PeerId, hop: usize, origin: &WireOrigin, sequence: u64) {
        if hop >= self.hops.len() {
            return;
        }
        for at in self.ways_to(hop) {
            if let Some(out) = &mut self.outboxes[at] {
                out.outbox.need(peer, &origin.origin(), sequence);
            }
        }
    }

    /// A network stage, and the splits right before it, where something that it waits for may wait.
    fn ways_to(&self, hop: usize) -> Vec<usize> {
        let is_split = |&at: &usize| self.hops[at].kind == NetKind::Split && !self.hops[at + 1].begins;
        std::iter::once(hop).chain((0..hop).rev().take_while(is_split)).collect()
    }

    /// A part here asks for a dead letter of a record whose original is elsewhere.
    pub(super) fn ask_burial(
        &mut self,
        hop: usize,
        made: u64,
        slot: u64,
        record: u32,
        note: Note,
        reply: oneshot::Sender<Result<(), String>>,
    ) {
        let Some((to, record)) = self.inbox(hop, made).and_then(|inbox| inbox.sender(slot, record)) else { return };
        if self.peers[to.peer].link != Some(to.link) {
            return;
        }
        let id = self.next_id();
        self.burials.insert(id, Asker::Here(reply, to.peer));
        let Note { letters, stage, reason } = note;
        self.tell(to.peer, Message::Bury { hop: hop as u16, tag: to.tag, record, id, letters, stage, reason });
    }

    /// A peer asks for a dead letter: it is written here if the record began here, and else asked for further on.
    pub(super) fn bury(&mut self, peer: PeerId, hop: usize, tag: u64, record: u64, id: u64, note: Note) {
        let Some(link) = self.peers[peer].link else { return };
        let found = self.outboxes.get(hop).and_then(Option::as_ref).and_then(|out| out.outbox.with_claim(peer, tag));
        let Some((mine, piece)) = found else {
            let failed = Some("its origin has opened anew since".to_owned());
            return self.tell(peer, Message::Buried { id, failed });
        };
        let at = mine.record(record);
        if let Some(burial) = mine.owed.bury(at, note.clone()) {
            self.acts.push(Act::Await { burial, to: peer, link, id });
            return;
        }
        let Some(shared) = piece.shared().cloned() else {
            let failed = Some("its original is not where it should be".to_owned());
            return self.tell(peer, Message::Buried { id, failed });
        };
        let mine = self.next_id();
        self.burials.insert(mine, Asker::Peer { peer, link, id });
        self.order(Order::Bury { id: mine, shared, record: at, note });
    }

    /// A letter is durable, or could not be written.
    pub(super) fn buried(&mut self, id: u64, buried: Result<(), String>) {
        match self.burials.remove(&id) {
            // One who waits no more has given the record up.
            Some(Asker::Here(reply, _)) => {
                let _ = reply.send(buried);
            }
            Some(Asker::Peer { peer, link, id }) if self.is_current(peer, link) => {
                self.tell(peer, Message::Buried { id, failed: buried.err() });
            }
            _ => {}
        }
    }

    /// What a peer's source had sent in older epochs is over.
    pub(super) fn close_older(&mut self, peer: PeerId, epoch: u64) {
        for inbox in self.inboxes.iter_mut().flatten() {
            inbox.open(peer, epoch);
            inbox.thaw(peer);
        }
        self.lost.retain(|&(instance, of, _)| usize::from(instance) != peer || of == epoch);
        self.drop_relayed(|origin| usize::from(origin.instance) == peer && origin.epoch != epoch);
    }

    /// Gives up what only passes the parts here of origins that are over: who gets it would refuse it, again and again.
    fn drop_relayed(&mut self, is_over: impl Fn(&Origin) -> bool) {
        for hop in (1..self.hops.len()).take_while(|&hop| !self.hops[hop].begins) {
            if let Some(out) = &mut self.outboxes[hop] {
                out.outbox.drop_origins(&is_over);
            }
        }
    }

    pub(super) fn claim_in(&mut self, peer: PeerId, epoch: u64, partitions: &[Partition]) -> Vec<Arc<Origin>> {
        let inboxes = self.inboxes.iter_mut().flatten();
        let lost: Vec<_> = inboxes.flat_map(|inbox| inbox.claim(peer, epoch, partitions)).collect();
        if !lost.is_empty() {
            self.lost.extend(lost.iter().map(|at| (at.instance, at.epoch, at.partition.clone())));
            let all = std::mem::take(&mut self.lost);
            self.drop_relayed(|at| all.contains(&(at.instance, at.epoch, at.partition.clone())));
            self.lost = all;
        }
        lost
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
    pub(super) fn seal_inbox(&mut self, hop: usize) -> BTreeMap<(u16, String, String, u64), (WireOrigin, u64)> {
        let frontiers = self.inboxes[hop].as_mut().map(super::inbox::Inbox::seal).unwrap_or_default();
        let wire = |(origin, frontier): (Arc<Origin>, u64)| {
            let at = WireOrigin::of(&origin);
            ((at.instance, at.stage.clone(), at.partition.clone(), at.epoch), (at, frontier))
        };
        frontiers.into_iter().map(wire).collect()
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
    fn choose_workers(&mut self) {
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

    /// Deals, hands on, grants and asks for what can be now.
    pub(super) fn move_records(&mut self) {
        self.choose_workers();
        for hop in 0..self.hops.len() {
            self.hand_on(hop);
            self.deal(hop);
        }
    }

    fn hand_on(&mut self, hop: usize) {
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
            tracing::debug!(%origin, sequence, "a merge asks for a record that it waits for");
            for &peer in &from {
                let origin = WireOrigin::of(&origin);
                self.tell(peer, Message::Need { hop: hop as u16, origin, sequence });
            }
        }
    }

    fn deal(&mut self, hop: usize) {
        let Some(out) = &mut self.outboxes[hop] else { return };
        let mut to_self = Vec::new();
        while let Some(deal) = out.outbox.next() {
            let (peer, tag, piece) = (deal.peer, deal.tag, deal.piece);
            let (me, origin) = (self.me, piece.origin());
            tracing::trace!(me, peer, hop, tag, %origin, records = ?piece.records(), "records are dealt");
            if peer == self.me {
                to_self.push(super::Input::Came { peer, hop, tag, piece });
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

    /// Whether nothing is on its way through the parts here that others' records only pass.
    pub(super) fn is_idle(&self) -> bool {
        (0..self.hops.len()).all(|hop| {
            let passes_on = !self.hops[hop].anchors;
            !passes_on || self.inboxes[hop].as_ref().is_none_or(super::inbox::Inbox::is_idle)
        })
    }

    pub(super) fn records_wake(&self) -> Option<Duration> {
        self.inboxes.iter().flatten().filter_map(|inbox| inbox.wake(self.now)).min()
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
        for counts in self.inboxes.iter().flatten().map(super::inbox::Inbox::counts) {
            traffic.discarded += counts.discarded;
            traffic.replayed += counts.replayed;
            traffic.frozen += counts.frozen;
            traffic.late += counts.dead;
        }
        traffic
    }
}

impl WireHold {
    fn of(hold: RemoteHold, record: u64) -> Self {
        let RemoteHold { holder, epoch, id } = hold;
        Self { holder, epoch, id, record }
    }
}

impl WireOutcome {
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered,
            Outcome::Disposed => Self::Disposed,
            Outcome::Absorbed => Self::Absorbed,
            Outcome::Abandoned => Self::Abandoned,
        }
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Delivered => Outcome::Delivered,
            Self::Disposed => Outcome::Disposed,
            Self::Absorbed => Outcome::Absorbed,
            Self::Abandoned => Outcome::Abandoned,
        }
    }
}

impl WireOrigin {
    pub(super) fn of(origin: &Origin) -> Self {
        let Origin { instance, stage, partition, epoch } = origin.clone();
        Self { instance, stage: stage.to_string(), partition: partition.name().to_owned(), epoch }
    }

    pub(super) fn origin(&self) -> Origin {
        let Self { instance, stage, partition, epoch } = self;
        Origin {
            instance: *instance,
            stage: stage.as_str().into(),
            partition: Partition::new(partition),
            epoch: *epoch,
        }
    }
}
