//! [`Outbox`]: an exit of a part, which is the sending side of one network stage on one instance.
//!
//! ```text
//!            put                    next                  outcome: settled
//!   part  -------->  waiting  ------------->  dealt  ---------------------->  gone
//!                       ^                       |
//!                       |    peer is lost,      |    peer is lost, or gave it back
//!                       +-----------------------+-------------------------->  gone: the claim is dropped,
//!                         or gave it back             (Loss::HandBack)        which abandons what it owes
//!                    (Loss::Redeal, Loss::Keep)
//! ```
//!
//! A claim is served by one item or by several: the pieces that its batch was cut into by key, or what is left of a
//! piece that goes out again. An item waits or is dealt, and is dealt once: its number is the tag. An item answers for
//! the records that it holds and whose outcome has not come; two items of one claim never answer for the same record,
//! but where the batch was cut by key.
//!
//! What a claim has settled by itself before it came (a record that an error policy disposed of) is sent all the same,
//! and again: a merge that restores order has to hear of every record.
//!
//! Pure: no clock, no I/O, and nothing depends on addresses or hashes. Finding what to deal and taking an outcome cost
//! the logarithm of what is here, times the number of peers at most.

mod held;
mod needs;
mod seals;
mod spans;
mod waiting;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::ops::Range;
use std::sync::Arc;

use millstream_core::commit::Outcome;
use millstream_core::contracts::PeerId;

use super::origin::{Load, Origin};
use held::Held;
use needs::Needs;
use seals::Seals;
use spans::Spans;
use waiting::{Favoured, Sets, Waiting, Whom};

/// What becomes of pieces that were dealt to a peer that is lost, or that gives them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// They are dealt to another.
    Redeal,
    /// They are kept for the same.
    Keep,
    /// They are handed back to where they came from: their claims are dropped.
    HandBack,
    /// They are handed back, and so is what waits for a peer that is not reached: from there another way leads round.
    GoRound,
}

impl Loss {
    fn hands_back(self) -> bool {
        matches!(self, Self::HandBack | Self::GoRound)
    }
}

/// Whom a piece may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aim {
    /// Any peer that takes work.
    Any,
    /// This one.
    Peer(PeerId),
}

/// A claim to hear what became of records, by their sequence numbers. Dropped, it abandons what it still owes.
pub(crate) trait Owes {
    /// What has not settled, ascending.
    fn open(&self) -> Vec<Range<u64>>;

    /// These had this outcome, which is never [`Outcome::Abandoned`]. What has settled before stays as it is.
    fn settle(&mut self, records: Range<u64>, outcome: Outcome);
}

/// What goes to one peer of a batch that was cut by key.
#[derive(Debug, Clone)]
pub(crate) struct Cut<P> {
    /// The peer.
    pub(crate) peer: PeerId,
    /// The piece; it may stand for more records than it has rows of.
    pub(crate) piece: P,
    /// The records that have rows in it, ascending.
    pub(crate) records: Vec<Range<u64>>,
}

/// What is to be sent now.
#[derive(Debug, Clone)]
pub(crate) struct Deal<P> {
    /// To whom.
    pub(crate) peer: PeerId,
    /// What its outcomes will name it by; another each time that anything is dealt.
    pub(crate) tag: u64,
    /// The piece.
    pub(crate) piece: P,
}

/// How many records met with something out of the ordinary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Were dealt and wait again.
    pub(crate) redealt: u64,
    /// Were given back to where they came from.
    pub(crate) handed_back: u64,
    /// Had an outcome told of a tag that was over.
    pub(crate) late: u64,
}

