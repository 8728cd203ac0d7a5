//! The suffixes that set options of the stage before them.

use std::time::Duration;

use super::building::Building;
use super::{OnError, Parallel, Pipeline, Repeatable, Stream, Triggered};
use crate::contracts::Where;
use crate::data::{AnyColumn, Data};
use crate::plan::{Options, Retry, Throttle};

/// The wait before the first retry.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two retries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

impl Building {
    fn set(&mut self, set: impl FnOnce(&mut Options)) {
        if let Some(options) = self.options() {
            set(options);
        }
    }

    fn set_policy(&mut self, policy: OnError) {
        let policy = self.policy(policy);
        self.set(|options| options.policy = Some(policy));
    }

    fn set_retry(&mut self, times: u32, copy: fn(&dyn AnyColumn) -> Option<Box<dyn AnyColumn>>) {
        self.set(|options| options.retry = Some(Retry { times, first: FIRST_WAIT, cap: LONGEST_WAIT, copy }));
    }

    fn set_backoff(&mut self, first: Duration, cap: Duration) {
        self.set(|options| {
            if let Some(retry) = &mut options.retry {
                (retry.first, retry.cap) = (first, cap);
            }
        });
    }
}

/// Options that every stage has, on streams and on finished pipelines alike.
macro_rules! common_options {
    () => {
        /// Names the stage, in plans, metrics, letters and errors. Positions are kept under the source's name.
        #[must_use]
        pub fn named(mut self, name: &str) -> Self {
            self.building.name(name);
            self
        }

        /// Lets `records` records of a run pass this stage, in order, then ends the run; each source is committed
        /// exactly as far as that takes. Within a one-to-many stage's output it ends before the source record that
        /// would not fit whole.
        #[must_use]
        pub fn limit(mut self, records: u64) -> Self {
            self.building.set(|options| options.limit = Some(records));
            self
        }

        /// Lets at most `records` records pass this stage in each `period`, evenly spread.
        #[must_use]
        pub fn throttle(mut self, records: u64, period: Duration) -> Self {
            self.building.set(|options| options.throttle = Some(Throttle { records, period }));
            self
        }

        /// Runs the coders that the plan puts before this stage on `workers` workers, order kept; 1 by default.
        #[must_use]
        pub fn coder_par(mut self, workers: usize) -> Self {
            self.building.set(|options| options.coder_par = workers);
            self
        }

        /// Runs the stage on these instances, whatever the planner would choose.
        #[must_use]
        pub fn place(mut self, place: Where) -> Self {
            self.building.set(|options| options.place = Some(place));
            self
        }

        /// What is to become of records that fail here, after their retries.
        #[must_use]
        pub fn on_error(mut self, policy: OnError) -> Self {
            self.building.set_policy(policy);
            self
        }

        /// The waits of the [`retry`](Self::retry) just before: doubled each time, from `first` up to `cap`.
        #[must_use]
        pub fn backoff(mut self, first: Duration, cap: Duration) -> Self {
            self.building.set_backoff(first, cap);
            self
        }
    };
}

impl<T: Data, M> Stream<T, M> {
    common_options!();

    /// On a source: how many of its records may be in flight, 100,000 by default; memory grows with it. On others: about
    /// how many records may wait behind the stage, which gives it a task of its own.
    #[must_use]
    pub fn buffer(mut self, records: u64) -> Self {
        self.building.set(|options| options.buffer = Some(records));
        self
    }

    /// Runs the stage on `workers` workers: batches are dealt to them in turn and collected in the same turn, so order
    /// is kept; 1 by default.
    #[must_use]
    pub fn par(mut self, workers: usize) -> Self
    where
        M: Parallel,
    {
        self.building.set(|options| options.par = workers);
        self
    }

    /// Runs a failed record again up to `times` times before its policy is applied, at first after 100 ms, then after
    /// twice the time each, at most 30 s (see [`backoff`](Self::backoff)). Records behind it wait: that is what order
    /// means.
    #[must_use]
    pub fn retry(mut self, times: u32) -> Self
    where
        M: Repeatable,
    {
        self.building.set_retry(times, M::copy);
        self
    }

    /// Emits after each `records` records.
    #[must_use]
    pub fn trigger_each(mut self, records: u64) -> Self
    where
        M: Triggered,
    {
        self.building.set(|options| options.trigger.each = Some(records));
        self
    }

    /// Emits after each `period`, if anything came.
    #[must_use]
    pub fn trigger_every(mut self, period: Duration) -> Self
    where
        M: Triggered,
    {
        self.building.set(|options| options.trigger.every = Some(period));
        self
    }
}

impl Pipeline {
    common_options!();

    /// Writes a batch that the sink could not take again, up to `times` times, before the policy is applied, at first
    /// after 100 ms, then after twice the time each, at most 30 s (see [`backoff`](Self::backoff)).
    #[must_use]
    pub fn retry(mut self, times: u32) -> Self {
        self.building.set_retry(times, |_| None);
        self
    }

    /// Flushes the sink after each `records` records, besides at commits and at the end.
    #[must_use]
    pub fn trigger_each(mut self, records: u64) -> Self {
        self.building.set(|options| options.trigger.each = Some(records));
        self
    }

    /// Flushes the sink after each `period`, besides at commits and at the end.
    #[must_use]
    pub fn trigger_every(mut self, period: Duration) -> Self {
        self.building.set(|options| options.trigger.every = Some(period));
        self
    }
}
