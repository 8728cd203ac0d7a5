//! [`Pump`]: one task at work. It takes a batch from its inlet, runs it through its steps to the end, and gives what
//! comes of it to its outlet, before it takes the next; in every wait it serves what source and sink are asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::channel::{Incoming, Outgoing};
use super::control::{Control, Phase};
use super::fold::{FoldEnd, FoldEvent};
use super::gate::{Let, Limit, Pace};
use super::map_async::{AsyncEnd, AsyncEvent};
use super::parcel::{Close, Parcel};
use super::passing::Passing;
use super::resolve::{Again, Resolved, Resolver};
use super::segment::{Passed, Segmented, Verdict};
use super::sink_end::{SinkEnd, SinkRequest, Written};
use super::source_end::{SourceEnd, SourceRequest};
use super::summary::Ended;
use crate::contracts::{Clock, DynEvent};
use crate::plan::{Policy, StageId};

/// Where a task's batches come from.
pub(super) enum In {
    Source(SourceEnd),
    Channel(Incoming),
    Fold(FoldEnd),
    Async(AsyncEnd),
    /// The stream is over.
    Nothing,
}

/// One step of a task.
pub(super) enum Stepping {
    Segment(Segmented),
    Limit { limit: Limit, stage: StageId },
    Pace(Pace),
}

/// Where a task's batches go.
pub(super) enum Out {
    Sink(Box<SinkEnd>),
    Channel(Outgoing),
}

/// One task at work.
pub(super) struct Pump {
    pub(super) inlet: In,
    /// The stage whose policy counts for what the inlet could not give.
    pub(super) inlet_stage: StageId,
    pub(super) inlet_policy: Policy,
    pub(super) inlet_name: String,
    pub(super) steps: Vec<Stepping>,
    pub(super) outlet: Out,
    pub(super) resolver: Resolver,
    pub(super) control: Arc<Control>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) source_requests: Option<mpsc::Receiver<SourceRequest>>,
    pub(super) sink_requests: Option<mpsc::Receiver<SinkRequest>>,
    pub(super) queue: VecDeque<Item>,
    /// How the stream ends once the queue is empty, when that is known.
    pub(super) ending: Option<Close>,
    /// Dropped once the stream is over here: nothing is in flight in this task any more.
    pub(super) over: Option<mpsc::Sender<()>>,
    /// Whether it shares its thread with other tasks.
    pub(super) shares: bool,
    /// Told how the sink's task ended, once it has.
    pub(super) finished: Option<tokio::sync::oneshot::Sender<Option<Ended>>>,
}

/// A batch on its way through the steps.
pub(super) struct Item {
    step: usize,
    load: Load,
    not_before: Option<Duration>,
}

enum Load {
    Parcel(Parcel),
    Passing(Passing),
    /// Failed records of it have still to be dealt with.
    Faulted(Passing),
}

enum Event {
    Source(DynEvent),
    Came(Parcel),
    Fold(FoldEvent),
    Async(AsyncEvent),
    AskSource(Option<SourceRequest>),
    AskSink(Option<SinkRequest>),
    /// The run has entered another phase.
    Phase,
    /// The moment has come.
    Time,
    /// There is room in the channel behind it.
    Room,
    Closed(Close),
    Nothing,
}

/// What the task waits for.
enum Await {
    /// The next batch.
    Input,
    /// Room in the channel behind it.
    Room,
    /// A moment of the run's clock.
    Time(Duration),
}

impl Pump {
    /// Runs to the end of the stream, then serves source and sink for as long as anyone may ask.
    pub(super) async fn run(mut self) {
        let ended = match self.stream().await {
            Ok(ended) => Some(ended),
            Err(Close::Error(error)) => {
                self.control.fail_in_stream(error);
                None
            }
            Err(_) => None,
        };
        // What is still on its way here is dropped, and so abandoned.
        self.queue.clear();
        if !matches!(self.inlet, In::Source(_)) {
            self.inlet = In::Nothing;
        }
        if let Out::Channel(outgoing) = &mut self.outlet {
            serving(&mut self.inlet, &mut self.source_requests, outgoing.close(ended)).await;
        }
        self.over = None;
        if let Some(finished) = self.finished.take() {
            let _ = finished.send(ended);
        }
        self.serve_on().await;
    }

