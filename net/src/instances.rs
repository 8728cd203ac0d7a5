//! [`Instances`]: declares that a pipeline runs as one of several identical instances.

use std::sync::Arc;

use millstream_core::contracts::{About, BoxFuture, Exchange, Joined, Network, PeerId, Result};

use crate::exchange::{self, Limits, OnWaiting};

/// The instances of a pipeline: the same program with the same declaration, run once on each, is one pipeline. Given to
/// [`Settings`](millstream_core::runtime::Settings); declaring it opens nothing.
pub struct Instances {
    network: Arc<dyn Network>,
    limits: Limits,
    waiting: Option<OnWaiting>,
}

impl Instances {
    /// Joined by this network.
    pub fn over(network: impl Network) -> Self {
        Self { network: Arc::new(network), limits: Limits::default(), waiting: None }
    }

    /// How many bytes an instance may send another over a network stage before that has passed them on; 8 MiB by
    /// default. It is also how much may wait to be sent at each network stage. An instance needs up to as much memory for
    /// each peer and network stage; less costs speed where the way between instances is long.
    #[must_use]
    pub fn window(mut self, bytes: u64) -> Self {
        (self.limits.window, self.limits.room) = (bytes.max(1), bytes.max(1));
        self
    }

    /// Called while the run has not begun, each time that someone joins or is lost: with the names of those who are
    /// missing, and how many instances there are.
    #[must_use]
    pub fn on_waiting(mut self, tell: impl Fn(&[String], usize) + Send + Sync + 'static) -> Self {
        self.waiting = Some(Arc::new(tell));
        self
    }
}

impl Exchange for Instances {
    fn peers(&self) -> Vec<String> {
        self.network.peers()
    }

    fn me(&self) -> PeerId {
        self.network.me()
    }

    fn check(&self) -> Vec<String> {
        self.network.check()
    }

    fn join(&self, about: About) -> BoxFuture<'_, Result<Box<dyn Joined>>> {
        Box::pin(exchange::join(self.network.clone(), self.limits, about, self.waiting.clone()))
    }
}
