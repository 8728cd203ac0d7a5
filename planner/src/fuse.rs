//! The fourth pass: what runs. Neighbouring element-wise stages and their coders become segments, segments and other
//! steps become tasks.
//!
//! A segment keeps the forms that were made in it at hand. Where it ends, because a step stands behind it or another
//! task begins, one form goes on: the one that the next stage takes if that is all that is needed until the value is
//! made anew, else the current value, so that what nobody changed is never encoded again. A view that is needed behind
//! such a cut is decoded again there.
//!
//! A task's kind of work is not known before something in it asks for a thread or for I/O; what doesn't care joins the
//! task that is there.

use std::sync::Arc;

use millstream_core::contracts::{Across, Coder, NetKind, Where};
use millstream_core::data::{Bytes, Form};
use millstream_core::plan::{
    Action, CoderId, Factory, Mark, Op, Options, Runs, Segment, Slot, StageId, StageKind, Step, Trigger,
};

use crate::coders::report;
use crate::draft::{Draft, What};
use crate::hand::{Hand, Held};
use crate::paths::{At, Chain, NoChain};

/// How many batches may wait between two tasks, unless the user says so.
const CHANNEL: usize = 4;
/// About how many records a batch has.
const BATCH: u64 = 256;

/// What came of fusing.
pub(crate) struct Fused {
    /// The tasks, source first.
    pub(crate) tasks: Vec<Fusing>,
    /// The coders that the operations name.
    pub(crate) coders: Vec<Coder>,
    /// What is left out of the last phase: a sentence each.
    pub(crate) dropped: Vec<String>,
    /// How many workers run each hop.
    pub(crate) workers: Vec<usize>,
}

/// A task under work.
pub(crate) struct Fusing {
    /// The names of the stages in it.
    pub(crate) names: Vec<String>,
    /// The source, in the first.
    pub(crate) source: Option<StageId>,
    /// The steps.
    pub(crate) steps: Vec<Step>,
    /// The sink, in the last.
    pub(crate) sink: Option<StageId>,
    /// What has to run it, if something in it cares.
    pub(crate) runs: Option<Runs>,
    /// Whether something in it may wait for something outside, and so holds up all else in it.
    pub(crate) waits: bool,
    /// How many workers.
    pub(crate) workers: usize,
    /// What comes in.
    pub(crate) form: Form,
    /// How many batches may wait before it.
    pub(crate) batches: usize,
    /// The network stage that it stands behind, and how that orders records of different origins.
    pub(crate) enters: Option<(NetKind, Across)>,
    /// Where it runs.
    pub(crate) place: Where,
}

pub(crate) fn run(draft: &mut Draft<'_>) {
    // Without its coders a pipeline can't run, and the mistakes have been named.
    let Some(given) = draft.hops[0].gives.clone().filter(|_| !draft.shown.is_empty()) else { return };
    let mut fuse = Fuse::new(given, draft.hops.len());
    for hop in 0..draft.hops.len() {
        if let (Err(why), Some(takes)) = (fuse.hop(draft, hop), draft.hops[hop].takes.clone()) {
            report(draft, hop, &fuse.hand, &takes, &why);
            return;
        }
    }
    draft.fused = Some(fuse.finish(draft));
}

/// A hop's form could not be made.
type Stuck = Box<NoChain>;

struct Fuse {
    done: Vec<Fusing>,
    task: Fusing,
    segment: Segment,
    hand: Hand,
    coders: Vec<Coder>,
    dropped: Vec<String>,
    /// The hop whose left-out coders have been told.
    noted: Option<usize>,
    workers: Vec<usize>,
    /// The user wants so many batches to wait behind the last stage.
    buffer: Option<usize>,
    /// The source's limit, if it has to be counted behind the merge.
    limit: Option<(StageId, u64)>,
}

impl Fuse {
    fn new(given: Form, hops: usize) -> Self {
        Self {
            done: Vec::new(),
            task: task(given.clone()),
            segment: segment(given.clone()),
            hand: Hand::of(At::plain(given), 0),
            coders: Vec::new(),
            dropped: Vec::new(),
            noted: None,
            workers: vec![1; hops],
            buffer: None,
            limit: None,
        }
    }

