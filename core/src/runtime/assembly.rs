//! Puts the tasks of a graph together: inlets, steps and outlets, joined by channels.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::channel::{self, Incoming, Outgoing};
use super::fold::FoldEnd;
use super::gate::{Limit, Pace};
use super::keep::KeepBytes;
use super::ledger::Ledger;
use super::map_async::AsyncEnd;
use super::pump::{In, Out, Pump, Stepping};
use super::resolve::Resolver;
use super::run::Starter;
use super::segment::Segmented;
use super::sink_end::SinkEnd;
use super::source_end::{Partitions, SourceEnd};
use super::summary::Ended;
use crate::contracts::{Cause, DynSink, Error, Host, Result};
use crate::plan::{Factory, Inlet, Outlet, Runs, Stage, StageId, Step, Task};

/// Puts the tasks together.
pub(super) struct Assembly<'a> {
    pub(super) starter: &'a Starter,
    pub(super) partitions: &'a Arc<Partitions>,
    pub(super) resolver: Resolver,
    pub(super) source: Option<(SourceEnd, mpsc::Receiver<super::source_end::SourceRequest>)>,
    pub(super) sink: Option<(Box<dyn DynSink>, mpsc::Receiver<super::sink_end::SinkRequest>)>,
    pub(super) finished: Option<oneshot::Sender<Option<Ended>>>,
    /// Dropped by each task once its stream is over.
    pub(super) over: mpsc::Sender<()>,
    /// What the folds have in flight.
    pub(super) folds: Vec<Arc<Ledger>>,
}

/// The ends of each channel that tasks and workers have not taken yet.
type Ends<T> = Vec<VecDeque<T>>;

/// A task with its name and what runs it.
pub(super) type Named = (String, Runs, Pump);

impl Assembly<'_> {
    /// All tasks of the graph.
    pub(super) fn pumps(&mut self) -> Result<Vec<Named>> {
        let graph = &self.starter.job.graph;
        let (mut sends, mut receives) = self.channels()?;
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
    fn channels(&self) -> Result<(Ends<Outgoing>, Ends<Incoming>)> {
        let graph = &self.starter.job.graph;
        let workers = |holds: &dyn Fn(&Task) -> bool| {
            graph.tasks.iter().find(|task| holds(task)).map_or(1, |task| task.workers.max(1))
        };
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
                (from, 1) => {
                    let (outgoing, incoming) = channel::collect(spec.batches, from);
                    (outgoing, vec![incoming])
                }
                (from, to) => {
                    let message =
                        format!("channel {id} has {from} senders and {to} receivers: one side has to be one task");
                    return Err(Error::new(Cause::Bug, message));
                }
            };
            sends.push(outgoing.into());
            receives.push(incoming.into());
        }
        Ok((sends, receives))
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
            over: Some(self.over.clone()),
            shares: task.runs == Runs::Async || starter.settings.world.workers == Host::Inline,
        })
    }

    /// The inlet (`None`: the source), the stage it stands for, and the steps that are left.
    fn inlet<'t>(&mut self, task: &'t Task, incoming: Option<Incoming>) -> Result<(Option<In>, StageId, &'t [Step])> {
        let Some(incoming) = incoming else { return Ok((None, 0, &task.steps)) };
        let starter = self.starter;
        let clock = starter.settings.world.clock.clone();
        let name = |stage: StageId| starter.job.graph.stages[stage].name.as_str();
        match task.steps.first() {
            Some(&Step::Fold { stage, each, every }) => {
                let Factory::Fold(make) = &starter.job.factories[stage] else { return Err(unfit()) };
                let (policy, resolver) = (starter.policy(stage), self.resolver.clone());
                let keep = KeepBytes::of(&starter.job.graph, stage);
                let fold =
                    FoldEnd::new(incoming, make(), stage, name(stage), policy, each, every, keep, resolver, clock);
                self.folds.push(fold.ledger());
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
        let end = SinkEnd::new(
            sink,
            name,
            stage,
            options,
            policy,
            starter.is_transactional(),
            self.partitions.clone(),
            self.resolver.clone(),
            clock,
        );
        Ok((Out::Sink(Box::new(end)), Some(requests)))
    }
}

fn unfit() -> Error {
    Error::new(Cause::Bug, "the graph does not fit its factories")
}
