//! [`Setup`]: what all parts of a run on one instance share.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};

use tokio::sync::{Mutex, Notify, mpsc};

use super::control::Control;
use super::job::{Job, Settings};
use super::keep::KeepBytes;
use super::kept::Kept;
use super::letters::Letterbox;
use super::metrics::Meters;
use super::open_sink::OpenSink;
use super::resolve::Resolver;
use super::source_end::{How, Others, Partitions, SourceEnd};
use super::tally::Tally;
use super::upstream::SharedStore;
use crate::commit::Bounds;
use crate::contracts::{
    Across, Cause, Checkpoint, CommitSoon, Commits, DynSinkFactory, DynSourceFactory, Error, Failures, Report, Result,
    SinkContext, SinkTraits, SourceTraits,
};
use crate::data::Partition;
use crate::plan::{Factory, Part, Policy, Stage, StageId, Step, Task};

/// What all parts of a run on one instance share.
pub(super) struct Setup {
    pub(super) job: Job,
    pub(super) settings: Settings,
    pub(super) meters: Arc<Meters>,
    pub(super) source: (Arc<dyn DynSourceFactory>, SourceTraits),
    pub(super) sink: (Arc<dyn DynSinkFactory>, SinkTraits),
    /// The number of this instance, if there are others.
    pub(super) instance: Option<u16>,
    letters: Arc<[Arc<Letterbox>]>,
    /// Where the sink asks for a commit before it is due.
    pub(super) commit_soon: Arc<Notify>,
    /// The epoch of the fold that begins next.
    epoch: AtomicU64,
    /// What limits have counted, by stage.
    tallies: std::sync::Mutex<BTreeMap<StageId, Arc<Tally>>>,
}

impl Setup {
    pub(super) fn new(job: Job, settings: Settings, instance: Option<u16>) -> Result<Arc<Self>> {
        let unfit = || Error::new(Cause::Bug, "a graph begins with a source and ends with a sink");
        let Some(Factory::Source(source)) = job.factories.first() else { return Err(unfit()) };
        let Some(Factory::Sink(sink)) = job.factories.last() else { return Err(unfit()) };
        let source = (source.clone(), source.traits());
        let sink = (sink.clone(), sink.traits(job.store.is_some()).behind(&source.1));
        let meters = Meters::new(job.graph.stages.iter().map(|stage| stage.name.clone()));
        let shares = if sink.1.transactional.is_ok() && !is_parted(&job) { sink.0.shares() } else { None };
        let letterbox = |factory| Letterbox::new(factory, &job.name, shares.as_ref());
        let letters = job.letters.iter().map(letterbox).collect();
        let epoch = AtomicU64::new(0);
        let tallies = std::sync::Mutex::default();
        let commit_soon = Arc::default();
        Ok(Arc::new(Self { job, settings, meters, source, sink, instance, letters, commit_soon, epoch, tallies }))
    }

    /// What the limit of this stage has counted, over all lives of its part.
    pub(super) fn tally(&self, stage: StageId, rows: u64) -> Arc<Tally> {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.entry(stage).or_insert_with(|| Arc::new(Tally::new(rows))).clone()
    }

    /// What the limits of these tasks have counted, over all lives of their part.
    pub(super) fn tallies(&self, tasks: &Range<usize>) -> Vec<Arc<Tally>> {
        let tasks: &[Task] = self.job.graph.tasks.get(tasks.clone()).unwrap_or_default();
        let limit = |step: &Step| match step {
            Step::Limit { stage, records } => Some(self.tally(*stage, *records)),
            _ => None,
        };
        tasks.iter().flat_map(|task| &task.steps).filter_map(limit).collect()
    }

    /// The epochs of folds begin with this one.
    pub(super) fn begin_epochs(&self, first: u64) {
        self.epoch.store(first, Relaxed);
    }

    /// Opens the store, if there is one.
    pub(super) async fn open_store(&self) -> Result<Option<SharedStore>> {
        let Some(store) = &self.job.store else { return Ok(None) };
        let store = store.open(&self.job.opened(self.input())).await?;
        Ok(Some(Arc::new(Mutex::new(store))))
    }

