//! [`Tracker`]: what is in flight of one partition, and up to where it has all settled.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::{HoldId, Outcome};

/// How much may be in flight. One batch may always be, however large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Records, and no more batches than that, since batches may be empty.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The point up to which a commit may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point<M> {
    /// The first sequence number that may *not* be committed: all before it has settled.
    pub sequence: u64,
    /// The mark of the batch it lies in or just after, and how many records of that batch lie before it. Between two
    /// batches it is the end of the batch before, unless a hold or a seal stands there: then it is the place that was
    /// given for that. `None` until a record or an empty batch has settled.
    pub mark: Option<(M, u32)>,
}

/// Why a commit can go no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// This record is in flight.
    InFlight(u64),
    /// This record was abandoned and has not settled since.
    Abandoned(u64),
    /// A fold has taken in this record and its output has not arrived.
    Held(u64),
    /// A limit or a drain ends the run before this record.
    Sealed(u64),
}

/// What one partition has in flight: batches are emitted in order and settle in any order; the contiguous prefix of
/// what has settled, clamped by holds and a seal, is what may be committed. It never goes back. `M` is whatever the
/// caller needs to turn a place in a batch into a position.
///
/// A slot a batch, found by number in a ring; settled ones leave at the front.
#[derive(Debug)]
pub struct Tracker<M> {
    bounds: Bounds,
    slots: VecDeque<Slot<M>>,
    /// The number of the slot at the front of the ring.
    base: u64,
    /// The next sequence number to be emitted.
    next: u64,
    /// What the slots in the ring hold.
    bytes: u64,
    /// The mark at the end of the slot that left last.
    left: Option<(M, u32)>,
    holds: BTreeMap<(u64, HoldId), (M, u32)>,
    hold_sequences: BTreeMap<HoldId, u64>,
    next_hold: u64,
    seal: Option<Point<M>>,
    /// Slots whose lowest time is lower than all behind them: (slot, time), ascending.
    lows: VecDeque<(u64, i64)>,
    promise: i64,
    repeated: u64,
}

#[derive(Debug)]
struct Slot<M> {
    first: u64,
    len: u32,
    /// How many have not settled.
    open: u32,
    /// Which have settled, once some but not all have.
    settled: Set,
    /// Which were abandoned, whether or not they have settled since.
    abandoned: Set,
    bytes: u64,
    mark: M,
}

/// Some of a batch's records, a bit each; allocates nothing until there is one.
#[derive(Debug, Default)]
struct Set(Vec<u64>);

