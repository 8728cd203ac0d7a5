//! [`Stream`]: what a merge has of one origin.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use millstream_core::commit::{Outcome, Ranges};

use super::{Ack, Passed};
use crate::exchange::origin::{By, Load, Origin};

/// How many separate ranges of absorbed records are remembered of an origin. Beyond, what lies between the two lowest
/// counts as absorbed, too: a late copy of it is then told less than is true, and never more.
const MOST_ABSORBED: usize = 1_024;

/// What a merge has of one origin. Each record is in one of these states:
///
/// ```text
///            arrive           pass                 settle: any other outcome
///   unknown --------> waiting -----> unsettled --------------------------------> settled
///                                     |      ^
///                   settle: Abandoned |      | pass_again
///                                     +> again
///
///   unknown    in none of the sets            again      like unsettled, and in `again`
///   waiting    in a piece of `waiting`        settled    in `passed`, not in `open`; in `absorbed`, if that is how
///   unsettled  in `passed`, in `open` and in a piece of `out`
/// ```
#[derive(Debug)]
pub(super) struct Stream<P, T> {
    pub(super) origin: Arc<Origin>,
    /// Its owner has the partition.
    pub(super) claimed: bool,
    /// Its owner is not reached.
    pub(super) frozen: bool,
    /// Nothing more of it passes; what has passed is only waited for.
    pub(super) over: bool,
    /// By first record; pieces don't overlap.
    waiting: BTreeMap<u64, Waiting<P, T>>,
    /// Likewise.
    out: BTreeMap<u64, Out<P, T>>,
    passed: Ranges,
    open: Ranges,
    again: Ranges,
    /// Records that were out when one before them was abandoned, and of which nothing was heard since. Where order
    /// counts, nothing new passes until it is: they may have to pass again, too, and would come behind what is newer.
    in_doubt: Ranges,
    absorbed: Ranges,
    /// From this record on nothing of it stands lower than that.
    promised: Option<(u64, i64)>,
}

/// Bytes to give back, and to whom, if that source is still there.
pub(super) type Owed<T> = (Option<T>, u64);

/// Whole records of one attempt, and who sent that.
#[derive(Debug)]
struct Waiting<P, T> {
    piece: P,
    from: T,
    owed: Owed<T>,
    shares: Vec<Share<T>>,
}

#[derive(Debug)]
struct Out<P, T> {
    slot: u64,
    piece: P,
    from: T,
    late: bool,
    shares: Vec<Share<T>>,
}

impl<P: Load, T: Copy> Waiting<P, T> {
    /// Cuts it before record `at` and returns the rest, if there is any. The bytes are given back with the last of it.
    fn cut(&mut self, at: u64) -> Option<Self> {
        let records = self.piece.records();
        if at >= records.end {
            return None;
        }
        let piece = self.piece.slice(at..records.end);
        self.piece = self.piece.slice(records.start..at);
        let owed = std::mem::take(&mut self.owed);
        // Each share speaks of those of its records that the piece has.
        Some(Self { piece, from: self.from, owed, shares: self.shares.clone() })
    }
}

/// Who wants to know what becomes of which records.
#[derive(Debug, Clone)]
struct Share<T> {
    to: T,
    records: Range<u64>,
}

/// What comes of pieces that arrive, or are thrown away.
#[derive(Debug)]
pub(super) struct Effects<T> {
    pub(super) acks: Vec<Ack<T>>,
    /// What of it waits no more.
    pub(super) freed: Vec<Owed<T>>,
    /// How many records were thrown away.
    pub(super) discarded: u64,
    /// Slots that have settled whole.
    pub(super) finished: Vec<u64>,
}

/// A record's state, shared by those after it up to some end.
enum State {
    Settled(Outcome),
    /// Unsettled, in the piece of `out` that begins there.
    Out(u64),
    /// In the piece of `waiting` that begins there.
    Waiting(u64),
    Unknown,
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self { acks: Vec::new(), freed: Vec::new(), discarded: 0, finished: Vec::new() }
    }
}

impl<T: Copy> Share<T> {
    /// Tells of those of its records that are among these.
    fn ack(&self, records: &Range<u64>, outcome: Outcome) -> Option<Ack<T>> {
        let records = overlap(&self.records, records);
        (!records.is_empty()).then_some(Ack { to: self.to, records, outcome })
    }
}

impl<P: Load, T: Copy> Stream<P, T> {
    pub(super) fn new(origin: Arc<Origin>, claimed: bool, frozen: bool) -> Self {
        Self {
            origin,
            claimed,
            frozen,
            over: false,
            waiting: BTreeMap::new(),
            out: BTreeMap::new(),
            passed: Ranges::default(),
            open: Ranges::default(),
            again: Ranges::default(),
            in_doubt: Ranges::default(),
            absorbed: Ranges::default(),
            promised: None,
        }
    }

