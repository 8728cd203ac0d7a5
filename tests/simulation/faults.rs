//! [`Fault`]: what goes wrong, and when.

use std::time::Duration;

use millstream_core::testkit::Seeded;

use crate::downstream::Mood;

/// Something that goes wrong for a while.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// When it begins.
    pub(crate) at: Duration,
    /// How long it lasts: until the cut is healed, the instance started again.
    pub(crate) lasts: Duration,
    pub(crate) what: What,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub(crate) enum What {
    /// An instance is killed.
    Kill(usize),
    /// All instances are killed at the same time.
    KillAll,
    /// An instance is asked to end, as by SIGTERM, and started again.
    Drain(usize),
    /// All instances are asked to end.
    DrainAll,
    /// A pair is cut.
    Cut(usize, usize),
    /// An instance is cut off from all others.
    Isolate(usize),
    /// The sinks are slow, fail, or let go of what they were given.
    Mood(Mood),
    /// The broker chooses another consumer.
    Move,
    /// The same instance is started a second time.
    Twice(usize),
    /// What a sink does next takes a minute.
    Hang,
}

impl Fault {
    /// The sinks let go of nothing that they were given.
    pub(crate) fn lets_go_of_nothing(&mut self) {
        if let What::Mood(mood) = &mut self.what {
            mood.lets_go = None;
        }
    }
}

/// Draws what goes wrong within a time.
pub(crate) fn draw(random: &mut Seeded, instances: usize, within: Duration) -> Vec<Fault> {
    let count = *random.one_of(&[0, 1, 1, 2, 3, 4, 6, 9]);
    let mut faults: Vec<_> = (0..count).map(|_| one(random, instances, within)).collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

/// The broker chooses another consumer, some time.
pub(crate) fn a_move(random: &mut Seeded, within: Duration) -> Fault {
    Fault { at: random.time(within), lasts: Duration::ZERO, what: What::Move }
}

/// A sink hangs, some time.
pub(crate) fn a_hang(random: &mut Seeded, within: Duration) -> Fault {
    Fault { at: random.time(within), lasts: Duration::ZERO, what: What::Hang }
}

/// The sinks let go of much, for a while.
pub(crate) fn letting_go(random: &mut Seeded, within: Duration) -> Fault {
    let mood = Mood { lets_go: Some(random.within(2, 5)), ..Mood::default() };
    Fault { at: random.time(within), lasts: Duration::from_secs(random.within(1, 20)), what: What::Mood(mood) }
}

fn one(random: &mut Seeded, instances: usize, within: Duration) -> Fault {
    let at = random.time(within);
    // Shorter than any detection, about as long, and longer.
    let lasts = Duration::from_millis(*random.one_of(&[0, 50, 400, 1_500, 4_000, 9_000, 20_000]));
    let lasts = lasts + random.time(Duration::from_millis(500));
    Fault { at, lasts, what: what(random, instances) }
}

fn what(random: &mut Seeded, instances: usize) -> What {
    let one = random.below(instances as u64) as usize;
    match random.below(20) {
        0..=6 => What::Kill(one),
        7 => What::KillAll,
        8 | 9 => What::Drain(one),
        10 => What::DrainAll,
        11..=14 if instances > 1 => {
            let other = (one + random.within(1, instances as u64 - 1) as usize) % instances;
            What::Cut(one.min(other), one.max(other))
        }
        15 if instances > 1 => What::Isolate(one),
        16 if instances > 1 => What::Twice(one),
        17 => What::Move,
        _ => What::Mood(mood(random)),
    }
}

fn mood(random: &mut Seeded) -> Mood {
    let slow = Duration::from_millis(*random.one_of(&[0, 100, 1_000, 5_000]));
    let fails = random.one_in(2).then(|| random.within(1, 4));
    let lets_go = random.one_in(3).then(|| random.within(2, 5));
    Mood { slow, fails, lets_go }
}