    async fn stream(&mut self) -> Result<Ended, Close> {
        loop {
            if self.control.phase() == Phase::Aborting {
                return Err(Close::Failed);
            }
            match (self.queue.is_empty(), self.ending.take()) {
                (true, Some(Close::End(ended))) => return Ok(ended),
                (true, Some(close)) => return Err(close),
                (true, None) => self.input().await?,
                (false, ending) => {
                    self.ending = ending;
                    self.work().await?;
                }
            }
            if self.shares {
                tokio::task::coop::consume_budget().await;
            }
        }
    }

    /// Takes the next thing from the inlet. When the inlet has ended, what a fold still has goes out first.
    async fn input(&mut self) -> Result<(), Close> {
        match self.wait(Await::Input).await {
            Err(Close::End(ended)) => {
                let mut out = VecDeque::new();
                if let In::Fold(fold) = &mut self.inlet {
                    fold.finish(ended, &mut out);
                }
                self.push_parcels(out);
                self.ending = Some(Close::End(ended));
                Ok(())
            }
            other => other,
        }
    }

    /// Does what is next for the batch at the front of the queue.
    async fn work(&mut self) -> Result<(), Close> {
        let Some(item) = self.queue.front() else { return Ok(()) };
        let delivers = item.step == self.steps.len();
        match item.not_before {
            Some(time) if self.clock.elapsed() < time => {
                if self.is_paced() && self.control.phase() == Phase::Draining {
                    self.cut_short();
                    return Ok(());
                }
                self.count_waiting(1);
                let waited = self.wait(Await::Time(time)).await;
                self.count_waiting(0);
                waited
            }
            _ if delivers => self.deliver().await,
            _ => self.advance().await,
        }
    }

    /// Whether what is at the front of the queue waits for a throttle.
    fn is_paced(&self) -> bool {
        self.queue.front().is_some_and(|item| matches!(self.steps.get(item.step), Some(Stepping::Pace(_))))
    }

    /// A drain ends the stream at a throttle: what it has not let pass yet is read again by the next run.
    fn cut_short(&mut self) {
        if let Some(Item { load: Load::Parcel(parcel), .. }) = self.queue.pop_front() {
            parcel.ticket.seal(parcel.batch.part().start);
        }
        self.end_with(Close::End(Ended::Drained));
    }

    /// What is queued is dropped; once what is queued after this is through, the stream ends like this.
    fn end_with(&mut self, close: Close) {
        self.queue.clear();
        self.stop_inlet();
        self.ending = Some(close);
    }

