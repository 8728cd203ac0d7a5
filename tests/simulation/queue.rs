//! [`Queue`]: messages that are acknowledged each by itself, as a broker has them, and [`Taker`], the source that takes
//! them.
//!
//! ```text
//!            taken                 acknowledged
//!   ready  --------->  taken by  --------------->  gone for good
//!          <---------  a session
//!    given back, out of sight no longer, or the session has ended: in its old place
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use millstream::commit::Outcome;
use millstream::contracts::{
    Chunk, Commits, Event, Held, Result, Settlement, Source, SourceFactory, SourceTraits, source,
};
use millstream::data::{Bytes, Column as _, Marks, Packed, Partition, PartitionId, Position};
use millstream_core::testkit::Seeded;
use tokio::time::Instant;

use crate::life::Life;
use crate::outside::Outside;
use crate::truth::{Record, partition};
use crate::upstream::{Feed, Pace, Reading};

/// How messages are taken that are acknowledged each by itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taking {
    /// Whether each instance may take from all partitions; else from its own.
    pub(crate) shared: bool,
    /// How long a message stays out of others' sight unless that is extended, if there is such a time.
    pub(crate) visible_after: Option<Duration>,
    /// Whether the input ends only once all is acknowledged; else once nothing is left to be taken.
    pub(crate) waits: bool,
}

/// The messages: they outlive the instances.
pub(crate) struct Queue {
    /// What can be taken, by partition.
    ready: Vec<BTreeSet<u64>>,
    /// Who has taken what was not acknowledged, and until when it is out of others' sight.
    taken: BTreeMap<Record, Taken>,
    acknowledged: BTreeSet<Record>,
    /// How often each was taken.
    times: BTreeMap<Record, u32>,
    /// Those who take; they end with their source.
    sessions: BTreeMap<u64, Life>,
    last: u64,
    /// What sources gave back, and how often they had it kept out of others' sight.
    given_back: u64,
    extended: u64,
}

struct Taken {
    session: u64,
    hidden_until: Option<Instant>,
}

impl Queue {
    pub(crate) fn new(records: &[u64]) -> Self {
        Self {
            ready: records.iter().map(|&count| (0..count).collect()).collect(),
            taken: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            times: BTreeMap::new(),
            sessions: BTreeMap::new(),
            last: 0,
            given_back: 0,
            extended: 0,
        }
    }

    /// How many messages of a partition are acknowledged.
    pub(crate) fn acknowledged(&self, partition: usize) -> u64 {
        self.acknowledged.iter().filter(|record| record.partition == partition).count() as u64
    }

    pub(crate) fn is_acknowledged(&self, record: Record) -> bool {
        self.acknowledged.contains(&record)
    }

    /// How often a message was taken.
    pub(crate) fn times(&self, record: Record) -> u32 {
        self.times.get(&record).copied().unwrap_or_default()
    }

    /// How many messages were taken, and how many of them again.
    pub(crate) fn taken(&self) -> (u64, u64) {
        (self.times.len() as u64, self.times.values().map(|&times| u64::from(times) - 1).sum())
    }

    /// How many messages sources gave back, and how many times they had some kept out of others' sight for longer.
    pub(crate) fn returned(&self) -> (u64, u64) {
        (self.given_back, self.extended)
    }

    /// A process is gone, and what it had taken comes again.
    pub(crate) fn gone(&mut self, life: &Life) {
        self.sessions_of(life).collect::<Vec<_>>().into_iter().for_each(|session| self.end(session));
    }

    fn begin(&mut self, life: &Life) -> u64 {
        self.last += 1;
        self.sessions.insert(self.last, life.clone());
        self.last
    }

    /// What this session has taken comes again.
    fn end(&mut self, session: u64) {
        self.sessions.remove(&session);
        self.requeue(|taken| taken.session == session);
    }

    /// The broker has chosen another process: what this one had taken comes again.
    pub(crate) fn passed_over(&mut self, life: &Life) {
        let sessions: Vec<u64> = self.sessions_of(life).collect();
        self.requeue(|taken| sessions.contains(&taken.session));
    }

    fn sessions_of(&self, life: &Life) -> impl Iterator<Item = u64> {
        self.sessions.iter().filter(|(_, of)| of.start == life.start).map(|(&session, _)| session)
    }

    fn requeue(&mut self, which: impl Fn(&Taken) -> bool) {
        let some = self.taken.iter().filter(|(_, taken)| which(taken)).map(|(&record, _)| record);
        for record in some.collect::<Vec<_>>() {
            self.taken.remove(&record);
            self.ready[record.partition].insert(record.number);
        }
    }

    /// Takes up to so many of a partition.
    fn take(&mut self, session: u64, partition: usize, most: u64, hidden: Option<Duration>) -> Vec<Record> {
        let hidden_until = hidden.map(|hidden| Instant::now() + hidden);
        let mut records = Vec::new();
        while (records.len() as u64) < most
            && let Some(number) = self.ready[partition].pop_first()
        {
            let record = Record { partition, number };
            self.taken.insert(record, Taken { session, hidden_until });
            *self.times.entry(record).or_default() += 1;
            records.push(record);
        }
        records
    }

