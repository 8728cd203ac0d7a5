use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { records: 200, bytes: 500 };

/// A slot, and how many of its records lie before the place.
type Place = (u64, u32);

#[derive(Debug, Clone)]
enum Act {
    Emit { len: u32, bytes: u64, low: i64 },
    Complete { slot: u64, records: Range<u32>, outcome: Outcome },
    Hold { slot: u64, record: u32 },
    Release { hold: u64 },
    Seal { slot: u64, record: u32 },
    Promise(i64),
}

#[derive(Debug, Clone, Copy, Default)]
struct Record {
    settled: bool,
    abandoned: bool,
}

#[derive(Debug)]
struct Emitted {
    bytes: u64,
    low: i64,
    records: Vec<Record>,
}

/// Every record that was ever emitted, one by one; everything is worked out anew each time.
#[derive(Debug, Default)]
struct Model {
    batches: Vec<Emitted>,
    /// By id; `None` once released, or when it held nothing.
    holds: Vec<Option<Place>>,
    /// The place as it was given, or the prefix it came too late for.
    seal: Option<Point<u64>>,
    promise: Option<i64>,
    repeated: u64,
}

impl Model {
    fn first(&self, slot: u64) -> u64 {
        self.batches[..slot as usize].iter().map(|batch| batch.records.len() as u64).sum()
    }

    fn next(&self) -> u64 {
        self.first(self.batches.len() as u64)
    }

    fn records(&self) -> Vec<Record> {
        self.batches.iter().flat_map(|batch| batch.records.clone()).collect()
    }

    /// The first batch with a record that has not settled.
    fn front(&self) -> u64 {
        let open = |batch: &Emitted| batch.records.iter().any(|record| !record.settled);
        self.batches.iter().position(open).unwrap_or(self.batches.len()) as u64
    }

    fn prefix(&self) -> Point<u64> {
        let (records, front) = (self.records(), self.front());
        let sequence = records.iter().position(|record| !record.settled).unwrap_or(records.len()) as u64;
        let within = (sequence - self.first(front)) as u32;
        let mark = match (within, front.checked_sub(1)) {
            (0, None) => None,
            (0, Some(before)) => Some((before, self.batches[before as usize].records.len() as u32)),
            _ => Some((front, within)),
        };
        Point { sequence, mark }
    }

    fn lowest_hold(&self) -> Option<Point<u64>> {
        let holds = self.holds.iter().flatten();
        holds.map(|&(slot, record)| self.place(slot, record)).min_by_key(|point| point.sequence)
    }

    fn place(&self, slot: u64, record: u32) -> Point<u64> {
        Point { sequence: self.first(slot) + u64::from(record), mark: Some((slot, record)) }
    }

    fn point(&self) -> Point<u64> {
        let clamps = self.lowest_hold().into_iter().chain(self.seal.clone());
        clamps.fold(self.prefix(), |point, clamp| if clamp.sequence < point.sequence { clamp } else { point })
    }

    fn blocking(&self) -> Option<Blocking> {
        let prefix = self.prefix().sequence;
        let held = self.lowest_hold().map_or(u64::MAX, |hold| hold.sequence);
        let sealed = self.seal.as_ref().map_or(u64::MAX, |seal| seal.sequence);
        if sealed <= prefix.min(held) {
            return Some(Blocking::Sealed(sealed));
        }
        if held <= prefix {
            return Some(Blocking::Held(held));
        }
        let record = *self.records().get(prefix as usize)?;
        Some(if record.abandoned { Blocking::Abandoned(prefix) } else { Blocking::InFlight(prefix) })
    }

    fn is_settled(&self) -> bool {
        let end = self.seal.as_ref().map_or(self.next(), |seal| seal.sequence);
        let before = |point: &Point<u64>| point.sequence < end;
        self.prefix().sequence >= end && !self.lowest_hold().as_ref().is_some_and(before)
    }

    fn has_room(&self) -> bool {
        let ring = &self.batches[self.front() as usize..];
        let records: usize = ring.iter().map(|batch| batch.records.len()).sum();
        let bytes: u64 = ring.iter().map(|batch| batch.bytes).sum();
        let fits = (records as u64) < BOUNDS.records && (ring.len() as u64) < BOUNDS.records && bytes < BOUNDS.bytes;
        ring.is_empty() || fits
    }

