//! [`Scenario`]: what a seed decides.

use std::fmt;
use std::time::Duration;

use millstream::contracts::Where;
use millstream_core::testkit::{Delays, Seeded};

use crate::downstream::Writing;
use crate::faults::{self, Fault, What};
use crate::queue::Taking;
use crate::shape::Shape;
use crate::timing::Timing;
use crate::truth::Truth;
use crate::upstream::{Feed, Reading};

/// The most instances; at most 5. One is a run without a network.
pub(crate) const MOST_INSTANCES: u64 = 5;

/// In which time something goes wrong.
const WITHIN: Duration = Duration::from_secs(40);

/// Seeds that have failed once, and are always run. They are from before there were retries and hangs, and go without:
/// one that fails since then belongs into a list of its own.
pub(crate) const PINNED: [u64; 29] = [
    240, 255, 259, 322, 444, 954, 998, 1313, 1352, 1371, 1380, 1463, 1793, 2265, 3175, 3843, 5745, 6594, 6961, 7314,
    9201, 14257, 14997, 15212, 18465, 22631, 29478, 32604, 35997,
];

/// Seeds that have failed since then, and are always run. They are from before records were acknowledged each by itself
/// and folds emitted by time.
pub(crate) const PINNED_SINCE: [u64; 6] = [496, 3359, 6651, 8932, 27513, 35679];

/// Seeds that have failed since there are these.
pub(crate) const PINNED_LATELY: [u64; 2] = [26666, 96230];

/// Seeds in which the sink keeps positions of what the broker moves, and that fail where a source reads on before it has
/// claimed what it was given, or before what others had on its way is settled.
pub(crate) const PINNED_OF_MOVES: [u64; 4] = [195, 953, 1745, 3233];

/// A stage that refuses some records at first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trying {
    /// One in so many.
    pub(crate) refuses: u64,
    /// So many times.
    pub(crate) times: u32,
}

/// What a seed decides.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) instances: usize,
    pub(crate) shape: Shape,
    pub(crate) feed: Feed,
    pub(crate) truth: Truth,
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    /// How many workers each stage has.
    pub(crate) par: usize,
    /// How long the work on one record takes, where it takes any time.
    pub(crate) work: Option<Duration>,
    /// Which records are refused at first, if any are.
    pub(crate) trying: Option<Trying>,
    /// How many of the source's records, and bytes, may be in flight.
    pub(crate) in_flight: (u64, u64),
    /// How many bytes one instance may send another over a network stage before they are granted anew.
    pub(crate) window: u64,
    /// How many records may wait between two tasks.
    pub(crate) buffer: Option<u64>,
    /// A fold emits after so many records.
    pub(crate) trigger: Option<u64>,
    /// A fold emits after such a time.
    pub(crate) every: Option<Duration>,
    /// Whether states of folds have names, by which it can be told what they have taken in.
    pub(crate) named_states: bool,
    /// Whether a fold without keys is on the first instance.
    pub(crate) folds_first: bool,
    /// How records are taken, if each is acknowledged by itself.
    pub(crate) taking: Option<Taking>,
    pub(crate) commit_interval: Duration,
    /// Whether each instance has a disk of its own for positions.
    pub(crate) store: bool,
    pub(crate) delays: Delays,
    pub(crate) faults: Vec<Fault>,
    /// The network's own randomness.
    pub(crate) network: u64,
    /// That of what is outside.
    pub(crate) outside: u64,
}

impl Scenario {
    pub(crate) fn of(seed: u64) -> Self {
        let random = &mut Seeded::new(seed.wrapping_mul(0x9E37_79B9).wrapping_add(77));
        let least = MOST_INSTANCES.min(2);
        let instances = random.within(least, MOST_INSTANCES) as usize;
        let shape = *random.one_of(&Shape::ALL);
        let feed = *random.one_of(shape.feeds());
        let truth = truth(random, shape, feed, instances);
        let total: u64 = truth.records.iter().sum();
        let reading = reading(random, total, feed);
        let mut faults = faults::draw(random, instances, WITHIN);
        let writing = writing(random, shape, feed);
        let local = instances == 1 || shape == Shape::Folded || (shape == Shape::Scattered && feed == Feed::Each);
        if writing.transactional || local || shape == Shape::Limited {
            // Its sink settles what it was given when it commits, and has no ticket to let go of; or no network stage stands
            // before it that would pass it again; or a limit counts what the sink lets go of, too.
            faults.iter_mut().for_each(Fault::lets_go_of_nothing);
        }
        Self {
            seed,
            instances,
            shape,
            feed,
            reading,
            writing,
            par: random.within(1, 3) as usize,
            work: None,
            trying: None,
            in_flight: in_flight(random),
            window: *random.one_of(&[1, 100, 4_000, 8 << 20, 8 << 20]),
            buffer: random.one_in(3).then(|| random.within(1, 64)),
            trigger: random.one_in(2).then(|| random.within(1, 40)),
            every: None,
            named_states: false,
            folds_first: false,
            taking: None,
            commit_interval: Duration::from_millis(*random.one_of(&[20, 250, 250, 1_000])),
            store: feed == Feed::First || random.one_in(2),
            delays: delays(random),
            faults,
            network: random.below(u64::MAX),
            outside: random.below(u64::MAX),
            truth,
        }
        .with_moves(random)
        .with_work(random)
        .with_trying(random)
        .with_hangs(random)
        .with_times(random)
        .with_taking(random)
        .with_timing(random)
        .with_folds_beside_the_source(random)
        .with_folds_beside_the_sink()
        .with_positions_of_what_moves(random)
    }