    fn hop(&mut self, draft: &Draft<'_>, hop: usize) -> Result<(), Stuck> {
        let id = match draft.hops[hop].what {
            What::Net(net) => return self.network(draft, hop, net),
            What::Declared(id) => id,
        };
        if let Some(batches) = self.buffer.take() {
            self.begin_task(draft, hop);
            self.task.batches = batches;
        }
        match &draft.stages[id].kind {
            StageKind::Source(traits) => self.source(draft, traits.blocking),
            StageKind::Fold { .. } | StageKind::MapAsync { .. } => self.apart(draft, hop, id)?,
            StageKind::Sink(traits) => self.sink(draft, hop, id, traits.blocking)?,
            _ => self.element(draft, hop, id)?,
        }
        Ok(())
    }

    fn finish(mut self, draft: &Draft<'_>) -> Fused {
        self.relay();
        self.dropped.extend(nothing_to_merge(draft));
        self.done.push(self.task);
        Fused { tasks: self.done, coders: self.coders, dropped: self.dropped, workers: self.workers }
    }
}

/// One method for each kind of hop.
impl Fuse {
    fn source(&mut self, draft: &Draft<'_>, blocking: bool) {
        let source = &draft.stages[0];
        self.task.source = Some(0);
        self.task.names.push(source.name.clone());
        self.task.place = draft.hops[0].place.clone();
        self.task.runs = Some(if blocking { Runs::Thread } else { Runs::Async });
        let merged = matches!(draft.hops[1].what, What::Net(NetKind::MergeSort | NetKind::Merge));
        let mut options = source.options.clone();
        if merged && draft.hops[0].place == Where::Everywhere {
            // Several instances read, or may come to read: only behind the merge are all records seen.
            self.limit = options.limit.take().map(|records| (0, records));
        }
        self.paced(draft, 0, 0, &options);
    }

    /// A stage that works on rows: in the segment that is there, unless something speaks against it.
    fn element(&mut self, draft: &Draft<'_>, hop: usize, id: StageId) -> Result<(), Stuck> {
        let stage = &draft.stages[id];
        if stage.options.retry.is_some() {
            self.begin_retry(draft, hop, id)?;
        }
        let own = match &draft.declaration.factories[id] {
            Factory::Coder(coder) => Some(coder.clone()),
            _ => None,
        };
        let workers = |task: &Fusing, chain: &Chain| workers(&stage.options, task.workers, !chain.steps.is_empty());
        let chain = self.room(draft, hop, workers, own.as_ref())?;
        let from = self.code(draft, hop, id, &chain);
        self.act(draft, id, from, own);
        self.task.names.push(stage.name.clone());
        self.workers[hop] = self.task.workers;
        self.paced(draft, hop, id, &stage.options);
        self.buffer = stage.options.buffer.map(batches);
        Ok(())
    }

    /// A retry runs its segment again from what came in, and what a stage takes by value is gone by then. Bytes and texts
    /// are shared, other values are copied as what the stage takes: so that is what has to come in.
    fn begin_retry(&mut self, draft: &Draft<'_>, hop: usize, id: StageId) -> Result<(), Stuck> {
        let chain = self.reach(draft, hop)?;
        let start = &self.hand.at(chain.start).at.form;
        let is_shared = start.is::<Bytes>() || start.is::<String>();
        if draft.stages[id].kind.takes_by_value() && !is_shared {
            self.code(draft, hop, id, &chain);
        }
        self.end_segment(draft, hop);
        Ok(())
    }

    /// A stage that begins a task; its coders stand before that.
    fn apart(&mut self, draft: &Draft<'_>, hop: usize, id: StageId) -> Result<(), Stuck> {
        let stage = &draft.stages[id];
        self.coders_alone(draft, hop, id)?;
        self.begin_task(draft, hop);
        let step = match stage.kind {
            StageKind::MapAsync { at_once } => {
                self.task.runs = Some(Runs::Async);
                Step::MapAsync { stage: id, at_once }
            }
            _ => fold(id, stage.options.trigger),
        };
        self.task.steps.push(step);
        self.task.names.push(stage.name.clone());
        self.made_anew(draft, hop);
        self.paced(draft, hop, id, &stage.options);
        self.buffer = stage.options.buffer.map(batches);
        Ok(())
    }

