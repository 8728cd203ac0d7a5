//! Where the source of this instance stands: it opens once all anchors are ready and have said where they stand, and opens
//! anew when one of them has lost what it had taken in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream_core::contracts::{Checkpoint, Order, OriginAt, PeerId, SourcePlace};
use millstream_core::data::{Partition, Position};

use super::super::message::{Message, WireCheckpoint, WireOrigin, WirePosition};
use super::Node;

/// The anchors by network stage and instance, with their numbers.
pub(super) type Against = BTreeMap<(usize, PeerId), u64>;

/// Where the source of this instance stands.
pub(super) struct Source {
    /// Whether it runs on this instance.
    pub(super) here: bool,
    /// Whether its broker moves it when this instance gives it up.
    movable: bool,
    /// Whether it claims what it has before it asks where to begin.
    claims_first: bool,
    pub(super) state: State,
    /// How often it was opened.
    opened: u64,
    /// It reads no more: this instance leaves, or an anchor does.
    pub(super) stopped: bool,
    /// The runtime was told so since it was opened.
    pub(super) draining: bool,
    /// What it has, as the runtime has said last: while it is not open, the broker may have given it to others.
    partitions: Vec<Partition>,
    /// What it has given up since it was opened.
    pub(super) gave_up: BTreeSet<Partition>,
    /// Questions of others: whom to answer, and under which name.
    questions: BTreeMap<u64, (PeerId, u64)>,
    /// Questions of the sink's part here that have not been answered, and who was asked.
    asked: BTreeMap<u64, PeerId>,
}

/// Where a source stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// It is not open.
    Closed,
    /// The anchors were asked.
    Asking { epoch: u64, against: Against, waiting: BTreeSet<(usize, PeerId)>, held: Option<Vec<Checkpoint>> },
    /// The runtime opens it.
    Opening { epoch: u64, against: Against },
    /// It is open.
    Open { epoch: u64, against: Against },
    /// The runtime closes it; `gives_up`: its claims, too.
    Closing { gives_up: bool },
    /// It has ended, and all that may be committed is: for good, or (`paused`) because an anchor leaves, or this instance.
    Committed { against: Against, paused: bool },
}

impl Source {
    pub(super) fn new(place: &SourcePlace, me: PeerId) -> Self {
        Self {
            here: place.on.contains(&me),
            movable: place.movable,
            claims_first: place.claims_first,
            state: State::Closed,
            opened: 0,
            stopped: false,
            draining: false,
            partitions: Vec::new(),
            gave_up: BTreeSet::new(),
            questions: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }

    fn against(&self) -> Option<&Against> {
        match &self.state {
            State::Closed | State::Closing { .. } => None,
            State::Asking { against, .. }
            | State::Opening { against, .. }
            | State::Open { against, .. }
            | State::Committed { against, .. } => Some(against),
        }
    }

    /// The epoch that it has now.
    pub(super) fn epoch(&self) -> Option<u64> {
        match self.state {
            State::Opening { epoch, .. } | State::Open { epoch, .. } => Some(epoch),
            _ => None,
        }
    }

    /// Whether nothing more comes of it unless it is opened anew.
    pub(super) fn is_over(&self) -> bool {
        !self.here
            || matches!(self.state, State::Committed { .. })
            || (self.stopped && matches!(self.state, State::Closed | State::Asking { .. }))
    }
}

impl Node {
    /// Opens the source if it is time, and closes it where an anchor is not the one any more that it was opened against.
    pub(super) fn open_source(&mut self) {
        if !self.source.here || self.ending.is_over() {
            return;
        }
        self.forget_if_done();
        if self.gives_up_claim() {
            self.close_source(true);
        } else if self.has_changed() || self.may_go_on() {
            self.close_source(false);
        }
        if self.source.state == State::Closed && !self.source.stopped {
            self.ask_to_open();
        }
    }

    /// Whether it was drained because an anchor wanted to leave, which does no more, or has left.
    fn may_go_on(&self) -> bool {
        self.source.draining && !self.source.stopped && !self.ending.is_limited()
    }

