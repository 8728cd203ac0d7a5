//! [`Running`]: a run that is under way, as whoever started it sees it.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::kept::Kept;
use super::metrics::{Counters, Meters, Metrics};
use super::setup::Setup;
use super::source_end::Partitions;
use super::summary::{Ended, Summary};
use crate::commit::Blocking;
use crate::contracts::{Cause, Error, Result, Traffic};

/// A run that is under way.
pub struct Running {
    /// Whoever runs it listens, for as long as it runs.
    pub(super) wishes: mpsc::UnboundedSender<Wish>,
    pub(super) meters: Arc<Meters>,
    pub(super) shown: Arc<Shown>,
    /// Gone once it has told how the run ended.
    pub(super) joined: Option<JoinHandle<Result<Summary>>>,
}

/// What is wanted of a run from outside: the more urgent is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    /// To end in good order.
    Drain,
    /// To end at once.
    Abort,
}

/// What can be seen of a run from outside, beside its counters. It changes when the source is opened anew.
#[derive(Default)]
pub(super) struct Shown(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    partitions: Option<Arc<Partitions>>,
    kept: Option<Kept>,
    /// Records that were read, and are read again because the source was opened anew.
    again: u64,
    traffic: Option<watch::Receiver<Traffic>>,
}

impl Shown {
    /// The source is open here.
    pub(super) fn source(&self, partitions: &Arc<Partitions>) {
        let mut seen = self.seen();
        (seen.partitions, seen.kept) = (Some(partitions.clone()), Some(partitions.kept.clone()));
    }

    /// Where to read what records meet with between instances.
    pub(super) fn crosses(&self, traffic: watch::Receiver<Traffic>) {
        self.seen().traffic = Some(traffic);
    }

    fn traffic(&self) -> Traffic {
        self.seen().traffic.as_ref().map(|traffic| *traffic.borrow()).unwrap_or_default()
    }

    /// The sink is here, and this is what it keeps of positions.
    pub(super) fn sink(&self, kept: &Kept) {
        self.seen().kept.get_or_insert_with(|| kept.clone());
    }

    /// Nothing runs: this is what was committed before.
    pub(super) fn committed_before(&self, kept: &Kept) {
        self.seen().kept = Some(kept.clone());
    }

    /// The source is closed: so many records that it read there are not committed, and read again.
    pub(super) fn reads_again(&self, records: u64) {
        let mut seen = self.seen();
        seen.again += records;
        seen.partitions = None;
    }

    fn partitions(&self) -> Option<Arc<Partitions>> {
        self.seen().partitions.clone()
    }

    fn committed(&self) -> Vec<String> {
        let kept = self.seen().kept.clone();
        kept.map(|kept| kept.labels()).unwrap_or_default()
    }

    /// Whether the source has ended with all that it read committed.
    pub(super) fn is_all_committed(&self) -> bool {
        self.partitions().is_some_and(|partitions| partitions.lag() == 0)
    }

    /// Records that were read and are not part of this run.
    fn not_in_run(&self) -> u64 {
        let left_over = self.partitions().map_or(0, |partitions| partitions.left_over());
        self.seen().again + left_over
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// Reads the counters.
    pub fn metrics(&self) -> Metrics {
        let mut metrics = self.meters.read();
        metrics.traffic = self.shown.traffic();
        let Some(partitions) = self.shown.partitions() else { return metrics };
        for ledger in partitions.all() {
            let standing = ledger.standing();
            metrics.lag += standing.lag;
            metrics.low_watermark = match (metrics.low_watermark, standing.low) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            let say = |blocking| format!("{}: {}", ledger.partition, describe(blocking));
            metrics.blocking = metrics.blocking.or(standing.blocking.map(say));
        }
        metrics.late = partitions.late();
        metrics
    }

    /// What is committed so far, for people: a partition's position each, as [`Summary::committed`] has it at the end.
    pub fn committed(&self) -> Vec<String> {
        self.shown.committed()
    }

    /// Asks the run to end: the source reads no more, what is in flight goes through and is committed. Where there are
    /// several instances this one asks to leave, and the others say what that takes.
    pub fn drain(&self) {
        let _ = self.wishes.send(Wish::Drain);
    }

    /// Ends the run (of this instance) at once: what is in flight is dropped and runs again next time.
    pub fn abort(&self) {
        let _ = self.wishes.send(Wish::Abort);
    }

    /// Waits for the end.
    pub async fn join(mut self) -> Result<Summary> {
        self.ended().await
    }

    /// Waits for the end, without giving up the handle. May be dropped at any time; the end is told once.
    pub async fn ended(&mut self) -> Result<Summary> {
        let Some(joined) = &mut self.joined else {
            return Err(Error::new(Cause::User, "how the run ended has been told before"));
        };
        let ended = joined.await;
        self.joined = None;
        ended.unwrap_or_else(|error| Err(Error::new(Cause::Bug, "the run itself panicked").because(error)))
    }
}

pub(super) fn aborted() -> Error {
    Error::new(Cause::User, "the run was aborted: what was in flight runs again next time")
}

pub(super) fn describe(blocking: Blocking) -> String {
    match blocking {
        Blocking::InFlight(sequence) => format!("record {sequence} is in flight"),
        Blocking::Abandoned(sequence) => format!("record {sequence} was abandoned"),
        Blocking::Held(sequence) => format!("a fold holds record {sequence}"),
        Blocking::Sealed(sequence) => format!("the run ends before record {sequence}"),
    }
}

/// The run was asked to end and did not.
pub(super) fn overdue(grace: Duration) -> Error {
    let message =
        format!("the run did not end within its grace period of {grace:?}: what was in flight runs again next time");
    Error::new(Cause::Outside, message)
}

/// What this instance did.
pub(super) fn summary(setup: &Setup, shown: &Shown, ended: Ended, time: Duration) -> Summary {
    let stages = &setup.meters.stages;
    let sum = |read: fn(&Counters) -> &AtomicU64| stages.iter().map(|stage| read(stage).load(Relaxed)).sum();
    let partitions = shown.partitions();
    let read = stages.first().map_or(0, |stage| stage.rows_in.load(Relaxed));
    Summary {
        ended,
        records_in: read.saturating_sub(shown.not_in_run()),
        records_out: stages.last().map_or(0, |stage| stage.rows_out.load(Relaxed)),
        filtered: sum(|stage| &stage.filtered),
        skipped: sum(|stage| &stage.skipped),
        dead_lettered: sum(|stage| &stage.dead_lettered),
        retried: sum(|stage| &stage.retried),
        bytes_in: setup.meters.bytes_in.load(Relaxed),
        time,
        late: partitions.map_or(0, |partitions| partitions.late()),
        committed: shown.committed(),
    }
}
