//! [`Part`]: what stands between two network stages, at work on this instance; where there are none, the whole pipeline.
//!
//! ```text
//!   inlet (source | entry) -> tasks -> outlet (exit | sink)
//! ```

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot};

use super::arrivals::Arrivals;
use super::assembly::{Assembly, Named};
use super::behind::Behind;
use super::committer::{Ask, Committer};
use super::control::Control;
use super::end::End;
use super::entry_end::EntryEnd;
use super::ledger::Ledger;
use super::locator::Locator;
use super::open_sink::OpenSink;
use super::promises::Promises;
use super::pump::Pump;
use super::setup::Setup;
use super::sink_end::SinkRequest;
use super::source_end::{Partitions, SourceEnd, SourceRequest};
use super::upstream::{SharedStore, SourceSide, Upstream};
use crate::contracts::{Cause, Error, Exit, Host, Result};
use crate::plan::Runs;

/// Where the records of a part come from.
pub(super) enum Inlet {
    /// The source, which is open, and the store that its positions are kept in.
    Source(SourceEnd, Arc<Partitions>, Option<SharedStore>),
    /// A network stage; and what hears of outcomes on their way back, unless nothing has to.
    Entry(EntryEnd, Option<Arc<Arrivals>>, Arc<Locator>),
}

/// Where the records of a part go.
pub(super) enum Outlet {
    /// The sink, which is open.
    Sink(OpenSink),
    /// A network stage; and where what begins in the part says what it promises.
    Exit(Box<dyn Exit>, Promises),
}

/// A part at work.
pub(super) struct Part {
    pub(super) control: Arc<Control>,
    /// Asks for a commit now.
    pub(super) asks: mpsc::UnboundedSender<Ask>,
    /// What the folds have in flight.
    pub(super) folds: Vec<Arc<Ledger>>,
    /// Sees it to its end.
    pub(super) end: End,
    /// Closes once no task of it is left.
    pub(super) gone: mpsc::Receiver<()>,
}

/// What has to be known of a part before its tasks are put together.
struct Ends {
    source: Option<(SourceEnd, mpsc::Receiver<SourceRequest>)>,
    entry: Option<EntryEnd>,
    sink: Option<(OpenSink, Behind, mpsc::Receiver<SinkRequest>)>,
    exit: Option<(Box<dyn Exit>, Promises)>,
    /// Who hears of commits, if any are made: none are between two network stages.
    upstream: Option<Upstream>,
    ask_sink: Option<mpsc::Sender<SinkRequest>>,
}

impl Part {
    /// Begins these tasks of the graph.
    pub(super) fn begin(
        setup: &Arc<Setup>,
        tasks: Range<usize>,
        control: Arc<Control>,
        inlet: Inlet,
        outlet: Outlet,
    ) -> Result<Self> {
        let Ends { source, entry, sink, exit, upstream, ask_sink } = Ends::new(setup, inlet, outlet)?;
        let (asks, asked) = mpsc::unbounded_channel();
        let (finished, ended) = oneshot::channel();
        let (over, all_over) = mpsc::channel(1);
        let (alive, gone) = mpsc::channel(1);
        let finished = Some(finished);
        let (exit, promises) = exit.unzip();
        let folds = Vec::new();
        let mut assembly =
            Assembly { setup, tasks, control: &control, source, entry, sink, exit, promises, finished, over, folds };
        let pumps = assembly.pumps()?;
        let folds = std::mem::take(&mut assembly.folds);
        drop(assembly);
        let committer = upstream.map(|upstream| committer(setup, upstream, ask_sink, &folds, &control, asked));
        for named in pumps {
            spawn(named, setup.settings.world.workers, &control, alive.clone())?;
        }
        let end = End::new(setup, &control, committer, folds.clone(), ended, all_over);
        Ok(Self { control, asks, folds, end, gone })
    }
}

impl Ends {
    fn new(setup: &Setup, inlet: Inlet, outlet: Outlet) -> Result<Self> {
        let (ask_source, source_requests) = mpsc::channel(1);
        let (ask_sink, sink_requests) = mpsc::channel(1);
        let behind = behind(&inlet);
        let (source, entry, mut upstream) = match inlet {
            Inlet::Source(source, partitions, store) => {
                let visibility = setup.source.1.visibility.filter(|_| partitions.how.pessimistic);
                let side = SourceSide::new(partitions, ask_source, store, visibility);
                (Some((source, source_requests)), None, Some(Upstream::Source(side)))
            }
            Inlet::Entry(entry, arrivals, _) => (None, Some(entry), arrivals.map(Upstream::Entry)),
        };
        let (sink, exit) = match (outlet, behind) {
            (Outlet::Sink(sink), Some(behind)) => (Some((sink, behind, sink_requests)), None),
            (Outlet::Sink(_), None) => return Err(Error::new(Cause::Bug, "nobody hears of what a sink makes durable")),
            (Outlet::Exit(exit, promises), _) => (None, Some((exit, promises))),
        };
        if sink.is_none() && source.is_none() {
            upstream = None;
        }
        let ask_sink = sink.is_some().then_some(ask_sink);
        Ok(Self { source, entry, sink, exit, upstream, ask_sink })
    }
}

/// What a sink's commit covers in a part with this inlet.
fn behind(inlet: &Inlet) -> Option<Behind> {
    match inlet {
        Inlet::Source(_, partitions, _) => Some(Behind::Source(partitions.clone())),
        Inlet::Entry(_, arrivals, locator) => Some(Behind::Entry(arrivals.clone()?, locator.clone())),
    }
}

fn committer(
    setup: &Setup,
    upstream: Upstream,
    sink: Option<mpsc::Sender<SinkRequest>>,
    folds: &[Arc<Ledger>],
    control: &Arc<Control>,
    asks: mpsc::UnboundedReceiver<Ask>,
) -> Committer {
    let written = setup.meters.stages.last().map_or(0, |sink| sink.rows_in.load(Relaxed));
    Committer {
        upstream,
        written: if sink.is_some() { written } else { 0 },
        sink,
        transactional: setup.is_transactional(),
        clock: setup.settings.world.clock.clone(),
        meters: setup.meters.clone(),
        interval: setup.settings.commit_interval,
        folds: folds.to_vec(),
        control: control.clone(),
        asks,
        soon: setup.commit_soon.clone(),
    }
}

/// Starts a task where it belongs. A task that panics fails the run.
fn spawn((name, runs, pump): Named, host: Host, control: &Arc<Control>, alive: mpsc::Sender<()>) -> Result<()> {
    let watched = watch(pump, name.clone(), control.clone(), alive);
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

/// Runs a task to its end; `alive` is dropped after it.
async fn watch(pump: Pump, name: String, control: Arc<Control>, alive: mpsc::Sender<()>) {
    if let Err(payload) = std::panic::AssertUnwindSafe(pump.run()).catch_unwind().await {
        let panic = crate::contracts::Panicked::new(payload);
        control
            .fail(Error::new(Cause::Bug, "a task panicked outside of any stage's code").in_stage(name).because(panic));
    }
    drop(alive);
}
