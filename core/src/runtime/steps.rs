//! [`Steps`]: what a task does with a batch, step by step, and the queue of batches that are on their way through.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::control::{Control, Phase};
use super::gate::{Let, Limit, Pace};
use super::parcel::{Close, Parcel};
use super::passing::Passing;
use super::resolve::{Again, Resolved, Resolver};
use super::segment::{Passed, Segmented, Verdict};
use super::summary::Ended;
use crate::contracts::Clock;
use crate::plan::StageId;

/// One step of a task.
pub(super) enum Stepping {
    Segment(Segmented),
    Limit { limit: Limit, stage: StageId },
    Pace(Pace),
}

/// The steps of a task, and the batches that are on their way through them: one is done with before the next begins.
pub(super) struct Steps {
    steps: Vec<Stepping>,
    queue: VecDeque<Item>,
    /// How the stream ends once the queue is empty, when that is known.
    ending: Option<Close>,
    resolver: Resolver,
    control: Arc<Control>,
    clock: Arc<dyn Clock>,
}

/// A batch on its way through the steps.
struct Item {
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

/// What the batch at the front of the queue needs.
pub(super) enum Front {
    /// There is none.
    Nothing,
    /// To wait until then.
    Wait(Duration),
    /// Its next step.
    Step,
    /// To be given to the outlet.
    Delivery,
}

impl Steps {
    pub(super) fn new(steps: Vec<Stepping>, resolver: Resolver, control: Arc<Control>, clock: Arc<dyn Clock>) -> Self {
        Self { steps, queue: VecDeque::new(), ending: None, resolver, control, clock }
    }

    /// What is next.
    pub(super) fn front(&self) -> Front {
        match self.queue.front() {
            None => Front::Nothing,
            Some(Item { not_before: Some(time), .. }) if self.clock.elapsed() < *time => Front::Wait(*time),
            Some(item) if item.step == self.steps.len() => Front::Delivery,
            Some(_) => Front::Step,
        }
    }

    /// How the stream ends, once it is known and nothing is queued.
    pub(super) fn take_ending(&mut self) -> Option<Close> {
        if self.queue.is_empty() { self.ending.take() } else { None }
    }

    /// Whether it is known how the stream ends: nothing more is to come in.
    pub(super) fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// Whether the stream ends with a failure.
    pub(super) fn fails(&self) -> bool {
        matches!(self.ending, Some(Close::Error(_) | Close::Failed))
    }

    /// Whether nothing is queued.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Drops what is queued, which abandons it.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// What is queued goes through, and then the stream ends like this.
    pub(super) fn end_after_queue(&mut self, close: Close) {
        self.ending = Some(close);
    }

    /// What is queued is dropped; once what is queued after this is through, the stream ends like this.
    pub(super) fn end_with(&mut self, close: Close) {
        self.queue.clear();
        self.ending = Some(close);
    }

    /// Whether what is at the front of the queue waits for a throttle.
    pub(super) fn is_paced(&self) -> bool {
        self.queue.front().is_some_and(|item| matches!(self.steps.get(item.step), Some(Stepping::Pace(_))))
    }

    /// A drain ends the stream at a throttle: what it has not let pass yet is read again by the next run.
    pub(super) fn cut_short(&mut self) {
        if let Some(Item { load: Load::Parcel(parcel), .. }) = self.queue.pop_front() {
            parcel.ticket.seal(parcel.batch.part().start);
        }
        self.end_with(Close::End(Ended::Drained));
    }

    /// Shows in the metrics that records wait for a retry.
    pub(super) fn count_waiting(&self, waiting: u64) {
        if let Some(Item { load: Load::Passing(passing), .. }) = self.queue.front()
            && let Some(stage) = passing.retries()
        {
            self.resolver.meters.stages[stage].waiting.store(waiting, Relaxed);
        }
    }

    /// Runs the batch at the front of the queue through its next step.
    pub(super) async fn advance(&mut self) -> Result<(), Close> {
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

    /// The batch at the front of the queue, which is through.
    pub(super) fn take_delivery(&mut self) -> Option<Parcel> {
        match self.queue.pop_front()?.load {
            Load::Parcel(parcel) => Some(parcel),
            Load::Passing(passing) | Load::Faulted(passing) => passing.into_parcel(),
        }
    }

    /// This is to be given to the outlet next, not before that time.
    pub(super) fn deliver_next(&mut self, parcel: Parcel, not_before: Option<Duration>) {
        self.queue.push_front(Item { step: self.steps.len(), load: Load::Parcel(parcel), not_before });
    }

    /// Queues what came in.
    pub(super) fn push(&mut self, parcel: Parcel) {
        self.queue.push_back(Item { step: 0, load: Load::Parcel(parcel), not_before: None });
    }

    /// Queues what the inlet gave, as the batch it is: it has the columns of no segment yet.
    fn push_given(&mut self, passing: Passing) {
        if let Some(parcel) = passing.into_parcel() {
            self.push(parcel);
        }
    }

    /// Applies the inlet stage's policy to records that it could not give, and queues the others.
    pub(super) async fn resolve_inlet(&mut self, verdict: Verdict, passing: Passing) -> Result<(), Close> {
        if !passing.has_faults() {
            self.push_given(passing);
            return Ok(());
        }
        match self.resolver.resolve(verdict, passing).await.map_err(Close::Error)? {
            Resolved::On(passing) => self.push_given(passing),
            Resolved::Again(_) => {}
            Resolved::Failed { before, error } => {
                self.push_given(before);
                self.ending = Some(Close::Error(error));
            }
        }
        Ok(())
    }

    fn push_front(&mut self, step: usize, load: Load) {
        self.queue.push_front(Item { step, load, not_before: None });
    }
}
