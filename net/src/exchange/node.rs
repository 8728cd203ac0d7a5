//! [`Node`]: one instance of a run. Events in, acts out: no clock, no I/O, no task.
//!
//! ```text
//! peers     who is reached, and what each has said: is it ready, drained, leaving, done
//! outboxes  the exits of the parts here, by network stage           (exits.rs)
//! inboxes   the entries of the parts here, by network stage         (entries.rs, inbox.rs)
//! kept      holds of others on records that went out from here      (holds.rs)
//! burials   dead letters that were asked for                        (letters.rs)
//! promises  what origins here won't emit any more                (promises.rs)
//! links     that come and go, epochs that are over                  (records.rs)
//! source    where the source of this instance stands                (source.rs)
//! anchors   what origins elsewhere open against, and its holds      (anchor.rs)
//! ending    what has ended, who leaves, when it is over             (ending.rs)
//! failing   a run that has failed, and who knows                    (failing.rs)
//! ```
//!
//! What an instance says to itself takes the same way as what others say to it, without a link.

mod anchor;
mod ending;
mod entries;
mod exits;
mod failing;
mod holds;
mod inbox;
mod letters;
mod promises;
mod records;
mod source;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_core::commit::{Burial, Hold, Note, RemoteHold};
use millstream_core::contracts::{Hello, Hop, Order, PeerId, Report, SourcePlace, Traffic};
use millstream_core::data::Partition;
use tokio::sync::{mpsc, oneshot};

use super::local::{Handed, Local};
use super::message::Message;
use super::outbox::Outbox;
use super::piece::Piece;

use anchor::Anchors;
use ending::Ending;
use exits::Mine;
use failing::Failing;
pub(crate) use inbox::FIRST;
use inbox::Inbox;
use promises::Promises;
use source::Source;

/// How much may be on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many bytes each instance may send another over a network stage before that has passed them on.
    pub(crate) window: u64,
    /// How many bytes may wait at an exit.
    pub(crate) room: u64,
    /// How long a source that its broker can move keeps its claim while the sink's instance is away.
    pub(crate) claim: Duration,
    /// How long an instance that others commit through waits for their last word.
    pub(crate) farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { window: 8 << 20, room: 8 << 20, claim: Duration::from_secs(30), farewell: Duration::from_secs(30) }
    }
}

/// What happens.
pub(crate) enum Input {
    /// A peer is reached.
    Up(Hello),
    /// A peer is not reached any more.
    Down { peer: PeerId, why: String },
    /// A peer says something.
    Told { peer: PeerId, message: Message },
    /// A peer sends records.
    Came { peer: PeerId, hop: usize, tag: u64, piece: Piece },
    /// This instance itself says something.
    Local(Local),
    /// Time has passed.
    Time,
}

/// What is to be done.
pub(crate) enum Act {
    /// Tell a peer.
    Tell { peer: PeerId, message: Message },
    /// Send a peer records.
    Deal { peer: PeerId, hop: usize, tag: u64, piece: Piece },
    /// Hand something to an entry.
    Hand { hop: usize, handed: Handed },
    /// An entry feeds this one of the parts behind it from now on.
    Feed { hop: usize, made: u64 },
    /// Bytes that came from an exit were taken.
    Took { hop: usize, bytes: u64 },
    /// An exit is full, or no more.
    Full { hop: usize, full: bool },
    /// Tell the runtime.
    Order(Order),
    /// Wait for a burial that was passed on, then tell of it.
    Await { burial: Burial, to: PeerId, link: u64, id: u64 },
    /// The run is over here.
    Over,
}

/// What this instance knows of one of the instances, itself included.
#[derive(Default)]
struct Peer {
    /// The number of the link, while it is reached.
    link: Option<u64>,
    /// The epoch that it had when it was last reached.
    epoch: Option<u64>,
    /// Whom it reaches.
    reach: BTreeSet<PeerId>,
    /// The anchors that it has ready: network stage and anchor number.
    ready: BTreeMap<usize, u64>,
    /// Network stages before which its part has ended, and whether only until it opens anew.
    drained: BTreeMap<usize, bool>,
    leaving: bool,
    /// All parts have ended there.
    ended: bool,
    /// And for good, not because it leaves.
    done: bool,
    /// Since when it is away.
    away: Option<Duration>,
}

