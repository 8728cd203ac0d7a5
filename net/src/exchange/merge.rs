//! [`Merge`]: an entry that brings records together which took different ways.
//!
//! Each record is one of its origin's sequence numbers, whether or not any row is left of it: an order without gaps,
//! whatever filters and one-to-many stages made of the rows. Of each record one attempt passes, whole; who sent another
//! hears what became of that one. What has passed is kept until it settles, and passes again if it is abandoned.
//!
//! ```text
//! stream   what there is of one origin: what waits, what has passed, what has settled
//! held     where origins are compared: for which of them it still waits
//! ```
//!
//! Who may pass: an origin whose owner has claimed its partition (where records begin in a fold nobody claims), is
//! reached, and has opened no newer epoch. Anything may arrive at any time: until its claim comes a piece waits.

mod held;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::Outcome;
use millstream_core::data::Partition;

use super::origin::{By, Load, Origin};
use held::Held;
use stream::{Effects, Owed, Stream};

/// In which order pieces pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As they come.
    Arrival,
    /// In that of their origin; origins take turns.
    PerOrigin,
    /// In that of their origin, and the origin that has the earliest event time first.
    EventTime {
        /// How long it waits at most for an origin that has nothing.
        idle: Duration,
    },
    /// In that of their origin, and the origin first that has the lowest turn; one that has nothing is waited for.
    Turn,
}

impl Order {
    /// By what it compares records of different origins.
    fn by(self) -> Option<By> {
        match self {
            Self::Arrival | Self::PerOrigin => None,
            Self::EventTime { .. } => Some(By::EventTime),
            Self::Turn => Some(By::Turn),
        }
    }
}

/// A piece that passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed<P, T> {
    /// What it settles under.
    pub(crate) slot: u64,
    pub(crate) piece: P,
    /// By whom this attempt came.
    pub(crate) from: T,
    /// It has passed before, alone or in a larger piece, under the same slot, and was abandoned.
    pub(crate) again: bool,
    /// By event time it should have come before something that has passed: its origin had been given up, or has broken
    /// its promise.
    pub(crate) late: bool,
}

/// What became of records, for who sent them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ack<T> {
    pub(crate) to: T,
    pub(crate) records: Range<u64>,
    pub(crate) outcome: Outcome,
}

/// What has happened, in records unless said otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Thrown away while they waited, because their epoch or their claim was over.
    pub(crate) discarded: u64,
    /// Came when their epoch or their claim was over.
    pub(crate) dead: u64,
    /// Came when another attempt was here or had passed.
    pub(crate) copies: u64,
    /// Passed late, by event time.
    pub(crate) late: u64,
    /// Passed again.
    pub(crate) replayed: u64,
    /// How many times an instance was frozen.
    pub(crate) frozen: u64,
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            discarded: self.discarded + other.discarded,
            dead: self.dead + other.dead,
            copies: self.copies + other.copies,
            late: self.late + other.late,
            replayed: self.replayed + other.replayed,
            frozen: self.frozen + other.frozen,
        }
    }
}