    /// Whether nothing goes wrong but that a sink hangs once: twice is longer than anybody waits for a last word.
    pub(crate) fn only_hangs(&self) -> bool {
        matches!(self.faults.as_slice(), [] | [Fault { what: What::Hang, .. }])
    }

    /// Some records take several tries.
    fn with_trying(mut self, random: &mut Seeded) -> Self {
        let (refuses, times) = (random.within(1, 20), random.within(1, 3) as u32);
        self.trying = (random.one_in(3) && !self.is_pinned()).then_some(Trying { refuses, times });
        self
    }

    /// Sinks hang now and then.
    fn with_hangs(mut self, random: &mut Seeded) -> Self {
        let count = *random.one_of(&[0, 0, 0, 1, 2]);
        let hangs: Vec<_> = (0..count).map(|_| faults::a_hang(random, WITHIN)).collect();
        if !self.is_pinned() {
            self.faults.extend(hangs);
            self.faults.sort_by_key(|fault| fault.at);
        }
        self
    }

    /// Folds emit by time; with a count or without.
    fn with_times(mut self, random: &mut Seeded) -> Self {
        let every = Duration::from_millis(*random.one_of(&[200, 1_000, 1_000, 5_000, 20_000]));
        let every = random.one_in(2).then_some(every);
        if !self.was_pinned_before() && self.shape.folds() {
            (self.every, self.named_states) = (every, true);
        }
        self
    }

    /// Each record is acknowledged by itself. Where nobody would run again what a sink lets go of, its queue does.
    fn with_taking(mut self, random: &mut Seeded) -> Self {
        let is_taken = random.one_in(4) && !self.was_pinned_before();
        let shared = random.one_in(2) && self.feed == Feed::Each;
        let visible_after = random.one_in(2).then(|| Duration::from_secs(*random.one_of(&[2, 10, 30])));
        let lets_go = faults::letting_go(random, WITHIN);
        if !is_taken {
            return self;
        }
        let waits = !self.shape.folds() || self.every.is_some();
        self.taking = Some(Taking { shared, visible_after, waits });
        self.reading.kept_by_server = true;
        if self.shape == Shape::Scattered && !self.writing.transactional {
            self.faults.push(lets_go);
            self.faults.sort_by_key(|fault| fault.at);
        }
        self
    }

    /// Records of different origins are ordered by when they happened.
    fn with_timing(mut self, random: &mut Seeded) -> Self {
        let idle = Duration::from_millis(*random.one_of(&[50, 1_000, 5_000]));
        let (step, promises) = (*random.one_of(&[5, 1_000]), random.one_in(2));
        let calm = random.one_in(4);
        let is_timed = random.one_in(2) && !PINNED_LATELY.contains(&self.seed) && !self.was_pinned_before();
        let merges = self.shape.merges_records() && (self.writing.ordered || self.writing.transactional);
        if is_timed && merges && self.instances > 1 && self.taking.is_none() {
            if calm {
                self.faults.clear();
                (self.truth.filtered, self.truth.poison) = (None, None);
            }
            let timing = Some(Timing { idle, step, promises, calm });
            (self.reading.timing, self.writing.timing) = (timing, timing);
        }
        self
    }

    /// A fold stands where the source is, and a merge between it and the sink.
    fn with_folds_beside_the_source(mut self, random: &mut Seeded) -> Self {
        let beside = random.one_in(2) && !PINNED_LATELY.contains(&self.seed) && !self.was_pinned_before();
        self.folds_first = beside && self.shape == Shape::Folded && self.feed == Feed::First;
        self
    }

    /// No network stage stands between a fold that counts and the sink, which would pass again what that lets go of.
    fn with_folds_beside_the_sink(mut self) -> Self {
        if self.shape == Shape::Keyed && self.trigger.is_some() {
            self.faults.iter_mut().for_each(Fault::lets_go_of_nothing);
        }
        self
    }

    /// The sink keeps positions of what the broker moves.
    fn with_positions_of_what_moves(mut self, random: &mut Seeded) -> Self {
        let keeps = random.one_in(2) && !PINNED_LATELY.contains(&self.seed) && !self.was_pinned_before();
        if keeps && self.feed == Feed::Broker && self.taking.is_none() {
            (self.writing.transactional, self.writing.late) = (true, false);
            self.faults.iter_mut().for_each(Fault::lets_go_of_nothing);
        }
        self
    }