    fn sink(&mut self, draft: &Draft<'_>, hop: usize, id: StageId, blocking: bool) -> Result<(), Stuck> {
        let stage = &draft.stages[id];
        self.coders_alone(draft, hop, id)?;
        self.end_segment(draft, hop);
        self.pace(draft, hop, id, &stage.options);
        let runs = if blocking { Runs::Thread } else { Runs::Async };
        // Futures go on only while their task waits: a sink that writes in the same task would hold them up.
        let has_futures = matches!(self.task.steps.first(), Some(Step::MapAsync { .. }));
        if self.task.workers > 1 || has_futures || self.task.waits || self.task.runs.is_some_and(|other| other != runs)
        {
            self.begin_task(draft, hop);
        }
        self.task.runs = Some(runs);
        self.task.sink = Some(id);
        self.task.names.push(stage.name.clone());
        Ok(())
    }

    /// A network stage: the task ends with the bytes it carries.
    fn network(&mut self, draft: &Draft<'_>, hop: usize, net: NetKind) -> Result<(), Stuck> {
        let id = draft.stage_at(hop);
        let chain = self.room(draft, hop, |task, _| task.workers, None)?;
        self.code(draft, hop, id, &chain);
        self.end_segment(draft, hop);
        self.push_task();
        self.task.enters = Some((net, draft.hops[hop].across));
        self.task.batches = self.buffer.take().unwrap_or(CHANNEL);
        self.task.place = draft.hops.get(hop + 1).map(|next| next.place.clone()).unwrap_or_default();
        if let Some((stage, records)) = self.limit.take() {
            self.task.steps.push(Step::Limit { stage, records });
        }
        Ok(())
    }
}

/// Tasks and segments.
impl Fuse {
    /// Sees to it that the task can take a hop with this many workers and a coder of its own, and returns the chain that makes what the hop
    /// takes of what is then at hand.
    fn room(
        &mut self,
        draft: &Draft<'_>,
        hop: usize,
        workers: impl Fn(&Fusing, &Chain) -> usize,
        own: Option<&Coder>,
    ) -> Result<Chain, Stuck> {
        let heavy = own.is_some_and(|coder| coder.heavy);
        let waits = |chain: &Chain| chain.waits() || own.is_some_and(|coder| coder.waits);
        let mut chain = self.reach(draft, hop)?;
        if waits(&chain) && self.task.source.is_some() {
            // A source has to answer while others wait.
            self.begin_task(draft, hop);
            chain = self.reach(draft, hop)?;
        }
        if workers(&self.task, &chain) != self.task.workers {
            self.begin_task(draft, hop);
            chain = self.reach(draft, hop)?;
            self.task.workers = workers(&self.task, &chain);
        }
        let thread = |task: &Fusing, chain: &Chain| heavy || waits(chain) || task.workers > 1 || chain.heavy();
        if thread(&self.task, &chain) && self.task.runs == Some(Runs::Async) {
            let workers = self.task.workers;
            self.begin_task(draft, hop);
            self.task.workers = workers;
            chain = self.reach(draft, hop)?;
        }
        if thread(&self.task, &chain) {
            self.task.runs = Some(Runs::Thread);
        }
        self.task.waits |= waits(&chain);
        Ok(chain)
    }

    /// The coders before a fold, an asynchronous stage or a sink, which do not join them on several workers.
    fn coders_alone(&mut self, draft: &Draft<'_>, hop: usize, id: StageId) -> Result<(), Stuck> {
        let chain = self.reach(draft, hop)?;
        if chain.steps.is_empty() {
            self.note_dropped(draft, hop, &chain);
            return Ok(());
        }
        let coder_par = draft.stages[id].options.coder_par.max(1);
        let chain = self.room(draft, hop, |_, _| coder_par, None)?;
        self.code(draft, hop, id, &chain);
        if self.task.names.is_empty() {
            self.task.names.extend(chain.names());
        }
        Ok(())
    }

