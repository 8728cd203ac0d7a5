//! [`Ages`]: how old what is in flight is. The broker closes the channel of whoever leaves a message unacknowledged for too
//! long; that is said before it happens.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When a channel's messages in flight came. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Ages(Arc<Mutex<VecDeque<(u64, Instant)>>>);

impl Ages {
    /// The messages up to this tag have come.
    pub(super) fn came(&self, upto: u64, now: Instant) {
        self.lock().push_back((upto, now));
    }

    /// All before this tag have settled.
    pub(super) fn settled(&self, before: u64) {
        let mut ages = self.lock();
        while ages.front().is_some_and(|&(upto, _)| upto < before) {
            ages.pop_front();
        }
    }

    /// When the oldest of what is in flight came.
    fn oldest(&self) -> Option<Instant> {
        self.lock().front().map(|&(_, came)| came)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says it whenever the oldest message in flight has reached two thirds of the `timeout`. Never ends.
    pub(super) async fn watch(self, queue: String, timeout: Duration) {
        let (warns, mut told) = (timeout * 2 / 3, None);
        loop {
            tokio::time::sleep(timeout / 30).await;
            let Some(oldest) = self.oldest().filter(|&oldest| told != Some(oldest)) else { continue };
            let age = oldest.elapsed();
            if age >= warns {
                told = Some(oldest);
                tracing::warn!(
                    queue,
                    ?age,
                    ?timeout,
                    "a message is in flight for long: when the broker's consumer_timeout has passed it closes the channel, \
                     and what is in flight comes again. See what holds up the sink, lower the prefetch, or raise the \
                     broker's consumer_timeout (and tell it by `broker_timeout`)"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_what_has_not_settled() {
        let ages = Ages::default();
        let times: Vec<_> = (0..3).map(|seconds| Instant::now() + Duration::from_secs(seconds)).collect();
        assert_eq!(ages.oldest(), None);
        (0..3).for_each(|at| ages.came(at as u64 * 10 + 10, times[at]));
        assert_eq!(ages.oldest(), Some(times[0]));
        ages.settled(10);
        assert_eq!(ages.oldest(), Some(times[0]));
        ages.settled(11);
        assert_eq!(ages.oldest(), Some(times[1]));
        ages.settled(31);
        assert_eq!(ages.oldest(), None);
    }
}
