//! [`Truth`]: what has to become of each record.

use std::fmt;

/// What the source's records are, and what has to become of each.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    /// How many records each partition has.
    pub(crate) records: Vec<u64>,
    /// The filter holds back one in so many.
    pub(crate) filtered: Option<u64>,
    /// One in so many can't be processed.
    pub(crate) poison: Option<u64>,
    /// Whether a letter is written of what can't be processed; else it is skipped.
    pub(crate) letters: bool,
    /// How many rows each record becomes.
    pub(crate) rows: u64,
    /// Only so many rows pass, if there is a limit.
    pub(crate) limit: Option<u64>,
}

/// What has to become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Passes,
    Filtered,
    Skipped,
    Buried,
}

/// A record of the source, by its partition and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Record {
    pub(crate) partition: usize,
    pub(crate) number: u64,
}

/// One of the rows that a record becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Row {
    pub(crate) record: Record,
    pub(crate) sub: u64,
}

impl Truth {
    pub(crate) fn fate(&self, record: Record) -> Fate {
        let one_in = |times: Option<u64>| times.is_some_and(|times| record.number % times == times - 1);
        match () {
            () if one_in(self.filtered) => Fate::Filtered,
            () if one_in(self.poison) && self.letters => Fate::Buried,
            () if one_in(self.poison) => Fate::Skipped,
            () => Fate::Passes,
        }
    }

    /// The rows that have to arrive of a record.
    pub(crate) fn rows_of(&self, record: Record) -> impl Iterator<Item = Row> + use<> {
        let rows = if self.fate(record) == Fate::Passes { self.rows } else { 0 };
        (0..rows).map(move |sub| Row { record, sub })
    }

    /// All rows that a partition becomes, in order; without the limit.
    pub(crate) fn rows_of_all(&self, partition: usize) -> Vec<Row> {
        self.all(partition).flat_map(|record| self.rows_of(record)).collect()
    }

    pub(crate) fn all(&self, partition: usize) -> impl Iterator<Item = Record> + use<> {
        (0..self.records[partition]).map(move |number| Record { partition, number })
    }
}

/// The name of a partition.
pub(crate) fn partition(number: usize) -> String {
    format!("p{number}")
}

/// The number of a partition of this name.
pub(crate) fn partition_of(name: &str) -> Option<usize> {
    name.strip_prefix('p')?.parse().ok()
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}/{:05}", self.partition, self.number)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.record, self.sub)
    }
}

impl Record {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (partition, number) = text.split_once('/')?;
        Some(Self { partition: partition_of(partition)?, number: number.parse().ok()? })
    }
}

impl Row {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (record, sub) = text.split_once('.').unwrap_or((text, "0"));
        Some(Self { record: Record::parse(record)?, sub: sub.parse().ok()? })
    }
}