    /// Whether an anchor is another than it was opened against. One that has ended for good needs none of them any more.
    fn has_changed(&self) -> bool {
        if matches!(self.source.state, State::Committed { paused: false, .. }) {
            return false;
        }
        self.anchors_differ()
    }

    fn anchors_differ(&self) -> bool {
        let Some(against) = self.source.against() else { return false };
        against.iter().any(|(&(hop, peer), number)| self.peers[peer].ready.get(&hop).is_some_and(|now| now != number))
    }

    /// What a source has committed for good is nothing to an anchor that began anew. Of records that were settled on the
    /// way (skipped, say) it may not have been told yet, and would never take them now: it is over with them.
    fn forget_if_done(&mut self) {
        if matches!(self.source.state, State::Committed { paused: false, .. })
            && self.anchors_differ()
            && let Some(Some(out)) = self.outboxes.first_mut()
        {
            out.outbox.drop_origins(|_| true);
        }
    }

    fn gives_up_claim(&self) -> bool {
        let due = matches!(self.source.state, State::Open { .. }).then(|| self.claim_due()).flatten();
        due.is_some_and(|due| due <= self.now)
    }

    /// When the claim on a source that its broker can move is given up.
    fn claim_due(&self) -> Option<Duration> {
        let away = |&(_, peer): &(usize, PeerId)| self.peers[peer].away.filter(|_| !self.is_up(peer));
        let first = self.anchors.all.iter().filter_map(away).min()?;
        self.source.movable.then_some(first + self.limits.claim)
    }

    pub(super) fn source_wake(&self) -> Option<Duration> {
        if matches!(self.source.state, State::Open { .. }) { self.claim_due() } else { None }
    }

    /// Closes it, to be opened anew; `gives_up`: its broker may give its input to another meanwhile.
    pub(super) fn close_source(&mut self, gives_up: bool) {
        self.source.draining = false;
        match self.source.state {
            State::Closed | State::Closing { .. } => {}
            State::Asking { .. } => self.source.state = State::Closed,
            State::Opening { .. } | State::Open { .. } | State::Committed { .. } => {
                tracing::info!("the source is closed, to be opened anew from where it is committed");
                self.source.state = State::Closing { gives_up };
                self.peers[self.me].drained.remove(&0);
                self.close_outbox(0);
                self.order(Order::Close { gives_up });
            }
        }
    }

    fn ask_to_open(&mut self) {
        let number = |&(hop, peer): &(usize, PeerId)| {
            let number = self.peers[peer].ready.get(&hop).filter(|_| self.is_up(peer))?;
            Some(((hop, peer), *number))
        };
        let against: Option<Against> = self.anchors.all.iter().map(number).collect();
        let Some(against) = against else { return };
        let epoch = self.epoch + self.source.opened;
        self.source.opened += 1;
        self.counts.reopened += u64::from(self.source.opened > 1);
        let waiting = against.keys().copied().collect();
        self.source.state = State::Asking { epoch, against, waiting, held: None };
        self.tell_all(&Message::Open { epoch });
        self.ask(epoch, None);
    }

    /// Asks the anchors (or one of them) where to begin. Where a sink says that, what is claimed before it does is nobody
    /// else's from then on: it stands there for good.
    fn ask(&mut self, epoch: u64, only: Option<PeerId>) {
        self.claim_at(epoch, only, &self.claimed_first());
        for peer in self.anchoring(only) {
            self.tell(peer, Message::Ask { epoch });
        }
    }

    /// What the source claims before it opens.
    fn claimed_first(&self) -> Vec<Partition> {
        if self.source.claims_first { self.source.partitions.clone() } else { Vec::new() }
    }

