//! The end of a part: the last commit, and source and sink closed in their order.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::committer::{Committer, Extender};
use super::control::{Control, Phase};
use super::ledger::Ledger;
use super::running::{describe, overdue};
use super::setup::Setup;
use super::source_end::Partitions;
use super::summary::Ended;
use super::upstream::Upstream;
use crate::contracts::{Cause, Error, Result};

/// The end of a part.
pub(super) struct End {
    setup: Arc<Setup>,
    control: Arc<Control>,
    /// None where nothing is committed: between two network stages.
    committer: Option<Committer>,
    folds: Vec<Arc<Ledger>>,
    /// Says how the last task ended.
    ended: oneshot::Receiver<Option<Ended>>,
    /// Closes once no task has anything in flight.
    over: mpsc::Receiver<()>,
}

impl End {
    pub(super) fn new(
        setup: &Arc<Setup>,
        control: &Arc<Control>,
        committer: Option<Committer>,
        folds: Vec<Arc<Ledger>>,
        ended: oneshot::Receiver<Option<Ended>>,
        over: mpsc::Receiver<()>,
    ) -> Self {
        Self { setup: setup.clone(), control: control.clone(), committer, folds, ended, over }
    }

    /// Sees the part to its end, and says how it ended; `None`: it was given up, and nothing failed.
    pub(super) async fn wait(mut self) -> Result<Option<Ended>> {
        let control = self.control.clone();
        let clock = self.setup.settings.world.clock.clone();
        // Where there are other instances, the instance sees to the grace of those of its parts that have not failed.
        let alone = self.setup.instance.is_none();
        let watchdog = end_after(self.setup.settings.grace, alone, control.clone(), clock);
        let extender = self.committer.as_ref().and_then(Committer::extender);
        let ended = tokio::select! {
            biased;
            ended = self.see() => ended,
            () = extend(extender, &control) => None,
            () = watchdog => None,
        };
        match control.take_failure() {
            Some(error) => Err(error),
            None => Ok(ended),
        }
    }

    async fn see(&mut self) -> Option<Ended> {
        let mut ended = self.stream().await;
        // What was still under way has been given up by now: that too has an outcome.
        let _ = self.over.recv().await;
        if matches!(ended, Some(Ended::Limit | Ended::ReaderGone)) {
            self.control.forgive_in_stream();
        }
        if ended.is_some() && !self.control.has_failed() {
            self.settle().await;
            // A limit elsewhere, that was reached only after all had been read.
            if self.control.phase() == Phase::Limited {
                ended = Some(Ended::Limit);
            }
        }
        // A limit elsewhere was reached before anything of what was still to be read.
        let ended = ended.or(self.control.is_finished().then_some(Ended::Limit));
        self.finish(ended).await;
        ended
    }

    /// Commits until the last task has ended.
    async fn stream(&mut self) -> Option<Ended> {
        let Self { ended, committer, control, .. } = self;
        let mut ended = Box::pin(async { ended.await.ok().flatten() });
        let Some(committer) = committer else { return ended.await };
        match committer.run(&mut ended).await {
            Ok(ended) => ended,
            Err(error) => {
                // A sink whose reader went away can't flush, and what it could not write was dropped.
                if !control.is_reader_gone() {
                    control.fail(error);
                }
                if committer.sink.is_none() {
                    // What leaves by a network stage could not be committed any more.
                    control.enter(Phase::Aborting);
                }
                ended.await
            }
        }
    }

    /// What has left by a network stage is on its way still: commits until it has arrived, or the run fails.
    async fn settle(&mut self) {
        let Self { committer, control, folds, .. } = self;
        // A limit behind a fold cuts off what the fold makes, and what it took in for that stays held.
        let cut = folds.last().filter(|_| control.phase() == Phase::Limited);
        match committer {
            Some(committer) if committer.sink.is_none() => {
                let Some(source) = committer.upstream.source() else { return };
                let partitions = source.partitions.clone();
                let mut settled = Box::pin(async {
                    tokio::select! {
                        biased;
                        () = settled(cut, &partitions, control) => {}
                        () = control.failed() => {}
                    }
                });
                if let Err(error) = committer.run(&mut settled).await {
                    control.fail(error);
                }
            }
            // Upstream is told of the limit, and up to where records have got: that has to be known.
            None => {
                if let Some(fold) = cut {
                    tokio::select! {
                        biased;
                        () = fold.settled() => {}
                        () = control.failed() => {}
                    }
                }
            }
            Some(_) => {}
        }
    }

