//! Starts a job's tasks, and joins them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::channel::{self, Incoming, Outgoing};
use super::committer::Committer;
use super::control::{Control, Phase};
use super::fold::FoldEnd;
use super::gate::{Limit, Pace};
use super::job::{Job, Settings};
use super::letters::Letterbox;
use super::map_async::AsyncEnd;
use super::metrics::{Meters, Metrics};
use super::pump::{In, Out, Pump, Stepping};
use super::resolve::Resolver;
use super::segment::Segmented;
use super::sink_end::SinkEnd;
use super::source_end::{Partitions, SourceEnd};
use super::summary::{Ended, Summary};
use crate::commit::{Blocking, Bounds};
use crate::contracts::{
    Cause, Checkpoint, Commits, DynSink, Error, Held, Host, Result, SinkContext, SinkTraits, SourceTraits, Store,
};
use crate::plan::{Factory, Inlet, Outlet, Policy, Runs, Stage, StageId, Step, Task};

/// A run that is under way.
pub struct Running {
    control: Arc<Control>,
    meters: Arc<Meters>,
    partitions: Arc<Partitions>,
    joined: JoinHandle<Result<Summary>>,
}

impl Running {
    /// Reads the counters.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.meters.read();
        for ledger in self.partitions.all() {
            let standing = ledger.standing();
            metrics.lag += standing.lag;
            metrics.late += standing.late;
            metrics.low_watermark = match (metrics.low_watermark, standing.low) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let say = |blocking| format!("{}: {}", ledger.partition, describe(blocking));
            metrics.blocking = metrics.blocking.or(standing.blocking.map(say));
        }
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
    pub async fn join(self) -> Result<Summary> {
        self.joined.await.unwrap_or_else(|error| Err(Error::new(Cause::Bug, "the run itself panicked").because(error)))
    }

    /// Waits for the end, without giving up the handle. May be dropped at any time.
    pub async fn ended(&mut self) -> Result<Summary> {
        let joined = (&mut self.joined).await;
        joined.unwrap_or_else(|error| Err(Error::new(Cause::Bug, "the run itself panicked").because(error)))
    }
}

fn label((partition, position): (crate::data::Partition, crate::data::Position)) -> String {
    format!("{partition}: {}", position.label())
}

fn describe(blocking: Blocking) -> String {
    match blocking {
        Blocking::InFlight(sequence) => format!("record {sequence} is in flight"),
        Blocking::Abandoned(sequence) => format!("record {sequence} was abandoned"),
        Blocking::Held(sequence) => format!("a fold holds record {sequence}"),
        Blocking::Sealed(sequence) => format!("the run ends before record {sequence}"),
    }
}

/// Opens everything and starts a job. Must be called in a tokio runtime. What can't be opened is an error here: the sink
/// first, then the store, then the source, and nothing runs before all are open.
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

struct Starter {
    job: Job,
    settings: Settings,
    control: Arc<Control>,
    meters: Arc<Meters>,
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
        let partitions =
            Partitions::new(self.job.name.clone(), &stage, pessimistic, self.bounds(), open.held.clone());
        let source = self.open_source(&partitions).await?;

        let (ask_source, source_requests) = mpsc::channel(1);
        let (ask_sink, sink_requests) = mpsc::channel(1);
        let (finished, ended) = oneshot::channel();
        let committer = Committer {
            partitions: partitions.clone(),
            source: ask_source,
            sink: ask_sink,
            store: open.store,
            transactional: self.sink.1.transactional.is_ok(),
            visibility: self.source.1.visibility.filter(|_| pessimistic),
            clock: self.settings.world.clock.clone(),
            meters: self.meters.clone(),
            interval: self.settings.commit_interval,
            committed: Vec::new(),
            extended: self.settings.world.clock.elapsed(),
        };
        let mut assembly = Assembly {
            starter: &self,
            partitions: &partitions,
            resolver: open.resolver.clone(),
            source: Some((source, source_requests)),
            sink: Some((open.sink, sink_requests)),
            finished: Some(finished),
        };
        let pumps = assembly.pumps()?;
        for (name, runs, pump) in pumps {
            spawn(name, runs, self.settings.world.workers, pump, &self.control)?;
        }
        let (control, meters) = (self.control.clone(), self.meters.clone());
        let end = End { starter: self, committer, partitions: partitions.clone(), resolver: open.resolver };
        let joined = tokio::spawn(end.wait(ended));
        Ok(Running { control, meters, partitions, joined })
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
        Held::new(checkpoints.into_iter().filter(mine).map(|checkpoint| (checkpoint.key.partition, checkpoint.position)))
    }

    async fn open_source(&self, partitions: &Arc<Partitions>) -> Result<SourceEnd> {
        let coders = &self.job.graph.coders;
        let keep = self.job.graph.keep_bytes.iter().flatten();
        let keep_bytes = keep.map(|&coder| ((coders[coder].make)(), coders[coder].to.clone())).collect();
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

    fn policy(&self, stage: StageId) -> Policy {
        self.job.graph.stages[stage].options.policy.unwrap_or(self.job.policy)
    }
}

