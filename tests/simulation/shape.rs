//! [`Shape`]: the pipelines that are simulated, as a user would declare them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::contracts::{Emit, Where};
use millstream::data::{Bytes, Kv};
use millstream::declare::{OnError, Pipeline, Stream};

use crate::disk::Disk;
use crate::downstream::{Text, letters, writer};
use crate::life::Life;
use crate::outside::{Outside, lock};
use crate::queue::taker;
use crate::scenario::{Scenario, Trying};
use crate::truth::{Fate, Record, Truth};
use crate::upstream::{Feed, reader};

/// A pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// source → split → filter → merge-sort → sink
    Sorted,
    /// … with a stage that makes several rows of a record
    Copied,
    /// … with a limit behind the merge
    Limited,
    /// … with records that can't be processed
    Poisoned,
    /// source → split by key → fold by key → merge → sink
    Keyed,
    /// source → … → merge → fold → sink
    Folded,
    /// source → split → sinks everywhere
    Scattered,
    /// source → … → merge → stage → split → stage → merge → sink
    Twice,
}

impl Shape {
    pub(crate) const ALL: [Self; 8] = [
        Self::Sorted,
        Self::Copied,
        Self::Limited,
        Self::Poisoned,
        Self::Keyed,
        Self::Folded,
        Self::Scattered,
        Self::Twice,
    ];

    /// Who may read its source.
    pub(crate) fn feeds(self) -> &'static [Feed] {
        match self {
            Self::Limited => &[Feed::First],
            _ => &[Feed::First, Feed::First, Feed::Each, Feed::Broker],
        }
    }

    /// Whether records become several rows.
    pub(crate) fn copies(self) -> bool {
        matches!(self, Self::Copied | Self::Limited | Self::Twice)
    }

    /// Whether its rows are what folds have come to.
    pub(crate) fn folds(self) -> bool {
        matches!(self, Self::Keyed | Self::Folded)
    }

    /// Whether the merge before its sink gets what began at the source.
    pub(crate) fn merges_records(self) -> bool {
        matches!(self, Self::Sorted | Self::Copied | Self::Poisoned | Self::Twice)
    }

    /// Whether its rows come together on one instance, so that they can be in order.
    pub(crate) fn sorts(self) -> bool {
        self != Self::Scattered
    }
}

/// Many more than a record needs.
const MOST_TRIES: u32 = 100;

/// The shortest and the longest wait between two tries.
const RETRIES: [Duration; 2] = [Duration::from_millis(5), Duration::from_millis(100)];

/// What one start of an instance declares: the same for all, over what is outside.
pub(crate) struct Declared<'a> {
    pub(crate) scenario: &'a Scenario,
    pub(crate) outside: &'a Arc<Outside>,
    pub(crate) life: &'a Life,
}