    fn was_pinned_before(&self) -> bool {
        self.is_pinned() || PINNED_SINCE.contains(&self.seed)
    }

    fn is_pinned(&self) -> bool {
        PINNED.contains(&self.seed)
    }

    /// Slow work fills what is before it.
    fn with_work(mut self, random: &mut Seeded) -> Self {
        let work = *random.one_of(&[0, 0, 0, 1, 20, 100]);
        self.work = Some(Duration::from_millis(work)).filter(|work| !work.is_zero());
        self
    }

    /// What a broker can move, it moves.
    fn with_moves(mut self, random: &mut Seeded) -> Self {
        if self.feed == Feed::Broker {
            let moves = (0..random.within(0, 3)).map(|_| faults::a_move(random, WITHIN));
            self.faults.extend(moves);
            self.faults.sort_by_key(|fault| fault.at);
        }
        self
    }
}

fn truth(random: &mut Seeded, shape: Shape, feed: Feed, instances: usize) -> Truth {
    let partitions = match feed {
        Feed::Each => instances,
        Feed::First | Feed::Broker => *random.one_of(&[1, 1, 1, 2]),
    };
    let partitions = if shape == Shape::Limited { 1 } else { partitions };
    let total = *random.one_of(&[0, 40, 150, 300, 300, 500]);
    let records = (0..partitions).map(|_| random.within(total / 2, total) / partitions as u64).collect::<Vec<_>>();
    let filtered = random.one_in(2).then(|| random.within(1, 7));
    let poison = (shape == Shape::Poisoned).then(|| random.within(3, 30));
    let rows = if shape.copies() { random.within(1, 3) } else { 1 };
    let limit = (shape == Shape::Limited).then(|| random.within(1, total.max(1)));
    Truth { records, filtered, poison, letters: random.one_in(2), rows, limit }
}

fn reading(random: &mut Seeded, total: u64, feed: Feed) -> Reading {
    let batch = *random.one_of(&[1_u64, 3, 10, 30, 100]);
    let batches = (total / batch.div_ceil(2)).max(1);
    let lasts = random.within(2_000, 40_000);
    let every = Duration::from_millis((lasts * 2 / batches).min(2_000));
    let slow = Duration::from_millis(*random.one_of(&[0, 5, 50]));
    Reading { batch, every, slow, kept_by_server: feed != Feed::First, timing: None }
}

fn writing(random: &mut Seeded, shape: Shape, feed: Feed) -> Writing {
    let transactional = feed != Feed::Broker && random.one_in(2);
    let place = if shape == Shape::Scattered { Where::Everywhere } else { Where::Last };
    let ordered = shape.sorts() && !random.one_in(6);
    let slow = Duration::from_millis(*random.one_of(&[0, 0, 2, 30]));
    let late = random.one_in(4) && !transactional;
    Writing { place, transactional, ordered, late, slow, timing: None }
}

/// Some are so small that a naive exchange stands still for ever.
fn in_flight(random: &mut Seeded) -> (u64, u64) {
    let records = *random.one_of(&[1, 2, 10, 100, 100_000, 100_000]);
    let bytes = *random.one_of(&[1, 200, 2_000, 64 << 20, 64 << 20]);
    (records, bytes)
}

fn delays(random: &mut Seeded) -> Delays {
    // Never none at all: what two tell each other again and again would take no time.
    let millis = |all: &[u64], random: &mut Seeded| Duration::from_millis(*random.one_of(all));
    Delays {
        frame: millis(&[1, 5, 20, 20, 200, 1_000], random),
        detection: millis(&[1_000, 5_000], random),
        retry: millis(&[10, 200, 1_000], random),
        ..Delays::default()
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, instances, shape, feed, truth, reading, writing, par, in_flight, every, .. } = self;
        writeln!(f, "seed {seed}: {instances} instances, {shape:?}, read by {feed:?}, {par} workers a stage")?;
        writeln!(f, "  work on a record takes {:?}", self.work.unwrap_or_default())?;
        writeln!(f, "  refused at first: {:?}", self.trying)?;
        writeln!(f, "  each acknowledged by itself: {:?}", self.taking)?;
        writeln!(f, "  {truth:?}")?;
        writeln!(f, "  {reading:?}, {in_flight:?} records and bytes in flight, a window of {} bytes", self.window)?;
        writeln!(f, "  {writing:?}, commits each {:?}, keeps positions: {}", self.commit_interval, self.store)?;
        writeln!(f, "  folds emit after {:?} records and {every:?}, on the first: {}", self.trigger, self.folds_first)?;
        writeln!(f, "  {:?} records wait between tasks", self.buffer)?;
        writeln!(f, "  {:?}", self.delays)?;
        self.faults.iter().try_for_each(|fault| writeln!(f, "  {fault:?}"))
    }
}
