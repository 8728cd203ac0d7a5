//! Puts the tasks of a part of the graph together: inlets, steps and outlets, joined by channels.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::behind::Behind;
use super::channel::{self, Incoming, Outgoing};
use super::control::Control;
use super::entry_end::{EntryEnd, Feed};
use super::exit_end::ExitEnd;
use super::fold::FoldEnd;
use super::gate::{Limit, Pace};
use super::keep::KeepBytes;
use super::ledger::Ledger;
use super::map_async::AsyncEnd;
use super::open_sink::OpenSink;
use super::promises::Promises;
use super::pump::{In, Out, Pump};
use super::segment::Segmented;
use super::setup::Setup;
use super::sink_end::{SinkEnd, SinkRequest};
use super::source_end::{SourceEnd, SourceRequest};
use super::steps::{Stepping, Steps};
use super::summary::Ended;
use super::turns::Turns;
use crate::contracts::{Across, Cause, Error, Exit, Host, Result};
use crate::plan::{Factory, Inlet, Outlet, Runs, Stage, StageId, Step, Task};

/// Puts the tasks of a part together.
pub(super) struct Assembly<'a> {
    pub(super) setup: &'a Setup,
    /// Which tasks of the graph.
    pub(super) tasks: Range<usize>,
    pub(super) control: &'a Arc<Control>,
    pub(super) source: Option<(SourceEnd, mpsc::Receiver<SourceRequest>)>,
    pub(super) entry: Option<EntryEnd>,
    pub(super) sink: Option<(OpenSink, Behind, mpsc::Receiver<SinkRequest>)>,
    pub(super) exit: Option<Box<dyn Exit>>,
    /// Where folds say what they promise, if the part ends in a network stage.
    pub(super) promises: Option<Promises>,
    pub(super) finished: Option<oneshot::Sender<Option<Ended>>>,
    /// Dropped by each task once its stream is over.
    pub(super) over: mpsc::Sender<()>,
    /// What the folds have in flight.
    pub(super) folds: Vec<Arc<Ledger>>,
}

/// The ends of each channel that tasks and workers have not taken yet.
type Ends<T> = Vec<VecDeque<T>>;

/// The channels of a part: each one's ends, in the order of the tasks and workers that hold them.
#[derive(Default)]
struct Channels {
    sends: Ends<Outgoing>,
    receives: Ends<Incoming>,
    /// Deals what comes in by a network stage to the workers of the first task, where it has several.
    deals: Option<Outgoing>,
    /// Collects what the workers of the last task give to a network stage, where it has several.
    collects: Option<Incoming>,
}

/// A task with its name and what runs it.
pub(super) type Named = (String, Runs, Pump);

