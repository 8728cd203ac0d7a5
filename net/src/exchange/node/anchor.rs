//! What keeps something of what comes in (a sink, a fold, a merge) is an anchor: sources open against it, from the sink
//! up. One that has lost what it had taken in gets another number, and sources open anew.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::Ranges;
use millstream_core::contracts::{Checkpoint, Hop, Order, PeerId};
use millstream_core::data::Partition;

use super::super::message::{Message, WireCheckpoint, WireHold};
use super::super::origin::Origin;
use super::Node;
use super::source::Against;

/// How many positions a message has at most: of 4 KiB each they fit a frame.
const POSITIONS: usize = 64;

/// How many holds a message gives back at most.
const RELEASES: usize = 4_096;

/// The anchors of a run, and what those here have to answer for.
pub(super) struct Anchors {
    /// All of them, by network stage and instance.
    pub(super) all: Vec<(usize, PeerId)>,
    /// Those here, by network stage.
    here: BTreeMap<usize, Anchor>,
    /// Who wants to open, by network stage and instance.
    asks: BTreeMap<(usize, PeerId), Ask>,
    /// Holds that parts here have on records of others.
    holds: BTreeMap<u64, HoldAt>,
    /// The name of the next hold.
    next_hold: u64,
    /// Holds that were given back while older ones were not.
    given: Ranges,
}

#[derive(Default)]
struct Anchor {
    /// The runtime has it open.
    open: bool,
    /// The runtime begins it anew.
    anew: bool,
    /// Counts up each time it begins anew.
    count: u64,
    /// The anchors behind it that it was announced against.
    against: Option<Against>,
}

struct Ask {
    epoch: u64,
    /// The question to the sink, and whether nothing was on its way of older epochs, or of what it has claimed, when it was
    /// asked: only then does the answer tell of all that ever passed of them.
    settling: Option<(u64, bool)>,
    /// When the sink is asked, even if what came of older epochs is still on its way: it may hold what it can't commit.
    at: Duration,
}

/// How long an answer waits for what came of that to settle before the sink is asked to see to it.
const PATIENCE: Duration = Duration::from_millis(100);

/// A hold of a part here.
struct HoldAt {
    hop: usize,
    origin: Arc<Origin>,
    record: u64,
    /// What held it has begun anew: it is never given back.
    forgotten: bool,
}

impl Anchors {
    pub(super) fn new(hops: &[Hop], me: PeerId) -> Self {
        let all = hops.iter().enumerate().filter(|(_, hop)| hop.anchors);
        let all: Vec<_> = all.flat_map(|(at, hop)| hop.to.iter().map(move |&peer| (at, peer))).collect();
        let anchor = |&(hop, _): &(usize, PeerId)| {
            // What neither writes nor folds has nothing to open.
            let open = !hops[hop].folds && hop + 1 < hops.len();
            (hop, Anchor { open, ..Anchor::default() })
        };
        let here = all.iter().filter(|&&(_, peer)| peer == me).map(anchor).collect();
        Self { all, here, asks: BTreeMap::new(), holds: BTreeMap::new(), next_hold: 0, given: Ranges::default() }
    }

    pub(super) fn are_here(&self) -> bool {
        !self.here.is_empty()
    }

    /// Holds here on records of this origin between these, for an outcome that tells of them.
    pub(super) fn holds_on(&self, hop: usize, origin: &Origin, records: &std::ops::Range<u64>) -> Vec<(u64, u64)> {
        let on = |(_, at): &(&u64, &HoldAt)| at.hop == hop && *at.origin == *origin && records.contains(&at.record);
        self.holds.iter().filter(on).map(|(&id, at)| (id, at.record)).collect()
    }

    /// All holds with an id below this were given back.
    fn below(&self) -> u64 {
        self.holds.first_key_value().map_or(self.next_hold, |(&id, _)| id)
    }
}

impl Node {
    pub(super) fn part_is_ready(&mut self, hop: usize) {
        if let Some(anchor) = self.anchors.here.get_mut(&hop) {
            anchor.open = true;
        }
    }

    pub(super) fn part_is_anew(&mut self, hop: usize) {
        if let Some(anchor) = self.anchors.here.get_mut(&hop) {
            anchor.anew = false;
            anchor.count += 1;
        }
        self.feed_again(hop);
    }