/// An exit of a part: keeps what has not settled, says what is to be sent to whom, and tells claims what became of it.
#[derive(Debug)]
pub(crate) struct Outbox<P, C> {
    loss: Loss,
    /// How many bytes may wait.
    room: u64,
    /// How many do.
    waits: u64,
    peers: BTreeMap<PeerId, Peer>,
    claims: BTreeMap<u64, Held<C>>,
    items: BTreeMap<u64, Item<P>>,
    /// The lane of each origin.
    names: BTreeMap<Arc<Origin>, u64>,
    /// An origin each, numbered as they came.
    lanes: BTreeMap<u64, Lane>,
    /// What merges wait for.
    needs: Needs,
    /// Where origins end.
    seals: Seals,
    waiting: Waiting,
    /// Waiting items that have the lowest record of their lane.
    lowest: Favoured,
    /// The peer that was dealt to last.
    turn: PeerId,
    /// The last number that was given to an item, a claim or a lane.
    last: u64,
    counts: Counts,
}

#[derive(Debug)]
struct Peer {
    up: bool,
    eligible: bool,
    /// How many bytes may be sent to it; below 0 by what went without.
    credit: i64,
    /// What is dealt to it.
    tags: BTreeSet<u64>,
    /// The lane that it was dealt from last.
    turn: u64,
}

#[derive(Debug)]
struct Item<P> {
    stock: Stock<P>,
    /// The records that it answers for; never empty.
    open: Spans,
    /// Whether these are all that it ever answered for.
    whole: bool,
    at: At,
}

/// What an item has from where it was taken.
#[derive(Debug, Clone)]
struct Stock<P> {
    claim: u64,
    /// Which part of the claim's batch, where it was cut.
    part: usize,
    lane: u64,
    aim: Aim,
    piece: P,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Waiting(Whom),
    Dealt(PeerId),
}

#[derive(Debug)]
struct Lane {
    origin: Arc<Origin>,
    /// The items, by their lowest record.
    items: BTreeSet<(u64, u64)>,
    /// No item ever spanned more records.
    longest: u64,
}

impl<P: Load, C: Owes> Outbox<P, C> {
    /// Nothing in it. It is full once `room` bytes wait to be dealt; one piece always has room.
    pub(crate) fn new(loss: Loss, room: u64) -> Self {
        Self {
            loss,
            room,
            waits: 0,
            peers: BTreeMap::new(),
            claims: BTreeMap::new(),
            items: BTreeMap::new(),
            names: BTreeMap::new(),
            lanes: BTreeMap::new(),
            needs: Needs::default(),
            seals: Seals::default(),
            waiting: Waiting::new(),
            lowest: Favoured::default(),
            turn: 0,
            last: 0,
            counts: Counts::default(),
        }
    }

    /// A piece leaves the part. It is taken whether or not there is room.
    pub(crate) fn put(&mut self, piece: P, claim: C, aim: Aim) {
        if !self.can_wait_for(aim) {
            self.count_handed_back(&Spans::of([piece.records()]));
            return;
        }
        let (claim, open) = (self.hold(Held::whole(claim)), Spans::of([piece.records()]));
        let lane = self.lane(piece.origin().clone());
        self.admit(Stock { claim, part: 0, lane, aim, piece }, open, aim.into());
        self.let_go(claim);
    }

    /// A batch leaves the part that was cut by key: rows of one record may be in several pieces. A record settles once
    /// all pieces that have rows of it have settled it: absorbed if it is in any of them, or else with the outcome that came
    /// last. One that is in none has arrived.
    pub(crate) fn put_shared(&mut self, pieces: Vec<Cut<P>>, claim: C) {
        let speaks: Vec<_> = pieces.iter().map(|cut| Spans::of(cut.records.iter().cloned())).collect();
        let claim = self.hold(Held::shared(claim, speaks.clone()));
        for (part, (Cut { peer, piece, .. }, speaks)) in pieces.into_iter().zip(speaks).enumerate() {
            if !self.can_wait_for(Aim::Peer(peer)) {
                self.count_handed_back(&speaks);
                continue;
            }
            let lane = self.lane(piece.origin().clone());
            self.admit(Stock { claim, part, lane, aim: Aim::Peer(peer), piece }, speaks, Whom::Only(peer));
        }
        self.let_go(claim);
    }