    /// Whether this session has this message, and it is out of others' sight.
    fn has(&self, session: u64, record: Record) -> Result<bool, String> {
        let Some(taken) = self.taken.get(&record).filter(|taken| taken.session == session) else { return Ok(false) };
        match taken.hidden_until {
            Some(until) if until < Instant::now() => Err(format!("{record} was not kept out of others' sight")),
            _ => Ok(true),
        }
    }

    fn acknowledge(&mut self, record: Record) {
        self.taken.remove(&record);
        self.acknowledged.insert(record);
    }

    fn give_back(&mut self, record: Record) {
        self.given_back += 1;
        self.taken.remove(&record);
        self.ready[record.partition].insert(record.number);
    }

    fn extend(&mut self, record: Record, hidden: Option<Duration>) {
        if let (Some(taken), Some(hidden)) = (self.taken.get_mut(&record), hidden) {
            self.extended += 1;
            taken.hidden_until = Some(Instant::now() + hidden);
        }
    }

    fn is_over(&self, partition: usize, waits: bool) -> bool {
        let is_taken = || self.taken.keys().any(|record| record.partition == partition);
        self.ready[partition].is_empty() && !(waits && is_taken())
    }
}

/// The source of one start of an instance.
pub(crate) fn taker(
    outside: Arc<Outside>,
    life: Life,
    (reading, taking): (Reading, Taking),
) -> impl SourceFactory<Source = Taker> {
    let traits = SourceTraits {
        commits: Commits::Pessimistic,
        keeps_positions: true,
        server: None,
        visibility: taking.visible_after,
        places: outside.upstream.places(),
        ..SourceTraits::new("QUEUE", "messages")
    };
    source(traits, move || {
        let random = outside.upstream.forks();
        let (outside, life, reading) = (outside.clone(), life.clone(), reading.clone());
        let (session, parts) = (None, Vec::new());
        Taker { outside, life, reading, taking, session, parts, chosen: false, pace: Pace::default(), random }
    })
}

/// The source.
pub(crate) struct Taker {
    outside: Arc<Outside>,
    life: Life,
    reading: Reading,
    taking: Taking,
    session: Option<u64>,
    /// By number: what was opened.
    parts: Vec<Part>,
    /// Whether it knows that the broker has chosen it.
    chosen: bool,
    pace: Pace,
    random: Seeded,
}

/// A partition as the engine sees it.
struct Part {
    /// Those of the truth of which it has records.
    of: Vec<usize>,
    gone: bool,
    /// By sequence number: what has not been settled.
    unsettled: Vec<Option<Record>>,
}

impl Source for Taker {
    type Out = Bytes;

    async fn open(&mut self, _: &Held) -> Result<Vec<Partition>> {
        self.life.lives().await;
        self.session = Some(self.outside.upstream.queue(|queue| queue.begin(&self.life)));
        let all = 0..self.outside.truth.records.len();
        let instance = self.life.instance;
        Ok(match self.outside.upstream.feed {
            Feed::First => all.map(|number| self.opens(partition(number), vec![number])).collect(),
            // Those who take from the same queue are origins of their own.
            Feed::Each if self.taking.shared => vec![self.opens(format!("taker{instance}"), all.collect())],
            Feed::Each => vec![self.opens(partition(instance), vec![instance])],
            Feed::Broker => {
                self.outside.upstream.consumes(&self.life);
                Vec::new()
            }
        })
    }

    async fn next(&mut self) -> Result<Event<Bytes>> {
        loop {
            self.life.lives().await;
            let outside = self.outside.clone();
            let changed = outside.upstream.changes();
            if let Some(event) = self.comes_or_goes() {
                return Ok(event);
            }
            if let Some((at, of)) = self.whose_turn() {
                if self.pace.is_due(&mut self.random, self.reading.every, changed).await {
                    return Ok(self.takes(at, of));
                }
                continue;
            }
            if self.has_ended() {
                return Ok(Event::End);
            }
            changed.await;
        }
    }

    async fn commit(&mut self, positions: &[(PartitionId, Position)]) -> Result<()> {
        self.outside.wrong(format!("{} positions are committed to a queue, which has none", positions.len()));
        Ok(())
    }

    async fn settle(&mut self, settled: &[Settlement]) -> Result<()> {
        let slow = self.random.time(self.reading.slow);
        self.life.waits(slow).await;
        for Settlement { partition: id, records, outcome } in settled {
            for sequence in records.clone() {
                self.settles(*id, sequence, *outcome);
            }
        }
        self.outside.upstream.has_changed();
        Ok(())
    }

