//! [`Known`]: what a run knows of the partitions that it reads, over all sources that are made in it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_net::kafka::Place;

/// What a run knows of the partitions that it reads.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// When the run began, in milliseconds since the Unix epoch.
    pub(super) opened_at: Option<i64>,
    /// How many partitions each topic had then.
    pub(super) counts: HashMap<String, i32>,
    /// The cluster's id; empty if it says none.
    pub(super) cluster: Arc<str>,
    /// Whether the group has ever said what is this member's.
    pub(super) begun: bool,
    /// What it has said first, and is not read yet: that begins as the source was told.
    pub(super) first: HashSet<Place>,
    pub(super) floors: HashMap<Place, Floor>,
    /// Commits that came too late.
    late: u64,
}

/// What the group has stored of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) offset: i64,
    /// What stands beside it: each run has its own ([`Group::mark`](millstream_net::kafka::Group::mark)).
    pub(super) mark: String,
}

/// A partition that the run has begun to read: nothing before its beginning is ever wanted, nor is anything behind that
/// left out that nobody has committed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Floor {
    /// Where the run began.
    pub(super) offset: i64,
    /// Where the partition ended then, if that is where the run ends.
    pub(super) end: Option<i64>,
    /// What the group had committed by then: in an earlier run.
    pub(super) before: Option<Stored>,
    /// Where it stood when it was given back, if it ever was: others may have read on since.
    pub(super) given_back: Option<i64>,
}

impl Known {
    /// Others may have got all of it: the membership in the group was lost.
    pub(super) fn give_all_back(&mut self) {
        for floor in self.floors.values_mut() {
            floor.given_back.get_or_insert(-1);
        }
    }

    /// A partition was given back where this had been stored of it; -1 for nothing.
    pub(super) fn give_back(&mut self, place: &Place, stored: i64) {
        if let Some(floor) = self.floors.get_mut(place) {
            floor.given_back = floor.given_back.max(Some(stored));
        }
    }

    /// What was to be committed of a partition comes too late: it has been taken away.
    pub(super) fn late(&mut self, partition: impl std::fmt::Display) {
        self.late += 1;
        tracing::warn!(%partition, late = self.late, "a commit came too late and was dropped: what it was of is read again");
    }
}

/// Where it is kept while there is no source: for as long as the declaration.
#[derive(Debug, Clone, Default)]
pub(super) struct Keeps(Arc<Mutex<Known>>);

impl Keeps {
    /// What was kept.
    pub(super) fn take(&self) -> Known {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps it for the next source of the run.
    pub(super) fn keep(&self, known: Known) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}