    /// A peer is reached, and may be sent this many bytes. Was it reached before, then that link is down.
    pub(crate) fn up(&mut self, peer: PeerId, credit: u64) {
        self.down(peer);
        let peer = self.peer(peer);
        (peer.up, peer.credit) = (true, signed(credit));
    }

    /// Whether something may wait for whom it is meant for: where a way leads round, only for who is reached.
    fn can_wait_for(&self, aim: Aim) -> bool {
        match aim {
            Aim::Peer(peer) if self.loss == Loss::GoRound => self.peers.get(&peer).is_some_and(|peer| peer.up),
            Aim::Peer(_) | Aim::Any => true,
        }
    }

    fn count_handed_back(&mut self, records: &Spans) {
        self.counts.handed_back = self.counts.handed_back.saturating_add(records.count());
    }

    /// A peer is lost: all tags that were dealt to it are over, and its merge waits for nothing.
    pub(crate) fn down(&mut self, peer: PeerId) {
        let state = self.peer(peer);
        (state.up, state.credit) = (false, 0);
        for tag in std::mem::take(&mut state.tags) {
            let Some(item) = self.detach(tag) else { continue };
            self.take_back(&item.stock, &item.open, item.whole, item.stock.aim.into(), peer);
            self.let_go(item.stock.claim);
            self.review(item.stock.lane);
        }
        self.forget_needs(peer);
        let waits = self.items.iter().filter(|(_, item)| !self.can_wait_for(item.stock.aim));
        let waits: Vec<u64> = waits.map(|(&id, _)| id).collect();
        for id in waits {
            if let Some(item) = self.detach(id) {
                self.count_handed_back(&item.open);
                self.let_go(item.stock.claim);
                self.review(item.stock.lane);
            }
        }
    }

    /// Whether a peer gets anything, as long as it is up; `true` until said otherwise, and it stays when the peer goes
    /// down and up. What was dealt to it stays with it.
    pub(crate) fn eligible(&mut self, peer: PeerId, eligible: bool) {
        self.peer(peer).eligible = eligible;
    }

    /// A peer may be sent so many more bytes, as long as this link to it is up.
    pub(crate) fn grant(&mut self, peer: PeerId, bytes: u64) {
        let peer = self.peer(peer);
        peer.credit = peer.credit.saturating_add(signed(bytes));
    }

    /// What may be sent now; to be asked until there is nothing more. First what a merge waits for, credit or not; then
    /// to the peers with credit in turn, to each from its origins in turn, the lowest records; then, credit or not, what
    /// holds the lowest record of its origin here.
    pub(crate) fn next(&mut self) -> Option<Deal<P>> {
        let (item, peer) = match self.without_credit(self.needs.ready()) {
            Some(needed) => needed,
            None => self.in_turn().or_else(|| self.without_credit(self.lowest.by_whom()))?,
        };
        self.deal(item, peer)
    }

    /// What became of records of the piece that was dealt to this peer under this tag. [`Outcome::Abandoned`]: they are
    /// dealt anew, to another peer if one takes work; or sent to the same again; or handed back, which drops the claim
    /// as soon as nothing else of it waits or is dealt. A tag that is over has nothing to say.
    pub(crate) fn outcome(&mut self, peer: PeerId, tag: u64, records: Range<u64>, outcome: Outcome) {
        let Some(item) = self.items.get_mut(&tag).filter(|item| item.at == At::Dealt(peer)) else {
            self.counts.late = self.counts.late.saturating_add(records.end.saturating_sub(records.start));
            return;
        };
        let lowest = item.open.first();
        let hit = item.open.take(records);
        if hit.is_empty() {
            return;
        }
        let whole = item.whole && item.open.is_empty();
        item.whole = false;
        if outcome == Outcome::Abandoned {
            let stock = item.stock.clone();
            let whom = if stock.aim == Aim::Any { Whom::But(peer) } else { stock.aim.into() };
            self.take_back(&stock, &hit, whole, whom, peer);
        } else if let Some(held) = self.claims.get_mut(&item.stock.claim) {
            held.settle(item.stock.part, &hit, outcome);
        }
        self.shrunk(tag, lowest);
    }

