//! [`Outside`]: what outlives the instances.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream::contracts::{Clock, Traffic};

use crate::disk::Disks;
use crate::downstream::Downstream;
use crate::folds::Folds;
use crate::story::Story;
use crate::truth::{Fate, Record, Truth, partition};
use crate::upstream::Upstream;

/// What outlives the instances: where records come from and go to, and what was found to be wrong.
pub(crate) struct Outside {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) story: Story,
    pub(crate) truth: Truth,
    pub(crate) upstream: Upstream,
    pub(crate) downstream: Downstream,
    pub(crate) disks: Disks,
    pub(crate) folds: Folds,
    /// What records met with on their way, in the lives that are over.
    pub(crate) met: Mutex<Traffic>,
    /// How often a stage has refused a record that it takes later.
    tried_again: AtomicU64,
    /// Up to where each partition's records have been found durable.
    covered: Mutex<Vec<u64>>,
    wrong: Mutex<Vec<String>>,
}

impl Outside {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        truth: Truth,
        upstream: Upstream,
        downstream: Downstream,
        disks: Disks,
    ) -> Arc<Self> {
        let covered = Mutex::new(vec![0; truth.records.len()]);
        let story = Story::new(clock.clone());
        let (folds, met, wrong) = (Folds::default(), Mutex::default(), Mutex::default());
        let tried_again = AtomicU64::default();
        Arc::new(Self { clock, story, truth, upstream, downstream, disks, folds, met, tried_again, covered, wrong })
    }

    /// A stage has refused a record that it takes later.
    pub(crate) fn tries_again(&self) {
        self.tried_again.fetch_add(1, Relaxed);
    }

    pub(crate) fn tried_again(&self) -> u64 {
        self.tried_again.load(Relaxed)
    }

    /// An instance is gone, whose records have met with this.
    pub(crate) fn has_met(&self, traffic: Traffic) {
        let mut met = lock(&self.met);
        met.redealt += traffic.redealt;
        met.passed_late += traffic.passed_late;
        met.handed_back += traffic.handed_back;
        met.discarded += traffic.discarded;
        met.replayed += traffic.replayed;
        met.frozen += traffic.frozen;
    }

    /// Something is not as it has to be.
    pub(crate) fn wrong(&self, what: String) {
        self.story.tell(format!("WRONG: {what}"));
        lock(&self.wrong).push(what);
    }

    pub(crate) fn all_wrong(&self) -> Vec<String> {
        lock(&self.wrong).clone()
    }

    /// A partition is committed up to here: whatever has to arrive of the records before has to be durable.
    pub(crate) fn commits(&self, of: usize, upto: u64, what: &str) {
        let from = std::mem::replace(&mut lock(&self.covered)[of], upto);
        if upto < from {
            lock(&self.covered)[of] = from;
        }
        let missing = |number: &u64| !self.is_durable(Record { partition: of, number: *number });
        let mut missing = (from..upto).filter(missing);
        if let Some(first) = missing.next() {
            let more = missing.count();
            let record = Record { partition: of, number: first };
            self.wrong(format!(
                "{what} {} up to {upto} while {record} and {more} more records before that are not durable",
                partition(of)
            ));
        }
    }

    /// A record is acknowledged by itself: whatever has to arrive of it has to be durable.
    pub(crate) fn acknowledges(&self, record: Record) {
        if !self.is_durable(record) {
            self.wrong(format!("{record} is acknowledged and not durable"));
        }
    }

    fn is_durable(&self, record: Record) -> bool {
        match self.truth.fate(record) {
            Fate::Passes => self.truth.rows_of(record).all(|row| self.downstream.has(row)),
            Fate::Buried => self.downstream.has_letter(record),
            Fate::Filtered | Fate::Skipped => true,
        }
    }
}

/// A panic elsewhere ends the test anyway.
pub(crate) fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
