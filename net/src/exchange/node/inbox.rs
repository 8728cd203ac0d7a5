//! [`Inbox`]: the entry of a part on this instance: what came in, what was handed on, and whom it is owed an outcome to.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_core::commit::{Outcome, RemoteHold};
use millstream_core::contracts::{Across, Hop, NetKind, PeerId};
use millstream_core::data::Partition;
use tokio::sync::mpsc;

use super::super::local::{Handed, Local};
use super::super::merge::{Ack, Counts, Merge, Order};
use super::super::origin::{Load, Origin};
use super::super::piece::Piece;
use super::super::settler::Settler;
use super::Limits;

/// The number of the first part that an entry feeds; each that is begun anew has the next.
pub(crate) const FIRST: u64 = 1;

/// How many pieces may be handed on before the part has taken them.
const HANDED: usize = 8;

/// How long a merge waits for a record before it asks for it.
const PATIENCE: Duration = Duration::from_millis(50);

/// Names what came in: by whom, over which link, under which tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Token {
    pub(super) peer: PeerId,
    pub(super) link: u64,
    pub(super) tag: u64,
}

/// What became of records of a piece, and who is to hear it.
pub(super) struct Answer {
    pub(super) to: Token,
    pub(super) records: Range<u64>,
    pub(super) outcome: Outcome,
}

/// A piece that was handed on and has not settled.
struct Slot {
    origin: Arc<Origin>,
    /// The sequence number of its span's first record.
    first: u64,
    records: Range<u64>,
    /// How many records have not settled; where a merge is, that knows.
    open: u64,
    /// Who sent it; of several attempts, the one that passed.
    from: Token,
}

/// How pieces wait here.
enum Waiting {
    /// In the order in which they came.
    Line(VecDeque<(Token, Piece)>),
    /// Until they are next.
    Merge(Box<Merge<Piece, Token>>),
}

/// The entry of a part.
pub(super) struct Inbox {
    hop: usize,
    order: Option<Order>,
    /// Of which instances a merge has to know something before anything passes.
    expects: Vec<PeerId>,
    /// Whether its records begin in a fold, whose origins nobody claims.
    unclaimed: bool,
    /// Whether what comes of its records goes on by an exit, and not into a fold or the sink.
    relays: bool,
    budget: u64,
    waiting: Waiting,
    slots: BTreeMap<u64, Slot>,
    next_slot: u64,
    settlers: BTreeMap<Arc<Origin>, Arc<Settler>>,
    node: mpsc::UnboundedSender<Local>,
    ids: Arc<Mutex<u64>>,
    /// Which of the parts begun one after the other it feeds.
    pub(super) made: u64,
    /// Handed on, and not taken yet.
    handed: usize,
    window: u64,
    /// Bytes that have been passed on, to be granted again.
    passed: BTreeMap<PeerId, u64>,
    /// Bytes that came and were not granted again.
    owing: BTreeMap<PeerId, u64>,
    /// The part begins anew: it is handed nothing until it has.
    pub(super) rests: bool,
    /// A limit has ended the run here: nothing more passes.
    sealed: bool,
    /// Holds of others on records that came in here, until they are given back.
    holds: BTreeMap<RemoteHold, (Arc<Origin>, u64)>,
    /// Records that the merge waits for and that were asked for, and whether that has to be said again.
    asked: BTreeMap<Arc<Origin>, (u64, bool)>,
    /// Since when something waits and nothing passes.
    stalled: Option<Duration>,
    /// What happened before the part was last begun anew.
    before: Counts,
}