    fn low_watermark(&self) -> Option<i64> {
        let ring = &self.batches[self.front() as usize..];
        ring.iter().map(|batch| batch.low).chain(self.promise).min()
    }

    fn complete(&mut self, slot: u64, records: Range<u32>, outcome: Outcome) -> u32 {
        let gone = slot < self.front();
        if gone && outcome != Outcome::Abandoned {
            self.repeated += records.len() as u64;
        }
        let Some(batch) = self.batches.get_mut(slot as usize).filter(|_| !gone) else { return 0 };
        let mut fresh = 0;
        for (_, record) in batch.records.iter_mut().enumerate().filter(|(at, _)| records.contains(&(*at as u32))) {
            match (outcome, record.settled) {
                (Outcome::Abandoned, _) => record.abandoned = true,
                (_, true) => self.repeated += 1,
                (_, false) => {
                    record.settled = true;
                    fresh += 1;
                }
            }
        }
        fresh
    }

    fn hold(&mut self, slot: u64, record: u32) {
        let place = self.batches.get(slot as usize).filter(|_| slot >= self.front()).map(|batch| {
            let place = (slot, record.min(batch.records.len() as u32));
            (self.place(place.0, place.1).sequence >= self.point().sequence).then_some(place)
        });
        self.holds.push(place.flatten());
    }

    fn seal(&mut self, slot: u64, record: u32) {
        let Some(batch) = self.batches.get(slot as usize) else { return };
        let (prefix, seal) = (self.prefix(), self.place(slot, record.min(batch.records.len() as u32)));
        let late = slot < self.front() || seal.sequence < prefix.sequence;
        let seal = if late { prefix } else { seal };
        if self.seal.as_ref().is_none_or(|lowest| seal.sequence < lowest.sequence) {
            self.seal = Some(seal);
        }
    }

    /// What must hold of any point, however it is worked out.
    fn check(&self, point: &Point<u64>) {
        let passed = &self.records()[..point.sequence as usize];
        assert!(passed.iter().all(|record| record.settled), "the point passes a record in flight: {point:?}");
        match point.mark {
            Some((slot, count)) => assert_eq!(self.place(slot, count).sequence, point.sequence, "{point:?}"),
            None => assert_eq!((point.sequence, self.front()), (0, 0), "{point:?}"),
        }
    }
}

/// The engine's side and the model, driven by the same acts.
struct Pair {
    tracker: Tracker<u64>,
    model: Model,
}

impl Pair {
    fn new() -> Self {
        Self { tracker: Tracker::new(BOUNDS), model: Model::default() }
    }

    fn act(&mut self, act: Act) {
        let before = self.tracker.point().sequence;
        self.apply(act.clone());
        self.compare();
        assert!(self.tracker.point().sequence >= before, "the point went back from {before} by {act:?}");
    }

    fn apply(&mut self, act: Act) {
        let Self { tracker, model } = self;
        match act {
            Act::Emit { len, bytes, low } => {
                let slot = model.batches.len() as u64;
                assert_eq!(tracker.emit(len, bytes, low, slot), (slot, model.next()));
                model.batches.push(Emitted { bytes, low, records: vec![Record::default(); len as usize] });
            }
            Act::Complete { slot, records, outcome } => {
                let fresh = model.complete(slot, records.clone(), outcome);
                assert_eq!(tracker.complete(slot, records, outcome), fresh);
            }
            Act::Hold { slot, record } => {
                let id = tracker.hold(slot, record);
                assert_eq!(id, HoldId(model.holds.len() as u64));
                model.hold(slot, record);
            }
            Act::Release { hold } => {
                tracker.release(HoldId(hold));
                if let Some(hold) = model.holds.get_mut(hold as usize) {
                    *hold = None;
                }
            }
            Act::Seal { slot, record } => {
                tracker.seal(slot, record);
                model.seal(slot, record);
            }
            Act::Promise(time) => {
                tracker.promise(time);
                model.promise = model.promise.max(Some(time));
            }
        }
    }

    fn compare(&self) {
        let Self { tracker, model } = self;
        let point = tracker.point();
        assert_eq!(point, model.point());
        model.check(&point);
        assert_eq!((tracker.next_sequence(), tracker.oldest_slot()), (model.next(), model.front()));
        assert_eq!(tracker.lag(), model.next() - point.sequence);
        assert_eq!(tracker.blocking(), model.blocking());
        assert_eq!(tracker.is_settled(), model.is_settled());
        assert_eq!(tracker.has_room(), model.has_room());
        assert_eq!(tracker.low_watermark(), model.low_watermark());
        assert_eq!(tracker.repeated(), model.repeated);
    }
}

