//! [`World`]: the clock and the workers, passed in so that whole pipelines can run on simulated time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::source::BoxFuture;

/// What a run takes from outside.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What runs blocking and CPU-heavy tasks.
    pub workers: Host,
}

impl Default for World {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock::default()), workers: Host::Threads }
    }
}

/// What runs blocking and CPU-heavy tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// Threads of their own, so that I/O never waits for them.
    Threads,
    /// The tasks of the caller's own runtime: for simulations, where one thread has to run everything.
    Inline,
}

/// The time.
pub trait Clock: Send + Sync + 'static {
    /// Now, in microseconds since the Unix epoch.
    fn now(&self) -> i64;

    /// The time that has passed since some fixed moment; never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits. May be dropped at any time.
    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock; waiting is tokio's, and so stands still when a test has paused tokio's time.
#[derive(Debug, Default)]
pub struct SystemClock {
    /// When it was first asked.
    start: std::sync::OnceLock<tokio::time::Instant>,
}

impl Clock for SystemClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.start.get_or_init(tokio::time::Instant::now).elapsed()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }
}
