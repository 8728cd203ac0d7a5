//! The moment at which a process is killed.

use std::time::{Duration, Instant};

use crate::random::Random;
use crate::support::example::Process;

/// How long it is waited that something is written.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until a process is to be killed: at any moment, which may be at its beginning, or soon after something was written.
pub(crate) fn some_moment(random: &mut Random, process: &mut Process, has_written: impl Fn() -> bool) {
    if random.below(3) == 0 {
        return std::thread::sleep(Duration::from_millis(300 + random.below(1_500)));
    }
    let began = Instant::now();
    while process.runs() && !has_written() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(random.below(100)));
}
