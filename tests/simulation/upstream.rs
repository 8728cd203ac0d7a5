//! [`Upstream`]: where records come from, and [`Reader`], the source that reads them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::contracts::{
    Active, Chunk, Commits, Event, Held, Places, Result, Source, SourceFactory, SourceTraits, Where, source,
};
use millstream::data::{Bytes, Column as _, Marks, Packed, Partition, PartitionId, Position, Times};
use millstream_core::testkit::{Seeded, number_of};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::{Instant, sleep_until};

use crate::life::Life;
use crate::outside::{Outside, lock};
use crate::queue::Queue;
use crate::timing::Timing;
use crate::truth::{Record, partition};

/// Who reads the partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feed {
    /// The first instance reads all of them.
    First,
    /// Each instance reads one.
    Each,
    /// One instance at a time reads all of them: the broker chooses which.
    Broker,
}

/// Where records come from: it outlives the instances.
pub(crate) struct Upstream {
    pub(crate) feed: Feed,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    /// Up to where each partition is acknowledged.
    committed: Vec<u64>,
    /// Up to where each partition has ever been read.
    read: Vec<u64>,
    /// Records that were read again.
    again: u64,
    /// From where each partition was read, each time but the first.
    reopened: Vec<Vec<u64>>,
    /// Whom the broker has chosen.
    active: Option<Life>,
    /// Whom it may choose.
    consumers: Vec<Life>,
    /// The one that was active has read all there is.
    ended: bool,
    /// The same records, where each is acknowledged by itself.
    queue: Option<Queue>,
    random: Seeded,
}

impl Upstream {
    /// Of so many records in each partition; `queued`: each is acknowledged by itself.
    pub(crate) fn new(feed: Feed, records: &[u64], queued: bool, random: Seeded) -> Self {
        let partitions = records.len();
        let (committed, read) = (vec![0; partitions], vec![0; partitions]);
        let (reopened, consumers) = (vec![Vec::new(); partitions], Vec::new());
        let queue = queued.then(|| Queue::new(records));
        let state = State { committed, read, again: 0, reopened, active: None, consumers, ended: false, queue, random };
        Self { feed, state: Mutex::new(state), changed: Notify::new() }
    }

    /// From where a partition was read, each time but the first.
    pub(crate) fn reopened(&self, partition: usize) -> Vec<u64> {
        lock(&self.state).reopened[partition].clone()
    }

    /// Up to where a partition is acknowledged, or how many of its records are by themselves.
    pub(crate) fn committed(&self, partition: usize) -> u64 {
        let state = lock(&self.state);
        let one_by_one = state.queue.as_ref().map(|queue| queue.acknowledged(partition));
        one_by_one.unwrap_or(state.committed[partition])
    }

    /// How many records were read, and how many of them again.
    pub(crate) fn read(&self) -> (u64, u64) {
        let state = lock(&self.state);
        let read = || (state.read.iter().sum(), state.again);
        state.queue.as_ref().map_or_else(read, Queue::taken)
    }

    /// Whether each record is acknowledged by itself.
    pub(crate) fn is_queued(&self) -> bool {
        lock(&self.state).queue.is_some()
    }