    /// Origins that are over: all of them that is here is given up, and their tags are over.
    pub(crate) fn drop_origins(&mut self, over: impl Fn(&Origin) -> bool) {
        let names: Vec<Arc<Origin>> = self.names.keys().filter(|origin| over(origin)).cloned().collect();
        names.iter().for_each(|origin| self.drop_origin(origin));
        self.seals.forget(over);
    }

    fn drop_origin(&mut self, origin: &Origin) {
        let Some(&lane) = self.names.get(origin) else { return };
        self.needs.forget_lane(lane);
        let items = self.lanes.get(&lane).map(|lane| lane.items.clone()).unwrap_or_default();
        for (_, item) in items {
            self.give_up(item);
        }
        self.review(lane);
    }

    /// The part begins anew: all that is here is given up, and its tags are over. What a merge waits for stays known.
    pub(crate) fn clear(&mut self) {
        let items: Vec<u64> = self.items.keys().copied().collect();
        for item in items {
            self.give_up(item);
        }
    }

    /// Whether the part may send another piece.
    pub(crate) fn has_room(&self) -> bool {
        self.waits < self.room
    }

    /// Whether nothing waits and nothing is dealt.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The lowest record of an origin that waits or is dealt.
    #[cfg(test)]
    fn lowest(&self, origin: &Origin) -> Option<u64> {
        let lane = self.lanes.get(self.names.get(origin)?)?;
        lane.items.first().map(|&(record, _)| record)
    }

    /// What has met with something out of the ordinary so far.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The claim behind a tag, and the piece that was dealt; `None` once the tag is over.
    pub(crate) fn with_claim(&self, peer: PeerId, tag: u64) -> Option<(&C, &P)> {
        let item = self.items.get(&tag).filter(|item| item.at == At::Dealt(peer))?;
        Some((&self.claims.get(&item.stock.claim)?.claim, &item.stock.piece))
    }

    // ---- Dealing ----

    /// The next item for the next peer that has credit.
    fn in_turn(&mut self) -> Option<(u64, PeerId)> {
        let (last, none_after) = (self.turn, (Excluded(self.turn), Unbounded));
        let peers = self.peers.range(none_after).chain(self.peers.range(..=last));
        let mut ready = peers.filter(|(_, state)| state.is_open() && state.credit > 0);
        let (peer, (lane, item)) = ready
            .find_map(|(&peer, state)| Some((peer, self.waiting.after(state.turn, |whom| self.may(whom, peer))?)))?;
        self.turn = peer;
        self.peer(peer).turn = lane;
        Some((item, peer))
    }

    /// One of these items that there is a peer for, and of those peers the one with most credit.
    fn without_credit(&self, items: &Sets<Whom, u64>) -> Option<(u64, PeerId)> {
        items.firsts().find_map(|(&whom, &item)| {
            let open = self.peers.iter().filter(|&(&peer, state)| state.is_open() && self.may(whom, peer));
            let (&peer, _) = open.max_by_key(|&(&peer, state)| (state.credit, Reverse(peer)))?;
            Some((item, peer))
        })
    }

    fn may(&self, whom: Whom, peer: PeerId) -> bool {
        match whom {
            Whom::Any => true,
            Whom::Only(one) => one == peer,
            Whom::But(one) => one != peer || !self.peers.iter().any(|(&other, state)| other != one && state.is_open()),
        }
    }

    fn deal(&mut self, tag: u64, peer: PeerId) -> Option<Deal<P>> {
        let item = self.items.get_mut(&tag)?;
        let At::Waiting(whom) = std::mem::replace(&mut item.at, At::Dealt(peer)) else { return None };
        let (lane, piece, lowest) = (item.stock.lane, item.stock.piece.clone(), item.open.first());
        self.withdraw(whom, lane, lowest, tag, piece.bytes());
        let state = self.peer(peer);
        state.tags.insert(tag);
        state.credit = state.credit.saturating_sub(signed(piece.bytes()));
        self.review(lane);
        Some(Deal { peer, tag, piece })
    }

