//! [`Job`]: what it takes to run a graph.

use std::sync::Arc;
use std::time::Duration;

use crate::contracts::{Exchange, Opened, StoreFactory, World};
use crate::plan::{Declaration, Factory, Graph, Letters, Part, Plan, Policy};

/// A graph and what it takes to run it: built from a plan and its declaration, or by hand.
pub struct Job {
    /// The pipeline's name.
    pub name: String,
    /// What runs.
    pub graph: Graph,
    /// The parts that network stages cut it into, in order; none: it is one.
    pub parts: Vec<Part>,
    /// What makes each stage's operator, by stage.
    pub factories: Vec<Factory>,
    /// Where dead letters go, by number.
    pub letters: Vec<Letters>,
    /// The policy of stages that have none of their own.
    pub policy: Policy,
    /// Where positions are kept.
    pub store: Option<Arc<dyn StoreFactory>>,
    /// Says what the pipeline does: state of another is refused.
    pub fingerprint: String,
    /// Says what instances have to agree on: one that says something else is not joined.
    pub agreement: String,
}

impl Job {
    /// The job that `plan` makes of `declaration`.
    pub fn new(plan: Plan, declaration: &Declaration) -> Self {
        Self {
            name: plan.name,
            graph: plan.graph,
            parts: plan.parts,
            factories: declaration.factories.clone(),
            letters: declaration.letters.clone(),
            policy: declaration.policy,
            store: declaration.store.clone(),
            fingerprint: plan.fingerprint,
            agreement: plan.agreement,
        }
    }

    pub(super) fn opened(&self, input: String) -> Opened {
        Opened { pipeline: self.name.clone(), fingerprint: self.fingerprint.clone(), input }
    }
}

/// How a job runs.
#[derive(Clone)]
pub struct Settings {
    /// The clock and the workers.
    pub world: World,
    /// How many bytes of the source's records may be in flight; 64 MiB by default. One batch may always be.
    pub in_flight_bytes: u64,
    /// How many of the source's records may be in flight, unless its `buffer` option says so; 100,000 by default.
    pub in_flight_records: u64,
    /// How long what is in flight may take to go through once the run is asked to end; 30 s by default. Then it is
    /// dropped, and runs again next time.
    pub grace: Duration,
    /// Commits are at most as frequent as this; 250 ms by default.
    pub commit_interval: Duration,
    /// How this instance reaches the others; `None` by default: there are none. A plan without network stages doesn't
    /// use it.
    pub exchange: Option<Arc<dyn Exchange>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            world: World::default(),
            in_flight_bytes: 64 << 20,
            in_flight_records: 100_000,
            grace: Duration::from_secs(30),
            commit_interval: super::committer::INTERVAL,
            exchange: None,
        }
    }
}