    async fn extend(&mut self, id: PartitionId, in_flight: std::ops::Range<u64>) -> Result<()> {
        self.life.lives().await;
        let unsettled = &self.parts[id as usize].unsettled;
        for record in in_flight.filter_map(|sequence| unsettled.get(sequence as usize).copied().flatten()) {
            if self.has(record) {
                self.outside.upstream.queue(|queue| queue.extend(record, self.taking.visible_after));
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.life.lives().await;
        self.outside.story.tell(format!("instance {} closes its source", self.life.instance + 1));
        self.ends();
        self.outside.upstream.gone(&self.life);
        Ok(())
    }
}

/// A connection goes with whoever has it.
impl Drop for Taker {
    fn drop(&mut self) {
        self.ends();
    }
}

impl Taker {
    fn ends(&mut self) {
        if let Some(session) = self.session.take() {
            self.outside.upstream.queue(|queue| queue.end(session));
            self.outside.upstream.has_changed();
        }
    }

    fn opens(&mut self, name: String, of: Vec<usize>) -> Partition {
        self.outside.story.tell(format!("instance {} takes from {name}", self.life.instance + 1));
        self.parts.push(Part { of, gone: false, unsettled: Vec::new() });
        Partition::new(name)
    }

    fn comes_or_goes(&mut self) -> Option<Event<Bytes>> {
        if self.outside.upstream.feed != Feed::Broker {
            return None;
        }
        let is_active = self.outside.upstream.is_active(&self.life);
        let all = self.outside.truth.records.len();
        if is_active && !self.chosen {
            // One after the other, until all are open.
            let open = self.parts.iter().filter(|part| !part.gone).count();
            self.chosen = open + 1 == all;
            return Some(Event::Opened(self.opens(partition(open), vec![open])));
        }
        if !is_active && let Some(id) = self.parts.iter().position(|part| !part.gone) {
            (self.chosen, self.parts[id].gone) = (false, true);
            return Some(Event::Closed(id as PartitionId));
        }
        None
    }

    /// A part of which something is left, and where; they take turns.
    fn whose_turn(&self) -> Option<(usize, usize)> {
        let open = self.parts.iter().enumerate().filter(|(_, part)| !part.gone);
        let all = open.flat_map(|(at, part)| part.of.iter().map(move |&of| (at, of)));
        self.outside.upstream.queue(|queue| {
            let left = all.filter_map(|(at, of)| queue.ready[of].first().map(|&first| (first, (at, of))));
            left.min().map(|(_, turn)| turn)
        })
    }

    fn has_ended(&mut self) -> bool {
        let (upstream, waits) = (&self.outside.upstream, self.taking.waits);
        let mine: Vec<usize> = self.parts.iter().filter(|part| !part.gone).flat_map(|part| part.of.clone()).collect();
        let is_over = upstream.queue(|queue| mine.into_iter().all(|of| queue.is_over(of, waits)));
        match upstream.feed {
            Feed::Broker => upstream.has_ended(self.chosen && is_over),
            Feed::First | Feed::Each => is_over,
        }
    }

    fn takes(&mut self, at: usize, of: usize) -> Event<Bytes> {
        let count = self.random.within(1, self.reading.batch);
        let (session, hidden) = (self.session.unwrap_or_default(), self.taking.visible_after);
        let records = self.outside.upstream.queue(|queue| queue.take(session, of, count, hidden));
        let mut column = Packed::<Bytes>::default();
        records.iter().for_each(|record| column.push(Bytes::from(record.to_string())));
        self.parts[at].unsettled.extend(records.iter().copied().map(Some));
        Event::Records(Chunk {
            partition: at as PartitionId,
            column,
            times: None,
            marks: Arc::new(Messages(records)),
            refused: Vec::new(),
        })
    }

    /// Whether this record is still its to speak of.
    fn has(&self, record: Record) -> bool {
        let upstream = &self.outside.upstream;
        let Some(session) = self.session.filter(|_| upstream.feed != Feed::Broker || upstream.is_active(&self.life))
        else {
            return false;
        };
        upstream.queue(|queue| queue.has(session, record)).unwrap_or_else(|why| {
            self.outside.wrong(why);
            true
        })
    }

    fn settles(&mut self, id: PartitionId, sequence: u64, outcome: Outcome) {
        let part = &mut self.parts[id as usize];
        let Some(record) = part.unsettled.get_mut(sequence as usize).and_then(Option::take) else {
            return self.outside.wrong(format!("number {sequence} of partition {id} is {outcome:?} a second time"));
        };
        if part.gone || !self.has(record) {
            // Its tag has died.
            return;
        }
        match outcome {
            Outcome::Delivered | Outcome::Disposed => {
                self.outside.acknowledges(record);
                self.outside.upstream.queue(|queue| queue.acknowledge(record));
            }
            Outcome::Abandoned => self.outside.upstream.queue(|queue| queue.give_back(record)),
            Outcome::Absorbed => self.outside.wrong(format!("a source is told that {record} is absorbed")),
        }
    }
}

/// Where messages stand: they have no positions.
struct Messages(Vec<Record>);

impl Marks for Messages {
    fn position(&self, _: u32) -> Result<Option<Position>, String> {
        Ok(None)
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        self.0[index as usize].to_string()
    }
}
