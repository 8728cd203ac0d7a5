//! What becomes of records that failed: a policy is applied before they settle.

use std::sync::Arc;
use std::time::Duration;

use super::letters::Letterbox;
use super::metrics::{Meters, add};
use super::passing::Passing;
use super::segment::{Segmented, Verdict};
use crate::contracts::{Cause, Error, Letter, Result};
use crate::data::Shared;
use crate::plan::{Policy, StageId};

/// Applies policies.
#[derive(Clone)]
pub(super) struct Resolver {
    pub(super) letters: Arc<[Arc<Letterbox>]>,
    pub(super) meters: Arc<Meters>,
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
                self.bury(letters, &shared, &faults).await?;
                add(&self.meters.stages[verdict.stage].dead_lettered, faults.len());
                faults.iter().for_each(|(record, _)| passing.dispose(*record));
                Ok(Resolved::On(passing))
            }
        }
    }

    /// Writes letters for these records of a span; they are durable when it returns.
    pub(super) async fn bury(&self, letters: usize, shared: &Shared, faults: &[(u32, Error)]) -> Result<()> {
        let Some(letterbox) = self.letters.get(letters) else {
            return Err(Error::new(Cause::Bug, "the graph names dead letters that were not declared"));
        };
        let letters: Vec<_> = faults.iter().map(|(record, error)| letter(shared, *record, error)).collect();
        letterbox.write(&letters).await
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

fn letter(shared: &Shared, record: u32, error: &Error) -> Letter {
    let raw = shared.raw.as_ref();
    Letter {
        time: shared.times.at(record),
        source: shared.stage.to_string(),
        position: shared.place(record),
        stage: error.stage().unwrap_or_default().to_owned(),
        reason: reason(error),
        bytes: raw.map(|raw| raw.get(record as usize).to_vec()).unwrap_or_default(),
    }
}

/// The message and those below it; stage and place stand beside it in the letter.
fn reason(error: &Error) -> String {
    let whole = error.chain();
    let told = error.to_string();
    format!("{}{}", error.message(), whole.strip_prefix(&told).unwrap_or_default())
}