    fn reach(&self, draft: &Draft<'_>, hop: usize) -> Result<Chain, Stuck> {
        let Some(takes) = &draft.hops[hop].takes else { return Ok(Chain::default()) };
        let chain = match &draft.carried[hop] {
            Some(carried) => self.hand.reach_exactly(carried, &draft.coders),
            None => self.hand.reach(takes, &draft.coders),
        };
        chain.map_err(Box::new)
    }

    /// Ends the task before `hop`, unless nothing has been put in it yet.
    fn begin_task(&mut self, draft: &Draft<'_>, hop: usize) {
        let fresh = self.task.source.is_none() && self.task.steps.is_empty() && self.segment.ops.is_empty();
        if !fresh {
            self.end_segment(draft, hop);
            self.push_task();
        }
    }

    fn push_task(&mut self) {
        self.relay();
        let mut next = task(self.hand.current().at.form.clone());
        next.place = self.task.place.clone();
        self.done.push(std::mem::replace(&mut self.task, next));
    }

    /// Workers can't deal to workers in turn: between two tasks that have several stands one that only passes on.
    fn relay(&mut self) {
        let Some(before) = self.done.last().filter(|before| before.workers > 1 && self.task.workers > 1) else {
            return;
        };
        let mut relay = task(self.task.form.clone());
        relay.names.push("in turn".to_owned());
        (relay.place, relay.batches) = (before.place.clone(), self.task.batches);
        relay.enters = self.task.enters.take();
        self.done.push(relay);
    }

    /// Ends the segment before `hop`: one form goes on.
    fn end_segment(&mut self, draft: &Draft<'_>, hop: usize) {
        let held = self.goes_on(draft, hop).unwrap_or_else(|| self.hand.current()).clone();
        let mut ended = std::mem::replace(&mut self.segment, segment(held.at.form.clone()));
        ended.output = held.slot;
        if !ended.ops.is_empty() {
            self.task.steps.push(Step::Segment(ended));
        }
        self.hand = Hand::of(held.at, 0);
    }

    /// What `hop` takes, if it is at hand and every hop takes it until the value is made anew.
    fn goes_on(&self, draft: &Draft<'_>, hop: usize) -> Option<&Held> {
        let wanted = match draft.carried.get(hop)? {
            Some(carried) => self.hand.find_exactly(carried)?,
            None => self.hand.find(draft.hops[hop].takes.as_ref()?)?,
        };
        for next in hop..draft.hops.len() {
            let takes_it = match &draft.carried[next] {
                Some(carried) => *carried == wanted.at,
                None => draft.hops[next].takes.as_ref() == Some(&wanted.at.form) && !wanted.at.origin.is_wire(),
            };
            if !takes_it {
                return None;
            }
            if !draft.passes_on(next) {
                break;
            }
        }
        Some(wanted)
    }

    /// The steps that pace what has passed a stage.
    fn paced(&mut self, draft: &Draft<'_>, hop: usize, id: StageId, options: &Options) {
        if options.limit.is_some() || options.throttle.is_some() {
            self.end_segment(draft, hop + 1);
            self.pace(draft, hop + 1, id, options);
        }
    }

    /// Limit and throttle, in a task of one worker; the segment before them has ended.
    fn pace(&mut self, draft: &Draft<'_>, next: usize, id: StageId, options: &Options) {
        if options.limit.is_none() && options.throttle.is_none() {
            return;
        }
        if self.task.workers > 1 {
            self.begin_task(draft, next);
        }
        let limit = options.limit.map(|records| Step::Limit { stage: id, records });
        let throttle = options.throttle.map(|rate| Step::Throttle { stage: id, rate });
        self.task.steps.extend(limit.into_iter().chain(throttle));
    }
}

/// Operations.
impl Fuse {
    /// Puts a chain into the segment and returns the column with what the hop takes.
    fn code(&mut self, draft: &Draft<'_>, hop: usize, id: StageId, chain: &Chain) -> Slot {
        self.note_dropped(draft, hop, chain);
        let mut from = self.hand.at(chain.start).slot;
        for (coder, origin) in &chain.steps {
            from = self.code_by(id, coder.clone(), from);
            self.hand.add(At { form: coder.to.clone(), origin: origin.clone() }, from);
        }
        from
    }