impl<'a> Assembly<'a> {
    /// All tasks of the part.
    pub(super) fn pumps(&mut self) -> Result<Vec<Named>> {
        let tasks = self.tasks()?;
        let Channels { mut sends, mut receives, deals, collects } = self.channels()?;
        let mut pumps = Vec::new();
        if let Some(outgoing) = deals {
            let entry = In::Feed(Feed::Entry(self.entry.take().ok_or_else(unfit)?));
            pumps.push(self.in_turn(entry, Out::Channel(outgoing))?);
        }
        for task in tasks {
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
                let inlet = self.inlet(task, incoming)?;
                let outlet = self.outlet(task, outgoing)?;
                pumps.push((name, task.runs, self.pump(inlet, outlet, task.runs)?));
            }
        }
        if let Some(incoming) = collects {
            let exit = Out::Exit(ExitEnd::new(self.exit.take().ok_or_else(unfit)?));
            pumps.push(self.in_turn(In::Feed(Feed::Channel(incoming)), exit)?);
        }
        Ok(pumps)
    }

    /// A task that only passes on: between a network stage and workers, who are dealt batches in turn.
    fn in_turn(&mut self, inlet: In, outlet: Out) -> Result<Named> {
        let pump = self.pump((inlet, None, 0, &[]), (outlet, None), Runs::Async)?;
        Ok(("in turn".to_owned(), Runs::Async, pump))
    }

    fn tasks(&self) -> Result<&'a [Task]> {
        self.setup.job.graph.tasks.get(self.tasks.clone()).ok_or_else(unfit)
    }

    /// The channels of the part. One that only one end of is in the part stands for a network stage.
    fn channels(&self) -> Result<Channels> {
        let tasks = self.tasks()?;
        let workers =
            |holds: &dyn Fn(&Task) -> bool| tasks.iter().find(|task| holds(task)).map(|task| task.workers.max(1));
        let mut channels = Channels::default();
        for (id, spec) in self.setup.job.graph.channels.iter().enumerate() {
            let from = workers(&|task| task.outlet == Outlet::Channel(id));
            let to = workers(&|task| task.inlet == Inlet::Channel(id));
            let (mut outgoing, mut incoming) = match (from, to) {
                (Some(from), Some(to)) => ends(id, spec.batches, from, to)?,
                (None, Some(to)) if to > 1 => ends(id, spec.batches, 1, to)?,
                (Some(from), None) if from > 1 => ends(id, spec.batches, from, 1)?,
                _ => (Vec::new(), Vec::new()),
            };
            match (from, to) {
                (None, _) => channels.deals = channels.deals.or(outgoing.pop()),
                (_, None) => channels.collects = channels.collects.or(incoming.pop()),
                _ => {}
            }
            channels.sends.push(outgoing.into());
            channels.receives.push(incoming.into());
        }
        Ok(channels)
    }

    fn pump(&mut self, inlet: InletOf<'_>, outlet: OutletOf, runs: Runs) -> Result<Pump> {
        let setup = self.setup;
        let (inlet, source_requests, inlet_stage, rest) = inlet;
        let (outlet, sink_requests) = outlet;
        let steps = rest.iter().map(|step| self.step(step)).collect::<Result<_>>()?;
        let clock = setup.settings.world.clock.clone();
        let resolver = setup.resolver(self.control);
        Ok(Pump {
            inlet,
            inlet_stage,
            inlet_policy: setup.policy(inlet_stage),
            inlet_name: setup.job.graph.stages[inlet_stage].name.clone(),
            steps: Steps::new(steps, resolver, self.control.clone(), clock.clone()),
            finished: if matches!(outlet, Out::Channel(_)) { None } else { self.finished.take() },
            outlet,
            control: self.control.clone(),
            phase: self.control.listen(),
            clock,
            source_requests,
            sink_requests,
            over: Some(self.over.clone()),
            shares: runs == Runs::Async || setup.settings.world.workers == Host::Inline,
        })
    }

    /// The inlet, with what the source is asked for if it is that; the stage it stands for; and the steps that are left.
    fn inlet<'t>(&mut self, task: &'t Task, incoming: Option<Incoming>) -> Result<InletOf<'t>> {
        let feed = match (incoming, &task.inlet) {
            (Some(incoming), _) => Feed::Channel(incoming),
            (None, Inlet::Channel(_)) => Feed::Entry(self.entry.take().ok_or_else(unfit)?),
            (None, Inlet::Source(_)) => {
                let (source, requests) = self.source.take().ok_or_else(unfit)?;
                return Ok((In::Source(source), Some(requests), 0, &task.steps));
            }
        };
        match task.steps.first() {
            Some(&Step::Fold { stage, each, every }) => {
                Ok((In::Fold(self.fold(feed, stage, each, every)?), None, stage, &task.steps[1..]))
            }
            Some(&Step::MapAsync { stage, at_once }) => {
                let setup = self.setup;
                let Factory::MakeAsync(make) = &setup.job.factories[stage] else { return Err(unfit()) };
                let name = &setup.job.graph.stages[stage].name;
                let end = AsyncEnd::new(feed, make(), stage, name, at_once, setup.meters.clone());
                Ok((In::Async(end), None, stage, &task.steps[1..]))
            }
            _ => Ok((In::Feed(feed), None, 0, &task.steps)),
        }
    }

    fn fold(&mut self, feed: Feed, stage: StageId, each: Option<u64>, every: Option<Duration>) -> Result<FoldEnd> {
        let setup = self.setup;
        let Factory::Fold(make) = &setup.job.factories[stage] else { return Err(unfit()) };
        let fold = FoldEnd::new(
            feed,
            make(),
            stage,
            &setup.job.graph.stages[stage].name,
            setup.policy(stage),
            each,
            every,
            KeepBytes::of(&setup.job.graph, stage, &self.control.halt()),
            setup.fold_epoch(),
            setup.resolver(self.control),
            setup.settings.world.clock.clone(),
            self.promises.clone().filter(|_| setup.across_after(&self.tasks) == Across::FirstRecord).map(Turns::new),
        );
        self.folds.push(fold.ledger());
        Ok(fold)
    }

    fn step(&self, step: &Step) -> Result<Stepping> {
        let job = &self.setup.job;
        match step {
            Step::Segment(segment) => {
                let meters = self.setup.meters.clone();
                let halt = self.control.halt();
                Segmented::new(segment, &job.graph, &job.factories, job.policy, meters, &halt).map(Stepping::Segment)
            }
            Step::Limit { stage, records } => {
                let limit = Limit::new(self.setup.tally(*stage, *records), self.setup.begins_anew());
                Ok(Stepping::Limit { limit, stage: *stage })
            }
            Step::Throttle { rate, .. } => Ok(Stepping::Pace(Pace::new(*rate))),
            Step::Fold { .. } | Step::MapAsync { .. } => Err(unfit()),
        }
    }

    fn outlet(&mut self, task: &Task, outgoing: Option<Outgoing>) -> Result<OutletOf> {
        let stage = match (&task.outlet, outgoing) {
            (Outlet::Channel(_), Some(outgoing)) => return Ok((Out::Channel(outgoing), None)),
            (Outlet::Channel(_), None) => {
                let exit = self.exit.take().ok_or_else(unfit)?;
                return Ok((Out::Exit(ExitEnd::new(exit)), None));
            }
            (Outlet::Sink(stage), _) => *stage,
        };
        let setup = self.setup;
        let (sink, behind, requests) = self.sink.take().ok_or_else(unfit)?;
        let Stage { name, options, .. } = setup.job.graph.stages[stage].clone();
        let clock = setup.settings.world.clock.clone();
        let (policy, transactional) = (setup.policy(stage), setup.is_transactional());
        let resolver = setup.resolver(self.control);
        let end = SinkEnd::new(sink, name, stage, options, policy, transactional, behind, resolver, clock);
        Ok((Out::Sink(Box::new(end)), Some(requests)))
    }
}

/// What a task takes from: see [`Assembly::inlet`].
type InletOf<'t> = (In, Option<mpsc::Receiver<SourceRequest>>, StageId, &'t [Step]);

/// What a task gives to, with what the sink is asked for if it is that.
type OutletOf = (Out, Option<mpsc::Receiver<SinkRequest>>);

/// The ends of one channel.
fn ends(id: usize, batches: usize, from: usize, to: usize) -> Result<(Vec<Outgoing>, Vec<Incoming>)> {
    match (from, to) {
        (1, 1) => {
            let (outgoing, incoming) = channel::single(batches);
            Ok((vec![outgoing], vec![incoming]))
        }
        (1, to) => {
            let (outgoing, incoming) = channel::deal(batches, to);
            Ok((vec![outgoing], incoming))
        }
        (from, 1) => {
            let (outgoing, incoming) = channel::collect(batches, from);
            Ok((outgoing, vec![incoming]))
        }
        (from, to) => {
            let message = format!("channel {id} has {from} senders and {to} receivers: one side has to be one task");
            Err(Error::new(Cause::Bug, message))
        }
    }
}

fn unfit() -> Error {
    Error::new(Cause::Bug, "the graph does not fit its factories")
}