    /// What the source reads, in the words that positions are remembered with.
    fn input(&self) -> String {
        let SourceTraits { input, identity, .. } = &self.source.1;
        identity.as_ref().unwrap_or(input).clone()
    }

    /// Opens the dead letters: where the source is, what can't be opened is known before anything runs.
    pub(super) async fn open_letters(&self) -> Result<()> {
        for letters in self.letters.iter() {
            letters.open().await?;
        }
        Ok(())
    }

    /// Closes the dead letters that were opened.
    pub(super) async fn close_letters(&self) -> Result<()> {
        let mut closed = Ok(());
        for letters in self.letters.iter() {
            closed = closed.and(letters.close().await);
        }
        closed
    }

    /// Opens the sink, of which there may be `others`; `committed` is what the store knows, if it is here. Returns the
    /// sink with what it holds, if it keeps positions.
    pub(super) async fn open_sink(
        &self,
        committed: Option<Vec<Checkpoint>>,
        others: bool,
    ) -> Result<(OpenSink, Option<Vec<Checkpoint>>)> {
        // What was to be written with the sink before this one comes again.
        self.letters.iter().for_each(|letters| letters.forget_waiting());
        let (failures, failed) = Failures::channel();
        let context = SinkContext {
            pipeline: self.job.name.clone(),
            stage: self.job.graph.stages[0].name.clone(),
            keeps_positions: self.job.store.is_some(),
            // Each instance may name its input otherwise: it counts where the source is, which is where the store is.
            input: committed.as_ref().map(|_| self.input()),
            committed: committed.unwrap_or_default(),
            failures,
            source: if self.sink.1.commits_for(&self.source.1) { self.source.0.shares() } else { None },
            resumable: self.source.1.resumable,
            sink: None,
            instance: self.instance.filter(|_| others),
            commit_soon: CommitSoon::telling(&self.commit_soon),
        };
        let mut sink = self.sink.0.make();
        let name = self.last_stage().name.clone();
        let held = sink.open(&context).await.map_err(|error| error.in_stage(name))?;
        Ok((OpenSink { sink, failures: failed }, held))
    }

    /// Opens the source where its partitions are held, as this epoch.
    pub(super) async fn open_source(
        &self,
        held: Vec<Checkpoint>,
        epoch: u64,
        control: &Arc<Control>,
        others: Option<Others>,
    ) -> Result<(SourceEnd, Arc<Partitions>)> {
        let opened_as = (self.instance.unwrap_or_default(), epoch);
        let tallies = self.tallies(&(0..self.job.graph.tasks.len()));
        let (source, sink) = (&self.source.1, &self.sink.1);
        let how = How {
            pessimistic: self.is_pessimistic(),
            sink_keeps: self.instance.is_none() && self.is_transactional(),
            forgets: source.keeps_positions && (sink.commits_for(source) || !self.is_transactional()),
        };
        let holds_some = !held.is_empty();
        let partitions = Partitions::new(self.kept(held), opened_as, how, self.bounds(), tallies);
        let mut source = SourceEnd::new(
            self.source.0.make(),
            partitions.clone(),
            control,
            self.settings.world.clock.clone(),
            self.meters.clone(),
            KeepBytes::of(&self.job.graph, 0, &control.halt()),
            others,
        );
        match source.open().await {
            Err(error) if holds_some && error.cause() == Cause::State => Err(self.misfit(error)),
            opened => opened.map(|()| (source, partitions)),
        }
    }

    /// The other instances, as the source has to know them. `claimed`: what it has claimed, where it has to do that first.
    pub(super) fn others(&self, reports: mpsc::UnboundedSender<Report>, claimed: Option<Vec<Partition>>) -> Others {
        Others { reports, compare: self.compares_origins(), claimed: claimed.map(HashSet::from_iter) }
    }

    /// Where the sink keeps positions apart from its output, they may be another input's.
    fn misfit(&self, error: Error) -> Error {
        let commits_there = self.sink.1.commits_for(&self.source.1);
        let Some(at) = self.sink.1.positions_in.as_ref().filter(|_| !commits_there) else { return error };
        let name = &self.job.name;
        let message = format!(
            "{at} has positions under the pipeline's name `{name}` that don't fit this input: if they are another \
             pipeline's, give each a name of its own (`Pipeline::called`, `--name` of an example); if they are its own, the \
             input has changed"
        );
        Error::new(Cause::State, message).because(error)
    }

