//! [`Fuse`]: where a run is made to crash.

use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use tokio::sync::Notify;

/// Counts the moments at which engine and outside meet, and at a given one stops everything: whoever reaches it, and
/// all who come later, wait for ever, and whoever runs the whole is told to drop it.
pub(super) struct Fuse {
    blows_at: u64,
    moments: AtomicU64,
    blown_at: Mutex<Option<String>>,
    blown: Notify,
}

impl Fuse {
    /// One that blows at this moment, counted from 0.
    pub(super) fn at(moment: u64) -> Arc<Self> {
        Arc::new(Self {
            blows_at: moment,
            moments: AtomicU64::new(0),
            blown_at: Mutex::default(),
            blown: Notify::new(),
        })
    }

    /// One that never blows.
    pub(super) fn never() -> Arc<Self> {
        Self::at(u64::MAX)
    }

    /// How many moments there have been.
    pub(super) fn moments(&self) -> u64 {
        self.moments.load(Relaxed)
    }

    /// Waits until it blows; says where.
    pub(super) async fn blown(&self) -> String {
        self.blown.notified().await;
        self.blown_at.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// A moment: whether it is the end.
    fn is_over(&self, call: &str, when: &str) -> bool {
        let moment = self.moments.fetch_add(1, Relaxed);
        if moment == self.blows_at {
            let place = format!("{when} {call}, moment {moment}");
            *self.blown_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
            self.blown.notify_one();
        }
        moment >= self.blows_at
    }

    /// A moment.
    pub(super) async fn moment(&self, when: &str, call: &str) {
        if self.is_over(call, when) {
            pending().await
        }
    }

    /// Makes a call, with moments before it, at each wait within it, and after it.
    pub(super) async fn around<T>(&self, call: &str, made: impl Future<Output = T>) -> T {
        self.moment("before", call).await;
        let mut made = pin!(made);
        let mut over = false;
        let done = poll_fn(|context| {
            if over {
                return Poll::Pending;
            }
            let polled = made.as_mut().poll(context);
            over = polled.is_pending() && self.is_over(call, "within");
            polled
        });
        let done = done.await;
        self.moment("after", call).await;
        done
    }
}
