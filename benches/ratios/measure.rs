//! Contenders in turn, and the time each took.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    /// From begin to end.
    pub(crate) wall: Duration,
    /// User and system time of all threads of the process, those that have ended too.
    pub(crate) cpu: Duration,
}

/// The runs of one contender, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Runs(Vec<Spent>);

impl From<Vec<Spent>> for Runs {
    fn from(spent: Vec<Spent>) -> Self {
        Self(spent)
    }
}

impl Runs {
    pub(crate) fn wall(&self) -> Vec<Duration> {
        self.0.iter().map(|spent| spent.wall).collect()
    }

    pub(crate) fn cpu(&self) -> Vec<Duration> {
        self.0.iter().map(|spent| spent.cpu).collect()
    }
}

/// The least.
pub(crate) fn best(times: &[Duration]) -> Duration {
    times.iter().copied().min().unwrap_or_default()
}

/// One that takes part.
pub(crate) type Contender<'a> = &'a dyn Fn() -> Result<(), Failure>;

/// Has all contenders run in turn, `runs` times. After each turn `check` may say that they did not do the same.
pub(crate) fn in_turn(
    runs: usize,
    contenders: &[Contender<'_>],
    check: impl Fn() -> Result<(), Failure>,
) -> Result<Vec<Runs>, Failure> {
    let mut taken = vec![Runs::default(); contenders.len()];
    for _ in 0..runs {
        for (contender, taken) in contenders.iter().zip(&mut taken) {
            taken.0.push(spend(contender)?);
        }
        check()?;
    }
    Ok(taken)
}

/// Runs `work` and takes its time.
pub(crate) fn spend(work: impl FnOnce() -> Result<(), Failure>) -> Result<Spent, Failure> {
    let (cpu, wall) = (cpu_time(), Instant::now());
    work()?;
    Ok(Spent { wall: wall.elapsed(), cpu: cpu_time() - cpu })
}

/// Runs `work` and takes its time from the first that is seen to come of it.
pub(crate) fn spend_from_first(
    has_come: impl Fn() -> bool + Sync,
    work: impl FnOnce() -> Result<(), Failure>,
) -> Result<Spent, Failure> {
    let (first, ended) = (OnceLock::new(), AtomicBool::new(false));
    let spent = thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) && !has_come() {
                thread::sleep(Duration::from_millis(1));
            }
            first.get_or_init(|| (Instant::now(), cpu_time()))
        });
        let worked = work();
        let spent = first.get().map(|(wall, cpu)| Spent { wall: wall.elapsed(), cpu: cpu_time() - *cpu });
        ended.store(true, Ordering::Relaxed);
        worked.map(|()| spent)
    })?;
    spent.ok_or_else(|| "nothing was seen to come of it".into())
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
