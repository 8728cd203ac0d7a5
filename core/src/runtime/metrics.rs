//! Counters, cheap enough to be always on: a few relaxed additions a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::contracts::Traffic;

/// What a run has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Each declared stage, source first.
    pub stages: Vec<StageMetrics>,
    /// Bytes that the source emitted.
    pub bytes_in: u64,
    /// The size of the input in bytes, where it is known.
    pub size: Option<u64>,
    /// Records that were emitted and may not be committed.
    pub lag: u64,
    /// How many times a commit was made.
    pub commits: u64,
    /// What keeps the commit from going on, for people; `None` when nothing is in flight.
    pub blocking: Option<String>,
    /// Nothing earlier is in flight, in microseconds since the Unix epoch.
    pub low_watermark: Option<i64>,
    /// Acknowledgements that came too late or twice: dropped.
    pub late: u64,
    /// What records met with between instances; all zero where there is one.
    pub traffic: Traffic,
}

/// What one stage has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageMetrics {
    /// The stage's name.
    pub name: String,
    /// Rows that came in (for a source: that it emitted).
    pub rows_in: u64,
    /// Rows that went on.
    pub rows_out: u64,
    /// Rows that a filter held back.
    pub filtered: u64,
    /// Records that the policy left out.
    pub skipped: u64,
    /// Records that were written to dead letters.
    pub dead_lettered: u64,
    /// Times that a failed record ran again.
    pub retried: u64,
    /// Records that wait for a retry right now.
    pub waiting: u64,
}

/// One stage's counters.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) name: String,
    pub(super) rows_in: AtomicU64,
    pub(super) rows_out: AtomicU64,
    pub(super) filtered: AtomicU64,
    pub(super) skipped: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) waiting: AtomicU64,
}

/// All counters of a run.
#[derive(Debug, Default)]
pub(super) struct Meters {
    pub(super) stages: Vec<Counters>,
    pub(super) bytes_in: AtomicU64,
    pub(super) size: AtomicU64,
    pub(super) commits: AtomicU64,
}

/// Adds to a counter.
#[inline]
pub(super) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Relaxed);
}

impl Meters {
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Arc<Self> {
        let stages = names.into_iter().map(|name| Counters { name, ..Counters::default() }).collect();
        Arc::new(Self { stages, ..Self::default() })
    }

    /// The counters alone; what the ledgers know is added by the caller.
    pub(super) fn read(&self) -> Metrics {
        Metrics {
            stages: self.stages.iter().map(Counters::read).collect(),
            bytes_in: self.bytes_in.load(Relaxed),
            size: Some(self.size.load(Relaxed)).filter(|&size| size > 0),
            commits: self.commits.load(Relaxed),
            ..Metrics::default()
        }
    }
}

impl Counters {
    fn read(&self) -> StageMetrics {
        StageMetrics {
            name: self.name.clone(),
            rows_in: self.rows_in.load(Relaxed),
            rows_out: self.rows_out.load(Relaxed),
            filtered: self.filtered.load(Relaxed),
            skipped: self.skipped.load(Relaxed),
            dead_lettered: self.dead_lettered.load(Relaxed),
            retried: self.retried.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
        }
    }
}
