//! [`Engine`]: plans and runs what was declared.

use std::fmt;
use std::future::Future;

use millstream_core::contracts::{Coder, Exchange};
use millstream_core::declare::Pipeline;
use millstream_core::plan::{Mistake, Mistakes, Plan};
use millstream_core::runtime::{self, Job, Running, Settings, Summary};

mod sealed {
    pub trait Sealed {}
    impl Sealed for millstream_core::declare::Pipeline {}
}

/// Plans and runs a declared pipeline: the methods that [`Pipeline`] gets from
/// `use millstream::prelude::*`.
pub trait Engine: sealed::Sealed {
    /// Plans for one instance. All mistakes of the declaration come together, each with the line to change.
    fn plan(&self) -> Result<Plan, Mistakes>;

    /// Plans for this many identical instances.
    fn plan_for(&self, instances: usize) -> Result<Plan, Mistakes>;

    /// The plan for one instance as text: every phase, what runs where, and the delivery guarantee with its reason.
    fn explain(&self) -> Result<String, Mistakes>;

    /// Runs to the end: bounded input ends by itself, a limit ends it, else it runs for ever. Prints nothing and
    /// installs no signal handlers; the `terminal` feature does, for programs.
    fn run(self) -> impl Future<Output = Result<Summary, Error>> + Send;

    /// Starts to run, and returns a handle to read counters, drain, abort and wait. Whatever can't be opened is an
    /// error here. With an [exchange](Settings::exchange) in the settings it runs as one of several instances, and starts
    /// once all have joined.
    fn start(self, settings: Settings) -> impl Future<Output = Result<Running, Error>> + Send;
}

impl Engine for Pipeline {
    fn plan(&self) -> Result<Plan, Mistakes> {
        self.plan_for(1)
    }

    fn plan_for(&self, instances: usize) -> Result<Plan, Mistakes> {
        millstream_planner::plan(self.declaration(), &coders(), instances)
    }

    fn explain(&self) -> Result<String, Mistakes> {
        self.plan().map(|plan| millstream_planner::explain::text(&plan))
    }

    async fn run(self) -> Result<Summary, Error> {
        let running = self.start(Settings::default()).await?;
        Ok(running.join().await?)
    }

    async fn start(self, settings: Settings) -> Result<Running, Error> {
        let plan = plan(&self, &settings)?;
        let job = Job::new(plan, self.declaration());
        drop(self);
        Ok(runtime::start(job, settings).await?)
    }
}

/// The coders that every pipeline has: those of formats, and those of the messages that connectors share.
fn coders() -> Vec<Coder> {
    let mut coders = millstream_coders::defaults();
    coders.extend(millstream_net::coders());
    coders
}

/// The plan of what a run with these settings is: mistakes of both come together.
fn plan(pipeline: &Pipeline, settings: &Settings) -> Result<Plan, Mistakes> {
    let exchange = settings.exchange.as_deref();
    let planned = pipeline.plan_for(exchange.map_or(1, |exchange| exchange.peers().len()));
    let wrong = exchange.map(Exchange::check).unwrap_or_default();
    if wrong.is_empty() {
        return planned;
    }
    let mistake = |wrong| Mistake { stages: Vec::new(), line: None, wrong, advice: String::new() };
    let mut mistakes = planned.err().map(|mistakes| mistakes.0).unwrap_or_default();
    mistakes.extend(wrong.into_iter().map(mistake));
    Err(Mistakes(mistakes))
}

/// Why a pipeline did not run to its end.
#[derive(Debug)]
pub enum Error {
    /// It can't be planned.
    Plan(Mistakes),
    /// It failed while it was opened or while it ran.
    Run(millstream_core::contracts::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(mistakes) => mistakes.fmt(f),
            Self::Run(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Plan(_) => None,
            Self::Run(error) => error.source(),
        }
    }
}

impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        Self::Plan(mistakes)
    }
}

impl From<millstream_core::contracts::Error> for Error {
    fn from(error: millstream_core::contracts::Error) -> Self {
        Self::Run(error)
    }
}
