//! [`Summary`]: what a run did.

use std::time::Duration;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The input ended.
    Input,
    /// A limit was reached.
    Limit,
    /// It was asked to end: what was in flight went through.
    Drained,
    /// Whoever read the output went away.
    ReaderGone,
}

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Why it ended.
    pub ended: Ended,
    /// Records that the source emitted, up to where a limit or a drain ended the run.
    pub records_in: u64,
    /// Records that the sink took over.
    pub records_out: u64,
    /// Records that filters held back.
    pub filtered: u64,
    /// Records that a policy left out.
    pub skipped: u64,
    /// Records that were written to dead letters.
    pub dead_lettered: u64,
    /// Times that a failed record ran again.
    pub retried: u64,
    /// Bytes that the source read: after a limit or a drain also of records that the next run reads again.
    pub bytes_in: u64,
    /// The time from start to end.
    pub time: Duration,
    /// Acknowledgements that came too late or twice: dropped.
    pub late: u64,
    /// What is committed, for people: a partition's position each.
    pub committed: Vec<String>,
}

impl Summary {
    /// Records that the source emitted, a second.
    pub fn records_a_second(&self) -> f64 {
        self.records_in as f64 / self.time.as_secs_f64().max(1e-9)
    }
}