/// One instance of a run.
pub(crate) struct Node {
    me: PeerId,
    epoch: u64,
    hops: Vec<Hop>,
    limits: Limits,
    now: Duration,
    peers: Vec<Peer>,
    /// The number of the next link.
    links: u64,
    outboxes: Vec<Option<Outgoing>>,
    inboxes: Vec<Option<Inbox>>,
    source: Source,
    anchors: Anchors,
    ending: Ending,
    /// The run has failed.
    failing: Option<Failing>,
    /// Holds that other instances have on records that went out from here, by the network stage that these went out by: a
    /// record may have begun here, and pass again on its way.
    kept: BTreeMap<(usize, RemoteHold), Hold>,
    /// Holds with an id below this are given back: by holder and its epoch.
    below: BTreeMap<(u16, u64), u64>,
    /// Holds that were given back before they were heard of.
    given: BTreeSet<RemoteHold>,
    /// Dead letters that were asked for: whom to answer.
    burials: BTreeMap<u64, Asker>,
    promises: Promises,
    next: u64,
    to_self: VecDeque<Input>,
    acts: Vec<Act>,
    /// Without what boxes count themselves.
    counts: Traffic,
    names: Vec<String>,
    /// As which epoch each instance has opened its source, as this instance has heard.
    opened: BTreeMap<PeerId, u64>,
    /// Partitions that an instance has lost to another, with the epoch that it had.
    fenced: BTreeSet<(u16, u64, Partition)>,
}

/// The exits of one network stage here.
struct Outgoing {
    outbox: Outbox<Piece, Mine>,
    /// Which of the exits made one after the other is the one that counts; 0: none.
    made: u64,
    /// Its part has ended.
    ended: bool,
    /// That all of it is acknowledged has been said.
    told: bool,
    full: bool,
    /// How often something was given back since anything else became of records.
    returned: u32,
    /// Nothing is dealt before: what is given back again and again would only go to and fro.
    rests_until: Duration,
}

/// Who waits for a dead letter.
enum Asker {
    /// A peer, over this link, under its own name for it.
    Peer { peer: PeerId, link: u64, id: u64 },
    /// A part of this instance.
    Here(oneshot::Sender<Result<(), String>>, PeerId),
}

/// What a node is made of.
pub(crate) struct Setup {
    pub(crate) me: Hello,
    pub(crate) names: Vec<String>,
    pub(crate) hops: Vec<Hop>,
    pub(crate) source: SourcePlace,
    pub(crate) limits: Limits,
    /// Where settlers of this instance report.
    pub(crate) local: mpsc::UnboundedSender<Local>,
}