impl Inbox {
    pub(super) fn new(
        hop: usize,
        at: &Hop,
        hops: &[Hop],
        limits: Limits,
        node: mpsc::UnboundedSender<Local>,
        ids: &Arc<Mutex<u64>>,
    ) -> Self {
        let order = match at.kind {
            NetKind::Split => None,
            // What is dealt by key comes from several instances, and a fold takes each key's records in in order.
            NetKind::SplitByKey | NetKind::MergeSort => Some(match at.across {
                Across::Any => Order::PerOrigin,
                Across::EventTime { idle } => Order::EventTime { idle },
                Across::FirstRecord => Order::Turn,
            }),
            NetKind::Merge => Some(Order::Arrival),
        };
        let begins = (0..=hop).rev().find(|&at| hops[at].begins).unwrap_or(0);
        // The fold of each has some of what one fold would emit.
        let expects = if order == Some(Order::Turn) { hops[begins].from.clone() } else { Vec::new() };
        let mut inbox = Self {
            made: FIRST - 1,
            hop,
            order,
            expects,
            unclaimed: hops[begins].by_fold,
            relays: hop + 1 < hops.len() && !at.folds,
            budget: limits.window.saturating_mul(at.from.len() as u64),
            waiting: Waiting::Line(VecDeque::new()),
            slots: BTreeMap::new(),
            next_slot: 0,
            settlers: BTreeMap::new(),
            node,
            ids: ids.clone(),
            handed: 0,
            window: limits.window,
            passed: BTreeMap::new(),
            owing: BTreeMap::new(),
            rests: false,
            sealed: false,
            holds: BTreeMap::new(),
            asked: BTreeMap::new(),
            stalled: None,
            before: Counts::default(),
        };
        inbox.empty();
        inbox.rests = false;
        inbox
    }

    /// Drops everything: the part behind it begins anew. Returns the bytes that who sent it may send again.
    pub(super) fn empty(&mut self) -> BTreeMap<PeerId, u64> {
        self.before = self.counts();
        self.passed.clear();
        self.waiting = match self.order {
            None => Waiting::Line(VecDeque::new()),
            Some(order) => {
                let expects = self.expects.iter().map(|&peer| peer as u16);
                Waiting::Merge(Box::new(Merge::new(order, self.budget, self.unclaimed).expecting(expects)))
            }
        };
        self.slots.clear();
        self.settlers.clear();
        self.holds.clear();
        (self.made, self.handed, self.sealed, self.stalled) = (self.made + 1, 0, false, None);
        self.rests = true;
        std::mem::take(&mut self.owing)
    }

    /// Nothing more passes; what waits is dropped. The frontiers of all origins.
    pub(super) fn seal(&mut self) -> Vec<(Arc<Origin>, u64)> {
        self.sealed = true;
        match &mut self.waiting {
            Waiting::Line(line) => {
                line.clear();
                Vec::new()
            }
            Waiting::Merge(merge) => merge.frontiers(),
        }
    }

    /// A peer's source opens as this epoch: what waits of its older ones is dropped.
    pub(super) fn open(&mut self, instance: PeerId, epoch: u64) {
        if self.unclaimed {
            // What comes in began at a fold, which has epochs of its own.
            return;
        }
        self.settlers.retain(|origin, _| usize::from(origin.instance) != instance || origin.epoch >= epoch);
        match &mut self.waiting {
            Waiting::Line(line) => {
                let passed = &mut self.passed;
                line.retain(|(token, piece)| {
                    let origin = piece.origin();
                    let stays = usize::from(origin.instance) != instance || origin.epoch == epoch;
                    if !stays {
                        *passed.entry(token.peer).or_default() += piece.bytes();
                    }
                    stays
                });
            }
            Waiting::Merge(merge) => merge.open(instance as u16, epoch),
        }
        self.holds.retain(|_, (origin, _)| usize::from(origin.instance) != instance || origin.epoch >= epoch);
        self.forget_slots();
    }

    /// Whether nothing of that instance's other epochs is on its way through the part, nor of others what it has claimed in
    /// this one.
    pub(super) fn is_clear(&self, instance: PeerId, epoch: u64) -> bool {
        let me = (instance as u16, epoch);
        let has = |partition: &Partition| match &self.waiting {
            Waiting::Merge(merge) => merge.owner(partition) == Some(me),
            Waiting::Line(_) => false,
        };
        let older = |origin: &Origin| {
            (origin.instance, origin.epoch) != me && (origin.instance == me.0 || has(&origin.partition))
        };
        self.unclaimed || !self.slots.values().any(|slot| older(&slot.origin))
    }

