//! [`Options`]: what the suffixes of a stage set.

use std::time::Duration;

use crate::contracts::Where;
use crate::data::AnyColumn;

/// The options of a stage.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether the user named the stage.
    pub named: bool,
    /// How many workers run it; 1 by default.
    pub par: usize,
    /// How many workers run the coders that the plan puts before it; 1 by default.
    pub coder_par: usize,
    /// For a source: how many of its records may be in flight. For others: about how many records may wait behind it.
    pub buffer: Option<u64>,
    /// How many records of one run pass it, at most.
    pub limit: Option<u64>,
    /// How fast records pass it, at most.
    pub throttle: Option<Throttle>,
    /// When a fold emits, or a sink flushes.
    pub trigger: Trigger,
    /// Where it runs.
    pub place: Option<Where>,
    /// How often a failed record is run again before the policy is applied.
    pub retry: Option<Retry>,
    /// The first and the longest wait of its retries, if the user set them.
    pub backoff: Option<(Duration, Duration)>,
    /// What becomes of a failed record; `None`: what the pipeline says, and that is [`Policy::Fail`] by default.
    pub policy: Option<Policy>,
    /// How many keys a fold may keep.
    pub max_keys: Option<usize>,
    /// Where its output is merged from several instances, by event time: how long the merge waits for an origin that has
    /// nothing. `None`: each origin in its order, and none waits for another.
    pub merge_by_time: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            named: false,
            par: 1,
            coder_par: 1,
            buffer: None,
            limit: None,
            throttle: None,
            trigger: Trigger::default(),
            place: None,
            retry: None,
            backoff: None,
            policy: None,
            max_keys: None,
            merge_by_time: None,
        }
    }
}

/// A rate: so many records in each period, evenly spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttle {
    /// Records.
    pub records: u64,
    /// The period.
    pub period: Duration,
}

/// When a fold emits, or a sink flushes, before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Trigger {
    /// After so many records.
    pub each: Option<u64>,
    /// After so much time.
    pub every: Option<Duration>,
}

impl Trigger {
    /// Whether there is any.
    pub fn is_set(&self) -> bool {
        self.each.is_some() || self.every.is_some()
    }
}

/// What becomes of a record that failed, after its retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// The run stops; nothing past the record is committed.
    #[default]
    Fail,
    /// The record is left out and counted.
    Skip,
    /// The record is written to the dead letters of this number, durably, before it settles.
    DeadLetter(usize),
}

/// How often and when a failed record is run again. The wait doubles from `first` up to `cap`.
#[derive(Clone, Copy)]
pub struct Retry {
    /// How many times.
    pub times: u32,
    /// The wait before the first.
    pub first: Duration,
    /// The longest wait.
    pub cap: Duration,
    /// Copies what the stage takes by value.
    pub copy: fn(&dyn AnyColumn) -> Option<Box<dyn AnyColumn>>,
}

impl Retry {
    /// The wait before retry number `attempt`, from 0.
    pub fn wait(&self, attempt: u32) -> Duration {
        self.first.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(self.cap)
    }
}

impl std::fmt::Debug for Retry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Retry({} times, {:?} up to {:?})", self.times, self.first, self.cap)
    }
}
