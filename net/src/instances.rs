//! [`Instances`]: declares that a pipeline runs as one of several identical instances.

use std::sync::Arc;

use millstream_core::contracts::{About, BoxFuture, Exchange, Joined, Network, PeerId, Result};

use crate::exchange::{self, Limits, OnWaiting};

/// What an instance waits for while the run has not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The names of the instances that are not there, in the order of the list of peers; none when all are there and the
    /// run is about to begin.
    pub missing: Vec<String>,
    /// How many instances there are.
    pub of: usize,
    /// What is new where nobody has joined or was lost: one instance refuses another, which one and why, in one line. It
    /// won't go away by itself, but whoever is refused may be started again as it should be.
    pub trouble: Option<String>,
}

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

    /// Called while the run has not begun: at its start, each time that someone joins or is lost, and when one is refused
    /// for a reason that was not told before. It has to return at once.
    #[must_use]
    pub fn on_waiting(mut self, tell: impl Fn(&Waiting) + Send + Sync + 'static) -> Self {
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