/// What is drawn before it is known what has been emitted: places count from the last batch back.
#[derive(Debug, Clone)]
enum Draw {
    Emit { len: u32, bytes: u64, low: i64 },
    Complete { back: u64, records: Range<u32>, outcome: Outcome },
    Whole { back: u64 },
    Hold { back: u64, record: u32 },
    Release { back: u64 },
    Seal { back: u64, record: u32 },
    Promise(i64),
}

impl Draw {
    /// 0 back is a batch (or hold) that has not come yet.
    fn act(self, model: &Model) -> Act {
        let emitted = model.batches.len() as u64;
        let slot = |back: u64| emitted.saturating_sub(back);
        match self {
            Self::Emit { len, bytes, low } => Act::Emit { len, bytes, low },
            Self::Complete { back, records, outcome } => Act::Complete { slot: slot(back), records, outcome },
            Self::Whole { back } => {
                let len = model.batches.get(slot(back) as usize).map_or(7, |batch| batch.records.len() as u32);
                Act::Complete { slot: slot(back), records: 0..len, outcome: Outcome::Delivered }
            }
            Self::Hold { back, record } => Act::Hold { slot: slot(back), record },
            Self::Release { back } => Act::Release { hold: (model.holds.len() as u64).saturating_sub(back) },
            Self::Seal { back, record } => Act::Seal { slot: slot(back), record },
            Self::Promise(time) => Act::Promise(time),
        }
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    use Outcome::{Abandoned, Absorbed, Delivered, Disposed};
    prop_oneof![4 => Just(Delivered), 1 => Just(Disposed), 1 => Just(Absorbed), 1 => Just(Abandoned)]
}

/// Small batches, empty ones, and some that take several words to note.
fn len() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(0u32), 6 => 1..8u32, 1 => 60..200u32]
}

fn records() -> impl Strategy<Value = Range<u32>> {
    let few = (0..8u32, 0..6u32).prop_map(|(start, len)| start..start + len);
    let any = (0..210u32, 0..210u32).prop_map(|(start, end)| start..end);
    prop_oneof![6 => few, 2 => any, 1 => (0..210u32).prop_map(|end| 0..end)]
}

/// A record to hold or to seal before: often one between two batches.
fn record() -> impl Strategy<Value = u32> {
    prop_oneof![2 => 0..9u32, 1 => Just(0), 1 => Just(u32::MAX)]
}

fn draw(seals: u32) -> impl Strategy<Value = Draw> {
    let complete =
        (0..9u64, records(), outcome()).prop_map(|(back, records, outcome)| Draw::Complete { back, records, outcome });
    prop_oneof![
        6 => (len(), 0..120u64, -50..50i64).prop_map(|(len, bytes, low)| Draw::Emit { len, bytes, low }),
        10 => complete,
        5 => (0..9u64).prop_map(|back| Draw::Whole { back }),
        2 => (0..6u64, record()).prop_map(|(back, record)| Draw::Hold { back, record }),
        3 => (0..6u64).prop_map(|back| Draw::Release { back }),
        seals => (0..6u64, record()).prop_map(|(back, record)| Draw::Seal { back, record }),
        1 => (-60..60i64).prop_map(Draw::Promise),
    ]
}

fn run(draws: Vec<Draw>) -> Pair {
    let mut pair = Pair::new();
    for draw in draws {
        let act = draw.act(&pair.model);
        pair.act(act);
    }
    pair
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn agrees_with_a_model_of_every_record(draws in prop::collection::vec(draw(1), 0..70)) {
        run(draws);
    }

    #[test]
    fn settles_in_the_end_whatever_came_before(draws in prop::collection::vec(draw(0), 0..60)) {
        let mut pair = run(draws);
        for hold in 0..pair.model.holds.len() as u64 {
            pair.act(Act::Release { hold });
        }
        for slot in (0..pair.model.batches.len() as u64).rev() {
            let outcome = Outcome::Delivered;
            pair.act(Act::Complete { slot, records: 0..u32::MAX, outcome });
        }
        prop_assert!(pair.tracker.is_settled() && pair.tracker.has_room());
        prop_assert_eq!(pair.tracker.lag(), 0);
        prop_assert_eq!(pair.tracker.blocking(), None);
        prop_assert_eq!(pair.tracker.low_watermark(), pair.model.promise);
    }
}

