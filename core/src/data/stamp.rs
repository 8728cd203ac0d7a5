//! [`Stamp`]: where a record came from and when it happened.

use std::sync::Arc;

use super::Partition;

/// When something happened, in microseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventTime {
    /// Microseconds since the Unix epoch.
    pub micros: i64,
    /// Whether the source didn't say, and this is when the record was read.
    pub ingested: bool,
}

/// A record's stamp. Batches hold stamps compactly; this is one of them written out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The name of the stage that the record began at (a source or a fold).
    pub stage: Arc<str>,
    /// The partition of that source.
    pub partition: Partition,
    /// The number of the instance that it began on: its place in the list of peers, 0 where there is only one.
    pub instance: u16,
    /// Another each time the origin is opened anew; sequence numbers never outlive it. 0 where there is one instance.
    pub epoch: u64,
    /// Dense within the origin and epoch, from 0.
    pub sequence: u64,
    /// The place among the records that one source record became, from 0.
    pub sub: u32,
    /// When it happened.
    pub time: EventTime,
    /// Whether it passed a merge by event time after that had given up waiting for it.
    pub late: bool,
}

/// The event times of a batch's records.
#[derive(Debug, Clone)]
pub enum Times {
    /// All have this one.
    Uniform(EventTime),
    /// One each, in microseconds since the Unix epoch, as the source said.
    Each(Arc<[i64]>),
}

impl Times {
    /// The time of record `index`.
    pub fn at(&self, index: u32) -> EventTime {
        match self {
            Self::Uniform(time) => *time,
            Self::Each(times) => EventTime { micros: times[index as usize], ingested: false },
        }
    }

    /// The earliest, in microseconds since the Unix epoch.
    pub fn low(&self) -> i64 {
        match self {
            Self::Uniform(time) => time.micros,
            Self::Each(times) => times.iter().copied().min().unwrap_or(i64::MAX),
        }
    }
}