    /// The part behind this network stage drops what it has, and begins anew.
    pub(super) fn begin_anew(&mut self, hop: usize) {
        let Some(anchor) = self.anchors.here.get_mut(&hop) else { return };
        if std::mem::replace(&mut anchor.anew, true) {
            return;
        }
        tracing::info!(stage = self.hops[hop].name, "what was taken in behind this stage is dropped: it begins anew");
        (anchor.open, anchor.against) = (false, None);
        self.peers[self.me].ready.remove(&hop);
        (self.peers[self.me].ended, self.peers[self.me].done) = (false, false);
        self.anchors.holds.values_mut().filter(|at| at.hop == hop).for_each(|at| at.forgotten = true);
        self.anchors.asks.retain(|&(at, _), _| at != hop);
        self.ending.begin_anew(hop);
        self.promises.forget_part(hop);
        self.empty_inbox(hop);
        self.order(Order::Anew { hop });
    }

    /// Says of the anchors here that they are ready, from the sink up.
    pub(super) fn announce(&mut self) {
        let here: Vec<usize> = self.anchors.here.keys().rev().copied().collect();
        for hop in here {
            let Some(against) = self.behind(hop) else { continue };
            let Some(anchor) = self.anchors.here.get_mut(&hop) else { continue };
            if !anchor.open || anchor.anew {
                continue;
            }
            match anchor.against.replace(against.clone()) {
                Some(before) if before == against => {}
                Some(_) if self.hops[hop].folds => self.begin_anew(hop),
                Some(_) => {}
                None => {
                    let anchor = self.epoch + self.anchors.here.get(&hop).map_or(0, |anchor| anchor.count);
                    self.peers[self.me].ready.insert(hop, anchor);
                    self.tell_all(&Message::Ready { hop: hop as u16, anchor });
                }
            }
        }
    }

    /// The anchors behind a network stage; `None` while one has never been ready.
    fn behind(&self, hop: usize) -> Option<Against> {
        let behind = self.anchors.all.iter().filter(|&&(at, _)| at > hop);
        behind.map(|&(at, peer)| Some(((at, peer), *self.peers[peer].ready.get(&at)?))).collect()
    }

    /// A source somewhere opens as this epoch: what came of its older ones is over.
    pub(super) fn opens(&mut self, peer: PeerId, epoch: u64) {
        if self.opened.insert(peer, epoch) == Some(epoch) {
            // Said again over a new link.
            return;
        }
        if self.repeat_limit(peer) {
            return;
        }
        self.peers[peer].drained.remove(&0);
        (self.peers[peer].ended, self.peers[peer].done) = (false, false);
        self.close_older(peer, epoch);
        let is_over = |at: &HoldAt| usize::from(at.origin.instance) == peer && at.origin.epoch != epoch;
        self.forget_taken_in(is_over);
        // Where they were kept, too, they are no more.
        self.anchors.holds.retain(|_, at| !is_over(at));
        let here: Vec<usize> = self.anchors.here.keys().copied().collect();
        for hop in here {
            if self.ending.has_ended(hop) {
                self.begin_anew(hop);
            }
        }
        self.revive();
    }

    /// A peer's source waits for an answer of each anchor here. Asked again over a new link, who has not been answered is.
    pub(super) fn asked_to_open(&mut self, peer: PeerId, epoch: u64) {
        if self.opened.get(&peer) != Some(&epoch) || self.ending.is_limited() {
            // Nothing more is read.
            return;
        }
        let at = self.now + PATIENCE;
        for &hop in self.anchors.here.keys() {
            self.anchors.asks.insert((hop, peer), Ask { epoch, settling: None, at });
        }
    }

    /// Answers those who want to open, once what came of their older epochs has settled, and what others had sent of what
    /// they have claimed.
    pub(super) fn answer_opens(&mut self) {
        let asks: Vec<_> = self.anchors.asks.iter().map(|(&at, ask)| (at, ask.epoch, ask.settling, ask.at)).collect();
        for ((hop, peer), epoch, settling, at) in asks {
            if !self.peers[self.me].ready.contains_key(&hop) || settling.is_some() {
                continue;
            }
            let keeps = hop + 1 == self.hops.len() && self.hops[hop].positions;
            let clear = self.is_clear(hop, peer, epoch);
            if !(clear || (keeps && self.now >= at)) {
                continue;
            }
            if !keeps {
                self.anchors.asks.remove(&(hop, peer));
                self.tell(peer, Message::Opened { epoch, hop: hop as u16, held: None, more: false });
                continue;
            }
            let id = self.next_id();
            if let Some(ask) = self.anchors.asks.get_mut(&(hop, peer)) {
                ask.settling = Some((id, clear));
            }
            self.order(Order::Settle { id });
        }
    }

    /// When to look at the questions again.
    pub(super) fn anchor_wake(&self) -> Option<Duration> {
        self.anchors.asks.values().filter(|ask| ask.settling.is_none()).map(|ask| ask.at.max(self.now)).min()
    }