fn tracker(lens: &[u32]) -> Tracker<u64> {
    let mut tracker = Tracker::new(BOUNDS);
    for (slot, &len) in lens.iter().enumerate() {
        tracker.emit(len, 10, 0, slot as u64);
    }
    tracker
}

fn at(sequence: u64, slot: u64, count: u32) -> Point<u64> {
    Point { sequence, mark: Some((slot, count)) }
}

#[test]
fn nothing_emitted_is_settled() {
    let tracker = tracker(&[]);
    assert_eq!(tracker.point(), Point { sequence: 0, mark: None });
    assert!(tracker.is_settled() && tracker.has_room());
    assert_eq!((tracker.blocking(), tracker.low_watermark(), tracker.lag()), (None, None, 0));
}

#[test]
fn between_two_batches_the_mark_is_the_end_of_the_one_before() {
    let mut tracker = tracker(&[2, 3]);
    tracker.complete(0, 0..2, Outcome::Delivered);
    assert_eq!(tracker.point(), at(2, 0, 2));
    tracker.complete(1, 0..1, Outcome::Delivered);
    assert_eq!(tracker.point(), at(3, 1, 1));
}

#[test]
fn an_empty_batch_moves_the_mark_but_no_sequence_number() {
    let mut tracker = tracker(&[2, 0, 3]);
    tracker.complete(0, 0..2, Outcome::Disposed);
    assert_eq!(tracker.point(), at(2, 1, 0));
}

#[test]
fn a_hold_marks_its_own_place() {
    let mut tracker = tracker(&[2, 3]);
    let hold = tracker.hold(1, 0);
    tracker.complete(0, 0..2, Outcome::Delivered);
    assert_eq!(tracker.point(), at(2, 0, 2), "the prefix itself ends there");
    tracker.complete(1, 0..3, Outcome::Absorbed);
    assert_eq!(tracker.point(), at(2, 1, 0));
    assert_eq!(tracker.blocking(), Some(Blocking::Held(2)));
    assert!(tracker.has_room() && !tracker.is_settled());
    tracker.release(hold);
    assert_eq!(tracker.point(), at(5, 1, 3));
}

#[test]
fn holds_are_given_back_in_any_order() {
    let mut tracker = tracker(&[5]);
    let holds: Vec<_> = [1, 3, 3].into_iter().map(|record| tracker.hold(0, record)).collect();
    tracker.complete(0, 0..5, Outcome::Absorbed);
    tracker.release(holds[1]);
    assert_eq!(tracker.point(), at(1, 0, 1));
    tracker.release(holds[0]);
    tracker.release(holds[0]);
    assert_eq!(tracker.point(), at(3, 0, 3));
    tracker.release(holds[2]);
    assert_eq!(tracker.point(), at(5, 0, 5));
}

#[test]
fn a_hold_that_comes_after_the_commit_has_passed_holds_nothing() {
    let mut tracker = tracker(&[5, 5]);
    tracker.complete(0, 0..3, Outcome::Delivered);
    tracker.hold(0, 1);
    assert_eq!(tracker.point(), at(3, 0, 3));
    tracker.complete(0, 3..5, Outcome::Delivered);
    tracker.hold(0, 4);
    tracker.complete(1, 0..5, Outcome::Delivered);
    assert_eq!(tracker.point(), at(10, 1, 5));
    assert!(tracker.is_settled());
}

#[test]
fn the_lowest_seal_counts() {
    let mut tracker = tracker(&[4, 4]);
    for (slot, record) in [(1, 2), (0, 3), (1, 0)] {
        tracker.seal(slot, record);
    }
    tracker.complete(1, 0..4, Outcome::Delivered);
    tracker.complete(0, 0..3, Outcome::Delivered);
    assert_eq!(tracker.point(), at(3, 0, 3));
    assert_eq!(tracker.blocking(), Some(Blocking::Sealed(3)));
    assert!(tracker.is_settled());
    tracker.complete(0, 3..4, Outcome::Delivered);
    assert_eq!(tracker.point(), at(3, 0, 3));
}

#[test]
fn of_two_seals_at_one_place_the_first_is_kept() {
    let mut tracker = tracker(&[4, 4]);
    tracker.seal(1, 0);
    tracker.seal(0, 4);
    tracker.complete(0, 0..4, Outcome::Delivered);
    tracker.complete(1, 0..4, Outcome::Delivered);
    assert_eq!(tracker.point(), at(4, 1, 0));
}

