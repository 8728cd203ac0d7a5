//! Gates: a limit, and a throttle. Pure: the time is given.

use std::sync::Arc;
use std::time::Duration;

use super::parcel::Parcel;
use super::tally::Tally;
use crate::data::Batch;
use crate::plan::Throttle;

/// Lets so many records of a run pass.
pub(super) struct Limit {
    tally: Arc<Tally>,
    /// Whether what has passed may come again.
    again: bool,
}

/// What a limit says about a batch.
pub(super) enum Let {
    /// All of it passes, and more may come.
    Pass(Parcel),
    /// This passes, and the run ends before the given record of the rest.
    Last(Parcel, Option<(Parcel, u32)>),
}

impl Limit {
    pub(super) fn new(tally: Arc<Tally>, again: bool) -> Self {
        Self { tally, again }
    }

    /// Lets what fits of a batch pass. A source record passes whole or not at all.
    pub(super) fn admit(&mut self, mut parcel: Parcel) -> Let {
        let left = self.tally.left();
        if (parcel.batch.len() as u64) < left {
            self.tally.count(&parcel.batch, self.again);
            return Let::Pass(parcel);
        }
        let end = end_of(&parcel.batch, left as usize);
        let rest = parcel.split_at(end);
        self.tally.count(&parcel.batch, self.again);
        Let::Last(parcel, Some((rest, end)))
    }
}

/// The record before which to cut so that at most `rows` rows, and only whole records, lie before it.
fn end_of(batch: &Batch, rows: usize) -> u32 {
    let next = (rows < batch.len()).then(|| batch.record(rows));
    match rows.checked_sub(1).map(|last| batch.record(last)) {
        None => next.unwrap_or(batch.part().start),
        Some(last) if next == Some(last) => last,
        Some(last) => last + 1,
    }
}

/// Lets records pass at a steady rate.
pub(super) struct Pace {
    /// Nanoseconds a record takes.
    each: u64,
    /// How many may pass at once.
    burst: u64,
    /// When the next may pass, in nanoseconds of the run's clock.
    next: u64,
}

/// What a throttle says about a batch: what may pass now, and what may pass when.
pub(super) struct Paced {
    pub(super) now: Option<Parcel>,
    pub(super) later: Option<(Parcel, Duration)>,
}

impl Pace {
    /// Records that fall due within this time pass together.
    const GRAIN: u64 = 10_000_000;

    pub(super) fn new(rate: Throttle) -> Self {
        let period = u64::try_from(rate.period.as_nanos()).unwrap_or(u64::MAX);
        let each = (period / rate.records.max(1)).max(1);
        Self { each, burst: (Self::GRAIN / each).max(1), next: 0 }
    }

    pub(super) fn admit(&mut self, mut parcel: Parcel, now: Duration) -> Paced {
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let rows = parcel.batch.len() as u64;
        if rows == 0 {
            return Paced { now: Some(parcel), later: None };
        }
        if now < self.next {
            let at = Duration::from_nanos(self.next);
            return Paced { now: None, later: Some((parcel, at)) };
        }
        let due = ((now - self.next) / self.each + 1).min(self.burst);
        self.next = self.next.max(now.saturating_sub(self.burst * self.each));
        if rows <= due {
            self.next += rows * self.each;
            return Paced { now: Some(parcel), later: None };
        }
        let first = parcel.batch.record(0);
        let cut = end_of(&parcel.batch, due as usize).max(first + 1);
        let rest = parcel.split_at(cut);
        self.next += parcel.batch.len() as u64 * self.each;
        let later = (!rest.batch.is_empty() || !rest.batch.part().is_empty())
            .then_some((rest, Duration::from_nanos(self.next)));
        Paced { now: Some(parcel), later }
    }
}
