//! [`Life`]: one start of one instance, which a kill ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;

/// One start of one instance. All that the instance has to do with the world outside asks it first: once it is killed
/// nothing that is left of the instance gets anything in or out. Clones share it.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) instance: usize,
    /// Counts all starts of all instances.
    pub(crate) start: u64,
    killed: Arc<AtomicBool>,
    wakes: Arc<Notify>,
}

impl Life {
    pub(crate) fn new(instance: usize, start: u64) -> Self {
        Self { instance, start, killed: Arc::default(), wakes: Arc::default() }
    }

    pub(crate) fn kill(&self) {
        self.killed.store(true, Relaxed);
        self.wakes.notify_waiters();
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Relaxed)
    }

    /// Goes on if it is alive, and never if it was killed.
    pub(crate) async fn lives(&self) {
        if self.is_killed() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits so long; never goes on if it is killed meanwhile.
    pub(crate) async fn waits(&self, time: Duration) {
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
        self.lives().await;
    }

    /// Waits until it is killed.
    pub(crate) async fn ends(&self) {
        let killed = self.wakes.notified();
        if !self.is_killed() {
            killed.await;
        }
    }
}