    // ---- What comes and goes ----

    fn peer(&mut self, peer: PeerId) -> &mut Peer {
        self.peers.entry(peer).or_insert_with(|| Peer {
            up: false,
            eligible: true,
            credit: 0,
            tags: BTreeSet::new(),
            turn: 0,
        })
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn lane(&mut self, origin: Arc<Origin>) -> u64 {
        if let Some(&lane) = self.names.get(&origin) {
            return lane;
        }
        let lane = self.number();
        self.names.insert(origin.clone(), lane);
        self.lanes.insert(lane, Lane { origin, items: BTreeSet::new(), longest: 0 });
        lane
    }

    /// Keeps a claim until [`let_go`](Self::let_go), and as long as an item speaks for it.
    fn hold(&mut self, held: Held<C>) -> u64 {
        let claim = self.number();
        self.claims.insert(claim, held);
        claim
    }

    fn let_go(&mut self, claim: u64) {
        if let Some(held) = self.claims.get_mut(&claim) {
            held.items -= 1;
            if held.items == 0 {
                self.claims.remove(&claim);
            }
        }
    }

    /// A piece waits from now on, and answers for `open`, as far as its origin goes.
    fn admit(&mut self, mut stock: Stock<P>, mut open: Spans, whom: Whom) {
        let lane = stock.lane;
        if let Some(seal) = self.seals.of(stock.piece.origin())
            && seal < stock.piece.records().end
        {
            open.take(seal..u64::MAX);
            let seal = seal.max(stock.piece.records().start);
            stock.piece = stock.piece.slice(stock.piece.records().start..seal);
        }
        if let Some(bounds) = open.bounds()
            && let Some(held) = self.claims.get_mut(&stock.claim)
            && let Some(state) = self.lanes.get_mut(&lane)
        {
            held.items += 1;
            self.last += 1;
            let id = self.last;
            state.items.insert((bounds.start, id));
            state.longest = state.longest.max(bounds.end - bounds.start);
            self.waiting.insert(whom, lane, bounds.start, id);
            self.waits = self.waits.saturating_add(stock.piece.bytes());
            self.items.insert(id, Item { stock, open, whole: true, at: At::Waiting(whom) });
        }
        self.review(lane);
    }

    /// An item leaves, whether it waits or is dealt. Its claim and its lane are to be seen to.
    fn detach(&mut self, id: u64) -> Option<Item<P>> {
        let item = self.items.remove(&id)?;
        let (lane, lowest) = (item.stock.lane, item.open.first());
        self.unlist(lane, lowest, id);
        match item.at {
            At::Waiting(whom) => self.withdraw(whom, lane, lowest, id, item.stock.piece.bytes()),
            At::Dealt(peer) => {
                self.peer(peer).tags.remove(&id);
            }
        }
        Some(item)
    }

    /// An item waits no more.
    fn withdraw(&mut self, whom: Whom, lane: u64, lowest: Option<u64>, id: u64, bytes: u64) {
        if let Some(lowest) = lowest {
            self.waiting.remove(whom, lane, lowest, id);
        }
        self.waits = self.waits.saturating_sub(bytes);
    }

    /// An item's lowest record is no longer its lowest in its lane.
    fn unlist(&mut self, lane: u64, lowest: Option<u64>, id: u64) {
        if let Some(lowest) = lowest
            && let Some(state) = self.lanes.get_mut(&lane)
        {
            state.items.remove(&(lowest, id));
        }
    }

    /// Records of a dealt item have left it; `lowest` was its lowest before.
    fn shrunk(&mut self, id: u64, lowest: Option<u64>) {
        let Some(item) = self.items.get(&id) else { return };
        let (claim, lane, now) = (item.stock.claim, item.stock.lane, item.open.first());
        if now == lowest {
            return;
        }
        self.unlist(lane, lowest, id);
        match now {
            Some(now) => {
                self.lanes.entry(lane).and_modify(|state| {
                    state.items.insert((now, id));
                });
            }
            None => {
                self.detach(id);
                self.let_go(claim);
            }
        }
        self.review(lane);
    }

    /// Records that were dealt to `peer` are not there any more. `whole`: nothing of their piece had another outcome.
    fn take_back(&mut self, stock: &Stock<P>, records: &Spans, whole: bool, whom: Whom, peer: PeerId) {
        let count = records.count();
        let (aim, whom) = match self.loss {
            Loss::HandBack | Loss::GoRound => return self.count_handed_back(records),
            Loss::Redeal => (stock.aim, whom),
            Loss::Keep => (Aim::Peer(peer), Whom::Only(peer)),
        };
        self.counts.redealt = self.counts.redealt.saturating_add(count);
        if whole {
            return self.admit(Stock { aim, ..stock.clone() }, records.clone(), whom);
        }
        let runs = self.claims.get(&stock.claim).map(|held| held.runs(stock.part, records)).unwrap_or_default();
        for run in runs {
            let Some(bounds) = run.bounds() else { continue };
            let piece = stock.piece.slice(bounds);
            self.admit(Stock { aim, piece, ..*stock }, run, whom);
        }
    }

    fn give_up(&mut self, id: u64) {
        if let Some(item) = self.detach(id) {
            self.let_go(item.stock.claim);
            self.review(item.stock.lane);
        }
    }

    /// Whether an item answers for a record, to whomever.
    fn has(&self, lane: u64, record: u64) -> bool {
        self.first(lane, record, |_| true).is_some()
    }

    /// The item that answers for a record to this peer.
    fn find(&self, lane: u64, peer: PeerId, record: u64) -> Option<u64> {
        self.first(lane, record, |item| item.is_for(peer))
    }

    fn first(&self, lane: u64, record: u64, is_meant: impl Fn(&Item<P>) -> bool) -> Option<u64> {
        let state = self.lanes.get(&lane)?;
        // Items overlap only where a batch was cut by key, or where records came a second time: the first looks tell.
        let before = state.items.range(..=(record, u64::MAX)).rev();
        let mut near = before.take_while(|&&(lowest, _)| record - lowest < state.longest);
        let answers = |item: &Item<P>| is_meant(item) && item.open.contains(record);
        near.find(|(_, id)| self.items.get(id).is_some_and(answers)).map(|&(_, id)| id)
    }

    /// Works out anew which waiting items of a lane may go without credit. A lane with nothing in it goes.
    fn review(&mut self, lane: u64) {
        self.review_needed(lane);
        self.review_lowest(lane);
        if self.needs.of(lane).next().is_none()
            && let Some(state) = self.lanes.get(&lane).filter(|state| state.items.is_empty())
        {
            self.names.remove(&state.origin);
            self.lanes.remove(&lane);
            self.needs.forget_lane(lane);
            self.lowest.forget(lane);
        }
    }

    fn review_lowest(&mut self, lane: u64) {
        let items = self.lanes.get(&lane).map(|lane| &lane.items);
        let first = items.and_then(|items| Some((items, items.first()?.0)));
        let first = first.into_iter().flat_map(|(items, first)| items.range((first, 0)..=(first, u64::MAX)));
        let waiting = first.filter_map(|&(_, id)| match self.items.get(&id)?.at {
            At::Waiting(whom) => Some((whom, id)),
            At::Dealt(_) => None,
        });
        self.lowest.set(lane, waiting);
    }
}

impl<P> Item<P> {
    /// Whether it is meant for this peer, too.
    fn is_for(&self, peer: PeerId) -> bool {
        self.stock.aim == Aim::Any || self.stock.aim == Aim::Peer(peer)
    }
}

impl Peer {
    /// Whether anything may go to it.
    fn is_open(&self) -> bool {
        self.up && self.eligible
    }
}

impl From<Aim> for Whom {
    fn from(aim: Aim) -> Self {
        match aim {
            Aim::Any => Self::Any,
            Aim::Peer(peer) => Self::Only(peer),
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
