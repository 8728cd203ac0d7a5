//! [`Pump`]: one task at work. It takes a batch from its inlet, runs it through its steps to the end, and gives what
//! comes of it to its outlet, before it takes the next; in every wait it serves what source and sink are asked for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::channel::Outgoing;
use super::control::{Control, Phase};
use super::entry_end::Feed;
use super::exit_end::ExitEnd;
use super::fold::{FoldEnd, FoldEvent};
use super::map_async::{AsyncEnd, AsyncEvent};
use super::parcel::{Close, Parcel};
use super::passing::Passing;
use super::segment::Verdict;
use super::sink_end::{SinkEnd, SinkRequest, Written};
use super::source_end::{SourceEnd, SourceRequest};
use super::steps::{Front, Steps};
use super::summary::Ended;
use crate::contracts::{Clock, DynEvent};
use crate::plan::{Policy, StageId};

/// Where a task's batches come from.
pub(super) enum In {
    Source(SourceEnd),
    Feed(Feed),
    Fold(FoldEnd),
    Async(AsyncEnd),
    /// The stream is over.
    Nothing,
}

/// Where a task's batches go.
pub(super) enum Out {
    Sink(Box<SinkEnd>),
    Channel(Outgoing),
    Exit(ExitEnd),
}

/// One task at work.
pub(super) struct Pump {
    pub(super) inlet: In,
    /// The stage whose policy counts for what the inlet could not give.
    pub(super) inlet_stage: StageId,
    pub(super) inlet_policy: Policy,
    pub(super) inlet_name: String,
    pub(super) steps: Steps,
    pub(super) outlet: Out,
    pub(super) control: Arc<Control>,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) source_requests: Option<mpsc::Receiver<SourceRequest>>,
    pub(super) sink_requests: Option<mpsc::Receiver<SinkRequest>>,
    /// Dropped once the stream is over here: nothing is in flight in this task any more.
    pub(super) over: Option<mpsc::Sender<()>>,
    /// Whether it shares its thread with other tasks.
    pub(super) shares: bool,
    /// Told how the stream ended, by the last task of a part.
    pub(super) finished: Option<tokio::sync::oneshot::Sender<Option<Ended>>>,
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
    /// There is room behind it.
    Room,
    Closed(Close),
    Nothing,
}