    /// Works on the records that are acknowledged each by itself.
    pub(crate) fn queue<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        work(lock(&self.state).queue.as_mut().expect("each record is acknowledged by itself"))
    }

    /// Whoever waits for something looks again.
    pub(crate) fn has_changed(&self) {
        self.changed.notify_waiters();
    }

    /// Waits for that, from now on.
    pub(crate) fn changes(&self) -> Notified<'_> {
        self.changed.notified()
    }

    pub(crate) fn forks(&self) -> Seeded {
        lock(&self.state).random.fork()
    }

    /// Where a source of it may run.
    pub(crate) fn places(&self) -> Places {
        match self.feed {
            Feed::First => Places::Exclusive(Where::First),
            Feed::Each => Places::Everywhere(Active::Each),
            Feed::Broker => Places::Everywhere(Active::One),
        }
    }

    /// The broker sees that a consumer is gone.
    pub(crate) fn gone(&self, life: &Life) -> bool {
        let mut state = lock(&self.state);
        if let Some(queue) = &mut state.queue {
            queue.gone(life);
        }
        state.consumers.retain(|consumer| consumer.start != life.start);
        let was_active = state.active.as_ref().is_some_and(|active| active.start == life.start);
        if was_active {
            (state.active, state.ended) = (None, false);
            state.choose();
        }
        drop(state);
        self.changed.notify_waiters();
        was_active
    }

    /// The broker chooses another consumer, if there is another. Returns which.
    pub(crate) fn moves(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        if state.ended {
            return None;
        }
        let before = state.active.take()?;
        state.consumers.retain(|consumer| consumer.start != before.start);
        state.choose();
        state.consumers.push(before.clone());
        if state.active.is_some()
            && let Some(queue) = &mut state.queue
        {
            queue.passed_over(&before);
        }
        let chosen = state.active.get_or_insert(before).instance;
        drop(state);
        self.changed.notify_waiters();
        Some(chosen)
    }

    pub(crate) fn is_active(&self, life: &Life) -> bool {
        lock(&self.state).active.as_ref().is_some_and(|active| active.start == life.start)
    }

    pub(crate) fn consumes(&self, life: &Life) {
        let mut state = lock(&self.state);
        // One that was dropped without being closed has kept its claim.
        if !state.consumers.iter().any(|consumer| consumer.start == life.start) {
            state.consumers.push(life.clone());
        }
        if state.active.is_none() {
            state.choose();
        }
    }

    /// Whether the one that is active has read all there is; `now`: it has just found that it has.
    pub(crate) fn has_ended(&self, now: bool) -> bool {
        let mut state = lock(&self.state);
        if now && !state.ended {
            state.ended = true;
            self.changed.notify_waiters();
        }
        state.ended
    }
}

impl State {
    fn choose(&mut self) {
        let (consumers, random) = (&self.consumers, &mut self.random);
        self.active = (!consumers.is_empty()).then(|| random.one_of(consumers).clone());
    }

    /// A partition is read from here on.
    fn opens(&mut self, partition: usize, from: u64) {
        self.again += self.read[partition].saturating_sub(from);
        if self.read[partition] > 0 {
            self.reopened[partition].push(from);
        }
    }
}

/// How a source reads.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// The most records of a batch.
    pub(crate) batch: u64,
    /// The longest time between two batches.
    pub(crate) every: Duration,
    /// How long an acknowledgement takes at most.
    pub(crate) slow: Duration,
    /// Whether the server keeps positions.
    pub(crate) kept_by_server: bool,
    /// When the records happened, if that counts.
    pub(crate) timing: Option<Timing>,
}

/// When a source reads next.
#[derive(Default)]
pub(crate) struct Pace(Option<Instant>);

impl Pace {
    /// Whether it is time to read, a random time of at most `every` after the last one; else waits until that, or until
    /// something has changed.
    pub(crate) async fn is_due(&mut self, random: &mut Seeded, every: Duration, changed: Notified<'_>) -> bool {
        let due = *self.0.get_or_insert_with(|| Instant::now() + random.time(every));
        if due <= Instant::now() {
            self.0 = None;
            return true;
        }
        tokio::select! {
            biased;
            () = changed => {}
            () = sleep_until(due) => {}
        }
        false
    }
}

/// The source of one start of an instance.
pub(crate) fn reader(outside: Arc<Outside>, life: Life, reading: Reading) -> impl SourceFactory<Source = Reader> {
    let traits = SourceTraits {
        commits: Commits::Optimistic,
        keeps_positions: reading.kept_by_server,
        places: outside.upstream.places(),
        ..SourceTraits::new("UPSTREAM", "numbers")
    };
    source(traits, move || {
        let random = outside.upstream.forks();
        let (outside, life, reading) = (outside.clone(), life.clone(), reading.clone());
        Reader {
            outside,
            life,
            reading,
            held: Held::default(),
            parts: Vec::new(),
            chosen: false,
            pace: Pace::default(),
            promise: None,
            random,
        }
    })
}

/// The source.
pub(crate) struct Reader {
    outside: Arc<Outside>,
    life: Life,
    reading: Reading,
    held: Held,
    /// By number: what was opened.
    parts: Vec<Part>,
    /// Whether it knows that the broker has chosen it.
    chosen: bool,
    pace: Pace,
    /// What it promises next.
    promise: Option<(PartitionId, i64)>,
    random: Seeded,
}

struct Part {
    partition: usize,
    next: u64,
    committed: u64,
    gone: bool,
}

impl Source for Reader {
    type Out = Bytes;

