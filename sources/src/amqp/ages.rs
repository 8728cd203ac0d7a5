//! [`Ages`]: how old what is in flight is. The broker closes the channel of whoever leaves a message unacknowledged for too
//! long; that is said before it happens.
//!
//! The broker counts from when it sends a message, and doesn't say when that was. It was after the client's buffer was last
//! found empty, and after there was room for it: the broker gives no more than the prefetch unacknowledged, so it sent a
//! channel's message `n` once `n - prefetch` were acknowledged. The later of the two counts.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// When a channel's messages in flight were sent, or a little before that. Clones are the same.
#[derive(Clone)]
pub(super) struct Ages {
    prefetch: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The messages up to this tag, and behind the one before, were not sent before this.
    flight: VecDeque<(u64, Instant)>,
    /// So many had been acknowledged by then; as far as it may matter for what is sent yet.
    room: VecDeque<(u64, Instant)>,
}

impl Ages {
    /// Of a channel of this prefetch.
    pub(super) fn new(prefetch: u64) -> Self {
        Self { prefetch, state: Arc::default() }
    }

    /// The messages of these tags were taken out of the buffer, which was last found empty then.
    pub(super) fn came(&self, first: u64, upto: u64, empty: Instant) {
        let mut state = self.lock();
        let needed = first.saturating_sub(self.prefetch);
        while state.room.front().is_some_and(|&(acknowledged, _)| acknowledged < needed) {
            state.room.pop_front();
        }
        let room = state.room.front().filter(|_| needed > 0).map(|&(_, since)| since);
        state.flight.push_back((upto, room.map_or(empty, |room| room.max(empty))));
    }

    /// All before this tag have settled, and so many in all have been acknowledged.
    pub(super) fn settled(&self, before: u64, acknowledged: u64, now: Instant) {
        let mut state = self.lock();
        while state.flight.front().is_some_and(|&(upto, _)| upto < before) {
            state.flight.pop_front();
        }
        if state.room.back().is_none_or(|&(last, _)| last < acknowledged) {
            state.room.push_back((acknowledged, now));
        }
    }

    /// When the oldest of what is in flight was sent, or a little before that.
    fn oldest(&self) -> Option<Instant> {
        self.lock().flight.front().map(|&(_, since)| since)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn after(begin: Instant, seconds: u64) -> Instant {
        begin + Duration::from_secs(seconds)
    }

    #[test]
    fn the_oldest_is_what_has_not_settled() {
        let (ages, begin) = (Ages::new(100), Instant::now());
        assert_eq!(ages.oldest(), None);
        for batch in 0..3 {
            ages.came(batch * 10 + 1, batch * 10 + 10, after(begin, batch));
        }
        assert_eq!(ages.oldest(), Some(begin));
        ages.settled(10, 9, after(begin, 9));
        assert_eq!(ages.oldest(), Some(begin));
        ages.settled(11, 10, after(begin, 9));
        assert_eq!(ages.oldest(), Some(after(begin, 1)));
        ages.settled(31, 30, after(begin, 9));
        assert_eq!(ages.oldest(), None);
    }

    #[test]
    fn where_the_buffer_is_never_empty_a_message_came_once_there_was_room_for_it() {
        let (ages, begin) = (Ages::new(20), Instant::now());
        // Ten a second are acknowledged, and as many sent.
        for second in 0..100 {
            ages.came(second * 10 + 1, second * 10 + 10, begin);
            let sent = second.saturating_sub(1);
            assert_eq!(ages.oldest(), Some(after(begin, sent)), "in second {second}");
            ages.settled(second * 10 + 11, second * 10 + 10, after(begin, second + 1));
        }
        assert!(ages.lock().room.len() <= 3, "what matters no more is forgotten");
    }
}