    fn code_by(&mut self, id: StageId, coder: Coder, from: Slot) -> Slot {
        let to = self.slot(coder.to.clone());
        let coder = self.coder(coder);
        self.segment.ops.push(Op { stage: id, action: Action::Code { coder, from, to } });
        to
    }

    /// What the stage itself does.
    fn act(&mut self, draft: &Draft<'_>, id: StageId, from: Slot, own: Option<Coder>) {
        let stage = &draft.stages[id];
        if stage.kind.passes_on() {
            self.segment.ops.push(Op { stage: id, action: Action::Look { from } });
            return;
        }
        let Some(gives) = stage.gives.clone() else { return };
        let to = match own {
            Some(coder) => self.code_by(id, coder, from),
            None => {
                let to = self.slot(gives.clone());
                self.segment.ops.push(Op { stage: id, action: Action::Make { from, to } });
                to
            }
        };
        self.hand = Hand::of(At::plain(gives), to);
    }

    /// Behind a stage that is a step of its own only what it made is at hand.
    fn made_anew(&mut self, draft: &Draft<'_>, hop: usize) {
        if let Some(gives) = draft.hops[hop].gives.clone() {
            self.segment = segment(gives.clone());
            self.hand = Hand::of(At::plain(gives), 0);
        }
    }

    fn slot(&mut self, form: Form) -> Slot {
        self.segment.slots.push(form);
        self.segment.slots.len() - 1
    }

    fn coder(&mut self, coder: Coder) -> CoderId {
        let same = |known: &Coder| Arc::ptr_eq(&known.make, &coder.make);
        self.coders.iter().position(same).unwrap_or_else(|| {
            self.coders.push(coder);
            self.coders.len() - 1
        })
    }

    /// Says which of the coders that are shown before a hop don't run.
    fn note_dropped(&mut self, draft: &Draft<'_>, hop: usize, chain: &Chain) {
        if self.noted.replace(hop) == Some(hop) {
            return;
        }
        let mut runs = chain.names();
        for shown in &draft.shown[hop] {
            if let Some(at) = runs.iter().position(|name| *name == shown.name) {
                runs.remove(at);
            } else if shown.mark != Mark::Kept {
                let (name, before) = (&shown.name, &draft.hops[hop].name);
                let form = shown.gives.as_deref().unwrap_or_default();
                self.dropped.push(format!(
                    "{name} before {before} is left out: nobody changed the value, and its [{form}] is still at hand"
                ));
            }
        }
    }
}

/// The merges by event time that one instance has no use for.
fn nothing_to_merge(draft: &Draft<'_>) -> impl Iterator<Item = String> {
    let asked = draft.stages.iter().filter(|stage| draft.instances == 1 && stage.options.merge_by_time.is_some());
    asked.map(|stage| {
        format!("the merge by event time behind {} is left out: one instance, nothing to merge", stage.name)
    })
}

fn task(form: Form) -> Fusing {
    Fusing {
        names: Vec::new(),
        source: None,
        steps: Vec::new(),
        sink: None,
        runs: None,
        waits: false,
        workers: 1,
        form,
        batches: CHANNEL,
        enters: None,
        place: Where::Everywhere,
    }
}

fn segment(form: Form) -> Segment {
    Segment { slots: vec![form], ops: Vec::new(), output: 0 }
}

fn fold(stage: StageId, Trigger { each, every }: Trigger) -> Step {
    Step::Fold { stage, each, every }
}

fn batches(records: u64) -> usize {
    usize::try_from(records.div_ceil(BATCH)).unwrap_or(usize::MAX).max(1)
}

/// How many workers a stage that works on rows wants; those of the task that is there if they fit as well.
fn workers(options: &Options, there: usize, codes: bool) -> usize {
    let (par, both) = (options.par.max(1), options.par.max(options.coder_par).max(1));
    if codes || there == both { both } else { par }
}