/// What the task waits for.
enum Await {
    /// The next batch.
    Input,
    /// Room behind it.
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
        self.steps.clear();
        if !matches!(self.inlet, In::Source(_)) {
            self.inlet = In::Nothing;
        }
        match &mut self.outlet {
            Out::Channel(outgoing) => {
                serving(&mut self.inlet, &mut self.source_requests, outgoing.close(ended)).await;
            }
            Out::Exit(exit) => exit.close(ended),
            Out::Sink(_) => {}
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
            match self.steps.take_ending() {
                Some(Close::End(ended)) => return Ok(ended),
                Some(close) => return Err(close),
                None if self.steps.is_empty() => self.input().await?,
                None => self.work().await?,
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
                out.into_iter().for_each(|parcel| self.steps.push(parcel));
                self.steps.end_after_queue(Close::End(ended));
                Ok(())
            }
            other => other,
        }
    }

    /// Does what is next for the batch at the front of the queue.
    async fn work(&mut self) -> Result<(), Close> {
        match self.steps.front() {
            Front::Nothing => {}
            Front::Wait(_) if self.steps.is_paced() && self.control.phase() == Phase::Draining => {
                self.steps.cut_short();
            }
            Front::Wait(time) => {
                self.steps.count_waiting(1);
                let waited = self.wait(Await::Time(time)).await;
                self.steps.count_waiting(0);
                waited?;
            }
            Front::Delivery => self.deliver().await?,
            Front::Step => self.steps.advance().await?,
        }
        if self.steps.is_ending() {
            self.stop_inlet();
        }
        Ok(())
    }

    /// Gives the batch at the front of the queue to the outlet.
    async fn deliver(&mut self) -> Result<(), Close> {
        if !matches!(self.outlet, Out::Sink(_)) {
            self.wait(Await::Room).await?;
        }
        let Some(mut parcel) = self.steps.take_delivery() else { return Ok(()) };
        let Self { inlet, outlet, source_requests, steps, .. } = self;
        match outlet {
            Out::Channel(outgoing) => {
                // A worker that fails keeps its turn: nothing behind the failure passes the collector.
                let turn_ends = outgoing.deals() || (steps.is_empty() && !steps.fails());
                outgoing.send(parcel, turn_ends).map_err(|_| Close::Failed)
            }
            Out::Exit(exit) => {
                exit.send(parcel);
                Ok(())
            }
            Out::Sink(sink) => {
                if let Some(rest) = sink.cut_at_trigger(&mut parcel) {
                    steps.deliver_next(rest, None);
                }
                let written = serving(inlet, source_requests, sink.write(parcel)).await;
                self.written(written.map_err(Close::Error)?)
            }
        }
    }

    fn written(&mut self, written: Written) -> Result<(), Close> {
        match written {
            Written::Done => {}
            Written::Again(rest, wait) => self.steps.deliver_next(rest, Some(self.clock.elapsed() + wait)),
            Written::ReaderGone => {
                self.control.reader_gone();
                self.steps.end_with(Close::End(Ended::ReaderGone));
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
        let (flush_at, sends, exit) = match outlet {
            Out::Sink(sink) => (sink.flush_at(), None, None),
            Out::Channel(outgoing) => (None, Some(&*outgoing), None),
            Out::Exit(exit) => (None, None, Some(exit)),
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
            room = room(sends, exit), if matches!(what, Await::Room) => room,
            // Whoever takes what is made here wants no more: there is nothing left to wait for.
            () = closed(sends), if sends.is_some() => Event::Closed(Close::Failed),
            event = inlet.watch(matches!(what, Await::Input)) => event,
        }
    }

    async fn accept(&mut self, event: Event) -> Result<(), Close> {
        let verdict = Verdict { stage: self.inlet_stage, policy: self.inlet_policy, again: None };
        let Self { inlet, steps, .. } = self;
        match (event, inlet) {
            (Event::Source(event), In::Source(source)) => match source.accept(event).map_err(Close::Error)? {
                Some(emitted) if emitted.refused.is_empty() => steps.push(emitted.parcel),
                Some(emitted) => {
                    let passing = Passing::refused(emitted.parcel, emitted.refused, &self.inlet_name);
                    steps.resolve_inlet(verdict, passing).await?;
                }
                None => {}
            },
            (Event::Came(parcel), _) => steps.push(parcel),
            (Event::Fold(event), In::Fold(fold)) => {
                let mut out = VecDeque::new();
                let taken = fold.accept(event, &mut out).await;
                out.into_iter().for_each(|parcel| steps.push(parcel));
                if let Err(error) = taken {
                    steps.end_after_queue(Close::Error(error));
                }
            }
            (Event::Async(event), In::Async(stage)) => {
                let mut out = VecDeque::new();
                stage.accept(event, &mut out);
                for passing in out {
                    steps.resolve_inlet(verdict, passing).await?;
                    if steps.is_ending() {
                        break;
                    }
                }
            }
            _ => {}
        }
        if self.steps.is_ending() {
            self.stop_inlet();
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
            In::Feed(feed) => feed.stop(),
            In::Fold(fold) => fold.stop(),
            In::Async(stage) => stage.stop(),
        }
    }
}

impl In {
    /// The next thing to happen. May be dropped at any time.
    async fn event(&mut self) -> Event {
        let event = match self {
            Self::Source(source) => source.event().await.map(|event| event.map_or(Event::Nothing, Event::Source)),
            Self::Feed(feed) => feed.next().await.map(Event::Came),
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

async fn room(outgoing: Option<&Outgoing>, exit: Option<&mut ExitEnd>) -> Event {
    if let Some(exit) = exit {
        exit.ready().await;
    }
    match outgoing {
        Some(outgoing) => match outgoing.ready().await {
            Ok(()) => Event::Room,
            Err(_) => Event::Closed(Close::Failed),
        },
        None => Event::Room,
    }
}