impl<M: Clone> Tracker<M> {
    /// Nothing in flight; sequence numbers start at 0.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            slots: VecDeque::new(),
            base: 0,
            next: 0,
            bytes: 0,
            left: None,
            holds: BTreeMap::new(),
            hold_sequences: BTreeMap::new(),
            next_hold: 0,
            seal: None,
            lows: VecDeque::new(),
            promise: i64::MIN,
            repeated: 0,
        }
    }

    /// Whether another batch may be emitted.
    pub fn has_room(&self) -> bool {
        let Some(front) = self.slots.front() else { return true };
        self.next - front.first < self.bounds.records
            && (self.slots.len() as u64) < self.bounds.records
            && self.bytes < self.bounds.bytes
    }

    /// A batch of `len` records goes out that holds `bytes` and whose earliest event time is `low`. Returns its slot
    /// and its first sequence number.
    pub fn emit(&mut self, len: u32, bytes: u64, low: i64, mark: M) -> (u64, u64) {
        let (slot, first) = (self.base + self.slots.len() as u64, self.next);
        self.next += u64::from(len);
        self.bytes += bytes;
        while self.lows.back().is_some_and(|&(_, time)| time >= low) {
            self.lows.pop_back();
        }
        self.lows.push_back((slot, low));
        let (settled, abandoned) = (Set::default(), Set::default());
        self.slots.push_back(Slot { first, len, open: len, settled, abandoned, bytes, mark });
        self.leave();
        (slot, first)
    }

    /// These records of `slot` had this outcome. Returns how many settled by it; abandoned ones don't.
    pub fn complete(&mut self, slot: u64, records: Range<u32>, outcome: Outcome) -> u32 {
        let Some(at) = slot.checked_sub(self.base) else {
            if outcome != Outcome::Abandoned {
                self.repeated += records.len() as u64;
            }
            return 0;
        };
        let Some(slot) = self.slots.get_mut(at as usize) else { return 0 };
        let records = records.start.min(slot.len)..records.end.min(slot.len);
        if outcome == Outcome::Abandoned {
            slot.abandoned.add(records, slot.len);
            return 0;
        }
        let fresh = slot.settle(records.clone());
        self.repeated += records.len() as u64 - u64::from(fresh);
        if at == 0 {
            self.leave();
        }
        fresh
    }

    /// Keeps the commit from passing `record` of `slot`, which must be in flight: what the commit has passed already,
    /// and what was never emitted, can't be held, and the hold then holds nothing.
    pub fn hold(&mut self, slot: u64, record: u32) -> HoldId {
        let id = HoldId(self.next_hold);
        self.next_hold += 1;
        if let Some(Point { sequence, mark: Some(mark) }) = self.place(slot, record)
            && sequence >= self.point().sequence
        {
            self.holds.insert((sequence, id), mark);
            self.hold_sequences.insert(id, sequence);
        }
        id
    }

    /// Gives a hold back.
    pub fn release(&mut self, hold: HoldId) {
        if let Some(sequence) = self.hold_sequences.remove(&hold) {
            self.holds.remove(&(sequence, hold));
        }
    }

    /// Ends the run before `record` of `slot`: the commit never passes it. The lowest seal counts. What has settled
    /// already lies before any seal, so a seal that comes late ends the run where the contiguous prefix ends; one in a
    /// batch that was never emitted is none.
    pub fn seal(&mut self, slot: u64, record: u32) {
        if slot >= self.base + self.slots.len() as u64 {
            return;
        }
        let settled = self.settled();
        let seal = self.place(slot, record).filter(|seal| seal.sequence >= settled.sequence).unwrap_or(settled);
        if self.seal.as_ref().is_none_or(|lowest| seal.sequence < lowest.sequence) {
            self.seal = Some(seal);
        }
    }

    /// Like [`seal`](Self::seal), by sequence number. One past all that was emitted stands behind that: nothing that comes
    /// later is in the run.
    pub fn seal_at(&mut self, sequence: u64) {
        let settled = self.settled();
        let found = self.find(sequence.min(self.next));
        let seal = found.filter(|seal| seal.sequence >= settled.sequence).unwrap_or(settled);
        if self.seal.as_ref().is_none_or(|lowest| seal.sequence < lowest.sequence) {
            self.seal = Some(seal);
        }
    }

    /// The place before the record of this sequence number, while it can be told: the record is in flight, or the next
    /// that settles, or the next that is emitted.
    pub fn find(&self, sequence: u64) -> Option<Point<M>> {
        let at = self.slots.partition_point(|slot| slot.first + u64::from(slot.len) <= sequence);
        match self.slots.get(at) {
            Some(slot) if slot.first <= sequence => {
                Some(Point { sequence, mark: Some((slot.mark.clone(), (sequence - slot.first) as u32)) })
            }
            _ if sequence != self.next => None,
            _ => {
                let last = self.slots.back().map(|slot| (slot.mark.clone(), slot.len)).or_else(|| self.left.clone());
                Some(Point { sequence, mark: last })
            }
        }
    }

    /// The point up to which a commit may go.
    pub fn point(&self) -> Point<M> {
        let mut point = self.settled();
        if let Some((&(sequence, _), mark)) = self.holds.first_key_value()
            && sequence < point.sequence
        {
            point = Point { sequence, mark: Some(mark.clone()) };
        }
        match &self.seal {
            Some(seal) if seal.sequence < point.sequence => seal.clone(),
            _ => point,
        }
    }

    /// Why the commit can go no further than [`point`](Self::point), or `None` when nothing is in flight.
    pub fn blocking(&self) -> Option<Blocking> {
        let settled = self.settled().sequence;
        let held = self.holds.first_key_value().map(|(&(sequence, _), _)| sequence);
        let sealed = self.seal.as_ref().map(|seal| seal.sequence);
        if let Some(sequence) = sealed.filter(|&seal| seal <= settled && held.is_none_or(|held| seal <= held)) {
            return Some(Blocking::Sealed(sequence));
        }
        if let Some(sequence) = held.filter(|&held| held <= settled) {
            return Some(Blocking::Held(sequence));
        }
        let front = self.slots.front()?;
        Some(match front.abandoned.contains((settled - front.first) as u32) {
            true => Blocking::Abandoned(settled),
            false => Blocking::InFlight(settled),
        })
    }

    /// The sequence numbers that have not settled, in ranges.
    pub fn open(&self) -> Vec<Range<u64>> {
        let mut open: Vec<Range<u64>> = Vec::new();
        for slot in &self.slots {
            for record in (0..slot.len).filter(|&record| slot.open > 0 && !slot.settled.contains(record)) {
                let sequence = slot.first + u64::from(record);
                match open.last_mut() {
                    Some(last) if last.end == sequence => last.end += 1,
                    _ => open.push(sequence..sequence + 1),
                }
            }
        }
        open
    }

    /// How many bytes the batches hold that are in flight: from the oldest that has not settled whole to the newest.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The oldest slot that has not settled whole; the next to be emitted when all have.
    pub fn oldest_slot(&self) -> u64 {
        self.base
    }

    /// The next sequence number to be emitted.
    pub fn next_sequence(&self) -> u64 {
        self.next
    }

    /// How many records have been emitted and may not be committed.
    pub fn lag(&self) -> u64 {
        self.next - self.point().sequence
    }

    /// Whether nothing is in flight and nothing is held: all that was emitted may be committed, or is past the seal.
    pub fn is_settled(&self) -> bool {
        let end = self.seal.as_ref().map_or(self.next, |seal| seal.sequence);
        self.point().sequence >= end
    }

    /// The source promises that nothing earlier than this will come.
    pub fn promise(&mut self, time: i64) {
        self.promise = self.promise.max(time);
    }

    /// The event-time low watermark in microseconds since the Unix epoch: nothing earlier is in flight, nor, by what
    /// the source has promised, will come. A batch is in flight until it and all before it have settled. It goes back
    /// when a source breaks its promise, or has made none. `None` while nothing is known.
    pub fn low_watermark(&self) -> Option<i64> {
        match self.lows.front() {
            Some(&(_, low)) if self.promise == i64::MIN => Some(low),
            Some(&(_, low)) => Some(low.min(self.promise)),
            None if self.promise == i64::MIN => None,
            None => Some(self.promise),
        }
    }

    /// How many records were said to be complete again after they had settled. Abandoned ones don't count.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    fn settled(&self) -> Point<M> {
        match self.slots.front() {
            None => Point { sequence: self.next, mark: self.left.clone() },
            Some(front) => match front.leading() {
                0 => Point { sequence: front.first, mark: self.left.clone() },
                leading => {
                    Point { sequence: front.first + u64::from(leading), mark: Some((front.mark.clone(), leading)) }
                }
            },
        }
    }

    /// The place before `record` of `slot`, while the slot is in the ring.
    fn place(&self, slot: u64, record: u32) -> Option<Point<M>> {
        let slot = self.slots.get(slot.checked_sub(self.base)? as usize)?;
        let record = record.min(slot.len);
        Some(Point { sequence: slot.first + u64::from(record), mark: Some((slot.mark.clone(), record)) })
    }

    fn leave(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.open == 0) {
            let Some(slot) = self.slots.pop_front() else { return };
            if self.lows.front().is_some_and(|&(id, _)| id == self.base) {
                self.lows.pop_front();
            }
            self.base += 1;
            self.bytes -= slot.bytes;
            self.left = Some((slot.mark, slot.len));
        }
    }
}

