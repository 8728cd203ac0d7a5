//! Starts a job's tasks, and joins them.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::assembly::Assembly;
use super::committer::Committer;
use super::control::{Control, Phase};
use super::end::End;
use super::job::{Job, Settings};
use super::keep::KeepBytes;
use super::letters::Letterbox;
use super::metrics::{Meters, Metrics};
use super::pump::Pump;
use super::resolve::Resolver;
use super::source_end::{Partitions, SourceEnd};
use super::summary::Summary;
use crate::commit::{Blocking, Bounds};
use crate::contracts::{
    Cause, Checkpoint, Commits, DynSink, Error, Held, Host, Result, SinkContext, SinkTraits, SourceTraits, Store,
};
use crate::plan::{Factory, Policy, Runs, Stage, StageId};

/// A run that is under way.
pub struct Running {
    control: Arc<Control>,
    meters: Arc<Meters>,
    partitions: Arc<Partitions>,
    /// Gone once it has told how the run ended.
    joined: Option<JoinHandle<Result<Summary>>>,
}

impl Running {
    /// Reads the counters.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.meters.read();
        for ledger in self.partitions.all() {
            let standing = ledger.standing();
            metrics.lag += standing.lag;
            metrics.low_watermark = match (metrics.low_watermark, standing.low) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let say = |blocking| format!("{}: {}", ledger.partition, describe(blocking));
            metrics.blocking = metrics.blocking.or(standing.blocking.map(say));
        }
        metrics.late = self.partitions.late();
        metrics
    }

    /// What is committed so far, for people: a partition's position each, as [`Summary::committed`] has it at the end.
    pub fn committed(&self) -> Vec<String> {
        self.partitions.held.all().into_iter().map(label).collect()
    }

    /// Asks the run to end: the source reads no more, what is in flight goes through and is committed.
    pub fn drain(&self) {
        self.control.enter(Phase::Draining);
    }

    /// Ends the run at once: what is in flight is dropped and runs again next time.
    pub fn abort(&self) {
        self.control.fail(Error::new(Cause::User, "the run was aborted: what was in flight runs again next time"));
        self.control.enter(Phase::Aborting);
    }

    /// Waits for the end.
    pub async fn join(mut self) -> Result<Summary> {
        self.ended().await
    }

    /// Waits for the end, without giving up the handle. May be dropped at any time; the end is told once.
    pub async fn ended(&mut self) -> Result<Summary> {
        let Some(joined) = &mut self.joined else {
            return Err(Error::new(Cause::User, "how the run ended has been told before"));
        };
        let ended = joined.await;
        self.joined = None;
        ended.unwrap_or_else(|error| Err(Error::new(Cause::Bug, "the run itself panicked").because(error)))
    }
}

/// A partition's position, for people.
pub(super) fn label((partition, position): (crate::data::Partition, crate::data::Position)) -> String {
    format!("{partition}: {}", position.label())
}

pub(super) fn describe(blocking: Blocking) -> String {
    match blocking {
        Blocking::InFlight(sequence) => format!("record {sequence} is in flight"),
        Blocking::Abandoned(sequence) => format!("record {sequence} was abandoned"),
        Blocking::Held(sequence) => format!("a fold holds record {sequence}"),
        Blocking::Sealed(sequence) => format!("the run ends before record {sequence}"),
    }
}

/// Opens everything and starts a job: the store, the sink (which settles or cuts off what a crash left behind, and says
/// what it holds), dead letters, and the source last. What can't be opened is an error here; nothing runs before all are
/// open. Must be called in a tokio runtime.
pub async fn start(job: Job, settings: Settings) -> Result<Running> {
    if !job.graph.network.is_empty() {
        return Err(Error::new(
            Cause::User,
            format!(
                "this plan has network stages ({}), and there is no network to run them: plan it for one instance",
                job.graph.network.join(", ")
            ),
        ));
    }
    Starter::new(job, settings)?.start().await
}

/// What a run is made of before it runs.
pub(super) struct Starter {
    pub(super) job: Job,
    pub(super) settings: Settings,
    pub(super) control: Arc<Control>,
    pub(super) meters: Arc<Meters>,
    source: (Arc<dyn crate::contracts::DynSourceFactory>, SourceTraits),
    sink: (Arc<dyn crate::contracts::DynSinkFactory>, SinkTraits),
}

/// What is open before any task runs.
struct Open {
    store: Option<Box<dyn Store>>,
    held: Held,
    sink: Box<dyn DynSink>,
    resolver: Resolver,
}

impl Starter {
    fn new(job: Job, settings: Settings) -> Result<Self> {
        let unfit = || Error::new(Cause::Bug, "a graph begins with a source and ends with a sink");
        let Some(Factory::Source(source)) = job.factories.first() else { return Err(unfit()) };
        let Some(Factory::Sink(sink)) = job.factories.last() else { return Err(unfit()) };
        let source = (source.clone(), source.traits());
        let sink = (sink.clone(), sink.traits(job.store.is_some()));
        let meters = Meters::new(job.graph.stages.iter().map(|stage| stage.name.clone()));
        Ok(Self { job, settings, control: Arc::new(Control::new()), meters, source, sink })
    }

