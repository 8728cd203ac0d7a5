//! [`Timing`]: when records happened, where a merge orders them by event time; and [`Clockwork`], whether it does.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream::data::Stamp;

use crate::truth::Record;

/// When records happened.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// How long a merge waits for an origin that has nothing.
    pub(crate) idle: Duration,
    /// How far the records of the first partition lie apart, in microseconds; those of each other one a little less.
    pub(crate) step: i64,
    /// Whether sources promise what they won't emit any more.
    pub(crate) promises: bool,
    /// Whether nothing goes wrong and all records have rows: then what passes is checked, record by record.
    pub(crate) calm: bool,
}

impl Timing {
    /// When a record happened, in microseconds.
    pub(crate) fn at(self, record: Record) -> i64 {
        (self.step - record.partition as i64).max(1) * record.number as i64
    }
}

/// What a sink has seen pass.
#[derive(Debug)]
pub(crate) struct Clockwork {
    /// The latest time of all.
    reached: i64,
    /// Of each origin: the latest time that was reached since its first row.
    highest: BTreeMap<(u16, String), i64>,
}

impl Clockwork {
    pub(crate) fn new() -> Self {
        Self { reached: i64::MIN, highest: BTreeMap::new() }
    }

    /// A row passes. What is wrong with that: once something of an origin has passed, nothing that is later than all before
    /// passes without waiting for it; or what comes of it then is late.
    pub(crate) fn passes(&mut self, stamp: &Stamp) -> Result<(), String> {
        let (origin, time) = ((stamp.instance, stamp.partition.to_string()), stamp.time.micros);
        let highest = self.highest.entry(origin.clone()).or_insert(i64::MIN);
        let wrong = !stamp.late && time < *highest;
        let wrong = wrong.then(|| format!("a row of {origin:?} of time {time} passes after one of time {highest}"));
        if time > self.reached {
            self.reached = time;
            self.highest.values_mut().for_each(|highest| *highest = time);
        }
        wrong.map_or(Ok(()), Err)
    }
}