impl<M> Slot<M> {
    /// Settles `records`; returns how many had not.
    fn settle(&mut self, records: Range<u32>) -> u32 {
        if records.len() == self.len as usize && self.settled.is_empty() {
            return std::mem::take(&mut self.open);
        }
        if self.open == 0 {
            return 0;
        }
        let fresh = self.settled.add(records, self.len);
        self.open -= fresh;
        fresh
    }

    /// How many records at the front have settled.
    fn leading(&self) -> u32 {
        if self.open == 0 { self.len } else { self.settled.leading() }
    }
}

impl Set {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds `records` of a batch of `len`; returns how many were not in it.
    fn add(&mut self, records: Range<u32>, len: u32) -> u32 {
        if self.0.is_empty() && !records.is_empty() {
            self.0 = vec![0; len.div_ceil(64) as usize];
        }
        let (mut fresh, mut next) = (0, records.start);
        while next < records.end {
            // Up to the end of a word.
            let last = (next | 63).min(records.end - 1);
            let mask = (u64::MAX << (next % 64)) & (u64::MAX >> (63 - last % 64));
            let word = &mut self.0[next as usize / 64];
            fresh += (mask & !*word).count_ones();
            *word |= mask;
            next = last + 1;
        }
        fresh
    }

    fn contains(&self, record: u32) -> bool {
        self.0.get(record as usize / 64).is_some_and(|word| word >> (record % 64) & 1 == 1)
    }

    /// The first that is not in it.
    fn leading(&self) -> u32 {
        let full = self.0.iter().take_while(|&&word| word == u64::MAX).count();
        full as u32 * 64 + self.0.get(full).map_or(0, |word| word.trailing_ones())
    }
}

#[cfg(test)]
mod tests;