    async fn start(self) -> Result<Running> {
        let open = self.open().await?;
        let pessimistic = self.source.1.commits == Commits::Pessimistic;
        let stage = self.job.graph.stages[0].name.clone();
        let partitions = Partitions::new(self.job.name.clone(), &stage, pessimistic, self.bounds(), open.held.clone());
        let source = self.open_source(&partitions).await?;

        let (ask_source, source_requests) = mpsc::channel(1);
        let (ask_sink, sink_requests) = mpsc::channel(1);
        let (finished, ended) = oneshot::channel();
        let (over, all_over) = mpsc::channel(1);
        let mut assembly = Assembly {
            starter: &self,
            partitions: &partitions,
            resolver: open.resolver.clone(),
            source: Some((source, source_requests)),
            sink: Some((open.sink, sink_requests)),
            finished: Some(finished),
            over,
            folds: Vec::new(),
        };
        let pumps = assembly.pumps()?;
        let folds = std::mem::take(&mut assembly.folds);
        drop(assembly);
        let committer = Committer {
            partitions: partitions.clone(),
            source: ask_source,
            sink: ask_sink,
            store: open.store,
            transactional: self.is_transactional(),
            visibility: self.source.1.visibility.filter(|_| pessimistic),
            clock: self.settings.world.clock.clone(),
            meters: self.meters.clone(),
            interval: self.settings.commit_interval,
            committed: Vec::new(),
            written: 0,
            folds,
            control: self.control.clone(),
        };
        for (name, runs, pump) in pumps {
            spawn(name, runs, self.settings.world.workers, pump, &self.control)?;
        }
        let (control, meters) = (self.control.clone(), self.meters.clone());
        let end = End { starter: self, committer, partitions: partitions.clone(), resolver: open.resolver };
        let joined = tokio::spawn(end.wait(ended, all_over));
        Ok(Running { control, meters, partitions, joined: Some(joined) })
    }

    /// Opens from the sink up: what the sink holds wins over the store.
    async fn open(&self) -> Result<Open> {
        let mut store = match &self.job.store {
            Some(store) => Some(store.open(&self.job.opened(self.source.1.input.clone())).await?),
            None => None,
        };
        let committed = match &mut store {
            Some(store) => store.load().await?,
            None => Vec::new(),
        };
        let context = SinkContext {
            pipeline: self.job.name.clone(),
            keeps_positions: self.job.store.is_some(),
            committed: committed.clone(),
        };
        let mut sink = self.sink.0.make();
        let name = self.last_stage().name.clone();
        let held = sink.open(&context).await.map_err(|error| error.in_stage(name))?;
        let held = self.mine(held.unwrap_or(committed));
        let mut letters = Vec::new();
        for factory in &self.job.letters {
            letters.push(Letterbox::open(factory, &self.job.name).await?);
        }
        Ok(Open { store, held, sink, resolver: Resolver { letters: letters.into(), meters: self.meters.clone() } })
    }

    /// The positions of this pipeline's source.
    fn mine(&self, checkpoints: Vec<Checkpoint>) -> Held {
        let stage = &self.job.graph.stages[0].name;
        let mine = |checkpoint: &Checkpoint| checkpoint.key.pipeline == self.job.name && checkpoint.key.stage == *stage;
        Held::new(
            checkpoints.into_iter().filter(mine).map(|checkpoint| (checkpoint.key.partition, checkpoint.position)),
        )
    }

    async fn open_source(&self, partitions: &Arc<Partitions>) -> Result<SourceEnd> {
        let keep_bytes = KeepBytes::of(&self.job.graph, 0);
        let mut source = SourceEnd::new(
            self.source.0.make(),
            partitions.clone(),
            self.control.listen(),
            self.settings.world.clock.clone(),
            self.meters.clone(),
            keep_bytes,
        );
        source.open().await?;
        Ok(source)
    }

    fn bounds(&self) -> Bounds {
        let records = self.job.graph.stages[0].options.buffer.unwrap_or(self.settings.in_flight_records);
        Bounds { records, bytes: self.settings.in_flight_bytes }
    }

    fn last_stage(&self) -> &Stage {
        &self.job.graph.stages[self.job.graph.stages.len() - 1]
    }

    /// Whether the sink keeps positions with its data.
    pub(super) fn is_transactional(&self) -> bool {
        self.sink.1.transactional.is_ok()
    }

    pub(super) fn policy(&self, stage: StageId) -> Policy {
        self.job.graph.stages[stage].options.policy.unwrap_or(self.job.policy)
    }
}

/// Starts a task where it belongs. A task that panics fails the run.
fn spawn(name: String, runs: Runs, host: Host, pump: Pump, control: &Arc<Control>) -> Result<()> {
    let watched = watch(pump, name.clone(), control.clone());
    if runs == Runs::Async || host == Host::Inline {
        tokio::spawn(watched);
        return Ok(());
    }
    let runtime = tokio::runtime::Handle::current();
    // Linux shows 15 bytes of a thread's name.
    let thread = std::thread::Builder::new().name(name.chars().take(15).collect());
    let started = thread.spawn(move || runtime.block_on(watched));
    started.map(drop).map_err(|error| Error::new(Cause::Outside, "a worker thread could not be started").because(error))
}

async fn watch(pump: Pump, name: String, control: Arc<Control>) {
    if let Err(payload) = std::panic::AssertUnwindSafe(pump.run()).catch_unwind().await {
        let panic = crate::contracts::Panicked::new(payload);
        control
            .fail(Error::new(Cause::Bug, "a task panicked outside of any stage's code").in_stage(name).because(panic));
    }
}
