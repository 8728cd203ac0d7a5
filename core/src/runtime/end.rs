//! The end of a run: the last commit, and source and sink closed in their order.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::committer::Committer;
use super::control::{Control, Phase};
use super::resolve::Resolver;
use super::run::{Starter, describe, label};
use super::source_end::Partitions;
use super::summary::{Ended, Summary};
use crate::contracts::{Cause, Error, Result};

/// The end of a run.
pub(super) struct End {
    pub(super) starter: Starter,
    pub(super) committer: Committer,
    pub(super) partitions: Arc<Partitions>,
    pub(super) resolver: Resolver,
}

impl End {
    /// Sees the run to its end: `ended` says how the sink's task ended, `over` closes once no task has anything in
    /// flight.
    pub(super) async fn wait(
        mut self,
        ended: oneshot::Receiver<Option<Ended>>,
        mut over: mpsc::Receiver<()>,
    ) -> Result<Summary> {
        let clock = self.starter.settings.world.clock.clone();
        let began = clock.elapsed();
        let control = self.starter.control.clone();
        let mut ended = Box::pin(async { ended.await.ok().flatten() });
        let grace = self.starter.settings.grace;
        let watchdog = end_after(grace, control.clone(), clock.clone());
        let extender = self.committer.extender();
        let guarded = async {
            let ended = match self.committer.run(&mut ended).await {
                Ok(ended) => ended,
                Err(error) => {
                    // A sink whose reader went away can't flush, and what it could not write was dropped.
                    if !control.is_reader_gone() {
                        control.fail(error);
                    }
                    ended.await
                }
            };
            // What was still under way has been given up by now: that too has an outcome.
            let _ = over.recv().await;
            if matches!(ended, Some(Ended::Limit | Ended::ReaderGone)) {
                control.forgive_in_stream();
            }
            self.finish(ended).await
        };
        let ended = tokio::select! {
            ended = guarded => ended,
            () = extender.run(&control) => None,
            () = watchdog => None,
        };
        if let Some(error) = control.take_failure() {
            return Err(error);
        }
        let Some(ended) = ended else {
            return Err(Error::new(Cause::Bug, "the run ended without saying how"));
        };
        Ok(self.summary(ended, clock.elapsed() - began))
    }

    /// The last commit, and the end of source and sink.
    async fn finish(&mut self, ended: Option<Ended>) -> Option<Ended> {
        let control = self.starter.control.clone();
        let note = |done: Result<()>| {
            if let Err(error) = done {
                control.fail(error);
            }
        };
        let reader_gone = ended == Some(Ended::ReaderGone);
        if !reader_gone {
            note(self.committer.commit_all().await);
        }
        if ended == Some(Ended::Input) && !control.has_failed() {
            note(self.check_settled());
        }
        if matches!(ended, Some(Ended::Input | Ended::Limit | Ended::Drained)) && !control.has_failed() {
            note(self.committer.close_sink().await);
        }
        for letters in self.resolver.letters.iter() {
            note(letters.close().await);
        }
        note(self.committer.close_source().await);
        ended
    }

    /// At the end of the input everything must have arrived: what has not was lost on the way, and is not passed over.
    fn check_settled(&self) -> Result<()> {
        for ledger in self.partitions.all() {
            let standing = ledger.standing();
            if !standing.settled {
                let why = standing.blocking.map_or_else(String::new, describe);
                let message = format!(
                    "{} records of partition {} never settled ({} were dropped without an outcome): {why}",
                    standing.lag, ledger.partition, standing.abandoned
                );
                return Err(Error::new(Cause::Bug, message));
            }
        }
        Ok(())
    }

    /// Records that were read past where a limit or a drain ended the run.
    fn left_over(&self) -> u64 {
        let standings = self.partitions.all().into_iter().map(|ledger| ledger.standing());
        standings.filter(|standing| standing.settled).map(|standing| standing.lag).sum()
    }

    fn summary(&self, ended: Ended, time: Duration) -> Summary {
        let stages = &self.starter.meters.stages;
        let sum = |read: fn(&super::metrics::Counters) -> &std::sync::atomic::AtomicU64| {
            stages.iter().map(|stage| read(stage).load(Relaxed)).sum()
        };
        Summary {
            ended,
            records_in: stages.first().map_or(0, |stage| stage.rows_in.load(Relaxed)).saturating_sub(self.left_over()),
            records_out: stages.last().map_or(0, |stage| stage.rows_out.load(Relaxed)),
            filtered: sum(|stage| &stage.filtered),
            skipped: sum(|stage| &stage.skipped),
            dead_lettered: sum(|stage| &stage.dead_lettered),
            retried: sum(|stage| &stage.retried),
            bytes_in: self.starter.meters.bytes_in.load(Relaxed),
            time,
            late: self.partitions.late(),
            committed: self.partitions.held.all().into_iter().map(label).collect(),
        }
    }
}

/// Aborts a run that has been asked to end and doesn't within `grace`; returns a second later, whatever hangs.
async fn end_after(grace: Duration, control: Arc<Control>, clock: Arc<dyn crate::contracts::Clock>) {
    let mut phase = control.listen();
    let _ = phase.wait_for(|phase| *phase >= Phase::Draining).await;
    tokio::select! {
        () = clock.sleep(grace) => {
            let message = format!("the run did not end within its grace period of {grace:?}: what was in flight runs again next time");
            control.fail(Error::new(Cause::Outside, message));
            control.enter(Phase::Aborting);
        }
        _ = phase.wait_for(|phase| *phase == Phase::Aborting) => {}
    }
    clock.sleep(Duration::from_secs(1)).await;
}
