//! [`Ledger`]: what happened at both ends of a pipeline, in which order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::commit::Outcome;

/// Something that happened. Records are named by their number in the script of their partition, from 0; only what comes
/// back from the engine is named by sequence number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// The source opened a partition and goes on with this record.
    Opened {
        /// The partition.
        partition: String,
        /// The record.
        from: u64,
    },
    /// The source gave a partition away.
    Gone {
        /// The partition.
        partition: String,
    },
    /// The source emitted records; the first has this sequence number.
    Emitted {
        /// The partition.
        partition: String,
        /// The first one's sequence number.
        sequence: u64,
        /// The records.
        records: Range<u64>,
    },
    /// A sink took a row over.
    Wrote {
        /// The sink.
        sink: String,
        /// The origin's partition.
        partition: String,
        /// The record's sequence number.
        sequence: u64,
    },
    /// What a sink took over before is durable.
    Flushed {
        /// The sink.
        sink: String,
    },
    /// What a sink took over before is durable together with a position.
    Stored {
        /// The sink.
        sink: String,
        /// The partition.
        partition: String,
        /// All records before this one.
        upto: u64,
    },
    /// The checkpoint store keeps a position.
    Saved {
        /// The partition.
        partition: String,
        /// All records before this one.
        upto: u64,
    },
    /// The source was told to commit.
    Committed {
        /// The partition.
        partition: String,
        /// All records before this one.
        upto: u64,
    },
    /// The source was told what became of a record.
    Settled {
        /// The partition.
        partition: String,
        /// The record.
        record: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// The source was asked to keep records invisible to others.
    Extended {
        /// The partition.
        partition: String,
        /// Their sequence numbers.
        records: Range<u64>,
    },
    /// The source was closed.
    SourceClosed,
    /// A sink was closed.
    SinkClosed {
        /// The sink.
        sink: String,
    },
}

/// Something that happened, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The time since the ledger was made.
    pub at: Duration,
    /// What happened.
    pub act: Act,
}

/// What happened at both ends of a pipeline, in which order. Clones share it.
#[derive(Debug, Clone)]
pub struct Ledger {
    start: Instant,
    entries: Arc<Mutex<Vec<Entry>>>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Ledger {
    /// An empty ledger; its time begins now.
    pub fn new() -> Self {
        Self { start: Instant::now(), entries: Arc::default() }
    }

    /// Writes down what happened.
    pub fn note(&self, act: Act) {
        let at = self.start.elapsed();
        self.lock().push(Entry { at, act });
    }

    /// Everything so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().clone()
    }

    /// When those things happened that `which` picks.
    pub fn times(&self, which: impl Fn(&Act) -> bool) -> Vec<Duration> {
        self.lock().iter().filter(|entry| which(&entry.act)).map(|entry| entry.at).collect()
    }

    /// How often something happened that `which` picks.
    pub fn count(&self, which: impl Fn(&Act) -> bool) -> usize {
        self.times(which).len()
    }

    /// How many records were emitted.
    pub fn emitted(&self) -> u64 {
        let records = |entry: &Entry| match &entry.act {
            Act::Emitted { records, .. } => records.end - records.start,
            _ => 0,
        };
        self.lock().iter().map(records).sum()
    }

    /// How many times a sink was flushed.
    pub fn flushes(&self, sink: &str) -> usize {
        self.count(|act| matches!(act, Act::Flushed { sink: flushed } if flushed == sink))
    }

    /// The last committed point of a partition, by the source; `None` if it never was.
    pub fn committed(&self, partition: &str) -> Option<u64> {
        self.lock().iter().rev().find_map(|entry| match &entry.act {
            Act::Committed { partition: committed, upto } if committed == partition => Some(*upto),
            _ => None,
        })
    }

    /// The last point of a partition that the checkpoint store keeps; `None` if it keeps none.
    pub fn saved(&self, partition: &str) -> Option<u64> {
        self.lock().iter().rev().find_map(|entry| match &entry.act {
            Act::Saved { partition: saved, upto } if saved == partition => Some(*upto),
            _ => None,
        })
    }

    /// The records of a partition that settled with this outcome, in the order in which they did.
    pub fn settled(&self, partition: &str, outcome: Outcome) -> Vec<u64> {
        let of = |entry: &Entry| match &entry.act {
            Act::Settled { partition: of, record, outcome: had } if of == partition && *had == outcome => Some(*record),
            _ => None,
        };
        self.lock().iter().filter_map(of).collect()
    }

    /// The most records that were emitted and of which no row had been written yet, in a pipeline in which each record
    /// becomes at least one row.
    pub fn most_in_flight(&self) -> u64 {
        let (mut most, mut emitted, mut written) = (0, 0, HashSet::new());
        for entry in self.lock().iter() {
            match &entry.act {
                Act::Emitted { records, .. } => emitted += records.end - records.start,
                Act::Wrote { partition, sequence, .. } => drop(written.insert((partition.clone(), *sequence))),
                _ => {}
            }
            most = most.max(emitted - written.len() as u64);
        }
        most
    }