/// Brings records together. Pure: time is given, and nothing is done but what is returned. `T` names the way that a
/// piece came.
#[derive(Debug)]
pub(crate) struct Merge<P, T> {
    /// Whether order counts within an origin.
    in_order: bool,
    /// If it compares records of different origins: by what, and for whom it waits.
    by: Option<By>,
    held: Option<Held>,
    /// The instances that it can't do without, and has nothing of yet.
    unseen: BTreeSet<u16>,
    /// All that it can't do without.
    expected: BTreeSet<u16>,
    budget: u64,
    auto_claim: bool,
    /// Where claimed partitions' records begin: no name until the first piece tells.
    stage: Arc<str>,
    streams: BTreeMap<u64, Stream<P, T>>,
    /// The streams that are not over.
    ids: BTreeMap<Arc<Origin>, u64>,
    next_id: u64,
    /// The epoch that each instance has opened last.
    epochs: BTreeMap<u16, u64>,
    /// Who has a partition.
    owners: BTreeMap<Partition, Owner>,
    /// Who had one, and has no newer epoch.
    former: BTreeSet<(Owner, Partition)>,
    frozen: BTreeSet<u16>,
    /// Streams that have something to pass, the next to do so first.
    ready: BTreeSet<Due>,
    due: BTreeMap<u64, Due>,
    next_number: u64,
    /// Streams that may pass and have something, but not what comes next.
    gaps: BTreeSet<u64>,
    /// What has passed and not settled: its stream, and its first record.
    slots: BTreeMap<u64, (u64, u64)>,
    next_slot: u64,
    /// How many bytes wait.
    waiting: u64,
    freed: Vec<(T, u64)>,
    /// Who has to hear that what it sent is discarded.
    discarded: Vec<(Arc<Origin>, Ack<T>)>,
    /// By event time: the highest place that has passed.
    reached: i64,
    /// Up to where others had passed when a stream had something again that had been given up.
    missed: BTreeMap<u64, i64>,
    counts: Counts,
}

/// An instance, and its epoch.
type Owner = (u16, u64);

/// When a stream comes to pass something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    /// Where it stands, if that counts: what has to pass again is then never behind what is new.
    place: i64,
    number: u64,
    id: u64,
}

impl<P: Load, T: Copy> Merge<P, T> {
    /// Nothing is here yet. When `budget` bytes wait, each origin's next piece is asked for. With `auto_claim` nobody
    /// claims partitions, and all origins may pass.
    pub(crate) fn new(order: Order, budget: u64, auto_claim: bool) -> Self {
        let held = match order {
            Order::EventTime { idle } => Some(Held::new(Some(idle))),
            Order::Turn => Some(Held::new(None)),
            Order::Arrival | Order::PerOrigin => None,
        };
        Self {
            in_order: order != Order::Arrival,
            by: order.by(),
            held,
            unseen: BTreeSet::new(),
            expected: BTreeSet::new(),
            budget,
            auto_claim,
            stage: "".into(),
            streams: BTreeMap::new(),
            ids: BTreeMap::new(),
            next_id: 0,
            epochs: BTreeMap::new(),
            owners: BTreeMap::new(),
            former: BTreeSet::new(),
            frozen: BTreeSet::new(),
            ready: BTreeSet::new(),
            due: BTreeMap::new(),
            next_number: 0,
            gaps: BTreeSet::new(),
            slots: BTreeMap::new(),
            next_slot: 0,
            waiting: 0,
            freed: Vec::new(),
            discarded: Vec::new(),
            reached: i64::MIN,
            missed: BTreeMap::new(),
            counts: Counts::default(),
        }
    }

    /// Nothing passes while nothing is known of the origin of one of these instances.
    pub(crate) fn expecting(self, instances: impl IntoIterator<Item = u16>) -> Self {
        let expected: BTreeSet<u16> = instances.into_iter().collect();
        Self { unseen: expected.clone(), expected, ..self }
    }

    /// The instance begins this epoch: what began there in older ones is over. What of it waits is discarded, see
    /// [`take_discarded`](Self::take_discarded); what has passed of it settles as it may, and none of it passes again.
    pub(crate) fn open(&mut self, instance: u16, epoch: u64) {
        if self.end_older(instance, epoch) {
            self.thaw(instance);
        }
    }

    /// Ends what began on the instance in epochs before this one, if it is the newest.
    fn end_older(&mut self, instance: u16, epoch: u64) -> bool {
        if self.epochs.get(&instance).is_some_and(|&known| epoch <= known) {
            return false;
        }
        self.epochs.insert(instance, epoch);
        let is_older = |&(of, at): &Owner| of == instance && at < epoch;
        self.owners.retain(|_, owner| !is_older(owner));
        self.former.retain(|(owner, _)| !is_older(owner));
        let over = self.ids.keys().filter(|origin| is_older(&owner_of(origin))).cloned().collect();
        self.close(over);
        true
    }