/// Puts the tasks together.
struct Assembly<'a> {
    starter: &'a Starter,
    partitions: &'a Arc<Partitions>,
    resolver: Resolver,
    source: Option<(SourceEnd, mpsc::Receiver<super::source_end::SourceRequest>)>,
    sink: Option<(Box<dyn DynSink>, mpsc::Receiver<super::sink_end::SinkRequest>)>,
    finished: Option<oneshot::Sender<Option<Ended>>>,
}

type Named = (String, Runs, Pump);

impl Assembly<'_> {
    fn pumps(&mut self) -> Result<Vec<Named>> {
        let graph = &self.starter.job.graph;
        let (mut sends, mut receives) = self.channels();
        let mut pumps = Vec::new();
        for task in &graph.tasks {
            for worker in 0..task.workers.max(1) {
                let name = if task.workers > 1 { format!("{} {}", task.name, worker + 1) } else { task.name.clone() };
                let incoming = match task.inlet {
                    Inlet::Channel(id) => receives[id].pop_front(),
                    Inlet::Source(_) => None,
                };
                let outgoing = match task.outlet {
                    Outlet::Channel(id) => sends[id].pop_front(),
                    Outlet::Sink(_) => None,
                };
                pumps.push((name, task.runs, self.pump(task, incoming, outgoing)?));
            }
        }
        Ok(pumps)
    }

    /// Each channel's ends, in the order of the tasks and workers that hold them.
    fn channels(&self) -> (Vec<VecDeque<Outgoing>>, Vec<VecDeque<Incoming>>) {
        let graph = &self.starter.job.graph;
        let workers = |holds: &dyn Fn(&Task) -> bool| graph.tasks.iter().find(|task| holds(task)).map_or(1, |task| task.workers.max(1));
        let (mut sends, mut receives) = (Vec::new(), Vec::new());
        for (id, spec) in graph.channels.iter().enumerate() {
            let from = workers(&|task| task.outlet == Outlet::Channel(id));
            let to = workers(&|task| task.inlet == Inlet::Channel(id));
            let (outgoing, incoming) = match (from, to) {
                (1, 1) => {
                    let (outgoing, incoming) = channel::single(spec.batches);
                    (vec![outgoing], vec![incoming])
                }
                (1, to) => {
                    let (outgoing, incoming) = channel::deal(spec.batches, to);
                    (vec![outgoing], incoming)
                }
                (from, _) => {
                    let (outgoing, incoming) = channel::collect(spec.batches, from);
                    (outgoing, vec![incoming])
                }
            };
            sends.push(outgoing.into());
            receives.push(incoming.into());
        }
        (sends, receives)
    }

    fn pump(&mut self, task: &Task, incoming: Option<Incoming>, outgoing: Option<Outgoing>) -> Result<Pump> {
        let starter = self.starter;
        let (inlet, inlet_stage, rest) = self.inlet(task, incoming)?;
        let steps = rest.iter().map(|step| self.step(step)).collect::<Result<_>>()?;
        let mut source_requests = None;
        let inlet = match inlet {
            Some(inlet) => inlet,
            None => {
                let (source, requests) = self.source.take().ok_or_else(unfit)?;
                source_requests = Some(requests);
                In::Source(source)
            }
        };
        let (outlet, sink_requests) = self.outlet(task, outgoing)?;
        Ok(Pump {
            inlet,
            inlet_stage,
            inlet_policy: starter.policy(inlet_stage),
            inlet_name: starter.job.graph.stages[inlet_stage].name.clone(),
            steps,
            finished: if sink_requests.is_some() { self.finished.take() } else { None },
            outlet,
            resolver: self.resolver.clone(),
            control: starter.control.clone(),
            phase: starter.control.listen(),
            clock: starter.settings.world.clock.clone(),
            source_requests,
            sink_requests,
            queue: VecDeque::new(),
            ending: None,
            shares: task.runs == Runs::Async || starter.settings.world.workers == Host::Inline,
        })
    }

    /// The inlet (`None`: the source), the stage it stands for, and the steps that are left.
    fn inlet<'t>(&self, task: &'t Task, incoming: Option<Incoming>) -> Result<(Option<In>, StageId, &'t [Step])> {
        let Some(incoming) = incoming else { return Ok((None, 0, &task.steps)) };
        let starter = self.starter;
        let clock = starter.settings.world.clock.clone();
        let name = |stage: StageId| starter.job.graph.stages[stage].name.as_str();
        match task.steps.first() {
            Some(&Step::Fold { stage, each, every }) => {
                let Factory::Fold(make) = &starter.job.factories[stage] else { return Err(unfit()) };
                let (policy, resolver) = (starter.policy(stage), self.resolver.clone());
                let fold = FoldEnd::new(incoming, make(), stage, name(stage), policy, each, every, resolver, clock);
                Ok((Some(In::Fold(fold)), stage, &task.steps[1..]))
            }
            Some(&Step::MapAsync { stage, at_once }) => {
                let Factory::MakeAsync(make) = &starter.job.factories[stage] else { return Err(unfit()) };
                let end = AsyncEnd::new(incoming, make(), stage, name(stage), at_once, starter.meters.clone());
                Ok((Some(In::Async(end)), stage, &task.steps[1..]))
            }
            _ => Ok((Some(In::Channel(incoming)), 0, &task.steps)),
        }
    }

    fn step(&self, step: &Step) -> Result<Stepping> {
        let job = &self.starter.job;
        match step {
            Step::Segment(segment) => {
                let meters = self.starter.meters.clone();
                Segmented::new(segment, &job.graph, &job.factories, job.policy, meters).map(Stepping::Segment)
            }
            Step::Limit { stage, records } => Ok(Stepping::Limit { limit: Limit::new(*records), stage: *stage }),
            Step::Throttle { rate, .. } => Ok(Stepping::Pace(Pace::new(*rate))),
            Step::Fold { .. } | Step::MapAsync { .. } => Err(unfit()),
        }
    }

    fn outlet(
        &mut self,
        task: &Task,
        outgoing: Option<Outgoing>,
    ) -> Result<(Out, Option<mpsc::Receiver<super::sink_end::SinkRequest>>)> {
        let stage = match (&task.outlet, outgoing) {
            (Outlet::Channel(_), Some(outgoing)) => return Ok((Out::Channel(outgoing), None)),
            (Outlet::Sink(stage), _) => *stage,
            _ => return Err(unfit()),
        };
        let starter = self.starter;
        let (sink, requests) = self.sink.take().ok_or_else(unfit)?;
        let Stage { name, options, .. } = starter.job.graph.stages[stage].clone();
        let clock = starter.settings.world.clock.clone();
        let policy = starter.policy(stage);
        let end =
            SinkEnd::new(sink, name, stage, options, policy, self.partitions.clone(), self.resolver.clone(), clock);
        Ok((Out::Sink(end), Some(requests)))
    }
}

