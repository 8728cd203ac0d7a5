//! [`Control`]: what all tasks of a run listen to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::contracts::Error;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// The source reads.
    Running,
    /// A limit is reached: the source reads no more, and what the limit let pass goes through, however long that takes.
    Limited,
    /// The run was asked to end, or fails: the source reads no more, and what is in flight goes through.
    Draining,
    /// Everything is dropped as it stands.
    Aborting,
}

/// What all tasks of a run listen to, and where they tell what went wrong.
pub(super) struct Control {
    phase: watch::Sender<Phase>,
    failure: Mutex<Option<Error>>,
    reader_gone: AtomicBool,
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Running),
            failure: Mutex::new(None),
            reader_gone: AtomicBool::new(false),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn listen(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Goes to `phase` unless it is there or further.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let further = phase > *now;
            if further {
                *now = phase;
            }
            further
        });
    }

    /// Something failed: the first failure is what the run ends with. The source reads no more.
    pub(super) fn fail(&self, error: Error) {
        tracing::error!(error = error.chain(), "the run fails");
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.enter(Phase::Draining);
    }

    /// Whoever read the output went away: the run ends, nothing more is committed, and that is no failure.
    pub(super) fn reader_gone(&self) {
        self.reader_gone.store(true, Ordering::Release);
        self.enter(Phase::Draining);
    }

    pub(super) fn is_reader_gone(&self) -> bool {
        self.reader_gone.load(Ordering::Acquire)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