    /// The instance, in this epoch, has these partitions: what comes of them may pass. For whoever had one before it is
    /// over, as if that had opened a newer epoch, and who has lost one can't claim it again in the same epoch. Returns
    /// those who have to be told so; their stage has no name while nothing has ever come.
    pub(crate) fn claim(&mut self, instance: u16, epoch: u64, partitions: &[Partition]) -> Vec<Arc<Origin>> {
        let (owner, mut fenced) = ((instance, epoch), Vec::new());
        if self.auto_claim || self.epochs.get(&instance).is_some_and(|&known| epoch < known) {
            return fenced;
        }
        for partition in partitions {
            if self.former.contains(&(owner, partition.clone())) {
                fenced.push(self.claimed(owner, partition));
                continue;
            }
            match self.owners.insert(partition.clone(), owner) {
                Some(before) if before == owner => continue,
                Some(before) => fenced.push(self.fence(before, partition)),
                None => {}
            }
            self.admit(owner, partition);
        }
        fenced
    }

    /// Who has claimed the partition last, and its epoch.
    pub(crate) fn owner(&self, partition: &Partition) -> Option<(u16, u64)> {
        self.owners.get(partition).copied()
    }

    /// The owner has lost the partition.
    fn fence(&mut self, owner: Owner, partition: &Partition) -> Arc<Origin> {
        self.former.insert((owner, partition.clone()));
        let over = self.claimed(owner, partition);
        self.close(vec![over.clone()]);
        over
    }

