//! [`SimulatedClock`]: time that stands still unless everybody waits.

use std::time::Duration;

use tokio::time::Instant;

use crate::contracts::{BoxFuture, Clock};

/// The time of the tokio runtime it is made in: in a runtime whose time is paused (`start_paused = true`) it is
/// simulated, and timers are exact. It begins at 0, on a fixed day, so that runs with it are alike.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedClock {
    start: Instant,
}

impl SimulatedClock {
    /// What [`Clock::now`] says at the start: microseconds since the Unix epoch.
    pub const EPOCH: i64 = 1_700_000_000_000_000;

    /// Begins now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SimulatedClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> i64 {
        Self::EPOCH.saturating_add(i64::try_from(self.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}
