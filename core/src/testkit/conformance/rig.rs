//! [`Rig`]: a small pipeline put together by hand, and how it is run and stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::report::{Broken, ensure};
use super::tap::{Tap, TappedSink, TappedSource, TappedStore};
use crate::contracts::{
    BoxFuture, Clock, DynSinkFactory, DynSourceFactory, Error, Faults, Host, Look, Result, Rows, StoreFactory,
    SystemClock, World,
};
use crate::data::{AnyColumn, Form};
use crate::plan::{
    Action, Channel, Factory, Graph, Inlet, Letters, Line, Op, Options, Outlet, Policy, Runs, Segment, Stage,
    StageKind, Step, Task,
};
use crate::runtime::{Ended, Job, Running, Settings, Summary, start};

/// How the pipeline around a connector is put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Source, filter and sink in one task, on one thread.
    OneTask,
    /// The source and the filter in one task, the sink in another, a channel between them, on one thread.
    TwoTasks,
    /// Two tasks, each on a thread of its own.
    Threads,
}

impl Shape {
    pub(super) const ALL: [Self; 3] = [Self::OneTask, Self::TwoTasks, Self::Threads];
}

/// After so much real time a run is taken to hang.
const HANGS: Duration = Duration::from_secs(20);

/// What is awaited comes within this much real time.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The name of the filter that lets all pass.
const FILTER: &str = "PASS";

/// A pipeline: source, a filter that lets all pass, sink.
#[derive(Clone)]
pub(super) struct Rig {
    pub(super) source: Arc<dyn DynSourceFactory>,
    pub(super) sink: Arc<dyn DynSinkFactory>,
    pub(super) store: Option<Arc<dyn StoreFactory>>,
    pub(super) shape: Shape,
    pub(super) policy: Policy,
    pub(super) letters: Vec<Letters>,
    pub(super) bounds: (u64, u64),
    pub(super) grace: Duration,
}

/// How a run came to its end.
pub(super) enum Finished {
    /// By itself.
    Ended(Summary),
    /// By an error.
    Failed(Error),
    /// It was dropped; where.
    Crashed(String),
}

impl Finished {
    /// The summary of a run that has to end well.
    pub(super) fn summary(self) -> Result<Summary, Broken> {
        match self {
            Self::Ended(summary) => Ok(summary),
            Self::Failed(error) => Err(Broken(format!("the run failed: {}", error.chain()))),
            Self::Crashed(place) => Err(Broken(format!("the run hangs {place}"))),
        }
    }

    /// The end of a run that has to end like this.
    pub(super) fn by(self, ended: Ended) -> Result<Summary, Broken> {
        let summary = self.summary()?;
        ensure(summary.ended == ended, || format!("expected a run to end by {ended:?}, found {:?}", summary.ended))?;
        Ok(summary)
    }
}

impl Rig {
    /// These ends, in one task, that fail at the first error.
    pub(super) fn new(source: Arc<dyn DynSourceFactory>, sink: Arc<dyn DynSinkFactory>) -> Self {
        Self {
            source,
            sink,
            store: None,
            shape: Shape::OneTask,
            policy: Policy::Fail,
            letters: Vec::new(),
            bounds: (100_000, 64 << 20),
            grace: Duration::from_secs(1 << 20),
        }
    }

    /// Runs it. `script` is told when it has started and does to it what it likes; when the script is through, the end
    /// is awaited. A run whose fuse blows is dropped as it stands.
    pub(super) fn run(
        self,
        tap: &Tap,
        script: impl AsyncFnOnce(&Running) -> Result<(), Broken>,
    ) -> Result<Finished, Broken> {
        let settings = self.settings();
        let runtime = self.runtime().map_err(|error| Broken(format!("no runtime to run in: {error}")))?;
        let job = self.job(tap);
        let work = async {
            let mut running = match start(job, settings).await {
                Ok(running) => running,
                Err(error) => return Ok(Finished::Failed(error)),
            };
            script(&running).await?;
            Ok(match running.ended().await {
                Ok(summary) => Finished::Ended(summary),
                Err(error) => Finished::Failed(error),
            })
        };
        let fuse = tap.fuse.clone();
        let finished = runtime.block_on(async move {
            tokio::select! {
                biased;
                place = fuse.blown() => Ok(Finished::Crashed(place)),
                finished = work => finished,
                () = tokio::time::sleep(HANGS) => Err(Broken(format!("a run has not come to its end after {HANGS:?}"))),
            }
        });
        // Whatever still waits for something is dropped where it stands.
        runtime.shutdown_background();
        finished
    }

    /// Runs it to its end, whatever that is.
    pub(super) fn finish(self, tap: &Tap) -> Result<Finished, Broken> {
        self.run(tap, async |_| Ok(()))
    }

    fn is_threaded(&self) -> bool {
        self.shape == Shape::Threads
    }