    /// The last commit, and the end of source and sink.
    async fn finish(&mut self, ended: Option<Ended>) {
        let Some(mut committer) = self.committer.take() else { return };
        let control = self.control.clone();
        let note = |done: Result<()>| {
            if let Err(error) = done {
                match control.is_dropped() {
                    true => tracing::warn!(error = error.chain(), "the end of a part that is given up"),
                    false => control.fail(error),
                }
            }
        };
        let gated = matches!(committer.upstream, Upstream::Entry(_));
        let alone = self.setup.instance.is_none();
        // What a part that is given up has written is not made durable: it begins anew without it.
        let given_up = (gated && control.phase() == Phase::Aborting) || (alone && control.is_parked());
        if ended != Some(Ended::ReaderGone) && !given_up {
            match committer.commit_all().await {
                Ok(true) => {}
                // It begins anew, and what the limit had let pass comes again.
                Ok(false) if ended == Some(Ended::Limit) && self.folds.is_empty() => control.give_up(),
                // It comes again with the next start, which cuts it off.
                Ok(false) if ended == Some(Ended::Drained) => {
                    tracing::warn!("what the sink was given last is not committed: its origin is away");
                    return;
                }
                Ok(false) => note(Err(origin_is_gone())),
                Err(error) => note(Err(error)),
            }
        }
        if ended == Some(Ended::Input) && !control.has_failed() && !control.is_finished() {
            note(check_settled(&committer));
        }
        if matches!(ended, Some(Ended::Input | Ended::Limit | Ended::Drained))
            && !control.has_failed()
            && !control.is_dropped()
        {
            note(committer.close_sink().await);
        }
        if control.is_parked() {
            return;
        }
        if alone {
            note(self.setup.close_letters().await);
        }
        note(committer.close_source().await);
    }
}

fn origin_is_gone() -> Error {
    let message = "the sink can't commit what it was given last: the position is known only to an instance that is gone. \
                   Start the pipeline again to go on from the last commit";
    Error::new(Cause::Outside, message)
}

/// Waits until what the source read, or what the fold made that a limit cut, has settled.
async fn settled(cut: Option<&Arc<Ledger>>, partitions: &Partitions, control: &Control) {
    match cut {
        Some(fold) => fold.settled().await,
        None => partitions.settled(control).await,
    }
}

/// Extends visibility where the source has one. Never ends.
async fn extend(extender: Option<Extender>, control: &Control) {
    match extender {
        Some(extender) => extender.run(control).await,
        None => std::future::pending().await,
    }
}

/// At the end of the input everything must have arrived: what has not was lost on the way, and is not passed over.
fn check_settled(committer: &Committer) -> Result<()> {
    let Some(source) = committer.upstream.source() else { return Ok(()) };
    for ledger in source.partitions.all() {
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

/// Aborts what has been asked to end (where it is not `alone`: what has failed) and doesn't within `grace`; returns a
/// second after it was aborted, whatever hangs.
async fn end_after(grace: Duration, alone: bool, control: Arc<Control>, clock: Arc<dyn crate::contracts::Clock>) {
    let mut phase = control.listen();
    match alone {
        true => drop(phase.wait_for(|phase| *phase >= Phase::Draining).await),
        false => control.failed().await,
    }
    tokio::select! {
        biased;
        () = clock.sleep(grace) => {
            control.fail(overdue(grace));
            control.enter(Phase::Aborting);
        }
        _ = phase.wait_for(|phase| *phase == Phase::Aborting) => {}
    }
    if control.is_finished() {
        return std::future::pending().await;
    }
    clock.sleep(Duration::from_secs(1)).await;
}
