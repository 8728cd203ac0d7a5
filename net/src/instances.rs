//! [`Instances`]: declares that a pipeline runs as one of several identical instances.

use std::fmt;
use std::sync::Arc;

use millstream_core::contracts::{About, BoxFuture, Exchange, Joined, Network, PeerId, Result};

use crate::exchange::{self, Limits, OnWaiting};

/// Who is here, and what is new of that. Displays as the line that people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waiting {
    /// The names of the instances that are not there, in the order of the list of peers.
    pub missing: Vec<String>,
    /// How many instances there are.
    pub of: usize,
    /// Whether the run has begun. Until then an instance waits for all that are missing.
    pub begun: bool,
    /// In a run: who is lost, why, and whether the run stands still for it, or who is back; in one line.
    pub news: Option<String>,
    /// What is new where nobody has joined or was lost: one instance refuses another, or the name of one can't be looked
    /// up; which one and why, in one line. It won't go away by itself, but whoever is refused may be started again as it
    /// should be.
    pub trouble: Option<String>,
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(new) = self.trouble.as_ref().or(self.news.as_ref()) {
            return f.write_str(new);
        }
        let (joined, missing) = (self.of - self.missing.len(), self.missing.join(", "));
        write!(f, "joined {joined} of {}", self.of)?;
        match (self.begun, self.missing.len()) {
            (false, 0) => Ok(()),
            (false, _) => write!(f, ": waits for {missing}"),
            (true, 0) => f.write_str(": the run has begun"),
            (true, 1) => write!(f, ": the run has begun, and {missing} is not reached yet"),
            (true, _) => write!(f, ": the run has begun, and {missing} are not reached yet"),
        }
    }
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

    /// Called at the start, each time that someone joins, is lost or is back, when the run begins, and when someone is
    /// refused or can't be looked up for a reason that was not told before. That those go whose part in the run has ended
    /// is not told. It has to return at once.
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