    fn runtime(&self) -> std::io::Result<tokio::runtime::Runtime> {
        let mut builder = match self.is_threaded() {
            true => tokio::runtime::Builder::new_multi_thread(),
            false => tokio::runtime::Builder::new_current_thread(),
        };
        builder.worker_threads(1).enable_all().build()
    }

    fn settings(&self) -> Settings {
        let (clock, interval): (Arc<dyn Clock>, _) = match self.is_threaded() {
            true => (Arc::new(SystemClock::default()), Duration::from_millis(1)),
            false => (Arc::new(Turns::default()), Duration::from_millis(6)),
        };
        let workers = if self.is_threaded() { Host::Threads } else { Host::Inline };
        Settings {
            world: World { clock, workers },
            in_flight_records: self.bounds.0,
            in_flight_bytes: self.bounds.1,
            grace: self.grace,
            commit_interval: interval,
            exchange: None,
        }
    }

    fn job(self, tap: &Tap) -> Job {
        let form = self.source.form();
        let source = Arc::new(TappedSource { inner: self.source.clone(), tap: tap.clone() });
        let sink = Arc::new(TappedSink { inner: self.sink.clone(), tap: tap.clone() });
        let look: Factory = Factory::Look(Arc::new(|| Box::new(All)));
        let tapped = |inner| Arc::new(TappedStore { inner, tap: tap.clone() }) as Arc<dyn StoreFactory>;
        Job {
            name: "conformance".into(),
            graph: self.graph(&form),
            parts: Vec::new(),
            factories: vec![Factory::Source(source), look, Factory::Sink(sink)],
            letters: self.letters,
            policy: self.policy,
            store: self.store.map(tapped),
            fingerprint: "conformance".into(),
            agreement: "conformance".into(),
        }
    }

    fn graph(&self, form: &Form) -> Graph {
        let op = Op { stage: 1, action: Action::Look { from: 0 } };
        let step = Step::Segment(Segment { slots: vec![form.clone()], ops: vec![op], output: 0 });
        let task = |name: &str, inlet, steps, outlet| {
            let runs = if self.is_threaded() { Runs::Thread } else { Runs::Async };
            Task { name: name.into(), runs, workers: 1, inlet, steps, outlet }
        };
        let (tasks, channels) = match self.shape {
            Shape::OneTask => (vec![task("all", Inlet::Source(0), vec![step], Outlet::Sink(2))], Vec::new()),
            Shape::TwoTasks | Shape::Threads => (
                vec![
                    task("source", Inlet::Source(0), vec![step], Outlet::Channel(0)),
                    task("sink", Inlet::Channel(0), Vec::new(), Outlet::Sink(2)),
                ],
                vec![Channel { batches: 2, form: form.clone() }],
            ),
        };
        let (stages, emits) = (self.stages(form), form.clone());
        Graph { stages, coders: Vec::new(), tasks, channels, network: Vec::new(), keep_bytes: Vec::new(), emits }
    }

    fn stages(&self, form: &Form) -> Vec<Stage> {
        let stage = |name: String, kind, takes, gives| {
            let options = Options::default();
            Stage { name, kind, takes, gives, options, line: Line::here() }
        };
        let (source, sink) = (self.source.traits(), self.sink.traits(self.store.is_some()));
        vec![
            stage(source.kind.clone(), StageKind::Source(source), None, Some(form.clone())),
            stage(FILTER.into(), StageKind::Filter, Some(form.clone()), Some(form.clone())),
            stage(sink.kind.clone(), StageKind::Sink(sink), Some(form.clone()), None),
        ]
    }
}

/// Lets all pass.
struct All;

impl Look for All {
    fn look(&mut self, _: &dyn AnyColumn, _: &mut Rows, _: &mut Faults) {}
}

/// A time of which a millisecond passes whenever someone who sleeps gets a turn.
#[derive(Clone, Default)]
struct Turns(Arc<AtomicU64>);

impl Clock for Turns {
    fn now(&self) -> i64 {
        i64::try_from(self.0.load(Relaxed)).unwrap_or(i64::MAX).saturating_mul(1_000)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.load(Relaxed))
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        let until = self.elapsed() + time;
        Box::pin(async move {
            while clock.elapsed() < until {
                tokio::task::yield_now().await;
                clock.0.fetch_add(1, Relaxed);
            }
        })
    }
}

/// Waits until something is so.
pub(super) async fn until(what: &str, mut so: impl FnMut() -> bool) -> Result<(), Broken> {
    let began = Instant::now();
    while !so() {
        ensure(began.elapsed() < PATIENCE, || format!("waited in vain for {what}"))?;
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Lets everybody do all they can.
pub(super) async fn settle_down() {
    for _ in 0..2 {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        // Real time, for whoever works on a thread of its own.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