    /// An anchor has answered.
    pub(super) fn allowed_to_open(
        &mut self,
        anchor: (usize, PeerId),
        epoch: u64,
        answer: Option<Vec<WireCheckpoint>>,
        more: bool,
    ) {
        let State::Asking { epoch: asked, against, waiting, held } = &mut self.source.state else { return };
        if *asked != epoch || !waiting.contains(&anchor) {
            return;
        }
        if let Some(answer) = answer {
            held.get_or_insert_default().extend(answer.iter().filter_map(WireCheckpoint::checkpoint));
        }
        if !more {
            waiting.remove(&anchor);
        }
        if !waiting.is_empty() {
            return;
        }
        let (against, held, claimed) = (std::mem::take(against), held.take(), self.claimed_first());
        self.source.state = State::Opening { epoch, against };
        self.source.draining = false;
        self.source.gave_up.clear();
        tracing::info!(epoch, "the source opens");
        self.order(Order::Open { epoch, held, claimed });
    }

    /// The runtime has opened the source, with these partitions.
    pub(super) fn source_opened(&mut self, partitions: Vec<Partition>) {
        self.source.partitions.clear();
        if let State::Opening { epoch, against } = &mut self.source.state {
            self.source.state = State::Open { epoch: *epoch, against: std::mem::take(against) };
        }
        self.source_gained(partitions);
        if self.source.stopped && matches!(self.source.state, State::Open { .. }) {
            self.drain_source();
        }
    }

    /// The source has got more partitions.
    pub(super) fn source_gained(&mut self, gained: Vec<Partition>) {
        if let State::Open { epoch, .. } = self.source.state {
            self.claim_at(epoch, None, &gained);
        }
        self.source.partitions.extend(gained);
    }

    /// The source is opened anew, and has these partitions, too.
    pub(super) fn reopen_source(&mut self, gained: Vec<Partition>) {
        self.source.partitions.extend(gained);
        self.close_source(false);
    }

    fn drain_source(&mut self) {
        if !std::mem::replace(&mut self.source.draining, true) {
            self.order(Order::Drain);
        }
    }

    /// The source has given a partition up: what of it is on its way counts no more, and would be refused for ever.
    pub(super) fn source_gave_up(&mut self, partition: &Partition) {
        self.source.partitions.retain(|has| has != partition);
        if let Some(Some(out)) = self.outboxes.first_mut() {
            out.outbox.drop_origins(|origin| origin.partition == *partition);
        }
        self.promises.forget(partition);
        self.source.gave_up.insert(partition.clone());
    }

    /// Tells the anchors (or one of them) which partitions the source has.
    fn claim_at(&mut self, epoch: u64, only: Option<PeerId>, partitions: &[Partition]) {
        let anchors = self.anchoring(only);
        // In pieces, so that no message grows beyond what is read of one.
        for some in partitions.chunks(256) {
            let partitions: Vec<String> = some.iter().map(|partition| partition.name().to_owned()).collect();
            for &peer in &anchors {
                self.tell(peer, Message::Claim { epoch, partitions: partitions.clone() });
            }
        }
    }

    /// The instances that have anchors; with `only`, that one of them.
    fn anchoring(&self, only: Option<PeerId>) -> BTreeSet<PeerId> {
        let peers = self.anchors.all.iter().map(|&(_, peer)| peer);
        peers.filter(|&peer| only.is_none_or(|only| only == peer)).collect()
    }

    /// A peer is reached: what it may not have heard is said again.
    pub(super) fn repeat_open(&mut self, peer: PeerId, same: bool) {
        let anchors = self.anchors.all.iter().any(|&(_, at)| at == peer);
        match self.source.state.clone() {
            // One that has come back as another says when it is ready, and the source opens anew.
            _ if anchors && !same => {}
            State::Asking { epoch, .. } | State::Opening { epoch, .. } => {
                self.tell(peer, Message::Open { epoch });
                self.ask(epoch, Some(peer));
            }
            State::Open { epoch, .. } => {
                self.tell(peer, Message::Open { epoch });
                self.claim_at(epoch, Some(peer), &self.source.partitions.clone());
            }
            State::Closed | State::Closing { .. } | State::Committed { .. } => {}
        }
    }