    async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
        self.life.lives().await;
        self.held = held.clone();
        let all = 0..self.outside.truth.records.len();
        let mine = match self.outside.upstream.feed {
            Feed::First => all,
            Feed::Each => self.life.instance..self.life.instance + 1,
            Feed::Broker => {
                self.outside.upstream.consumes(&self.life);
                0..0
            }
        };
        Ok(mine.map(|number| self.opens(number)).collect())
    }

    async fn next(&mut self) -> Result<Event<Bytes>> {
        loop {
            self.life.lives().await;
            if let Some((partition, from)) = self.promise.take() {
                return Ok(Event::Promise(partition, from));
            }
            let outside = self.outside.clone();
            let changed = outside.upstream.changed.notified();
            if let Some(event) = self.comes_or_goes() {
                return Ok(event);
            }
            if let Some(at) = self.whose_turn() {
                if self.pace.is_due(&mut self.random, self.reading.every, changed).await {
                    return Ok(self.reads(at));
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
        let slow = self.random.time(self.reading.slow);
        self.life.waits(slow).await;
        for (id, position) in positions {
            let (part, upto) = (&mut self.parts[*id as usize], number_of(position));
            let partition = part.partition;
            if upto < part.committed {
                let before = part.committed;
                self.outside.wrong(format!("the commit of p{partition} goes back from {before} to {upto}"));
            }
            part.committed = upto;
            if !part.gone && self.is_mine() {
                self.outside.commits(partition, upto, "the source is told to commit");
                let mut state = lock(&self.outside.upstream.state);
                state.committed[partition] = upto.max(state.committed[partition]);
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.life.lives().await;
        self.outside.story.tell(format!("instance {} closes its source", self.life.instance + 1));
        self.outside.upstream.gone(&self.life);
        Ok(())
    }
}

impl Reader {
    /// Whether the broker would take an acknowledgement of it.
    fn is_mine(&self) -> bool {
        self.outside.upstream.feed != Feed::Broker || self.outside.upstream.is_active(&self.life)
    }

    fn opens(&mut self, number: usize) -> Partition {
        let name = Partition::new(partition(number));
        let upstream = &self.outside.upstream;
        let kept = if self.reading.kept_by_server { upstream.committed(number) } else { 0 };
        let held = self.held.position(&name).as_ref().map_or(0, number_of);
        let next = kept.max(held);
        lock(&upstream.state).opens(number, next);
        let instance = self.life.instance + 1;
        self.outside.story.tell(format!("instance {instance} reads {name} from record {next}"));
        self.parts.push(Part { partition: number, next, committed: next, gone: false });
        name
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
            return Some(Event::Opened(self.opens(open)));
        }
        if !is_active && let Some(id) = self.parts.iter().position(|part| !part.gone) {
            (self.chosen, self.parts[id].gone) = (false, true);
            return Some(Event::Closed(id as PartitionId));
        }
        None
    }

    /// A part of which something is left; they take turns.
    fn whose_turn(&self) -> Option<usize> {
        let is_left = |part: &Part| !part.gone && part.next < self.outside.truth.records[part.partition];
        let left = self.parts.iter().enumerate().filter(|(_, part)| is_left(part));
        left.min_by_key(|(_, part)| part.next).map(|(at, _)| at)
    }

    fn has_ended(&mut self) -> bool {
        self.outside.upstream.feed != Feed::Broker || self.outside.upstream.has_ended(self.chosen)
    }

    fn reads(&mut self, at: usize) -> Event<Bytes> {
        let part = &mut self.parts[at];
        let (number, first) = (part.partition, part.next);
        let left = self.outside.truth.records[number] - first;
        let count = self.random.within(1, self.reading.batch).min(left);
        part.next += count;
        let mut state = lock(&self.outside.upstream.state);
        state.read[number] = state.read[number].max(part.next);
        drop(state);
        let mut column = Packed::<Bytes>::default();
        for number in first..first + count {
            column.push(Bytes::from(Record { partition: part.partition, number }.to_string()));
        }
        let (marks, partition) = (Arc::new(Numbers { partition: number, first }), at as PartitionId);
        let times = self.reading.timing.map(|timing| {
            let time = |at: u64| timing.at(Record { partition: number, number: at });
            let next = if count == left { i64::MAX } else { time(first + count) };
            self.promise = timing.promises.then_some((partition, next));
            Times::Each((first..first + count).map(time).collect())
        });
        Event::Records(Chunk { partition, column, times, marks, refused: Vec::new() })
    }
}

struct Numbers {
    partition: usize,
    first: u64,
}

impl Marks for Numbers {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let number = self.first + u64::from(count);
        Position::new(number.to_le_bytes().to_vec(), number.to_string()).map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        Record { partition: self.partition, number: self.first + u64::from(index) }.to_string()
    }
}
