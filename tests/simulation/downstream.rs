//! [`Downstream`]: where records go, [`Writer`], the sink that writes them, and [`Letters`], the one of dead letters.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::commit::Ticket;
use millstream::contracts::{
    Cause, Checkpoint, Error, Result, Sink, SinkContext, SinkFactory, SinkTraits, Where, WriteError, sink,
};
use millstream::data::{Bytes, Column as _, Data, Kv, Records};
use millstream_core::testkit::{Seeded, number_of};

use crate::life::Life;
use crate::outside::{Outside, lock};
use crate::timing::{Clockwork, Timing};
use crate::truth::{Record, Row, partition_of};

/// Where records go: it outlives the instances.
pub(crate) struct Downstream(Mutex<State>);

struct State {
    /// What is durable, in order.
    landed: Vec<String>,
    rows: BTreeMap<Row, u32>,
    letters: BTreeMap<Record, u32>,
    /// What each writer has written and not made durable.
    pending: BTreeMap<u64, (usize, Vec<String>)>,
    /// What is stored with the data, by instance.
    stored: BTreeMap<usize, Vec<Checkpoint>>,
    mood: Mood,
    /// Whether the next to do something hangs, and how often one has.
    hangs: bool,
    hung: u64,
    writers: u64,
    random: Seeded,
}

/// How long a sink that hangs takes: longer than anybody waits for a peer, or for a last word.
const HANG: Duration = Duration::from_secs(60);

/// How the sinks are for a while.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mood {
    /// The longest time that a write, or a flush, takes.
    pub(crate) slow: Duration,
    /// One write in so many fails, and is worth a retry.
    pub(crate) fails: Option<u64>,
    /// One batch in so many is let go of.
    pub(crate) lets_go: Option<u64>,
}

impl Downstream {
    pub(crate) fn new(random: Seeded) -> Self {
        Self(Mutex::new(State {
            landed: Vec::new(),
            rows: BTreeMap::new(),
            letters: BTreeMap::new(),
            pending: BTreeMap::new(),
            stored: BTreeMap::new(),
            mood: Mood::default(),
            hangs: false,
            hung: 0,
            writers: 0,
            random,
        }))
    }

    pub(crate) fn has(&self, row: Row) -> bool {
        lock(&self.0).rows.contains_key(&row)
    }

    pub(crate) fn has_letter(&self, record: Record) -> bool {
        lock(&self.0).letters.contains_key(&record)
    }

    /// All that is durable, in order.
    pub(crate) fn landed(&self) -> Vec<String> {
        lock(&self.0).landed.clone()
    }

    /// How many rows are durable.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0).landed.len()
    }

    /// Up to where a partition is read, as a sink has stored with its data.
    pub(crate) fn stored(&self, partition: usize) -> u64 {
        let state = lock(&self.0);
        let of = |checkpoint: &&Checkpoint| partition_of(checkpoint.key.partition.name()) == Some(partition);
        let stored = state.stored.values().flatten().filter(of).map(|checkpoint| number_of(&checkpoint.position));
        stored.max().unwrap_or_default()
    }

    /// How often each row is there.
    pub(crate) fn rows(&self) -> BTreeMap<Row, u32> {
        lock(&self.0).rows.clone()
    }

    pub(crate) fn letters(&self) -> BTreeMap<Record, u32> {
        lock(&self.0).letters.clone()
    }

    /// From now on the sinks are like this.
    pub(crate) fn is(&self, mood: Mood) {
        lock(&self.0).mood = mood;
    }

    /// What a sink does next takes long.
    pub(crate) fn hangs(&self) {
        lock(&self.0).hangs = true;
    }

    /// How often a sink hung.
    pub(crate) fn hung(&self) -> u64 {
        lock(&self.0).hung
    }
}

impl State {
    /// What this writer has written is durable.
    fn flush(&mut self, writer: u64) {
        let Some((_, rows)) = self.pending.get_mut(&writer) else { return };
        std::mem::take(rows).into_iter().for_each(|text| self.lands(text));
    }

    fn lands(&mut self, text: String) {
        for row in text.split_whitespace().filter_map(Row::parse) {
            *self.rows.entry(row).or_default() += 1;
        }
        self.landed.push(text);
    }