    /// A peer's source has these partitions. Returns who has lost one.
    pub(super) fn claim(&mut self, instance: PeerId, epoch: u64, partitions: &[Partition]) -> Vec<Arc<Origin>> {
        let fenced = match &mut self.waiting {
            Waiting::Merge(merge) if !self.unclaimed => merge.claim(instance as u16, epoch, partitions),
            _ => Vec::new(),
        };
        self.forget_slots();
        fenced
    }

    /// What was thrown away, because its epoch or its claim is over: whoever sent it has to hear of it.
    pub(super) fn discarded(&mut self) -> Vec<Answer> {
        match &mut self.waiting {
            Waiting::Merge(merge) => Answer::all(merge.take_discarded().into_iter().map(|(_, ack)| ack).collect()),
            Waiting::Line(_) => Vec::new(),
        }
    }

    /// Nothing holds what was taken in of this origin any more.
    pub(super) fn released(&mut self, origin: &Arc<Origin>) {
        if let Waiting::Merge(merge) = &mut self.waiting {
            merge.released(origin);
        }
    }

    /// Nothing of the origin from this record on is earlier.
    pub(super) fn promised(&mut self, origin: &Arc<Origin>, sequence: u64, from: i64) {
        if let Waiting::Merge(merge) = &mut self.waiting {
            merge.watermark(origin, sequence, from);
        }
    }

    /// Nothing of what began on that instance passes.
    pub(super) fn freeze(&mut self, instance: PeerId) {
        if let Waiting::Merge(merge) = &mut self.waiting {
            merge.freeze(instance as u16);
        }
    }

    /// An instance has come back as another: folds there begin anew.
    pub(super) fn started(&mut self, instance: PeerId, epoch: u64) {
        if let Waiting::Merge(merge) = &mut self.waiting
            && self.unclaimed
        {
            merge.open(instance as u16, epoch);
            merge.thaw(instance as u16);
        }
        self.forget_slots();
    }

    pub(super) fn thaw(&mut self, instance: PeerId) {
        if let Waiting::Merge(merge) = &mut self.waiting {
            merge.thaw(instance as u16);
        }
    }

    /// A link is lost: nobody is told anything over it any more, and what only waits in line is sent elsewhere.
    pub(super) fn lost(&mut self, peer: PeerId, link: u64) {
        self.passed.remove(&peer);
        self.owing.remove(&peer);
        match &mut self.waiting {
            Waiting::Line(line) => line.retain(|(token, _)| token.peer != peer || token.link != link),
            Waiting::Merge(merge) => merge.lost(|token| token.peer == peer && token.link == link),
        }
    }

    /// A piece comes in.
    pub(super) fn came(&mut self, token: Token, piece: Piece) -> Vec<Answer> {
        *self.owing.entry(token.peer).or_default() += piece.bytes();
        if self.sealed {
            return self.came_late(token, &piece);
        }
        match &mut self.waiting {
            Waiting::Line(line) => {
                line.push_back((token, piece));
                Vec::new()
            }
            Waiting::Merge(merge) => Answer::all(merge.arrive(piece, token)),
        }
    }

    /// A piece comes in where nothing passes any more: what has passed already shares the outcome of that, the rest is
    /// given back.
    fn came_late(&mut self, token: Token, piece: &Piece) -> Vec<Answer> {
        let records = piece.records();
        let mut answers = Vec::new();
        let mut rest = records.start;
        if let Waiting::Merge(merge) = &mut self.waiting
            && let Some(frontier) = merge.frontier(piece.origin())
        {
            rest = frontier.clamp(records.start, records.end);
            if rest > records.start {
                answers = Answer::all(merge.arrive(piece.slice(records.start..rest), token));
            }
        }
        if rest < records.end {
            let rest = piece.slice(rest..records.end);
            *self.passed.entry(token.peer).or_default() += rest.bytes();
            answers.push(Answer { to: token, records: rest.records(), outcome: Outcome::Abandoned });
        }
        answers
    }

    /// The next piece for the part, if it takes one.
    pub(super) fn next(&mut self, now: Duration) -> Option<Handed> {
        if self.handed >= HANDED || self.sealed || self.rests {
            return None;
        }
        let (slot, piece, from) = self.take_next(now)?;
        self.stalled = None;
        let origin = piece.origin().clone();
        let settler = self.settler(&origin);
        let records = piece.records();
        let first = piece.span().first;
        self.slots.entry(slot).or_insert_with(|| Slot {
            origin,
            first,
            open: records.end - records.start,
            records,
            from,
        });
        self.handed += 1;
        Some(Handed::Piece { slot, piece: Box::new(piece), settler })
    }