    /// Where the order of acts was not kept, a sentence each: a position that was saved or committed before all rows of
    /// the records before it were durable, one that went back, one that was committed at the source before it was saved
    /// in the store (if there is one), and a sink that stored a position with more than lies before it. `rows` says how
    /// many rows a record of a partition has to become.
    pub fn violations(&self, rows: impl Fn(&str, u64) -> usize) -> Vec<String> {
        let entries = self.lock();
        let stores = entries.iter().any(|entry| matches!(entry.act, Act::Saved { .. }));
        let mut audit = Audit { rows: &rows, stores, ..Audit::default() };
        entries.iter().for_each(|entry| audit.see(&entry.act));
        audit.wrong
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record: its partition and its number in the script.
type Record = (String, u64);

/// Goes through a ledger from its beginning.
struct Audit<'a> {
    rows: &'a dyn Fn(&str, u64) -> usize,
    stores: bool,
    /// The record of each sequence number.
    numbers: HashMap<(String, u64), u64>,
    /// Rows that a sink took over and has not made durable.
    pending: HashMap<String, Vec<Record>>,
    durable: BTreeMap<Record, usize>,
    /// What has been found durable, by partition.
    checked: HashMap<String, u64>,
    saved: HashMap<String, u64>,
    committed: HashMap<String, u64>,
    wrong: Vec<String>,
}

impl Default for Audit<'_> {
    fn default() -> Self {
        Self {
            rows: &|_, _| 1,
            stores: false,
            numbers: HashMap::new(),
            pending: HashMap::new(),
            durable: BTreeMap::new(),
            checked: HashMap::new(),
            saved: HashMap::new(),
            committed: HashMap::new(),
            wrong: Vec::new(),
        }
    }
}

impl Audit<'_> {
    fn see(&mut self, act: &Act) {
        match act {
            Act::Opened { partition, from } => {
                self.checked.insert(partition.clone(), *from);
                self.committed.insert(partition.clone(), *from);
                // What the run before left in the air is gone.
                self.pending.values_mut().for_each(|rows| rows.retain(|(of, _)| of != partition));
            }
            Act::Emitted { partition, sequence, records } => {
                for (at, number) in records.clone().enumerate() {
                    self.numbers.insert((partition.clone(), sequence + at as u64), number);
                }
            }
            Act::Wrote { sink, partition, sequence } => {
                if let Some(&number) = self.numbers.get(&(partition.clone(), *sequence)) {
                    self.pending.entry(sink.clone()).or_default().push((partition.clone(), number));
                }
            }
            Act::Flushed { sink } => self.durable(sink),
            Act::Stored { sink, partition, upto } => {
                self.durable(sink);
                self.covers_all(partition, *upto);
                self.covers(partition, *upto, "stored");
            }
            Act::Saved { partition, upto } => {
                self.saved.insert(partition.clone(), *upto);
                self.covers(partition, *upto, "saved");
            }
            Act::Committed { partition, upto } => self.commits(partition, *upto),
            _ => {}
        }
    }

    fn durable(&mut self, sink: &str) {
        for record in self.pending.remove(sink).unwrap_or_default() {
            *self.durable.entry(record).or_default() += 1;
        }
    }

    /// Everything before `upto` is durable.
    fn covers(&mut self, partition: &str, upto: u64, what: &str) {
        let from = self.checked.get(partition).copied().unwrap_or_default();
        for number in from..upto {
            let found = self.durable.get(&(partition.to_owned(), number)).copied().unwrap_or_default();
            let expected = (self.rows)(partition, number);
            if found < expected {
                self.wrong.push(format!(
                    "{partition} was {what} up to {upto} while {found} of {expected} rows of its record {number} were durable"
                ));
            }
        }
        self.checked.insert(partition.to_owned(), upto.max(from));
    }

    /// Nothing from `upto` on is durable.
    fn covers_all(&mut self, partition: &str, upto: u64) {
        let more = (partition.to_owned(), upto)..(partition.to_owned(), u64::MAX);
        if let Some(((_, number), _)) = self.durable.range(more).next() {
            self.wrong
                .push(format!("{partition} was stored up to {upto} with its record {number}, which lies behind that"));
        }
    }

    fn commits(&mut self, partition: &str, upto: u64) {
        let before = self.committed.insert(partition.to_owned(), upto).unwrap_or_default();
        if upto < before {
            self.wrong.push(format!("the commit of {partition} went back from {before} to {upto}"));
        }
        if self.stores && self.saved.get(partition).copied().unwrap_or_default() < upto {
            self.wrong.push(format!("{partition} was committed up to {upto} before that was saved"));
        }
        self.covers(partition, upto, "committed");
    }
}