#[test]
fn a_seal_that_comes_late_ends_the_run_where_the_prefix_ends() {
    for (slot, record) in [(0, 2), (1, 1)] {
        let mut tracker = tracker(&[4, 4, 4]);
        tracker.complete(0, 0..4, Outcome::Delivered);
        tracker.complete(1, 0..2, Outcome::Delivered);
        tracker.seal(slot, record);
        tracker.complete(1, 2..4, Outcome::Delivered);
        assert_eq!(tracker.point(), at(6, 1, 2));
        assert!(tracker.is_settled());
    }
}

#[test]
fn a_seal_by_sequence_number_is_like_one_by_its_place() {
    for sequence in 0..=12 {
        let mut tracker = tracker(&[5, 0, 5]);
        tracker.complete(0, 0..2, Outcome::Delivered);
        tracker.seal_at(sequence);
        tracker.complete(0, 0..5, Outcome::Delivered);
        tracker.complete(2, 0..5, Outcome::Delivered);
        // What has settled lies before any seal, and behind all that was emitted nothing comes.
        assert_eq!(tracker.point().sequence, sequence.clamp(2, 10));
        assert!(tracker.is_settled());
        let (slot, _) = tracker.emit(3, 0, 0, 9);
        tracker.complete(slot, 0..3, Outcome::Delivered);
        assert_eq!(tracker.point().sequence, sequence.clamp(2, 10));
        let Some((slot, count)) = tracker.point().mark else { panic!("something has settled") };
        assert_eq!([0, 5, 5, 10][slot as usize] + u64::from(count), sequence.clamp(2, 10));
    }
}

#[test]
fn a_place_is_found_by_its_sequence_number_while_it_is_in_flight() {
    let mut tracker = tracker(&[5, 5]);
    assert_eq!(tracker.find(3), Some(at(3, 0, 3)));
    assert_eq!(tracker.find(5), Some(at(5, 1, 0)));
    assert_eq!(tracker.find(10), Some(at(10, 1, 5)));
    assert_eq!(tracker.find(11), None);
    tracker.complete(0, 0..5, Outcome::Delivered);
    assert_eq!(tracker.find(3), None);
    tracker.complete(1, 0..5, Outcome::Delivered);
    assert_eq!(tracker.find(10), Some(at(10, 1, 5)));
}

#[test]
fn a_record_that_was_abandoned_blocks_until_it_has_run_again() {
    let mut tracker = tracker(&[3]);
    tracker.complete(0, 1..2, Outcome::Abandoned);
    assert_eq!(tracker.blocking(), Some(Blocking::InFlight(0)));
    tracker.complete(0, 0..1, Outcome::Delivered);
    assert_eq!(tracker.blocking(), Some(Blocking::Abandoned(1)));
    assert!(!tracker.is_settled());
    assert_eq!(tracker.complete(0, 1..2, Outcome::Delivered), 1);
    assert_eq!(tracker.blocking(), Some(Blocking::InFlight(2)));
}

#[test]
fn one_batch_may_be_in_flight_however_large() {
    let mut tracker = Tracker::new(Bounds { records: 1, bytes: 1 });
    assert!(tracker.has_room());
    tracker.emit(1_000, 1_000, 0, ());
    assert!(!tracker.has_room());
    tracker.complete(0, 0..1_000, Outcome::Delivered);
    assert!(tracker.has_room());
}

#[test]
fn empty_batches_are_bounded_too() {
    let mut tracker = Tracker::new(Bounds { records: 10, bytes: 10 });
    tracker.emit(1, 1, 0, ());
    let emitted = (0..100).take_while(|_| tracker.has_room().then(|| tracker.emit(0, 0, 0, ())).is_some()).count();
    assert_eq!(emitted, 9);
}

#[test]
fn records_past_the_end_of_a_batch_are_none() {
    let mut tracker = tracker(&[3, 3]);
    assert_eq!(tracker.complete(0, 2..9, Outcome::Delivered), 1);
    assert_eq!(tracker.complete(0, 7..9, Outcome::Delivered), 0);
    assert_eq!(tracker.complete(9, 0..3, Outcome::Delivered), 0);
    assert_eq!((tracker.repeated(), tracker.point().sequence), (0, 0));
}