impl Node {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { me, names, hops, source, limits, local } = setup;
        let here = me.instance;
        let ids = Arc::new(Mutex::new(0));
        let peers = names.iter().map(|_| Peer::default()).collect();
        let outboxes = (0..hops.len()).map(|hop| Outgoing::of(hop, &hops, here, limits)).collect();
        let inboxes = hops
            .iter()
            .enumerate()
            .map(|(hop, at)| at.to.contains(&here).then(|| Inbox::new(hop, at, &hops, limits, local.clone(), &ids)))
            .collect();
        let mut node = Self {
            me: here,
            epoch: me.epoch,
            source: Source::new(&source, here),
            anchors: Anchors::new(&hops, here),
            ending: Ending::new(&hops, &source, here),
            failing: None,
            hops,
            limits,
            now: Duration::ZERO,
            peers,
            links: 1,
            outboxes,
            inboxes,
            kept: BTreeMap::new(),
            below: BTreeMap::new(),
            given: BTreeSet::new(),
            burials: BTreeMap::new(),
            promises: Promises::default(),
            next: 0,
            to_self: VecDeque::new(),
            acts: Vec::new(),
            counts: Traffic::default(),
            names,
            opened: BTreeMap::new(),
            fenced: BTreeSet::new(),
        };
        node.to_self.push_back(Input::Up(me));
        node
    }

    /// Something happens at this time of the run; what is to be done about it, in order.
    pub(crate) fn on(&mut self, now: Duration, input: Input) -> Vec<Act> {
        self.now = self.now.max(now);
        if self.failing.is_some() {
            self.see_failure_out(input);
            return std::mem::take(&mut self.acts);
        }
        self.to_self.push_back(input);
        loop {
            while let Some(input) = self.to_self.pop_front() {
                self.take(input);
            }
            if self.failing.is_some() {
                return std::mem::take(&mut self.acts);
            }
            self.move_on();
            if self.to_self.is_empty() {
                return std::mem::take(&mut self.acts);
            }
        }
    }

    /// When time itself makes something happen, in the run's time.
    pub(crate) fn wake(&self) -> Option<Duration> {
        if let Some(failing) = &self.failing {
            return Some(failing.until);
        }
        let waits = [self.source_wake(), self.anchor_wake(), self.ending_wake(), self.records_wake()];
        waits.into_iter().flatten().min()
    }

    /// Whether a link with this number is the one that leads to the peer now.
    pub(crate) fn is_current(&self, peer: PeerId, link: u64) -> bool {
        self.peers[peer].link == Some(link)
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Up(hello) => self.up(hello),
            Input::Down { peer, why } => self.down(peer, &why),
            Input::Told { peer, message } => self.told(peer, message),
            Input::Came { peer, hop, tag, piece } => self.came(peer, hop, tag, piece),
            Input::Local(local) => self.local(local),
            Input::Time => {}
        }
    }

    /// What follows from where things stand now.
    fn move_on(&mut self) {
        self.open_source();
        self.announce();
        self.answer_opens();
        self.move_records();
        self.move_to_end();
    }

    fn up(&mut self, hello: Hello) {
        let peer = hello.instance;
        if self.peers[peer].link.is_some() {
            self.forget_link(peer);
        }
        let link = self.links;
        self.links += 1;
        let known = &mut self.peers[peer];
        let same = known.epoch == Some(hello.epoch);
        let (link, epoch) = (Some(link), Some(hello.epoch));
        *known = match same {
            // What it has said of its end holds for as long as it lives.
            true => Peer { link, epoch, reach: BTreeSet::new(), ready: BTreeMap::new(), ..std::mem::take(known) },
            false => Peer { link, epoch, ..Peer::default() },
        };
        known.away = None;
        self.below.retain(|&(holder, epoch), _| usize::from(holder) != peer || epoch == hello.epoch);
        if peer == self.me {
            known.reach.insert(peer);
        }
        self.connect(peer, same);
        self.introduce(peer, same);
    }

    /// Tells a peer that has just been reached where this instance stands.
    fn introduce(&mut self, peer: PeerId, same: bool) {
        self.tell_reach();
        for (hop, anchor) in self.peers[self.me].ready.clone() {
            self.tell(peer, Message::Ready { hop: hop as u16, anchor });
        }
        for (hop, paused) in self.peers[self.me].drained.clone() {
            self.tell(peer, Message::Drained { hop: hop as u16, paused });
        }
        if self.ending.is_leaving() {
            self.tell(peer, Message::Leaving);
            if self.anchors.are_here() {
                self.tell(peer, Message::Quiesce);
            }
        }
        self.repeat_limit(peer);
        if self.peers[self.me].ended {
            self.tell(peer, Message::Done);
        }
        self.repeat_promises(peer, None);
        self.repeat_open(peer, same);
        self.repeat_releases(peer);
    }

    fn down(&mut self, peer: PeerId, why: &str) {
        if self.peers[peer].link.is_none() {
            return;
        }
        let left = if self.peers[peer].done || self.peers[peer].leaving { "left" } else { "lost" };
        tracing::info!(peer = self.names[peer], why, "a peer is {left}");
        self.forget_link(peer);
        self.tell_reach();
    }

    fn forget_link(&mut self, peer: PeerId) {
        self.counts.lost_links += 1;
        let known = &mut self.peers[peer];
        let link = known.link.take().unwrap_or_default();
        known.reach.clear();
        known.away = Some(self.now);
        self.disconnect(peer, link);
        self.left(peer);
    }

    fn tell_reach(&mut self) {
        let peers: Vec<u16> = self.reached().map(|peer| peer as u16).collect();
        self.tell_all(&Message::Reach { peers });
    }

    /// Those that are reached, this instance among them.
    fn reached(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.peers.iter().enumerate().filter(|(_, peer)| peer.link.is_some()).map(|(peer, _)| peer)
    }

    fn is_up(&self, peer: PeerId) -> bool {
        self.peers[peer].link.is_some()
    }

    fn tell(&mut self, peer: PeerId, message: Message) {
        if peer == self.me {
            self.to_self.push_back(Input::Told { peer, message });
        } else if self.is_up(peer) {
            self.acts.push(Act::Tell { peer, message });
        }
    }

    fn tell_all(&mut self, message: &Message) {
        self.tell(self.me, message.clone());
        self.tell_others(message);
    }

    fn tell_others(&mut self, message: &Message) {
        for peer in 0..self.peers.len() {
            if peer != self.me {
                self.tell(peer, message.clone());
            }
        }
    }

    fn order(&mut self, order: Order) {
        self.acts.push(Act::Order(order));
    }

    fn told(&mut self, peer: PeerId, message: Message) {
        if !self.is_up(peer) {
            self.counts.late += 1;
            return;
        }
        if !matches!(message, Message::Outcome { .. } | Message::Grant { .. }) {
            tracing::trace!(me = self.me, peer, ?message, "told");
        }
        match message {
            Message::Welcome { .. } | Message::Begun { .. } => {}
            Message::Reach { peers } => {
                self.peers[peer].reach = peers.into_iter().map(usize::from).collect();
            }
            Message::Ready { hop, anchor } => {
                let (known, hop) = (&mut self.peers[peer], usize::from(hop));
                if known.ready.insert(hop, anchor) != Some(anchor) {
                    // What comes of a part that has begun anew has not ended.
                    known.drained.remove(&(hop + 1));
                    (known.ended, known.done) = (false, false);
                    self.repeat_promises(peer, Some(hop));
                }
            }
            Message::Open { epoch } => self.opens(peer, epoch),
            Message::Ask { epoch } => self.asked_to_open(peer, epoch),
            Message::Opened { epoch, hop, held, more } => {
                self.allowed_to_open((usize::from(hop), peer), epoch, held, more);
            }
            Message::Claim { epoch, partitions } => self.claimed(peer, epoch, &partitions),
            Message::Promise { hop, origin, sequence, from } => {
                self.hear_promise(peer, usize::from(hop), &origin, sequence, from);
            }
            Message::Fenced { epoch, partition } => self.fenced(epoch, &partition),
            Message::Release { below, holds } => self.released(peer, below, &holds),
            Message::Seal { at, sequence } => self.sealed(at, sequence),
            Message::Limited => self.limit_is_reached(),
            Message::Locate { id, at, sequence } => self.locate(peer, id, &at, sequence),
            Message::Located { id, position } => self.located(id, position),
            Message::Drained { hop, paused } => {
                self.peers[peer].drained.insert(usize::from(hop), paused);
            }
            Message::Done => {
                let known = &mut self.peers[peer];
                (known.ended, known.done) = (true, !known.leaving);
            }
            Message::Quiesce => self.quiesce(),
            Message::Leaving => self.peers[peer].leaving = true,
            Message::Spared => self.ending.spared(peer),
            Message::Failed { on, why } => self.failed(peer, on, &why),
            Message::Need { hop, origin, sequence } => self.needed(peer, usize::from(hop), &origin, sequence),
            Message::Grant { hop, bytes } => self.granted(peer, usize::from(hop), bytes),
            Message::Outcome { hop, tag, from, to, outcome, holds } => {
                self.outcome(peer, usize::from(hop), tag, from..to, outcome, &holds);
            }
            Message::Bury { hop, tag, record, id, letters, stage, reason } => {
                self.bury(peer, usize::from(hop), tag, record, id, Note { letters, stage, reason });
            }
            Message::Buried { id, failed } => self.buried(id, failed.map_or(Ok(()), Err)),
        }
    }

    fn local(&mut self, local: Local) {
        match local {
            Local::ExitMade { hop, made } => self.exit_made(hop, made),
            Local::Put { hop, made, piece, owed } => self.put(hop, made, piece, owed),
            Local::ExitEnded { hop, made } => self.exit_ended(hop, made),
            Local::ExitGone { hop, made } => self.exit_gone(hop, made),
            Local::Took { hop, made } => self.took(hop, made),
            Local::Settled { hop, made, slot, records, outcome } => self.settled(hop, made, slot, &records, outcome),
            Local::Held { hop, made, slot, record, id } => self.held(hop, made, slot, record, id),
            Local::PassHold { hop, made, slot, record, hold } => self.pass_hold(hop, made, slot, record, hold),
            Local::Released { id } => self.release(id),
            Local::Bury { hop, made, slot, record, note, reply } => {
                self.ask_burial(hop, made, slot, record, note, reply)
            }
            Local::Report(report) => self.report(report),
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Ready { hop } => self.part_is_ready(hop),
            Report::Opened { partitions } => self.source_opened(partitions),
            Report::Claimed { partition } => self.source_gained(vec![partition]),
            Report::Unclaimed { partition } => self.source_gave_up(&partition),
            Report::Promised { hop, at, from } => self.promised(hop, at, from),
            Report::Reopen { gained } => self.reopen_source(gained),
            Report::Closed => self.source_closed(),
            Report::Anew { hop } => self.part_is_anew(hop),
            Report::Committed => self.source_committed(),
            Report::Ended { hop } => self.part_has_ended(hop),
            Report::Limited { hop, seals } => self.limited(hop, seals),
            Report::Settled { id, held } => self.sink_settled(id, held),
            Report::Located { id, position } => self.source_located(id, position),
            Report::Buried { id, buried } => self.buried(id, buried),
            Report::Locate { id, at } => self.ask_place(id, &at),
            Report::Drain => self.leave(),
            Report::Failed { why } => self.fail(&why),
        }
    }

    fn next_id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests;