    /// Notes that nothing from this record on stands lower than `from`.
    pub(super) fn promise(&mut self, sequence: u64, from: i64) {
        if self.promised.is_none_or(|(before, _)| before <= sequence) {
            self.promised = Some((sequence, from));
        }
    }

    /// What it promised, once all before that has passed.
    pub(super) fn due_promise(&mut self) -> Option<i64> {
        let frontier = self.frontier();
        self.promised.take_if(|(sequence, _)| *sequence <= frontier).map(|(_, from)| from)
    }

    /// The first record that has not passed.
    pub(super) fn frontier(&self) -> u64 {
        self.passed.frontier()
    }

    /// Whether anything of it may pass at all.
    pub(super) fn is_open(&self) -> bool {
        self.claimed && !self.frozen && !self.over
    }

    /// Whether something waits.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether a piece waits that begins at the frontier.
    pub(super) fn has_frontier(&self) -> bool {
        self.waiting.contains_key(&self.frontier())
    }

    /// Whether all that has passed has settled.
    pub(super) fn is_settled(&self) -> bool {
        self.out.is_empty()
    }

    /// Keeps what of the piece is new; who sent it hears what becomes of all of it.
    pub(super) fn arrive(&mut self, piece: &P, from: T) -> Effects<T> {
        let records = piece.records();
        let (mut effects, mut left, mut at) = (Effects::default(), piece.bytes(), records.start);
        while at < records.end {
            let (state, end) = self.state(at, records.end);
            let part = std::mem::replace(&mut at, end)..end;
            if !matches!(state, State::Unknown) {
                effects.discarded += part.end - part.start;
            }
            let share = Share { to: from, records: part };
            match state {
                State::Unknown => left -= self.keep(piece, share, left),
                State::Settled(outcome) => effects.acks.extend(share.ack(&records, outcome)),
                State::Out(start) => {
                    if let Some(out) = self.out.get_mut(&start) {
                        out.shares.push(share);
                    }
                }
                State::Waiting(start) => {
                    if let Some(waiting) = self.waiting.get_mut(&start) {
                        waiting.shares.push(share);
                    }
                }
            }
        }
        effects.freed.push((Some(from), left));
        effects
    }

    /// Keeps the share's records of the piece; returns how many of the `left` bytes that takes.
    fn keep(&mut self, piece: &P, share: Share<T>, left: u64) -> u64 {
        let (piece, bytes) = match share.records == piece.records() {
            true => (piece.clone(), left),
            false => {
                let piece = piece.slice(share.records.clone());
                let bytes = piece.bytes().min(left);
                (piece, bytes)
            }
        };
        let (start, from) = (share.records.start, share.to);
        self.waiting.insert(start, Waiting { piece, from, owed: (Some(from), bytes), shares: vec![share] });
        bytes
    }

    /// The state of record `at`, and up to where it is that of the records after it, `end` at most.
    fn state(&self, at: u64, end: u64) -> (State, u64) {
        if let Some(passed) = self.passed.covering(at) {
            return self.state_of_passed(at, end.min(passed.end));
        }
        if let Some((&start, waiting)) = self.waiting.range(..=at).next_back()
            && at < waiting.piece.records().end
        {
            return (State::Waiting(start), end.min(waiting.piece.records().end));
        }
        let known = [self.passed.next_start(at), self.waiting.range(at..).next().map(|(&start, _)| start)];
        (State::Unknown, known.into_iter().flatten().fold(end, u64::min))
    }

    fn state_of_passed(&self, at: u64, end: u64) -> (State, u64) {
        if let Some(open) = self.open.covering(at)
            && let Some((&start, out)) = self.out.range(..=at).next_back()
        {
            return (State::Out(start), end.min(open.end).min(out.piece.records().end));
        }
        let end = self.open.next_start(at).map_or(end, |open| end.min(open));
        match self.absorbed.covering(at) {
            Some(absorbed) => (State::Settled(Outcome::Absorbed), end.min(absorbed.end)),
            None => {
                let end = self.absorbed.next_start(at).map_or(end, |absorbed| end.min(absorbed));
                (State::Settled(Outcome::Delivered), end)
            }
        }
    }

    /// Where what could pass next stands, if that counts; where order counts, that is new only at the frontier.
    pub(super) fn head(&self, in_order: bool, by: Option<By>) -> Option<i64> {
        if !self.is_open() {
            return None;
        }
        if let Some(first) = self.again.first() {
            let (_, out) = self.out.range(..=first.start).next_back()?;
            return Some(by.map_or(0, |by| out.piece.place(by)));
        }
        let (&start, waiting) = self.waiting.first_key_value()?;
        let next = !in_order || (start == self.frontier() && self.in_doubt.is_empty());
        next.then(|| by.map_or(0, |by| waiting.piece.place(by)))
    }