fn unfit() -> Error {
    Error::new(Cause::Bug, "the graph does not fit its factories")
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
        control.fail(Error::new(Cause::Bug, "a task panicked outside of any stage's code").in_stage(name).because(panic));
    }
}

/// The end of a run.
struct End {
    starter: Starter,
    committer: Committer,
    partitions: Arc<Partitions>,
    resolver: Resolver,
}

impl End {
    async fn wait(mut self, ended: oneshot::Receiver<Option<Ended>>) -> Result<Summary> {
        let clock = self.starter.settings.world.clock.clone();
        let began = clock.elapsed();
        let control = self.starter.control.clone();
        let mut ended = Box::pin(async { ended.await.ok().flatten() });
        let grace = self.starter.settings.grace;
        let watchdog = end_after(grace, control.clone(), clock.clone());
        let guarded = async {
            let ended = match self.committer.run(&mut ended).await {
                Ok(ended) => ended,
                Err(error) => {
                    control.fail(error);
                    ended.await
                }
            };
            self.finish(ended).await
        };
        let ended = tokio::select! {
            ended = guarded => ended,
            () = watchdog => None,
        };
        if let Some(error) = control.take_failure() {
            return Err(error);
        }
        let Some(ended) = ended else {
            return Err(Error::new(Cause::Bug, "the run ended without saying how"));
        };
        Ok(self.summary(ended, clock.elapsed() - began))
    }