    fn take_next(&mut self, now: Duration) -> Option<(u64, Piece, Token)> {
        match &mut self.waiting {
            Waiting::Line(line) => {
                let (token, piece) = line.pop_front()?;
                *self.passed.entry(token.peer).or_default() += piece.bytes();
                let slot = self.next_slot;
                self.next_slot += 1;
                Some((slot, piece, token))
            }
            Waiting::Merge(merge) => {
                let passed = merge.next(now)?;
                let piece = if passed.late { passed.piece.into_late() } else { passed.piece };
                Some((passed.slot, piece, passed.from))
            }
        }
    }

    fn settler(&mut self, origin: &Arc<Origin>) -> Arc<Settler> {
        let (hop, made, relays) = (self.hop, self.made, self.relays);
        let new = || Arc::new(Settler { hop, made, relays, node: self.node.clone(), ids: self.ids.clone() });
        self.settlers.entry(origin.clone()).or_insert_with(new).clone()
    }

    /// The part has taken a piece.
    pub(super) fn took(&mut self, made: u64) {
        if made == self.made {
            self.handed = self.handed.saturating_sub(1);
        }
    }

    /// The origin of what was handed on as this slot, and its span's first sequence number.
    pub(super) fn slot(&self, slot: u64) -> Option<(Arc<Origin>, u64)> {
        self.slots.get(&slot).map(|at| (at.origin.clone(), at.first))
    }

    /// Who sent a record of it, and the record's sequence number.
    pub(super) fn sender(&self, slot: u64, record: u32) -> Option<(Token, u64)> {
        self.slots.get(&slot).map(|at| (at.from, at.first + u64::from(record)))
    }

    /// A hold of another instance, to be passed on with the outcomes of its record.
    pub(super) fn pass_hold(&mut self, slot: u64, record: u32, hold: RemoteHold) {
        if let Some(at) = self.slots.get(&slot) {
            self.holds.insert(hold, (at.origin.clone(), at.first + u64::from(record)));
        }
    }

    /// The holds of others on records of this origin between these.
    pub(super) fn holds_on(&self, origin: &Origin, records: &Range<u64>) -> Vec<(RemoteHold, u64)> {
        let on = |(_, (of, record)): &(&RemoteHold, &(Arc<Origin>, u64))| **of == *origin && records.contains(record);
        self.holds.iter().filter(on).map(|(&hold, &(_, record))| (hold, record)).collect()
    }

    /// Holds of others are given back.
    pub(super) fn forget_holds(&mut self, given: impl Fn(&RemoteHold) -> bool) {
        self.holds.retain(|hold, _| !given(hold));
    }

    /// Whether this record of the origin came in and has not settled.
    pub(super) fn has(&self, origin: &Origin, record: u64) -> bool {
        let in_line = match &self.waiting {
            Waiting::Line(line) => {
                line.iter().any(|(_, piece)| **piece.origin() == *origin && piece.records().contains(&record))
            }
            Waiting::Merge(_) => false,
        };
        in_line || self.slots.values().any(|slot| *slot.origin == *origin && slot.records.contains(&record))
    }

    /// What became of records of a slot: who is to hear it.
    pub(super) fn settled(&mut self, slot: u64, records: &Range<u32>, outcome: Outcome) -> Vec<Answer> {
        let Some(at) = self.slots.get_mut(&slot) else { return Vec::new() };
        let records = at.first + u64::from(records.start)..at.first + u64::from(records.end);
        let from = at.from;
        at.open = at.open.saturating_sub(records.end - records.start);
        let open = at.open;
        let (answers, is_out) = match &mut self.waiting {
            Waiting::Line(_) => (vec![Answer { to: from, records, outcome }], open > 0),
            Waiting::Merge(merge) => (Answer::all(merge.settled(slot, records, outcome)), merge.is_out(slot)),
        };
        if !is_out {
            self.slots.remove(&slot);
        }
        answers
    }

