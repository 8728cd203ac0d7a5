//! [`Control`]: what all tasks of a run listen to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::contracts::{Error, Halt};

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

/// Where something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At a place in the stream: what lies before it goes through.
    Record,
    /// Beside the stream.
    Run,
}

/// What all tasks of a run listen to, and where they tell what went wrong.
pub(super) struct Control {
    phase: watch::Sender<Phase>,
    failures: Mutex<Vec<(At, Error)>>,
    failing: Notify,
    reader_gone: AtomicBool,
    dropped: AtomicBool,
    parked: AtomicBool,
    finished: AtomicBool,
    committed: AtomicBool,
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Running),
            failures: Mutex::default(),
            failing: Notify::new(),
            reader_gone: AtomicBool::new(false),
            dropped: AtomicBool::new(false),
            parked: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            committed: AtomicBool::new(false),
        }
    }

    /// Nothing more that is waited for will come: what has settled is committed, and that is the end.
    pub(super) fn finish(&self) {
        self.finished.store(true, Ordering::Release);
        self.enter(Phase::Aborting);
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }

    /// A commit was made.
    pub(super) fn committed(&self) {
        self.committed.store(true, Ordering::Release);
    }

    pub(super) fn has_committed(&self) -> bool {
        self.committed.load(Ordering::Acquire)
    }

    /// Everything is dropped as it stands, and that is no failure: it begins anew, or elsewhere.
    pub(super) fn give_up(&self) {
        self.dropped.store(true, Ordering::Release);
        self.enter(Phase::Aborting);
    }

    /// Everything is dropped as it stands, and begins anew right here: what is open is dropped without being closed.
    pub(super) fn park(&self) {
        self.parked.store(true, Ordering::Release);
        self.give_up();
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.load(Ordering::Acquire)
    }

    /// What the sink was given since its last commit can't be committed, and that is no failure: all begins anew.
    pub(super) fn begin_anew(&self, why: &Error) {
        if !self.has_failed() && !self.is_dropped() {
            tracing::warn!(why = why.chain(), "source and sink are opened anew, from the last commit");
            self.park();
        }
    }

    pub(super) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::Acquire)
    }

    /// Waits until something has failed, or all is dropped. May be dropped at any time.
    pub(super) async fn failed(&self) {
        let mut phase = self.listen();
        loop {
            let failing = self.failing.notified();
            if self.has_failed() {
                return;
            }
            tokio::select! {
                biased;
                () = failing => {}
                _ = phase.wait_for(|phase| *phase == Phase::Aborting) => return,
            }
        }
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// When those who wait for something outside are to give up.
    pub(super) fn halt(self: &Arc<Self>) -> Halt {
        let control = self.clone();
        Halt::when(move || control.phase() == Phase::Aborting)
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
        self.note(At::Run, error);
    }

    /// A task's stream ends with this failure: it counts unless the run turns out to have ended before it.
    pub(super) fn fail_in_stream(&self, error: Error) {
        self.note(At::Record, error);
    }

    /// The run ended before the places in the stream where tasks failed: they had run ahead.
    pub(super) fn forgive_in_stream(&self) {
        self.failures().retain(|(at, _)| *at != At::Record);
    }

    fn note(&self, at: At, error: Error) {
        if error.begins_anew() && !self.has_failed() {
            return self.begin_anew(&error);
        }
        if self.is_dropped() {
            tracing::debug!(error = error.chain(), "what is given up fails");
        } else {
            tracing::error!(error = error.chain(), "the run fails");
        }
        self.failures().push((at, error));
        self.failing.notify_waiters();
        self.enter(Phase::Draining);
    }

    fn failures(&self) -> MutexGuard<'_, Vec<(At, Error)>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
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
        !self.failures().is_empty()
    }

    pub(super) fn take_failure(&self) -> Option<Error> {
        std::mem::take(&mut *self.failures()).into_iter().next().map(|(_, error)| error)
    }
}
