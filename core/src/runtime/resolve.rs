//! What becomes of records that failed: a policy is applied before they settle.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::control::{Control, Phase};
use super::letters::{Letterbox, letter, note};
use super::metrics::{Meters, add};
use super::passing::Passing;
use super::segment::{Segmented, Verdict};
use crate::commit::{Burial, Note, Ticket};
use crate::contracts::{Cause, Error, Letter, Result};
use crate::data::Shared;
use crate::plan::{Policy, StageId};

/// Applies policies.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) letters: Arc<[Arc<Letterbox>]>,
    pub(super) meters: Arc<Meters>,
    /// Of the part that it is for.
    pub(super) control: Arc<Control>,
}

/// A record of a batch runs again.
pub(super) struct Again {
    /// Goes on.
    pub(super) before: Passing,
    /// Starts again after the wait.
    pub(super) again: Passing,
    pub(super) wait: Duration,
    /// Waits for it, failed records and all.
    pub(super) after: Passing,
}

/// How a batch with failed records goes on.
pub(super) enum Resolved {
    /// All of it goes on.
    On(Passing),
    /// One record runs again; what lies behind it waits.
    Again(Box<Again>),
    /// `before` goes on, and then the run fails.
    Failed { before: Passing, error: Error },
}

impl Resolver {
    /// Deals with the records of a batch that failed at one operation.
    pub(super) async fn resolve(&self, verdict: Verdict, mut passing: Passing) -> Result<Resolved> {
        match verdict.policy {
            Policy::Fail => Ok(fail(passing)),
            Policy::Skip => {
                let faults = passing.take_faults();
                add(&self.meters.stages[verdict.stage].skipped, faults.len());
                for (record, error) in faults {
                    tracing::warn!(error = error.chain(), "a record is skipped");
                    passing.dispose(record);
                }
                Ok(Resolved::On(passing))
            }
            Policy::DeadLetter(letters) => {
                let faults = passing.take_faults();
                let shared = passing.shared().clone();
                if self.letterbox(letters)?.is_joined() {
                    // They settle with the rest of the batch, once their letters are written.
                    add(&self.meters.stages[verdict.stage].dead_lettered, faults.len());
                    self.wait(letters, &shared, &faults)?;
                    return Ok(Resolved::On(passing));
                }
                let given_up = self.bury(letters, &passing.ticket, &shared, &faults).await?;
                add(&self.meters.stages[verdict.stage].dead_lettered, faults.len() - given_up.len());
                let first = given_up.first().copied().unwrap_or(passing.part.end);
                // What has no letter comes again, and with it all behind it: it must not be overtaken, nor pass as if dealt with.
                drop(passing.split_at(first));
                faults.iter().filter(|(record, _)| *record < first).for_each(|(record, _)| passing.dispose(*record));
                Ok(Resolved::On(passing))
            }
        }
    }

    /// Letters for these records wait for the rest of their batch to come to the sink.
    fn wait(&self, letters: usize, shared: &Shared, faults: &[(u32, Error)]) -> Result<()> {
        let letter = |(record, error): &(u32, Error)| (*record, letter(shared, *record, &note(letters, error)));
        self.letterbox(letters)?.wait(shared, faults.iter().map(letter));
        Ok(())
    }

    /// The letters that have waited for these records of a batch to come to the sink, and where they go.
    pub(super) fn waiting(&self, shared: &Shared, part: &Range<u32>) -> Vec<(Arc<Letterbox>, Vec<Letter>)> {
        let joined = self.letters.iter().filter(|letters| letters.is_joined());
        let waiting = joined.map(|letters| (letters.clone(), letters.take_waiting(shared, part)));
        waiting.filter(|(_, letters)| !letters.is_empty()).collect()
    }

    /// Sees to letters for these records of a span, here or where they began; they are durable when it returns. Returns
    /// those of them that their origin has given up: they are to be abandoned.
    pub(super) async fn bury(
        &self,
        letters: usize,
        ticket: &Ticket,
        shared: &Shared,
        faults: &[(u32, Error)],
    ) -> Result<Vec<u32>> {
        let (mut here, mut far) = (Vec::new(), Vec::new());
        for (record, error) in faults {
            let note = note(letters, error);
            match ticket.bury(*record, note.clone()) {
                Some(burial) => far.push((*record, burial)),
                None => here.push(letter(shared, *record, &note)),
            }
        }
        if !here.is_empty() {
            self.letterbox(letters)?.write(&here).await?;
        }
        self.await_burials(far).await
    }

    /// Writes one letter here for another instance; it is durable when it returns.
    pub(super) async fn bury_for(&self, shared: &Shared, record: u32, note: &Note) -> Result<()> {
        if record >= shared.len {
            let message = format!("a dead letter was asked for record {record} of a batch of {}", shared.len);
            return Err(Error::new(Cause::Bug, message));
        }
        let letters: [Letter; 1] = [letter(shared, record, note)];
        self.letterbox(note.letters as usize)?.write(&letters).await
    }

    async fn await_burials(&self, far: Vec<(u32, Burial)>) -> Result<Vec<u32>> {
        let mut given_up = Vec::new();
        if far.is_empty() {
            return Ok(given_up);
        }
        let mut phase = self.control.listen();
        for (record, burial) in far {
            tokio::select! {
                biased;
                buried = burial => {
                    if let Err(why) = buried {
                        tracing::warn!(why, "a dead letter was not written at its origin: the record runs again");
                        given_up.push(record);
                    }
                }
                _ = phase.wait_for(|phase| *phase == Phase::Aborting) => {
                    return Err(Error::new(Cause::Outside, "the run was aborted while a dead letter was under way"));
                }
            }
        }
        Ok(given_up)
    }

    fn letterbox(&self, letters: usize) -> Result<&Letterbox> {
        let unknown = || Error::new(Cause::Bug, "the graph names dead letters that were not declared");
        self.letters.get(letters).map(|letterbox| &**letterbox).ok_or_else(unknown)
    }

    /// The first record that failed runs again after the wait.
    pub(super) fn again(&self, stage: StageId, wait: Duration, mut passing: Passing, segment: &Segmented) -> Resolved {
        let Some((record, error)) = passing.first_fault() else { return Resolved::On(passing) };
        tracing::warn!(error = error.chain(), ?wait, "a record will run again");
        add(&self.meters.stages[stage].retried, 1);
        let mut again = passing.split_at(record);
        let after = again.split_at(record + 1);
        again.restart(stage, segment.retry());
        Resolved::Again(Box::new(Again { before: passing, again, wait, after }))
    }
}

fn fail(mut passing: Passing) -> Resolved {
    match passing.first_fault() {
        Some((record, error)) => {
            drop(passing.split_at(record));
            Resolved::Failed { before: passing, error }
        }
        None => Resolved::On(passing),
    }
}