    /// The owner has the partition.
    fn admit(&mut self, owner: Owner, partition: &Partition) {
        let origin = self.claimed(owner, partition);
        let Some(&id) = self.ids.get(&origin) else {
            self.begin(origin);
            return;
        };
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.claimed = true;
        }
        self.refresh(id);
    }

    /// The origin that is claimed as this partition.
    fn claimed(&self, (instance, epoch): Owner, partition: &Partition) -> Arc<Origin> {
        Arc::new(Origin { instance, stage: self.stage.clone(), partition: partition.clone(), epoch })
    }

    /// The first piece tells what the stage is called that all claims are about.
    fn learn_stage(&mut self, stage: &Arc<str>) {
        self.stage = stage.clone();
        for (origin, id) in std::mem::take(&mut self.ids) {
            let origin = Arc::new(Origin { stage: stage.clone(), ..(*origin).clone() });
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.origin = origin.clone();
            }
            self.ids.insert(origin, id);
        }
    }

    /// The instance is not reached: nothing of what began there passes, whoever brings it.
    pub(crate) fn freeze(&mut self, instance: u16) {
        if self.frozen.insert(instance) {
            self.counts.frozen += 1;
            self.set_frozen(instance, true);
        }
    }

    /// The instance is reached again, in the same epoch.
    pub(crate) fn thaw(&mut self, instance: u16) {
        if self.frozen.remove(&instance) {
            self.set_frozen(instance, false);
        }
    }

    fn set_frozen(&mut self, instance: u16, frozen: bool) {
        let ids: Vec<u64> =
            self.ids.iter().filter(|(origin, _)| origin.instance == instance).map(|(_, &id)| id).collect();
        for id in ids {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.frozen = frozen;
            }
            self.refresh(id);
        }
    }

    /// These sources are gone: they are told nothing any more, and get no bytes back. What they brought stays: it is as
    /// good as what others bring of the same records.
    pub(crate) fn lost(&mut self, gone: impl Fn(T) -> bool) {
        self.streams.values_mut().for_each(|stream| stream.lost(&gone));
        self.freed.retain(|&(to, _)| !gone(to));
        self.discarded.retain(|(_, ack)| !gone(ack.to));
    }

    /// A piece comes. Returns what is known of its records already; the rest is told later.
    #[must_use]
    pub(crate) fn arrive(&mut self, piece: P, from: T) -> Vec<Ack<T>> {
        let records = piece.records();
        let Some(id) = self.stream_of(piece.origin()) else {
            self.counts.dead += records.end.saturating_sub(records.start);
            self.freed.push((from, piece.bytes()));
            let told = Ack { to: from, records, outcome: Outcome::Abandoned };
            return if told.records.is_empty() { Vec::new() } else { vec![told] };
        };
        let Some(stream) = self.streams.get_mut(&id) else { return Vec::new() };
        let effects = stream.arrive(&piece, from);
        self.waiting += piece.bytes();
        self.counts.copies += effects.discarded;
        self.refresh(id);
        self.apply(effects)
    }

    /// What may pass now. Called until there is nothing, each time something has happened.
    pub(crate) fn next(&mut self, now: Duration) -> Option<Passed<P, T>> {
        let due = *self.ready.first()?;
        if !self.unseen.is_empty() {
            return None;
        }
        // What is not later than what has passed already, or has passed itself, has nothing to gain.
        let may_wait = due.place > self.reached;
        if may_wait && self.held.as_mut().is_some_and(|held| held.holds_back(due.place, now)) {
            return None;
        }
        let passed = self.pass(due.id)?;
        let records = passed.piece.records();
        self.counts.replayed += if passed.again { records.end - records.start } else { 0 };
        // Whoever has passed something stands at the back.
        self.ready.remove(&due);
        self.due.remove(&due.id);
        self.refresh(due.id);
        Some(passed)
    }

    fn pass(&mut self, id: u64) -> Option<Passed<P, T>> {
        let stream = self.streams.get_mut(&id)?;
        if let Some(passed) = stream.pass_again() {
            return Some(passed);
        }
        let head = stream.head(self.in_order, self.by)?;
        let late_before = self.late_before(id);
        let (late, slot) = (head < late_before, self.next_slot);
        let (end, highest) = self.run(id, if late { i64::MIN..=late_before - 1 } else { late_before..=i64::MAX })?;
        let (passed, owed) = self.streams.get_mut(&id)?.pass(slot, late, end)?;
        let records = passed.piece.records();
        self.next_slot += 1;
        self.slots.insert(slot, (id, records.start));
        self.free(owed);
        self.counts.late += if late { records.end - records.start } else { 0 };
        if self.by == Some(By::EventTime) {
            self.reached = self.reached.max(highest);
        }
        Some(passed)
    }

    /// How far what waits of the stream that is next may pass at once, and where the highest of it stands: up to what
    /// comes from others before it, and nothing but what stands within this.
    fn run(&self, id: u64, within: RangeInclusive<i64>) -> Option<(u64, i64)> {
        let stream = self.streams.get(&id)?;
        let Some((by, held)) = self.by.zip(self.held.as_ref()) else { return Some((stream.end()?, 0)) };
        let next = self.ready.iter().nth(1).map_or(i64::MAX, |due| due.place);
        let silent = held.lowest().map_or(i64::MAX, |lowest| lowest.max(self.reached));
        let most = (*within.end()).min(next).min(silent);
        stream.run(by, *within.start()..=most)
    }

    /// When [`next`](Self::next) may have something that it doesn't have now, though nothing happens.
    pub(crate) fn wake(&self, now: Duration) -> Option<Duration> {
        self.ready.first()?;
        self.held.as_ref()?.wake().map(|at| at.max(now))
    }

    /// Nothing of the origin from this record on stands lower than `from`. It counts once all before it has passed.
    pub(crate) fn watermark(&mut self, origin: &Arc<Origin>, sequence: u64, from: i64) {
        if self.by.is_none() {
            return;
        }
        if let Some(id) = self.stream_of(origin)
            && let Some(stream) = self.streams.get_mut(&id)
        {
            stream.promise(sequence, from);
            self.refresh(id);
        }
    }

    /// These records of what passed under this slot had this outcome. Returns whom to tell. Abandoned ones pass again,
    /// in order, before anything new of their origin.
    #[must_use]
    pub(crate) fn settled(&mut self, slot: u64, records: Range<u64>, outcome: Outcome) -> Vec<Ack<T>> {
        let Some(&(id, first)) = self.slots.get(&slot) else { return Vec::new() };
        let Some(stream) = self.streams.get_mut(&id) else { return Vec::new() };
        let effects = stream.settle(first, records, outcome);
        self.refresh(id);
        let acks = self.apply(effects);
        self.sweep(id);
        acks
    }

    /// Whether something that passed under this slot has not settled. What was to pass again and is over has.
    pub(crate) fn is_out(&self, slot: u64) -> bool {
        self.slots.contains_key(&slot)
    }

    /// Commits of the origin may pass all that was absorbed: that is not told any more of late copies.
    pub(crate) fn released(&mut self, origin: &Arc<Origin>) {
        if let Some(stream) = self.ids.get(origin).and_then(|id| self.streams.get_mut(id)) {
            stream.released();
        }
    }

    /// Which records would help most: the next of each origin that may pass and has later ones here; when the budget is
    /// used up, the next of every origin that may pass.
    pub(crate) fn needs(&self) -> Vec<(Arc<Origin>, u64)> {
        let need = |stream: &Stream<P, T>| (stream.origin.clone(), stream.frontier());
        if self.waiting < self.budget {
            return self.gaps.iter().filter_map(|id| self.streams.get(id)).map(need).collect();
        }
        self.streams.values().filter(|stream| stream.is_open() && !stream.has_frontier()).map(need).collect()
    }

    /// The first record of the origin that has not passed; `None` if nothing is known of it.
    pub(crate) fn frontier(&self, origin: &Arc<Origin>) -> Option<u64> {
        let stream = self.ids.get(origin).and_then(|id| self.streams.get(id));
        stream.map(Stream::frontier)
    }

    /// The bytes that have passed or were thrown away since this was last asked, by how they came.
    pub(crate) fn take_freed(&mut self) -> Vec<(T, u64)> {
        std::mem::take(&mut self.freed)
    }

    /// Who has to hear that what it sent was discarded since this was last asked, because its epoch or claim was over.
    pub(crate) fn take_discarded(&mut self) -> Vec<(Arc<Origin>, Ack<T>)> {
        std::mem::take(&mut self.discarded)
    }

    /// How many bytes wait here.
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting
    }

    /// Whether nothing waits and all that has passed has settled.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty() && !self.ids.values().any(|id| self.streams.get(id).is_some_and(Stream::waits))
    }

    /// All origins that are claimed, each with the first record that has not passed. Their stage has no name while
    /// nothing has ever come.
    pub(crate) fn frontiers(&self) -> Vec<(Arc<Origin>, u64)> {
        let open = self.streams.values().filter(|stream| stream.claimed && !stream.over);
        open.map(|stream| (stream.origin.clone(), stream.frontier())).collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The stream of an origin, begun if need be; `None` if it is over.
    fn stream_of(&mut self, origin: &Arc<Origin>) -> Option<u64> {
        if let Some(&id) = self.ids.get(origin) {
            return Some(id);
        }
        let owner = owner_of(origin);
        let is_over = self.epochs.get(&owner.0).is_some_and(|&known| owner.1 < known);
        if is_over || self.former.contains(&(owner, origin.partition.clone())) {
            return None;
        }
        if !self.auto_claim && self.stage.is_empty() {
            self.learn_stage(&origin.stage);
        }
        if self.auto_claim {
            // A fold that begins anew opens nothing: what it emits says so.
            self.end_older(owner.0, owner.1);
        }
        Some(self.ids.get(origin).copied().unwrap_or_else(|| self.begin(origin.clone())))
    }

    fn begin(&mut self, origin: Arc<Origin>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let claimed = self.auto_claim || self.owners.get(&origin.partition) == Some(&owner_of(&origin));
        let frozen = self.frozen.contains(&origin.instance);
        self.streams.insert(id, Stream::new(origin.clone(), claimed, frozen));
        self.unseen.remove(&origin.instance);
        self.ids.insert(origin, id);
        self.refresh(id);
        id
    }

    fn close(&mut self, over: Vec<Arc<Origin>>) {
        for origin in over {
            let Some(id) = self.ids.remove(&origin) else { continue };
            if self.expected.contains(&origin.instance) && !self.ids.keys().any(|of| of.instance == origin.instance) {
                self.unseen.insert(origin.instance);
            }
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            let effects = stream.close();
            self.counts.discarded += effects.discarded;
            self.refresh(id);
            let acks = self.apply(effects);
            self.discarded.extend(acks.into_iter().map(|ack| (origin.clone(), ack)));
            self.sweep(id);
        }
    }

    /// Forgets a stream that is over, once all that has passed of it has settled.
    fn sweep(&mut self, id: u64) {
        if self.streams.get(&id).is_some_and(|stream| stream.over && stream.is_settled()) {
            self.streams.remove(&id);
        }
    }

    fn apply(&mut self, effects: Effects<T>) -> Vec<Ack<T>> {
        for owed in effects.freed {
            self.free(owed);
        }
        for slot in effects.finished {
            self.slots.remove(&slot);
        }
        effects.acks
    }

    fn free(&mut self, (to, bytes): Owed<T>) {
        self.waiting -= bytes;
        self.freed.extend(to.filter(|_| bytes > 0).map(|to| (to, bytes)));
    }

    /// Notes what the stream can do, after something has happened to it.
    fn refresh(&mut self, id: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let (head, over, claimed) = (stream.head(self.in_order, self.by), stream.over, stream.claimed);
        let promise = stream.due_promise();
        match self.in_order && stream.is_open() && stream.waits() && !stream.has_frontier() {
            true => self.gaps.insert(id),
            false => self.gaps.remove(&id),
        };
        self.set_due(id, head);
        let Some(held) = &mut self.held else { return };
        if over {
            held.forget(id);
            self.missed.remove(&id);
        } else if head.is_some() {
            if held.speaks(id) {
                self.missed.insert(id, self.reached);
            }
        } else if claimed {
            held.silent(id);
        }
        if let Some(from) = promise
            && !over
            && held.promise(id, from)
        {
            self.missed.insert(id, self.reached);
        }
    }

    fn set_due(&mut self, id: u64, head: Option<i64>) {
        let before = self.due.get(&id).copied();
        let Some(place) = head else {
            self.due.remove(&id);
            if let Some(before) = before {
                self.ready.remove(&before);
            }
            return;
        };
        let number = before.map_or(self.next_number, |before| before.number);
        let due = Due { place, number, id };
        if before == Some(due) {
            return;
        }
        if let Some(before) = before {
            self.ready.remove(&before);
        }
        self.next_number = self.next_number.max(number + 1);
        self.due.insert(id, due);
        self.ready.insert(due);
    }

    /// What comes of the stream and is earlier than this is late.
    fn late_before(&self, id: u64) -> i64 {
        let Some(held) = self.held.as_ref().filter(|_| self.by == Some(By::EventTime)) else { return i64::MIN };
        let missed = self.missed.get(&id).copied().unwrap_or(i64::MIN);
        let broken = held.watermark(id).map_or(i64::MIN, |promised| promised.min(self.reached));
        missed.max(broken)
    }
}

fn owner_of(origin: &Origin) -> Owner {
    (origin.instance, origin.epoch)
}

#[cfg(test)]
mod tests;