    /// Shows in the metrics that records wait for a retry.
    fn count_waiting(&self, waiting: u64) {
        if let Some(Item { load: Load::Passing(passing), .. }) = self.queue.front()
            && let Some(stage) = passing.retries()
        {
            self.resolver.meters.stages[stage].waiting.store(waiting, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Runs the batch at the front of the queue through its next step.
    async fn advance(&mut self) -> Result<(), Close> {
        let Some(Item { step, load, .. }) = self.queue.pop_front() else { return Ok(()) };
        match (load, &mut self.steps[step]) {
            (Load::Parcel(parcel), Stepping::Segment(segment)) => {
                let passing = segment.begin(parcel);
                let passed = segment.run(passing);
                self.passed(step, passed);
            }
            (Load::Passing(passing), Stepping::Segment(segment)) => {
                let passed = segment.run(passing);
                self.passed(step, passed);
            }
            (Load::Faulted(passing), Stepping::Segment(segment)) => {
                let verdict = segment.verdict(&passing);
                let resolved = match verdict.again {
                    Some(wait) => self.resolver.again(verdict.stage, wait, passing, segment),
                    None => self.resolver.resolve(verdict, passing).await.map_err(Close::Error)?,
                };
                self.resolved(step, resolved);
            }
            (Load::Parcel(parcel), Stepping::Limit { limit, stage }) => {
                let stage = *stage;
                match limit.admit(parcel) {
                    Let::Pass(parcel) => self.push_front(step + 1, Load::Parcel(parcel)),
                    Let::Last(parcel, rest) => self.last(step, stage, parcel, rest),
                }
            }
            (Load::Parcel(parcel), Stepping::Pace(pace)) => {
                let paced = pace.admit(parcel, self.clock.elapsed());
                if let Some((later, time)) = paced.later {
                    self.queue.push_front(Item { step, load: Load::Parcel(later), not_before: Some(time) });
                }
                if let Some(now) = paced.now {
                    self.push_front(step + 1, Load::Parcel(now));
                }
            }
            (Load::Passing(passing) | Load::Faulted(passing), _) => {
                if let Some(parcel) = passing.into_parcel() {
                    self.push_front(step, Load::Parcel(parcel));
                }
            }
        }
        Ok(())
    }

    fn passed(&mut self, step: usize, passed: Passed) {
        match passed {
            Passed::Through(parcel) => self.push_front(step + 1, Load::Parcel(parcel)),
            Passed::Faulted(passing) => self.push_front(step, Load::Faulted(passing)),
        }
    }

    /// Queues what a policy lets go on, in order.
    fn resolved(&mut self, step: usize, resolved: Resolved) {
        match resolved {
            Resolved::On(passing) => self.push_front(step, Load::Passing(passing)),
            Resolved::Again(resolved) => {
                let Again { before, again, wait, after } = *resolved;
                let after = if after.has_faults() { Load::Faulted(after) } else { Load::Passing(after) };
                self.push_front(step, after);
                let not_before = Some(self.clock.elapsed() + wait);
                self.queue.push_front(Item { step, load: Load::Passing(again), not_before });
                self.push_front(step, Load::Passing(before));
            }
            // What lies before the failure goes through, so that the commit is exact to the record.
            Resolved::Failed { before, error } => {
                self.end_with(Close::Error(error));
                self.push_front(step, Load::Passing(before));
            }
        }
    }

    /// A limit is reached: this is the last that passes.
    fn last(&mut self, step: usize, stage: StageId, parcel: Parcel, rest: Option<(Parcel, u32)>) {
        if let Some((rest, record)) = rest {
            rest.ticket.seal(record);
        }
        tracing::debug!(stage, "the limit is reached");
        self.control.enter(Phase::Limited);
        self.end_with(Close::End(Ended::Limit));
        self.push_front(step + 1, Load::Parcel(parcel));
    }

    /// Gives the batch at the front of the queue to the outlet.
    async fn deliver(&mut self) -> Result<(), Close> {
        if matches!(self.outlet, Out::Channel(_)) {
            self.wait(Await::Room).await?;
        }
        let Some(item) = self.queue.pop_front() else { return Ok(()) };
        let parcel = match item.load {
            Load::Parcel(parcel) => Some(parcel),
            Load::Passing(passing) | Load::Faulted(passing) => passing.into_parcel(),
        };
        let Some(mut parcel) = parcel else { return Ok(()) };
        let step = self.steps.len();
        let Self { inlet, outlet, source_requests, .. } = self;
        match outlet {
            Out::Channel(outgoing) => {
                // A worker that fails keeps its turn: nothing behind the failure passes the collector.
                let fails = matches!(self.ending, Some(Close::Error(_) | Close::Failed));
                let turn_ends = outgoing.deals() || (self.queue.is_empty() && !fails);
                outgoing.send(parcel, turn_ends).map_err(|_| Close::Failed)?;
            }
            Out::Sink(sink) => {
                if let Some(rest) = sink.cut_at_trigger(&mut parcel) {
                    self.queue.push_front(Item { step, load: Load::Parcel(rest), not_before: None });
                }
                let written = serving(inlet, source_requests, sink.write(parcel)).await;
                return self.written(step, written.map_err(Close::Error)?);
            }
        }
        Ok(())
    }

    fn written(&mut self, step: usize, written: Written) -> Result<(), Close> {
        match written {
            Written::Done => {}
            Written::Again(rest, wait) => {
                let not_before = Some(self.clock.elapsed() + wait);
                self.queue.push_front(Item { step, load: Load::Parcel(rest), not_before });
            }
            Written::ReaderGone => {
                self.control.reader_gone();
                self.end_with(Close::End(Ended::ReaderGone));
            }
            Written::Refused => return Err(Close::Failed),
        }
        Ok(())
    }

    /// Waits for one thing, and serves requests meanwhile.
    async fn wait(&mut self, what: Await) -> Result<(), Close> {
        loop {
            match self.event(&what).await {
                Event::AskSource(request) => self.ask_source(request).await,
                Event::AskSink(request) => self.ask_sink(request).await,
                Event::Closed(close) => return Err(close),
                Event::Room => return Ok(()),
                Event::Time => {
                    if let Out::Sink(sink) = &mut self.outlet {
                        sink.flush_if_due().await.map_err(Close::Error)?;
                    }
                    if matches!(what, Await::Time(_)) {
                        return Ok(());
                    }
                }
                Event::Phase => match self.control.phase() {
                    Phase::Aborting => return Err(Close::Failed),
                    Phase::Draining if matches!(what, Await::Time(_)) => return Ok(()),
                    _ => {}
                },
                Event::Nothing => {}
                input => return self.accept(input).await,
            }
        }
    }

    async fn event(&mut self, what: &Await) -> Event {
        let Self { inlet, outlet, phase, clock, source_requests, sink_requests, .. } = self;
        let (flush_at, sends) = match outlet {
            Out::Sink(sink) => (sink.flush_at(), None),
            Out::Channel(outgoing) => (None, Some(&*outgoing)),
        };
        let until = match what {
            Await::Time(time) => Some(flush_at.map_or(*time, |flush| flush.min(*time))),
            _ => flush_at,
        };
        tokio::select! {
            biased;
            request = asked(source_requests) => Event::AskSource(request),
            request = asked(sink_requests) => Event::AskSink(request),
            _ = phase.changed() => Event::Phase,
            () = reached(clock, until), if until.is_some() => Event::Time,
            room = room(sends), if matches!(what, Await::Room) => room,
            // Whoever takes what is made here wants no more: there is nothing left to wait for.
            () = closed(sends), if sends.is_some() => Event::Closed(Close::Failed),
            event = inlet.watch(matches!(what, Await::Input)) => event,
        }
    }

    async fn accept(&mut self, event: Event) -> Result<(), Close> {
        match (event, &mut self.inlet) {
            (Event::Source(event), In::Source(source)) => {
                let emitted = source.accept(event).map_err(Close::Error)?;
                match emitted {
                    Some(emitted) if emitted.refused.is_empty() => self.push_back(Load::Parcel(emitted.parcel)),
                    Some(emitted) => {
                        let passing = Passing::refused(emitted.parcel, emitted.refused, &self.inlet_name);
                        self.resolve_inlet(passing).await?;
                    }
                    None => {}
                }
            }
            (Event::Came(parcel), _) => self.push_back(Load::Parcel(parcel)),
            (Event::Fold(event), In::Fold(fold)) => {
                let mut out = VecDeque::new();
                let taken = fold.accept(event, &mut out).await;
                self.push_parcels(out);
                if let Err(error) = taken {
                    self.stop_inlet();
                    self.ending = Some(Close::Error(error));
                }
            }
            (Event::Async(event), In::Async(stage)) => {
                let mut out = VecDeque::new();
                stage.accept(event, &mut out);
                for passing in out {
                    self.resolve_inlet(passing).await?;
                    if self.ending.is_some() {
                        break;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Applies the inlet stage's policy to records that it could not give.
    async fn resolve_inlet(&mut self, passing: Passing) -> Result<(), Close> {
        if !passing.has_faults() {
            self.push_given(passing);
            return Ok(());
        }
        let verdict = Verdict { stage: self.inlet_stage, policy: self.inlet_policy, again: None };
        match self.resolver.resolve(verdict, passing).await.map_err(Close::Error)? {
            Resolved::On(passing) => self.push_given(passing),
            Resolved::Again(_) => {}
            Resolved::Failed { before, error } => {
                self.push_given(before);
                self.stop_inlet();
                self.ending = Some(Close::Error(error));
            }
        }
        Ok(())
    }

    async fn ask_source(&mut self, request: Option<SourceRequest>) {
        match (request, &mut self.inlet) {
            (Some(request), In::Source(source)) => source.serve(request).await,
            _ => self.source_requests = None,
        }
    }

    async fn ask_sink(&mut self, request: Option<SinkRequest>) {
        let Self { inlet, outlet, source_requests, .. } = self;
        match (request, outlet) {
            (Some(request), Out::Sink(sink)) => serving(inlet, source_requests, sink.serve(request)).await,
            _ => self.sink_requests = None,
        }
    }

    async fn serve_on(&mut self) {
        while self.source_requests.is_some() || self.sink_requests.is_some() {
            let Self { source_requests, sink_requests, .. } = self;
            let event = tokio::select! {
                request = asked(source_requests) => Event::AskSource(request),
                request = asked(sink_requests) => Event::AskSink(request),
            };
            match event {
                Event::AskSource(request) => self.ask_source(request).await,
                Event::AskSink(request) => self.ask_sink(request).await,
                _ => {}
            }
        }
    }

    fn stop_inlet(&mut self) {
        match &mut self.inlet {
            In::Source(_) | In::Nothing => {}
            In::Channel(incoming) => incoming.stop(),
            In::Fold(fold) => fold.stop(),
            In::Async(stage) => stage.stop(),
        }
    }

    /// Queues what the inlet gave, as the batch it is: it has the columns of no segment yet.
    fn push_given(&mut self, passing: Passing) {
        if let Some(parcel) = passing.into_parcel() {
            self.push_back(Load::Parcel(parcel));
        }
    }

    fn push_parcels(&mut self, parcels: VecDeque<Parcel>) {
        parcels.into_iter().for_each(|parcel| self.push_back(Load::Parcel(parcel)));
    }

    fn push_back(&mut self, load: Load) {
        self.queue.push_back(Item { step: 0, load, not_before: None });
    }

    fn push_front(&mut self, step: usize, load: Load) {
        self.queue.push_front(Item { step, load, not_before: None });
    }
}

impl In {
    /// The next thing to happen. May be dropped at any time.
    async fn event(&mut self) -> Event {
        let event = match self {
            Self::Source(source) => source.event().await.map(|event| event.map_or(Event::Nothing, Event::Source)),
            Self::Channel(incoming) => incoming.next().await.map(|(parcel, _)| Event::Came(parcel)),
            Self::Fold(fold) => fold.event().await.map(Event::Fold),
            Self::Async(stage) => stage.event().await.map(Event::Async),
            Self::Nothing => Err(Close::Failed),
        };
        event.unwrap_or_else(Event::Closed)
    }

    /// The next thing to happen if it is `wanted`; else futures that are under way go on, and nothing ever happens. May
    /// be dropped at any time.
    async fn watch(&mut self, wanted: bool) -> Event {
        match self {
            inlet if wanted => inlet.event().await,
            Self::Async(stage) => stage.progress().await,
            _ => std::future::pending().await,
        }
    }
}

async fn asked<T>(requests: &mut Option<mpsc::Receiver<T>>) -> Option<T> {
    match requests {
        Some(requests) => requests.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits for the sink's `work`, and serves the source meanwhile where the same task has it: what is in flight has to stay
/// invisible to others however long a write takes.
async fn serving<T>(
    inlet: &mut In,
    requests: &mut Option<mpsc::Receiver<SourceRequest>>,
    work: impl Future<Output = T>,
) -> T {
    tokio::pin!(work);
    loop {
        let request = tokio::select! {
            biased;
            done = &mut work => return done,
            request = asked(requests) => request,
        };
        match (request, &mut *inlet) {
            (Some(request), In::Source(source)) => source.serve(request).await,
            _ => *requests = None,
        }
    }
}

async fn reached(clock: &Arc<dyn Clock>, until: Option<Duration>) {
    if let Some(until) = until {
        clock.sleep(until.saturating_sub(clock.elapsed())).await;
    }
}

async fn closed(outgoing: Option<&Outgoing>) {
    if let Some(outgoing) = outgoing {
        outgoing.closed().await;
    }
}

async fn room(outgoing: Option<&Outgoing>) -> Event {
    match outgoing {
        Some(outgoing) => match outgoing.ready().await {
            Ok(()) => Event::Room,
            Err(_) => Event::Closed(Close::Failed),
        },
        None => Event::Room,
    }
}