impl Declared<'_> {
    pub(crate) fn pipeline(&self) -> Pipeline {
        let truth = &self.scenario.truth;
        let (outside, life, reading) = (self.outside.clone(), self.life.clone(), self.scenario.reading.clone());
        let pipeline = Pipeline::called("simulated");
        let records = match self.scenario.taking {
            Some(taking) => pipeline.source(taker(outside, life, (reading, taking))),
            None => pipeline.source(reader(outside, life, reading)),
        };
        let kept = records.filter(keeps(truth)).named("KEPT").par(self.scenario.par);
        let Some(trying) = self.scenario.trying else { return self.worked(kept) };
        let tried = kept.try_map(self.tries(trying)).named("TRIED").par(self.scenario.par);
        self.worked(tried.retry(MOST_TRIES).backoff(RETRIES[0], RETRIES[1]))
    }

    /// Takes some records only after some tries. One that comes again while it is tried is counted with itself.
    fn tries(&self, trying: Trying) -> impl Fn(Bytes) -> Result<Bytes, String> + Send + Sync + 'static {
        let (outside, tries) = (self.outside.clone(), Mutex::new(BTreeMap::<Record, u32>::new()));
        move |bytes| {
            let text = String::from_utf8_lossy(bytes.as_ref()).into_owned();
            let record = Record::parse(&text).expect("a record's text says which it is");
            if !record.number.is_multiple_of(trying.refuses) {
                return Ok(bytes);
            }
            let mut tries = lock(&tries);
            let count = tries.entry(record).or_default();
            *count += 1;
            if *count > trying.times {
                tries.remove(&record);
                return Ok(bytes);
            }
            outside.tries_again();
            Err(format!("{text} is not ready"))
        }
    }

    fn worked<M>(&self, kept: Stream<Bytes, M>) -> Pipeline {
        let Some(work) = self.scenario.work else { return self.shaped(kept) };
        let works = move |record: Bytes| async move {
            tokio::time::sleep(work).await;
            record
        };
        self.shaped(kept.map_async(self.scenario.par, works).named("WORKED"))
    }

    fn shaped<M>(&self, kept: Stream<Bytes, M>) -> Pipeline {
        let truth = &self.scenario.truth;
        match self.scenario.shape {
            Shape::Sorted | Shape::Scattered => self.sink::<Bytes, _>(kept),
            Shape::Copied => self.sink::<String, _>(kept.flat_map(copies(truth)).named("COPIES")),
            Shape::Limited => {
                let copies = kept.flat_map(copies(truth)).named("COPIES").par(self.scenario.par);
                let limit = truth.limit.unwrap_or(u64::MAX);
                self.sink::<String, _>(copies.map_ref(|row: &str| row.to_owned()).named("LIMITED").limit(limit))
            }
            Shape::Poisoned => self.sink::<String, _>(self.poisoned(kept)),
            Shape::Keyed => self.keyed(kept),
            Shape::Folded => self.folded(kept),
            Shape::Twice => {
                let copies = kept.flat_map(copies(truth)).named("COPIES");
                let first = copies.map_ref(|row: &str| row.to_owned()).named("FIRST").place(Where::First);
                self.sink::<String, _>(
                    first.map_ref(|row: &str| row.to_owned()).named("SECOND").place(Where::Everywhere),
                )
            }
        }
    }

    fn poisoned<M>(&self, kept: Stream<Bytes, M>) -> Stream<String, impl Sized + use<M>> {
        let truth = self.scenario.truth.clone();
        let policy = match truth.letters {
            true => OnError::dead_letter(letters(self.outside.clone(), self.life.clone())),
            false => OnError::Skip,
        };
        let check = move |text: String| match fate(&truth, &text) {
            Fate::Buried | Fate::Skipped => Err(format!("{text} is poison")),
            Fate::Passes | Fate::Filtered => Ok(text),
        };
        let checked = kept.try_map(check).named("CHECKED").par(self.scenario.par);
        match self.scenario.trying {
            None => checked.on_error(policy),
            Some(trying) => checked.retry(trying.times).backoff(RETRIES[0], RETRIES[1]).on_error(policy),
        }
    }

    fn keyed<M>(&self, kept: Stream<Bytes, M>) -> Pipeline {
        let texts = kept.map(|text: String| text).named("TEXTS");
        // The last digit.
        let keyed = texts.key_by(|text: &String| text[text.len() - 1..].to_owned());
        let mut folds = keyed.fold(String::new(), self.joins()).named("KEYS");
        if let Some(each) = self.scenario.trigger {
            folds = folds.trigger_each(each);
        }
        if let Some(every) = self.scenario.every {
            folds = folds.trigger_every(every);
        }
        self.sink::<Kv<String, String>, _>(folds)
    }

    fn folded<M>(&self, kept: Stream<Bytes, M>) -> Pipeline {
        let mut folds = kept.fold(String::new(), self.joins()).named("ALL");
        if self.scenario.folds_first {
            folds = folds.place(Where::First);
        }
        if let Some(each) = self.scenario.trigger {
            folds = folds.trigger_each(each);
        }
        if let Some(every) = self.scenario.every {
            folds = folds.trigger_every(every);
        }
        self.sink::<String, _>(folds)
    }

    /// Joins texts to one, which begins with the state's name if states have names.
    fn joins(&self) -> impl Fn(&mut String, String) + Send + Sync + 'static {
        let (outside, life) = (self.outside.clone(), self.life.clone());
        let (named, keyed) = (self.scenario.named_states, self.scenario.shape == Shape::Keyed);
        move |all, text| {
            if named && !life.is_killed() {
                let key = if keyed { &text[text.len() - 1..] } else { "" };
                outside.folds.takes_in(all, key, &text);
            }
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(&text);
        }
    }

    fn sink<T: Text, M>(&self, stream: Stream<T, M>) -> Pipeline {
        let stream = match self.scenario.buffer {
            Some(records) => stream.buffer(records),
            None => stream,
        };
        let stream = match self.scenario.writing.timing {
            Some(timing) => stream.merge_by_event_time(timing.idle),
            None => stream,
        };
        let sink = writer::<T>(self.outside.clone(), self.life.clone(), self.scenario.writing.clone());
        let pipeline = stream.sink(sink).retry(10_000).backoff(Duration::from_millis(50), Duration::from_secs(1));
        if !self.scenario.store {
            return pipeline;
        }
        let (outside, life) = (self.outside.clone(), self.life.clone());
        pipeline.store(Disk { outside, life, slow: self.scenario.reading.slow })
    }
}

fn fate(truth: &Truth, text: &str) -> Fate {
    truth.fate(Record::parse(text).expect("a record's text says which it is"))
}

fn keeps(truth: &Truth) -> impl Fn(&str) -> bool + Send + Sync + 'static {
    let truth = truth.clone();
    move |text| fate(&truth, text) != Fate::Filtered
}

fn copies(truth: &Truth) -> impl Fn(&str, &mut Emit<'_, String>) + Send + Sync + 'static {
    let rows = truth.rows;
    move |text, emit| (0..rows).for_each(|row| emit.push(format!("{text}.{row}")))
}
