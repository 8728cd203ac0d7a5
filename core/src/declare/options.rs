//! The suffixes that set options of the stage before them.

use std::time::Duration;

use super::building::Building;
use super::{Coded, OnError, Parallel, Pipeline, Repeatable, Stream, Triggered};
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
        self.set(|options| {
            let (first, cap) = options.backoff.unwrap_or((FIRST_WAIT, LONGEST_WAIT));
            options.retry = Some(Retry { times, first, cap, copy });
        });
    }

    fn set_backoff(&mut self, first: Duration, cap: Duration) {
        self.set(|options| {
            options.backoff = Some((first, cap));
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
        ///
        /// ```
        /// # use millstream::prelude::*;
        /// let pipeline = Pipeline::source(List::new([1_u64]))
        ///     .named("NUMBERS")
        ///     .filter(|n: &u64| n % 2 == 1)
        ///     .named("ODD")
        ///     .sink(Null::<u64>::new())
        ///     .named("OUT");
        /// let names: Vec<_> = pipeline.plan()?.located.into_iter().map(|located| located.stage).collect();
        /// assert_eq!(names, ["NUMBERS", "ODD", "OUT"]);
        /// # Ok::<(), Mistakes>(())
        /// ```
        pub fn named(mut self, name: &str) -> Self {
            self.building.name(name);
            self
        }

        /// Lets `records` records of a run pass this stage, in order, then ends the run; each source is committed
        /// exactly as far as that takes. Within a one-to-many stage's output it ends before the source record that
        /// would not fit whole.
        ///
        /// Before a filter it counts what comes in:
        ///
        /// ```
        /// # use millstream::prelude::*;
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), millstream::Error> {
        /// let out = Collect::<u64>::new();
        /// let seen = out.collected();
        /// Pipeline::source(Generate::sequence()).limit(6).filter(|n: &u64| n % 2 == 1).sink(out).run().await?;
        /// assert_eq!(seen.values(), [1, 3, 5]);
        /// # Ok(())
        /// # }
        /// ```
        ///
        /// Behind it, what comes out:
        ///
        /// ```
        /// # use millstream::prelude::*;
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), millstream::Error> {
        /// let out = Collect::<u64>::new();
        /// let seen = out.collected();
        /// Pipeline::source(Generate::sequence()).filter(|n: &u64| n % 2 == 1).limit(6).sink(out).run().await?;
        /// assert_eq!(seen.values(), [1, 3, 5, 7, 9, 11]);
        /// # Ok(())
        /// # }
        /// ```
        pub fn limit(mut self, records: u64) -> Self {
            self.building.set(|options| options.limit = Some(records));
            self
        }

        /// Lets at most `records` records pass this stage in each `period`, evenly spread.
        ///
        /// Before a filter it bounds what is read (here on a simulated clock):
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use millstream::prelude::*;
        /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
        /// # async fn main() -> Result<(), millstream::Error> {
        /// let second = Duration::from_secs(1);
        /// let numbers = Pipeline::source(Generate::sequence().count(11)).throttle(10, second);
        /// let summary = numbers.filter(|n: &u64| n % 2 == 0).sink(Null::<u64>::new()).run().await?;
        /// assert_eq!(summary.time, second); // 11 numbers
        /// # Ok(())
        /// # }
        /// ```
        ///
        /// Behind it, what is written:
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use millstream::prelude::*;
        /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
        /// # async fn main() -> Result<(), millstream::Error> {
        /// let second = Duration::from_secs(1);
        /// let numbers = Pipeline::source(Generate::sequence().count(11));
        /// let even = numbers.filter(|n: &u64| n % 2 == 0).throttle(10, second);
        /// let summary = even.sink(Null::<u64>::new()).run().await?;
        /// assert_eq!(summary.time, second / 2); // 6 even ones
        /// # Ok(())
        /// # }
        /// ```
        pub fn throttle(mut self, records: u64, period: Duration) -> Self {
            self.building.set(|options| options.throttle = Some(Throttle { records, period }));
            self
        }

        /// Runs the stage on these instances, whatever the planner would choose.
        ///
        /// ```
        /// # use millstream::prelude::*;
        /// let lines = Pipeline::source(List::new([Bytes::from("a")]));
        /// let big = Where::Named("big".to_owned());
        /// let short = lines.filter(|line: &[u8]| line.len() < 80).named("SHORT").place(big.clone());
        /// let plan = short.sink(Null::<Bytes>::new()).place(Where::Last).plan_for(3)?;
        /// let place = |stage| plan.located.iter().find(|at| at.stage == stage).map(|at| &at.place);
        /// assert_eq!(place("SHORT"), Some(&big));
        /// assert_eq!(place("NULL"), Some(&Where::Last));
        /// # Ok::<(), Mistakes>(())
        /// ```
        pub fn place(mut self, place: Where) -> Self {
            self.building.set(|options| options.place = Some(place));
            self
        }

        /// What is to become of records that fail here, or in the coders that the plan puts before this stage, after
        /// their retries; by default, what [`on_any_error`](Pipeline::on_any_error) says.
        ///
        /// ```
        /// # use millstream::prelude::*;
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), millstream::Error> {
        /// let digits = Pipeline::source(List::new([5_u64, 0]))
        ///     .try_map(|n: u64| n.checked_sub(1).ok_or("none left"))
        ///     .on_error(OnError::Skip);
        /// let summary = digits.sink(Null::<u64>::new()).on_error(OnError::Fail).run().await?;
        /// assert_eq!((summary.skipped, summary.records_out), (1, 1));
        /// # Ok(())
        /// # }
        /// ```
        pub fn on_error(mut self, policy: OnError) -> Self {
            self.building.set_policy(policy);
            self
        }

        /// The waits of the [`retry`](Self::retry) just before: doubled each time, from `first` up to `cap`.
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use millstream::prelude::*;
        /// let ms = Duration::from_millis;
        /// let stream = Pipeline::source(List::new([1_u64])).map(|n: u64| n).retry(5).backoff(ms(10), ms(50));
        /// let pipeline = stream.sink(Null::<u64>::new());
        /// let retry = pipeline.declaration().stages[1].options.retry.unwrap();
        /// assert_eq!([0, 1, 2, 3, 4].map(|attempt| retry.wait(attempt)), [10, 20, 40, 50, 50].map(ms));
        /// ```
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
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let numbers = Pipeline::source(Generate::sequence().count(10)).buffer(1_000); // of these, in flight
    /// let plan = numbers.map(|n: u64| n + 1).buffer(256).sink(Null::<u64>::new()).plan()?; // in front of the sink
    /// assert_eq!(plan.graph.channels.len(), 1);
    /// # Ok::<(), Mistakes>(())
    /// ```
    pub fn buffer(mut self, records: u64) -> Self {
        self.building.set(|options| options.buffer = Some(records));
        self
    }

    /// Runs the coders that the plan puts before this stage on `workers` workers, order kept; 1 by default. An
    /// element-wise stage shares their workers.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let lines = Pipeline::source(List::new([Bytes::from("{}")]));
    /// let looked_at = lines.filter(|_: &json::Value| true).named("LOOK").coder_par(2);
    /// let plan = looked_at.sink(Null::<Bytes>::new()).explain()?;
    /// assert!(plan.contains("LOOK: 2 threads, order kept"), "{plan}");
    /// # Ok::<(), Mistakes>(())
    /// ```
    ///
    /// Nothing is coded before a source:
    ///
    /// ```compile_fail,E0277
    /// # use millstream::prelude::*;
    /// Pipeline::source(List::new([1_u64])).coder_par(2); // error E0277: nothing is coded before a source
    /// ```
    pub fn coder_par(mut self, workers: usize) -> Self
    where
        M: Coded,
    {
        self.building.set(|options| options.coder_par = workers);
        self
    }

    /// Where several instances run the stage and its output is brought together on one, in order: merges by event time.
    /// Of all origins (the partitions of the source, on all instances) that record passes next which happened first; the
    /// records of one origin stay in their order. The merge can only compare what has come, so it waits for an origin
    /// that has nothing, at most for `idle` after that origin's last sign of life; what comes from it with an earlier
    /// time after that passes marked late, and is counted. A short wait marks more records late, a long one lets a silent
    /// origin hold up the others for longer.
    ///
    /// Without it each origin's records pass in their order as they come, and no origin waits for another.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::contracts::Across;
    /// # use millstream::prelude::*;
    /// let lines = Pipeline::source(List::new(["a", "b"].map(str::to_owned)));
    /// let long = lines.filter(|line: &str| line.len() > 80).merge_by_event_time(Duration::from_secs(5));
    /// let plan = long.sink(Collect::<String>::new()).place(Where::Last).plan_for(3)?;
    /// let merge = plan.parts[2].enters.as_ref().unwrap();
    /// assert_eq!(merge.across, Across::EventTime { idle: Duration::from_secs(5) });
    /// # Ok::<(), Mistakes>(())
    /// ```
    ///
    /// Planned for several instances it is a mistake where nothing is merged in order behind the stage. On one instance
    /// there is nothing to merge, and the plan says so.
    pub fn merge_by_event_time(mut self, idle: Duration) -> Self {
        self.building.set(|options| options.merge_by_time = Some(idle));
        self
    }

    /// Runs the stage on `workers` workers: batches are dealt to them in turn and collected in the same turn, so order
    /// is kept; 1 by default.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// let squares = Pipeline::source(Generate::sequence().count(5_000)).map(|n: u64| n * n).par(3);
    /// squares.sink(out).run().await?;
    /// assert!(seen.values().is_sorted());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// It belongs to the stage before it:
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let stream = Pipeline::source(List::new([1_u64])).map(|n: u64| n + 1).par(3).filter(|n: &u64| n % 2 == 0);
    /// let plan = stream.sink(Null::<u64>::new()).plan()?;
    /// let workers: Vec<_> = plan.located.iter().map(|located| located.workers).collect();
    /// assert_eq!(workers, [1, 3, 1, 1]);
    /// # Ok::<(), Mistakes>(())
    /// ```
    ///
    /// Sources and folds run on one worker:
    ///
    /// ```compile_fail,E0277
    /// # use millstream::prelude::*;
    /// Pipeline::source(List::new([1_u64])).par(2); // error E0277: this stage can't be run by several workers
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use millstream::prelude::*;
    /// Pipeline::source(List::new([1_u64])).count().par(2); // nor can this one
    /// ```
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
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let tries = AtomicU32::new(0);
    /// let flaky = move |n: u64| if tries.fetch_add(1, Relaxed) == 0 { Err("not yet") } else { Ok(n) };
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// let summary = Pipeline::source(List::new([1_u64, 2])).try_map(flaky).retry(3).sink(out).run().await?;
    /// assert_eq!(seen.values(), [1, 2]);
    /// assert_eq!(summary.retried, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// What a stage takes by value is copied beforehand, so it has to be `Clone`:
    ///
    /// ```compile_fail,E0277
    /// # use millstream::prelude::*;
    /// struct Socket;
    /// data!(Socket);
    /// let sockets = Pipeline::source(Generate::with(|_| Socket));
    /// sockets.map(|_: Socket| 1_u64).retry(3); // error E0277: the trait bound `Socket: Clone` is not satisfied
    /// ```
    pub fn retry(mut self, times: u32) -> Self
    where
        M: Repeatable,
    {
        self.building.set_retry(times, M::copy);
        self
    }

    /// Emits after each `records` records.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// Pipeline::source(Generate::sequence().count(5)).count().trigger_each(2).sink(out).run().await?;
    /// assert_eq!(seen.values(), [2, 4, 5]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// # use millstream::prelude::*;
    /// Pipeline::source(List::new([1_u64])).filter(|n: &u64| *n > 0).trigger_each(2); // error E0277: no trigger
    /// ```
    pub fn trigger_each(mut self, records: u64) -> Self
    where
        M: Triggered,
    {
        self.building.set(|options| options.trigger.each = Some(records));
        self
    }

    /// Emits after each `period`, if anything came.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let out = Collect::<u64>::new();
    /// let seen = out.collected();
    /// let ticks = Pipeline::source(Generate::sequence().count(5).rate(2)); // at 0, 0.5, 1, 1.5 and 2 s
    /// ticks.count().trigger_every(Duration::from_millis(800)).sink(out).run().await?;
    /// assert_eq!(seen.values(), [2, 4, 5]); // at 0.8 and 1.6 s, and at the end
    /// # Ok(())
    /// # }
    /// ```
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

    /// Runs the coders that the plan puts before the sink on `workers` workers, order kept; 1 by default.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// let numbers = Pipeline::source(Generate::sequence().count(9)).map(|n: u64| n.to_string());
    /// let plan = numbers.map(|text: String| json::Value::parse(text).unwrap()).sink(Null::<Bytes>::new()).coder_par(2);
    /// assert!(plan.explain()?.contains("JSON-ENCODER: 2 threads, order kept"));
    /// # Ok::<(), Mistakes>(())
    /// ```
    pub fn coder_par(mut self, workers: usize) -> Self {
        self.building.set(|options| options.coder_par = workers);
        self
    }

    /// Writes again, up to `times` times, what the sink could not take for a reason that may pass, from the record where
    /// it stopped: at first after 100 ms, then after twice the time each, at most 30 s (see [`backoff`](Self::backoff)).
    /// Then the policy is applied to a record that the sink refuses; any other reason fails the run.
    ///
    /// ```
    /// # use millstream::contracts::Cause;
    /// # use millstream::prelude::*;
    /// # use millstream_core::testkit::{Ledger, ScriptSink};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let sink = ScriptSink::new(&Ledger::new(), "out").fails_on(|n: &u64| *n == 1, 2, Cause::Outside);
    /// let written = sink.written();
    /// let summary = Pipeline::source(List::new([1_u64, 2])).sink(sink).retry(3).run().await?;
    /// assert_eq!(written.values(), [1, 2]);
    /// assert_eq!(summary.retried, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn retry(mut self, times: u32) -> Self {
        self.building.set_retry(times, |_| None);
        self
    }

    /// Flushes the sink after each `records` records, besides at commits and at the end.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # use millstream_core::testkit::{Ledger, ScriptSink};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let ledger = Ledger::new();
    /// let sink = ScriptSink::<u64>::new(&ledger, "out");
    /// Pipeline::source(List::new([1_u64, 2, 3, 4, 5])).sink(sink).trigger_each(2).run().await?;
    /// assert_eq!(ledger.flushes("out"), 3); // after 2, after 4, and at the end
    /// # Ok(())
    /// # }
    /// ```
    pub fn trigger_each(mut self, records: u64) -> Self {
        self.building.set(|options| options.trigger.each = Some(records));
        self
    }

    /// Flushes the sink after each `period`, besides at commits and at the end.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::prelude::*;
    /// let pipeline = Pipeline::source(List::new([1_u64])).sink(Null::<u64>::new()).trigger_every(Duration::from_secs(1));
    /// assert_eq!(pipeline.declaration().stages[1].options.trigger.every, Some(Duration::from_secs(1)));
    /// ```
    pub fn trigger_every(mut self, period: Duration) -> Self {
        self.building.set(|options| options.trigger.every = Some(period));
        self
    }
}
