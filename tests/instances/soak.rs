//! A soak: three instances copy lines, each of which takes its time, while every few moments one of them is killed or
//! asked to end, all are killed, or a pair is cut off. In the end the output is the input.
//!
//! A fault counts only while something is left to do, and only when more has been written since the last one than ever
//! before. The long setting has as many records as `MILLSTREAM_SOAK` says, and fails with fewer than fifty faults. What
//! is left of a run that fails is kept: the story, and what each instance said. `MILLSTREAM_SEED` deals the same faults
//! again; what they meet with is another matter.
//!
//! ```sh
//! MILLSTREAM_SOAK=2000000 cargo test --release --test instances soak -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use millstream::testkit::Seeded;

use crate::cluster::Cluster;
use crate::copying::copies;

/// How many instances there are.
const INSTANCES: usize = 3;

const PAIRS: [(usize, usize); 3] = [(0, 1), (1, 2), (0, 2)];

/// Short or long.
struct Setting {
    records: u64,
    /// So many faults have to land.
    faults: u32,
    /// How long a line takes on average.
    work: Duration,
    /// Between two faults, at least and at most.
    pause: [Duration; 2],
    /// Until one that has ended is started again, at most.
    away: Duration,
    /// How long a cut lasts: shorter than the detection, and longer.
    cuts: [Duration; 2],
}

impl Setting {
    fn chosen() -> Self {
        number_in("MILLSTREAM_SOAK").map_or_else(Self::short, Self::long)
    }

    fn short() -> Self {
        Self {
            records: 100_000,
            faults: 4,
            work: millis(6),
            pause: [millis(100), millis(300)],
            away: millis(500),
            cuts: [millis(300), millis(1_500)],
        }
    }

    fn long(records: u64) -> Self {
        Self {
            records,
            faults: 50,
            work: millis(30),
            pause: [millis(500), millis(4_000)],
            away: millis(2_000),
            cuts: [millis(300), millis(2_500)],
        }
    }
}

/// What happens to the instances.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    OneKilled,
    OneAsked,
    AllKilled,
    CutBriefly,
    CutLong,
}

impl Fault {
    const ALL: [Self; 5] = [Self::OneKilled, Self::OneAsked, Self::AllKilled, Self::CutBriefly, Self::CutLong];

    fn needs_networks(self) -> bool {
        matches!(self, Self::CutBriefly | Self::CutLong)
    }

    fn name(self) -> &'static str {
        match self {
            Self::OneKilled => "SIGKILL of one",
            Self::OneAsked => "SIGTERM of one",
            Self::AllKilled => "SIGKILL of all",
            Self::CutBriefly => "cut shorter than the detection",
            Self::CutLong => "cut longer than the detection",
        }
    }

    /// Lets it happen, and pass. Returns whether it landed.
    fn strike(self, cluster: &mut Cluster, setting: &Setting, random: &mut Seeded) -> bool {
        let one = random.below(INSTANCES as u64) as usize;
        let (away, [short, long]) = (random.time(setting.away), setting.cuts);
        match self {
            Self::OneKilled => killed(cluster, &[one], away),
            Self::AllKilled => killed(cluster, &[0, 1, 2], away / 4),
            Self::OneAsked => asked(cluster, one, away),
            Self::CutBriefly => cut(cluster, PAIRS[one], short),
            Self::CutLong => cut(cluster, PAIRS[one], long),
        }
    }
}

fn killed(cluster: &mut Cluster, these: &[usize], away: Duration) -> bool {
    let landed = these.iter().filter(|&&one| cluster.kill(one)).count();
    std::thread::sleep(away);
    cluster.start_all();
    landed == these.len()
}

fn asked(cluster: &mut Cluster, one: usize, away: Duration) -> bool {
    cluster.term(one);
    let (status, said) = cluster.wait(one);
    assert_eq!(status.code(), Some(0), "instance {}, asked to end: {said}", one + 1);
    std::thread::sleep(away);
    cluster.start_all();
    true
}

fn cut(cluster: &mut Cluster, (a, b): (usize, usize), lasts: Duration) -> bool {
    cluster.cut(a, b);
    std::thread::sleep(lasts);
    cluster.heal(a, b);
    true
}

/// Faults of all kinds in turn, in an order that chance deals anew each time.
struct Faults {
    kinds: Vec<Fault>,
    next: Vec<Fault>,
}

impl Faults {
    fn on(cluster: &Cluster) -> Self {
        let lands = |kind: &Fault| cluster.has_networks() || !kind.needs_networks();
        Self { kinds: Fault::ALL.into_iter().filter(lands).collect(), next: Vec::new() }
    }

    fn next(&mut self, random: &mut Seeded) -> Fault {
        if self.next.is_empty() {
            self.next.clone_from(&self.kinds);
        }
        self.next.swap_remove(random.below(self.next.len() as u64) as usize)
    }
}

#[test]
fn whatever_happens_every_few_moments_the_output_is_the_input() {
    let setting = Setting::chosen();
    let seed = number_in("MILLSTREAM_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) % 1_000_000);
    told!("soak: seed {seed}, {} records", setting.records);
    let mut cluster = Cluster::anywhere("soak", INSTANCES, copies(setting.records, setting.work));
    let began = Instant::now();
    cluster.start_all();
    let landed = disturb(&mut cluster, &setting, &mut Seeded::new(seed));
    cluster.end_all();
    let (count, kinds) = (landed.values().sum::<u32>(), told(&landed));
    let Setting { records, faults, .. } = setting;
    let seconds = began.elapsed().as_secs();
    let cuts = if cluster.has_networks() { "" } else { "; no cuts possible" };
    told!(
        "soak: seed {seed}, {records} records in {seconds} s, {count} faults landed ({kinds}{cuts}), the output is the \
         input"
    );
    assert!(count >= faults, "{count} faults landed, and {faults} have to");
}

/// Lets faults happen until nearly all is written. Returns how many of each kind landed.
fn disturb(cluster: &mut Cluster, setting: &Setting, random: &mut Seeded) -> BTreeMap<Fault, u32> {
    let (mut landed, mut faults) = (BTreeMap::new(), Faults::on(cluster));
    loop {
        let [least, most] = setting.pause;
        std::thread::sleep(least + random.time(most - least));
        cluster.until_more_than_ever();
        if cluster.is_nearly_written() {
            return landed;
        }
        let fault = faults.next(random);
        *landed.entry(fault).or_default() += u32::from(fault.strike(cluster, setting, random));
    }
}

fn told(landed: &BTreeMap<Fault, u32>) -> String {
    landed.iter().map(|(fault, count)| format!("{count} {}", fault.name())).collect::<Vec<_>>().join(", ")
}

fn number_in(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value}")))
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