    /// Another instance has claimed a partition of this one.
    pub(super) fn fenced(&mut self, epoch: u64, partition: &str) {
        let open = matches!(self.source.state, State::Open { epoch: open, .. } if open == epoch);
        if open && self.source.partitions.iter().any(|has| has.name() == partition) {
            tracing::warn!(partition, "another instance has this partition now: the source opens anew");
            self.close_source(true);
        }
    }

    pub(super) fn source_closed(&mut self) {
        if let State::Closing { gives_up } = self.source.state {
            self.source.state = State::Closed;
            if gives_up {
                self.source.partitions.clear();
            }
        }
    }

    pub(super) fn source_committed(&mut self) {
        if let State::Open { against, .. } | State::Opening { against, .. } = &mut self.source.state {
            let against = std::mem::take(against);
            let paused = self.source.draining && !self.ending.is_limited();
            self.source.state = State::Committed { against, paused };
            // It is closed.
            self.source.partitions.clear();
        }
    }

    /// The source reads no more; what is in flight goes through.
    pub(super) fn stop_source(&mut self) {
        self.source.stopped = true;
        if matches!(self.source.state, State::Open { .. }) {
            self.drain_source();
        }
    }

    /// The source may open again.
    pub(super) fn let_source_go_on(&mut self) {
        self.source.stopped = false;
    }

    /// A limit lets an origin of this instance go so far and no further: the source, or a fold here.
    pub(super) fn seal_here(&mut self, at: &WireOrigin, sequence: u64) {
        let partition = Partition::new(&at.partition);
        let open = matches!(self.source.state, State::Open { epoch, .. } if epoch == at.epoch);
        self.ending.sealed |= open && self.source.partitions.contains(&partition);
        self.order(Order::Seal { partition, epoch: at.epoch, sequence });
    }

    /// A peer asks for the position before a record that began here.
    pub(super) fn locate(&mut self, peer: PeerId, id: u64, at: &WireOrigin, sequence: u64) {
        if self.source.epoch() != Some(at.epoch) {
            self.tell(peer, Message::Located { id, position: None });
            return;
        }
        let mine = self.next_id();
        self.source.questions.insert(mine, (peer, id));
        let partition = Partition::new(&at.partition);
        self.order(Order::Locate { id: mine, partition, epoch: at.epoch, sequence });
    }

    pub(super) fn source_located(&mut self, id: u64, position: Option<Position>) {
        if let Some((peer, id)) = self.source.questions.remove(&id) {
            let position = position.as_ref().map(WirePosition::of);
            self.tell(peer, Message::Located { id, position });
        }
    }

    /// The sink's part here asks for the position before a record, which only its origin knows. Of one that is not reached
    /// it is not waited for: it may stay away, and others' records would wait with it.
    pub(super) fn ask_place(&mut self, id: u64, at: &OriginAt) {
        let peer = usize::from(at.instance);
        if !self.is_up(peer) {
            return self.order(Order::Placed { id, position: None });
        }
        self.source.asked.insert(id, peer);
        self.tell(peer, locate(id, at));
    }

    /// A peer is lost: what it was asked can't be told.
    pub(super) fn forget_places(&mut self, peer: PeerId) {
        let lost: Vec<u64> = self.source.asked.extract_if(.., |_, of| *of == peer).map(|(id, _)| id).collect();
        lost.into_iter().for_each(|id| self.order(Order::Placed { id, position: None }));
    }

    pub(super) fn located(&mut self, id: u64, position: Option<WirePosition>) {
        if self.source.asked.remove(&id).is_some() {
            let position = position.and_then(|position| position.position());
            self.order(Order::Placed { id, position });
        }
    }
}

fn locate(id: u64, at: &OriginAt) -> Message {
    let OriginAt { instance, stage, partition, epoch, sequence } = at.clone();
    let at = WireOrigin { instance, stage: stage.to_string(), partition: partition.name().to_owned(), epoch };
    Message::Locate { id, at, sequence }
}