    /// The positions of this pipeline's source.
    pub(super) fn kept(&self, checkpoints: Vec<Checkpoint>) -> Kept {
        Kept::new(&self.job.name, &self.job.graph.stages[0].name, checkpoints)
    }

    /// Applies policies in a part.
    pub(super) fn resolver(&self, control: &Arc<Control>) -> Resolver {
        Resolver { letters: self.letters.clone(), meters: self.meters.clone(), control: control.clone() }
    }

    fn bounds(&self) -> Bounds {
        let records = self.job.graph.stages[0].options.buffer.unwrap_or(self.settings.in_flight_records);
        Bounds { records, bytes: self.settings.in_flight_bytes }
    }

    fn last_stage(&self) -> &Stage {
        &self.job.graph.stages[self.job.graph.stages.len() - 1]
    }

    pub(super) fn is_pessimistic(&self) -> bool {
        self.source.1.commits == Commits::Pessimistic
    }

    /// Whether the sink keeps positions with its data.
    pub(super) fn is_transactional(&self) -> bool {
        self.sink.1.transactional.is_ok()
    }

    /// Whether a part of the run may begin anew, with records that have passed before.
    pub(super) fn begins_anew(&self) -> bool {
        self.instance.is_some() || self.is_transactional()
    }

    /// Whether the sink, on so many instances, keeps positions of the source with its data. What a fold has taken in is
    /// committed later than what the sink has of other records.
    pub(super) fn sink_keeps_positions(&self, instances: usize) -> bool {
        let folds = self.has_step(&(0..self.job.graph.tasks.len()), |step| matches!(step, Step::Fold { .. }));
        self.is_transactional() && self.source.1.commits != Commits::None && instances == 1 && !folds
    }

    pub(super) fn policy(&self, stage: StageId) -> Policy {
        self.job.graph.stages[stage].options.policy.unwrap_or(self.job.policy)
    }

    /// The instance and the epoch of a fold that begins now: another than any before it. Where there is one instance,
    /// stamps carry none.
    pub(super) fn fold_epoch(&self) -> (u16, u64) {
        let Some(instance) = self.instance else { return (0, 0) };
        (instance, self.epoch.fetch_add(1, Relaxed))
    }

    /// Whether a network stage compares the source's records with others of other origins, and has to know what their
    /// partitions promise. Behind a fold there are none of them any more.
    fn compares_origins(&self) -> bool {
        let folds = |part: &Part| self.has_step(&part.tasks, |step| matches!(step, Step::Fold { .. }));
        let parts = &self.job.parts;
        let upto = parts.iter().position(folds).map_or(parts.len(), |fold| fold + 1);
        parts[..upto].iter().filter_map(|part| part.enters.as_ref()).any(|net| net.across != Across::Any)
    }

    /// How the network stage behind these tasks orders records of different origins.
    pub(super) fn across_after(&self, tasks: &Range<usize>) -> Across {
        let behind = self.job.parts.iter().find(|part| part.tasks.start == tasks.end);
        behind.and_then(|part| part.enters.as_ref()).map_or(Across::Any, |net| net.across)
    }

    /// Whether one of these tasks has such a step.
    pub(super) fn has_step(&self, tasks: &Range<usize>, step: impl Fn(&Step) -> bool) -> bool {
        let tasks: &[Task] = self.job.graph.tasks.get(tasks.clone()).unwrap_or_default();
        tasks.iter().flat_map(|task| &task.steps).any(step)
    }
}

/// Whether records go to the sink by a network stage, or what is given to it was made of several: then what it has of the
/// source's records is not all that lies before them.
fn is_parted(job: &Job) -> bool {
    let folds = |task: &Task| task.steps.iter().any(|step| matches!(step, Step::Fold { .. }));
    job.parts.len() > 1 || job.graph.tasks.iter().any(folds)
}