    /// The lowest piece that waits passes, under this slot, up to its record `end`; the rest waits on. Returns it, and
    /// the bytes to give back.
    pub(super) fn pass(&mut self, slot: u64, late: bool, end: u64) -> Option<(Passed<P, T>, Owed<T>)> {
        let (start, mut waiting) = self.waiting.pop_first()?;
        if let Some(rest) = waiting.cut(end) {
            self.waiting.insert(end, rest);
        }
        let Waiting { piece, from, owed, shares } = waiting;
        self.passed.add(piece.records());
        self.open.add(piece.records());
        self.out.insert(start, Out { slot, piece: piece.clone(), from, late, shares });
        Some((Passed { slot, piece, from, again: false, late }, owed))
    }

    /// How far of the lowest piece that waits all stands within this, and where the highest of it stands.
    pub(super) fn run(&self, by: By, within: RangeInclusive<i64>) -> Option<(u64, i64)> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting.piece.run(by, within))
    }

    /// Where the lowest piece that waits ends.
    pub(super) fn end(&self) -> Option<u64> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting.piece.records().end)
    }

    /// The lowest records that have to pass again do, as far as they came in one piece.
    pub(super) fn pass_again(&mut self) -> Option<Passed<P, T>> {
        let first = self.again.first()?;
        let (_, out) = self.out.range(..=first.start).next_back()?;
        let records = overlap(&first, &out.piece.records());
        let piece = if records == out.piece.records() { out.piece.clone() } else { out.piece.slice(records.clone()) };
        let passed = Passed { slot: out.slot, piece, from: out.from, again: true, late: out.late };
        self.again.take(records);
        Some(passed)
    }

    /// These records of the piece that passed from `start` on had this outcome.
    pub(super) fn settle(&mut self, start: u64, records: Range<u64>, outcome: Outcome) -> Effects<T> {
        let mut effects = Effects::default();
        let Some(out) = self.out.get(&start) else { return effects };
        let whole = out.piece.records();
        let records = overlap(&whole, &records);
        self.in_doubt.take(records.clone());
        if outcome == Outcome::Abandoned && !self.over {
            self.abandon(records);
            return effects;
        }
        for part in self.open.take(records) {
            effects.acks.extend(out.shares.iter().filter_map(|share| share.ack(&part, outcome)));
            self.again.take(part.clone());
            if outcome == Outcome::Absorbed {
                self.absorbed.add(part);
            }
        }
        self.absorbed.coarsen(MOST_ABSORBED);
        if !self.open.intersects(whole) {
            effects.finished.extend(self.out.remove(&start).map(|out| out.slot));
        }
        effects
    }

    fn abandon(&mut self, records: Range<u64>) {
        if !self.open.intersects(records.clone()) {
            return;
        }
        self.open.parts(records.clone()).for_each(|part| self.again.add(part));
        let behind = records.end..u64::MAX;
        self.open.parts(behind.clone()).for_each(|part| self.in_doubt.add(part));
        for known in self.again.parts(behind) {
            self.in_doubt.take(known);
        }
    }

    /// What was absorbed has been released: it matters no more.
    pub(super) fn released(&mut self) {
        self.absorbed.clear();
    }

    /// It is over. What waits is thrown away, what was to pass again is abandoned, and what is out is waited for.
    pub(super) fn close(&mut self) -> Effects<T> {
        self.over = true;
        let mut effects = Effects::default();
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            let records = waiting.piece.records();
            effects.discarded += records.end - records.start;
            effects.freed.push(waiting.owed);
            effects.acks.extend(waiting.shares.iter().filter_map(|share| share.ack(&records, Outcome::Abandoned)));
        }
        for again in std::mem::take(&mut self.again).parts(0..u64::MAX) {
            let from = self.out.range(..=again.start).next_back().map_or(again.start, |(&start, _)| start);
            let starts: Vec<u64> = self.out.range(from..again.end).map(|(&start, _)| start).collect();
            for start in starts {
                let Effects { acks, finished, .. } = self.settle(start, again.clone(), Outcome::Abandoned);
                effects.acks.extend(acks);
                effects.finished.extend(finished);
            }
        }
        effects
    }

    /// These sources are gone: nobody there wants to know.
    pub(super) fn lost(&mut self, gone: &impl Fn(T) -> bool) {
        for (to, _) in self.waiting.values_mut().map(|waiting| &mut waiting.owed) {
            to.take_if(|to| gone(*to));
        }
        let waiting = self.waiting.values_mut().map(|waiting| &mut waiting.shares);
        let out = self.out.values_mut().map(|out| &mut out.shares);
        waiting.chain(out).for_each(|shares| shares.retain(|share| !gone(share.to)));
    }
}

fn overlap(one: &Range<u64>, other: &Range<u64>) -> Range<u64> {
    one.start.max(other.start)..one.end.min(other.end)
}