    /// Writers that an instance had before are gone: of what they had written and not made durable a transactional sink
    /// takes back all, and of another a part is there.
    fn recover(&mut self, instance: usize, transactional: bool) {
        let gone: Vec<u64> =
            self.pending.iter().filter(|(_, (of, _))| *of == instance).map(|(writer, _)| *writer).collect();
        for writer in gone {
            let Some((_, mut rows)) = self.pending.remove(&writer) else { continue };
            let left = if transactional { 0 } else { self.random.within(0, rows.len() as u64) };
            rows.truncate(left as usize);
            rows.into_iter().for_each(|text| self.lands(text));
        }
    }
}

/// How a sink writes.
#[derive(Debug, Clone)]
pub(crate) struct Writing {
    pub(crate) place: Where,
    pub(crate) transactional: bool,
    /// Whether it cares for order.
    pub(crate) ordered: bool,
    /// Whether it settles only when it flushes.
    pub(crate) late: bool,
    /// How long everything takes at most, whatever the mood.
    pub(crate) slow: Duration,
    /// When the records happened, if a merge orders them by that.
    pub(crate) timing: Option<Timing>,
}

/// What a sink takes.
pub(crate) trait Text: Data + Clone {
    fn text(&self) -> String;
}

impl Text for String {
    fn text(&self) -> String {
        self.clone()
    }
}

impl Text for Bytes {
    fn text(&self) -> String {
        String::from_utf8_lossy(self.as_ref()).into_owned()
    }
}

impl Text for Kv<String, String> {
    fn text(&self) -> String {
        self.value.clone()
    }
}

/// The sink of one start of an instance.
pub(crate) fn writer<T: Text>(
    outside: Arc<Outside>,
    life: Life,
    writing: Writing,
) -> impl SinkFactory<Sink = Writer<T>> {
    let traits = SinkTraits {
        place: writing.place.clone(),
        ordered: writing.ordered,
        transactional: if writing.transactional { Ok(()) } else { Err("it can't take back what it wrote".to_owned()) },
        ..SinkTraits::new("DOWNSTREAM", "rows", "")
    };
    sink(traits, move || Writer {
        outside: outside.clone(),
        life: life.clone(),
        writing: writing.clone(),
        id: 0,
        kept: Vec::new(),
        last: BTreeMap::new(),
        clockwork: Clockwork::new(),
        takes: PhantomData,
    })
}

/// A record's origin: instance, stage, partition, epoch.
type Origin = (u16, String, String, u64);

/// The sink.
pub(crate) struct Writer<T> {
    outside: Arc<Outside>,
    life: Life,
    writing: Writing,
    id: u64,
    /// Tickets that are settled when it flushes.
    kept: Vec<Ticket>,
    /// The last row of each origin.
    last: BTreeMap<Origin, (u64, u32)>,
    clockwork: Clockwork,
    takes: PhantomData<fn(T)>,
}

impl<T: Text> Sink for Writer<T> {
    type In = T;

    async fn open(&mut self, context: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        self.life.lives().await;
        let transactional = self.writing.transactional && context.keeps_positions;
        let mut state = self.state();
        state.recover(self.life.instance, transactional);
        state.writers += 1;
        let (id, stored) = (state.writers, state.stored.get(&self.life.instance).cloned());
        state.pending.insert(id, (self.life.instance, Vec::new()));
        drop(state);
        self.id = id;
        self.outside.story.tell(format!("instance {} opens its sink", self.life.instance + 1));
        Ok(stored.filter(|_| transactional))
    }

