//! The report: what is said at the end, and the exit code.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use millstream_core::contracts;
use millstream_core::plan::Mistakes;
use millstream_core::runtime::{Ended, Metrics, Running, StageMetrics, Summary};

use super::{USAGE, say};

/// How many committed positions are shown.
const SHOWN: usize = 8;

/// How a run came out.
pub(super) enum Report {
    /// A signal came before the run had begun.
    NotBegun,
    /// It can't be planned.
    Unplanned(Mistakes),
    /// Something could not be opened.
    Unopened(contracts::Error),
    /// It failed on the way, having done this.
    Failed(contracts::Error, Account),
    /// It ended as it should.
    Ended(Ended, Account),
}

impl Report {
    /// Prints it to standard error; if `quiet`, errors alone.
    pub(super) fn tell(&self, quiet: bool) {
        match self {
            Self::Unplanned(mistakes) => say(&format!("error: {mistakes}")),
            Self::Unopened(error) | Self::Failed(error, _) => say(&format!("error: {}", error.chain())),
            Self::NotBegun | Self::Ended(..) => {}
        }
        match self {
            _ if quiet => {}
            Self::NotBegun => say("drained: a signal came before the run had begun, so nothing was read"),
            Self::Failed(_, account) => say(&format!("failed: {account}")),
            Self::Ended(ended, account) => say(&format!("{}: {account}", why(*ended))),
            Self::Unplanned(_) | Self::Unopened(_) => {}
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Ended(..) | Self::NotBegun => ExitCode::SUCCESS,
            Self::Unopened(_) | Self::Failed(..) => ExitCode::FAILURE,
            Self::Unplanned(_) => ExitCode::from(USAGE),
        }
    }
}

fn why(ended: Ended) -> &'static str {
    match ended {
        Ended::Input => "done",
        Ended::Limit => "done, up to the limit",
        Ended::Drained => "drained",
        Ended::ReaderGone => "ended, because whoever read the output went away",
    }
}

/// What a run has done: the summary.
pub(super) struct Account {
    records_in: u64,
    records_out: u64,
    filtered: u64,
    skipped: u64,
    dead_lettered: u64,
    retried: u64,
    late: u64,
    bytes: u64,
    time: Duration,
    committed: Vec<String>,
}

impl Account {
    /// What a run that ended as it should has done.
    pub(super) fn of(summary: Summary) -> Self {
        Self {
            records_in: summary.records_in,
            records_out: summary.records_out,
            filtered: summary.filtered,
            skipped: summary.skipped,
            dead_lettered: summary.dead_lettered,
            retried: summary.retried,
            late: summary.late,
            bytes: summary.bytes_in,
            time: summary.time,
            committed: summary.committed,
        }
    }

    /// What a run has done that failed after this time.
    pub(super) fn of_failed(running: &Running, time: Duration) -> Self {
        let Metrics { stages, bytes_in, late, .. } = running.metrics();
        let sum = |read: fn(&StageMetrics) -> u64| stages.iter().map(read).sum();
        Self {
            records_in: stages.first().map_or(0, |stage| stage.rows_in),
            records_out: stages.last().map_or(0, |stage| stage.rows_out),
            filtered: sum(|stage| stage.filtered),
            skipped: sum(|stage| stage.skipped),
            dead_lettered: sum(|stage| stage.dead_lettered),
            retried: sum(|stage| stage.retried),
            late,
            bytes: bytes_in,
            time,
            committed: running.committed(),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records_in, records_out, filtered, skipped, dead_lettered, retried, bytes, .. } = self;
        write!(f, "records in {records_in}, out {records_out}, filtered {filtered}, skipped {skipped}")?;
        write!(f, ", dead-lettered {dead_lettered}, retried {retried}")?;
        if self.late > 0 {
            write!(f, ", acknowledged too late {}", self.late)?;
        }
        writeln!(f)?;
        let time = self.time.as_secs_f64();
        writeln!(
            f,
            "  bytes read {bytes}, time {time:.3} s, records a second {:.0}",
            *records_in as f64 / time.max(1e-9)
        )?;
        write!(f, "  committed ")?;
        match self.committed.len() {
            0 => f.write_str("nothing"),
            all if all > SHOWN => write!(f, "{} and {} more", self.committed[..SHOWN].join(", "), all - SHOWN),
            _ => f.write_str(&self.committed.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(partitions: usize, late: u64) -> String {
        let account = Account {
            records_in: 3_000,
            records_out: 1_000,
            filtered: 1_990,
            skipped: 7,
            dead_lettered: 3,
            retried: 2,
            late,
            bytes: 4_711,
            time: Duration::from_millis(1_500),
            committed: (0..partitions).map(|number| format!("p{number}: {number}")).collect(),
        };
        account.to_string()
    }

    #[test]
    fn every_count_is_told_with_its_name() {
        let told = "records in 3000, out 1000, filtered 1990, skipped 7, dead-lettered 3, retried 2\n  bytes read 4711, time \
                    1.500 s, records a second 2000\n  committed p0: 0, p1: 1";
        assert_eq!(account(2, 0), told);
        assert_eq!(account(2, 5), told.replace("retried 2", "retried 2, acknowledged too late 5"));
    }

    #[test]
    fn only_some_of_many_positions_are_told() {
        assert!(account(0, 0).ends_with("committed nothing"));
        assert!(account(8, 0).ends_with("p6: 6, p7: 7"));
        assert!(account(10, 0).ends_with("p7: 7 and 2 more"));
    }
}