    /// The last commit, and the end of source and sink.
    async fn finish(&mut self, ended: Option<Ended>) -> Option<Ended> {
        let control = self.starter.control.clone();
        let note = |done: Result<()>| {
            if let Err(error) = done {
                control.fail(error);
            }
        };
        if ended != Some(Ended::ReaderGone) {
            note(self.committer.commit().await);
        }
        if matches!(ended, Some(Ended::Input | Ended::Drained)) && !control.has_failed() {
            note(self.check_settled());
        }
        if ended.is_some() && !control.has_failed() {
            note(self.committer.close_sink().await);
        }
        for letters in self.resolver.letters.iter() {
            note(letters.close().await);
        }
        note(self.committer.close_source().await);
        ended
    }

    /// At the end of the input everything must have arrived: what has not was lost on the way, and is not passed over.
    fn check_settled(&self) -> Result<()> {
        for ledger in self.partitions.all() {
            let standing = ledger.standing();
            if !standing.settled && !standing.closed {
                let why = standing.blocking.map_or_else(String::new, describe);
                let message = format!(
                    "{} records of partition {} never settled ({} were dropped without an outcome): {why}",
                    standing.lag, ledger.partition, standing.abandoned
                );
                return Err(Error::new(Cause::Bug, message));
            }
        }
        Ok(())
    }

    fn summary(&self, ended: Ended, time: Duration) -> Summary {
        let stages = &self.starter.meters.stages;
        let sum = |read: fn(&super::metrics::Counters) -> &std::sync::atomic::AtomicU64| {
            stages.iter().map(|stage| read(stage).load(Relaxed)).sum()
        };
        Summary {
            ended,
            records_in: stages.first().map_or(0, |stage| stage.rows_in.load(Relaxed)),
            records_out: stages.last().map_or(0, |stage| stage.rows_out.load(Relaxed)),
            filtered: sum(|stage| &stage.filtered),
            skipped: sum(|stage| &stage.skipped),
            dead_lettered: sum(|stage| &stage.dead_lettered),
            retried: sum(|stage| &stage.retried),
            bytes_in: self.starter.meters.bytes_in.load(Relaxed),
            time,
            late: self.partitions.all().iter().map(|ledger| ledger.standing().late).sum(),
            committed: self.partitions.held.all().into_iter().map(label).collect(),
        }
    }
}

/// Aborts a run that has been asked to end and doesn't within `grace`; returns a second later, whatever hangs.
async fn end_after(grace: Duration, control: Arc<Control>, clock: Arc<dyn crate::contracts::Clock>) {
    let mut phase = control.listen();
    let _ = phase.wait_for(|phase| *phase > Phase::Running).await;
    tokio::select! {
        () = clock.sleep(grace) => {
            let message = format!("the run did not end within its grace period of {grace:?}: what was in flight runs again next time");
            control.fail(Error::new(Cause::Outside, message));
            control.enter(Phase::Aborting);
        }
        _ = phase.wait_for(|phase| *phase == Phase::Aborting) => {}
    }
    clock.sleep(Duration::from_secs(1)).await;
}