    async fn write(&mut self, records: Records<'_, T::Column>, ticket: &mut Option<Ticket>) -> Result<(), WriteError> {
        self.works().await;
        let (fails, lets_go) = {
            let mut state = self.state();
            let mood = state.mood;
            let mut one_in = |times: Option<u64>| times.is_some_and(|times| state.random.one_in(times));
            (one_in(mood.fails), one_in(mood.lets_go))
        };
        if lets_go {
            self.forgets(&records);
            drop(ticket.take());
            return Ok(());
        }
        let rows = records.len();
        let good = if fails { self.state().random.below(rows as u64) as usize } else { rows };
        (0..good).for_each(|row| self.takes(&records, row));
        if good < rows {
            let error = Error::new(Cause::Outside, "the disk is busy");
            return Err(WriteError::Row { row: good, error });
        }
        if self.writing.late {
            self.kept.extend(ticket.take());
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        self.works().await;
        self.settles();
        if !self.writing.transactional {
            self.state().flush(self.id);
        }
        Ok(())
    }

    async fn commit(&mut self, positions: &[Checkpoint]) -> Result<()> {
        self.works().await;
        self.settles();
        let mut state = self.state();
        state.flush(self.id);
        state.stored.insert(self.life.instance, positions.to_vec());
        drop(state);
        for Checkpoint { key, position } in positions {
            let of = partition_of(key.partition.name()).expect("only our partitions are stored");
            self.outside.commits(of, number_of(position), "the sink stores");
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.life.lives().await;
        self.outside.story.tell(format!("instance {} closes its sink", self.life.instance + 1));
        Ok(())
    }
}

impl<T: Text> Writer<T> {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.outside.downstream.0)
    }

    /// Takes its time.
    async fn works(&self) {
        let time = {
            let mut state = self.state();
            let most = state.mood.slow.max(self.writing.slow);
            let time = state.random.time(most);
            let hangs = std::mem::take(&mut state.hangs);
            state.hung += u64::from(hangs);
            if hangs { HANG } else { time }
        };
        self.life.waits(time).await;
    }

    fn settles(&mut self) {
        // Last to first, because nobody may rely on an order.
        while let Some(ticket) = self.kept.pop() {
            ticket.delivered();
        }
    }

    /// Of the first record it may have taken some rows before: they come again.
    fn forgets(&mut self, records: &Records<'_, T::Column>) {
        let stamp = records.stamp(0);
        let origin = (stamp.instance, stamp.stage.to_string(), stamp.partition.to_string(), stamp.epoch);
        if self.last.get(&origin).is_some_and(|&(sequence, _)| sequence == stamp.sequence) {
            self.last.remove(&origin);
        }
    }

    fn takes(&mut self, records: &Records<'_, T::Column>, row: usize) {
        let text = records.column().with(row, T::text);
        let stamp = records.stamp(row);
        let origin = (stamp.instance, stamp.stage.to_string(), stamp.partition.to_string(), stamp.epoch);
        let place = (stamp.sequence, stamp.sub);
        if let Some(before) = self.last.insert(origin.clone(), place)
            && before >= place
            && self.writing.ordered
        {
            self.outside.wrong(format!("{text}, {place:?} of {origin:?}, is written after {before:?}"));
        }
        if self.writing.timing.is_some_and(|timing| timing.calm)
            && let Err(wrong) = self.clockwork.passes(&stamp)
        {
            self.outside.wrong(wrong);
        }
        let id = self.id;
        let mut state = self.state();
        if let Some((_, rows)) = state.pending.get_mut(&id) {
            rows.push(text);
        }
    }
}

/// The sink of dead letters of one start of an instance.
pub(crate) fn letters(outside: Arc<Outside>, life: Life) -> impl SinkFactory<Sink = Letters> {
    let traits = SinkTraits { place: Where::Everywhere, ..SinkTraits::new("LETTERS", "letters", "they are letters") };
    sink(traits, move || Letters { outside: outside.clone(), life: life.clone(), written: Vec::new() })
}

/// The sink of dead letters.
pub(crate) struct Letters {
    outside: Arc<Outside>,
    life: Life,
    written: Vec<Record>,
}

impl Sink for Letters {
    type In = Bytes;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        self.life.lives().await;
        Ok(None)
    }

    async fn write(
        &mut self,
        records: Records<'_, <Bytes as Data>::Column>,
        _: &mut Option<Ticket>,
    ) -> Result<(), WriteError> {
        self.life.lives().await;
        for row in 0..records.len() {
            let letter: serde_json::Value =
                serde_json::from_slice(records.column().get(row)).expect("a letter is a line of JSON");
            match letter["text"].as_str().and_then(Record::parse) {
                Some(record) => self.written.push(record),
                None => self.outside.wrong(format!("a letter without its record: {letter}")),
            }
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<()> {
        let most = lock(&self.outside.downstream.0).mood.slow;
        self.life.waits(most / 4).await;
        let mut state = lock(&self.outside.downstream.0);
        for record in self.written.drain(..) {
            *state.letters.entry(record).or_default() += 1;
        }
        Ok(())
    }
}