    /// The sink says what it holds.
    pub(super) fn sink_settled(&mut self, id: u64, held: Option<Vec<Checkpoint>>) {
        let asked = |ask: &Ask| ask.settling.filter(|&(asked, _)| asked == id);
        let found = self.anchors.asks.iter().find_map(|(&at, ask)| Some((at, ask.epoch, asked(ask)?.1)));
        let Some(((hop, peer), epoch, was_clear)) = found else { return };
        if !was_clear {
            let at = self.now + PATIENCE;
            self.anchors.asks.insert((hop, peer), Ask { epoch, settling: None, at });
            return;
        }
        self.anchors.asks.remove(&(hop, peer));
        let (hop, keeps) = (hop as u16, held.is_some());
        let held: Vec<WireCheckpoint> = held.iter().flatten().map(WireCheckpoint::of).collect();
        // In pieces, so that no message outgrows a frame.
        for some in held.chunks(POSITIONS) {
            self.tell(peer, Message::Opened { epoch, hop, held: Some(some.to_vec()), more: true });
        }
        self.tell(peer, Message::Opened { epoch, hop, held: keeps.then(Vec::new), more: false });
    }

    /// A source somewhere has these partitions; whoever had them is told.
    pub(super) fn claimed(&mut self, peer: PeerId, epoch: u64, partitions: &[String]) {
        if self.opened.get(&peer) != Some(&epoch) {
            // It has not opened against this instance as it is now: what comes of it must not pass.
            return;
        }
        let partitions: Vec<Partition> = partitions.iter().map(Partition::new).collect();
        for origin in self.claim_in(peer, epoch, &partitions) {
            let partition = origin.partition.name().to_owned();
            self.tell(usize::from(origin.instance), Message::Fenced { epoch: origin.epoch, partition });
            self.forget_taken_in(|at| *at.origin == *origin);
        }
    }

    /// Folds here that have taken in, and not given back, what is read again elsewhere or in another epoch begin anew. Their
    /// holds are never given back: who has lost a partition, and has not heard of it, must not commit what they stand for.
    fn forget_taken_in(&mut self, is_over: impl Fn(&HoldAt) -> bool) {
        let over = |hop: usize| move |at: &&HoldAt| at.hop == hop && !at.forgotten;
        let here: Vec<usize> = self.anchors.here.keys().copied().filter(|&hop| self.hops[hop].folds).collect();
        for hop in here {
            if self.anchors.holds.values().filter(over(hop)).any(&is_over) {
                self.begin_anew(hop);
            }
        }
    }

    pub(super) fn held(&mut self, hop: usize, made: u64, slot: u64, record: u32, id: u64) {
        self.anchors.next_hold = self.anchors.next_hold.max(id + 1);
        if let Some((origin, first)) = self.slot(hop, made, slot) {
            let record = first + u64::from(record);
            self.anchors.holds.insert(id, HoldAt { hop, origin, record, forgotten: false });
        }
    }

    /// A part here gives a hold back: where the record began, the commit may go on.
    pub(super) fn release(&mut self, id: u64) {
        match self.anchors.holds.get(&id) {
            Some(at) if !at.forgotten => {}
            _ => return,
        }
        let Some(at) = self.anchors.holds.remove(&id) else { return };
        if !self.anchors.holds.values().any(|other| other.hop == at.hop && other.origin == at.origin)
            && let Some(inbox) = &mut self.inboxes[at.hop]
        {
            inbox.released(&at.origin);
        }
        let below = self.anchors.below();
        self.anchors.given.add(id..id + 1);
        self.anchors.given.take(0..below);
        // To all: those between here and where the record began remember it, too.
        self.tell_all(&Message::Release { below, holds: vec![id] });
    }

    /// A peer is reached: it may not have heard of all that was given back.
    pub(super) fn repeat_releases(&mut self, peer: PeerId) {
        if self.anchors.next_hold > 0 {
            let (given, below) =
                (self.anchors.given.parts(0..u64::MAX).flatten().collect::<Vec<u64>>(), self.anchors.below());
            self.tell(peer, Message::Release { below, holds: Vec::new() });
            for holds in given.chunks(RELEASES) {
                self.tell(peer, Message::Release { below, holds: holds.to_vec() });
            }
        }
    }

    /// The names of holds as they travel.
    pub(super) fn wire_holds(&self, holds: Vec<(u64, u64)>) -> Vec<WireHold> {
        let holder = self.me as u16;
        holds.into_iter().map(|(id, record)| WireHold { holder, epoch: self.epoch, id, record }).collect()
    }
}
