//! [`Backoff`]: how long a part that could not commit waits before it is opened anew.

use std::time::Duration;

use crate::contracts::{Clock, Error};

/// The first wait; it doubles up to [`LONGEST`] until something is committed.
const SHORTEST: Duration = Duration::from_millis(100);

/// No wait is longer.
const LONGEST: Duration = Duration::from_secs(10);

/// The wait that comes next.
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(SHORTEST)
    }

    /// Waits, and longer the next time. May be dropped at any time.
    pub(super) async fn wait(&mut self, clock: &dyn Clock) {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        clock.sleep(wait).await;
    }

    /// Something was committed.
    pub(super) fn reset(&mut self) {
        self.0 = SHORTEST;
    }

    /// Whether what could not be opened anew is tried again, after the next wait.
    pub(super) fn tries_again(&self, error: &Error) -> bool {
        let again = error.is_retryable() || error.begins_anew();
        if again {
            tracing::warn!(error = error.chain(), wait = ?self.0, "it can't be opened anew, and is tried again");
        }
        again
    }
}