    /// Forgets what was handed on and is out no more, because its epoch or its claim is over.
    fn forget_slots(&mut self) {
        if let Waiting::Merge(merge) = &self.waiting {
            self.slots.retain(|&slot, _| merge.is_out(slot));
        }
    }

    /// Bytes that may be granted again: a good part of the window at once, so that grants are few.
    pub(super) fn grants(&mut self) -> Vec<(PeerId, u64)> {
        if let Waiting::Merge(merge) = &mut self.waiting {
            for (token, bytes) in merge.take_freed() {
                *self.passed.entry(token.peer).or_default() += bytes;
            }
        }
        let worth = (self.window / 8).max(1);
        let due: Vec<_> = self.passed.iter().filter(|(_, bytes)| **bytes >= worth).map(|(&p, &b)| (p, b)).collect();
        for (peer, bytes) in &due {
            self.passed.remove(peer);
            if let Some(owing) = self.owing.get_mut(peer) {
                *owing = owing.saturating_sub(*bytes);
            }
        }
        due
    }

    /// What feeders have to hear now: that the merge waits for this record, because others wait for it, too much or too
    /// long; or for none of this origin any more.
    pub(super) fn needs(&mut self, now: Duration) -> Vec<(Arc<Origin>, Option<u64>)> {
        let mut told = self.met();
        let due = self.due(now);
        for (origin, at) in due {
            if self.asked.insert(origin.clone(), (at, false)) != Some((at, false)) {
                told.push((origin, Some(at)));
            }
        }
        told
    }

    /// Origins of which what was asked for is not waited for any more.
    fn met(&mut self) -> Vec<(Arc<Origin>, Option<u64>)> {
        let Waiting::Merge(merge) = &self.waiting else { return Vec::new() };
        let waits = |origin: &Arc<Origin>, at: u64| !self.sealed && merge.frontier(origin) == Some(at);
        self.asked.extract_if(.., |origin, (at, _)| !waits(origin, *at)).map(|(origin, _)| (origin, None)).collect()
    }

    /// Records that the merge waits for by now, too much or too long.
    fn due(&mut self, now: Duration) -> Vec<(Arc<Origin>, u64)> {
        let Waiting::Merge(merge) = &self.waiting else { return Vec::new() };
        let needs = if self.handed > 0 || self.sealed { Vec::new() } else { merge.needs() };
        if needs.is_empty() {
            self.stalled = None;
            return needs;
        }
        let since = *self.stalled.get_or_insert(now);
        let is_due = merge.waiting_bytes() >= self.budget / 2 || now >= since + PATIENCE;
        if is_due { needs } else { Vec::new() }
    }

    /// What was asked for has to be asked for again: someone new may have it.
    pub(super) fn ask_again(&mut self) {
        self.asked.values_mut().for_each(|(_, again)| *again = true);
    }

    /// When to look again, because time alone makes something pass, or worth asking for.
    pub(super) fn wake(&self, now: Duration) -> Option<Duration> {
        let Waiting::Merge(merge) = &self.waiting else { return None };
        let stalled = self.stalled.map(|since| since + PATIENCE).filter(|at| *at > now);
        let passes = if self.handed < HANDED { merge.wake(now) } else { None };
        [stalled, passes].into_iter().flatten().min()
    }

    /// Whether nothing waits, and nothing is on its way through the part whose sender waits for it.
    pub(super) fn is_idle(&self, waits: impl Fn(&Token) -> bool) -> bool {
        let in_line = match &self.waiting {
            Waiting::Line(line) => !line.is_empty(),
            Waiting::Merge(merge) => !merge.is_idle(),
        };
        !in_line && !self.slots.values().any(|slot| waits(&slot.from))
    }

    /// What happened to pieces here.
    pub(super) fn counts(&self) -> Counts {
        match &self.waiting {
            Waiting::Merge(merge) => self.before + merge.counts(),
            Waiting::Line(_) => self.before,
        }
    }
}

impl Answer {
    fn all(acks: Vec<Ack<Token>>) -> Vec<Self> {
        acks.into_iter().map(|Ack { to, records, outcome }| Self { to, records, outcome }).collect()
    }
}
