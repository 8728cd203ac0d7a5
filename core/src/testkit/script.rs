//! [`Script`]: a source that does what it is told.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::{Act, Ledger};
use crate::commit::Outcome;
use crate::contracts::{
    Active, Cause, Chunk, Commits, Ends, Error, Event, Held, Places, Refused, Result, Settlement, Shares, Source,
    SourceFactory, SourceTraits, Where,
};
use crate::data::{Column, Data, Marks, Partition, PartitionId, Position};

/// The record that a scripted source's position stands before.
pub fn number_of(position: &Position) -> u64 {
    position.bytes().as_ref().try_into().map_or(0, u64::from_le_bytes)
}

/// A declared source that does what it is told: records of one or more partitions (`p0`, `p1`, …) in batches, by turns.
/// Its positions are the records' numbers from 0. Clones share what its server keeps.
#[derive(Clone)]
pub struct Script<T> {
    ledger: Ledger,
    traits: SourceTraits,
    parts: Vec<Part<T>>,
    batch: usize,
    every: Duration,
    slow_commits: Duration,
    refuses: BTreeSet<u64>,
    fails_at: Option<u64>,
    goes_once: bool,
    server: Arc<Server>,
}

#[derive(Clone)]
struct Part<T> {
    name: String,
    values: Values<T>,
    /// Comes once so many batches are out.
    opens_after: Option<usize>,
    /// Goes once so many batches are out.
    closes_after: Option<usize>,
}

#[derive(Clone)]
enum Values<T> {
    Some(Arc<[T]>),
    Endless(Arc<dyn Fn(u64) -> T + Send + Sync>),
}

/// What outlives a run.
#[derive(Default)]
pub(super) struct Server {
    committed: Mutex<HashMap<String, u64>>,
    has_failed: AtomicBool,
    /// Partitions that have gone, of those that go once.
    gone: Mutex<BTreeSet<String>>,
}

impl Server {
    pub(super) fn commit(&self, partition: &str, upto: u64) {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner).insert(partition.to_owned(), upto);
    }
}

impl<T: Data + Clone> Script<T> {
    /// These records, in one partition `p0`; then it ends.
    pub fn of(ledger: &Ledger, values: impl IntoIterator<Item = T>) -> Self {
        Self::with(ledger, Ends::Bounded, Values::Some(values.into_iter().collect()))
    }

    /// Records without end in one partition `p0`, made of their numbers.
    pub fn endless(ledger: &Ledger, make: impl Fn(u64) -> T + Send + Sync + 'static) -> Self {
        Self::with(ledger, Ends::Unbounded, Values::Endless(Arc::new(make)))
    }

    fn with(ledger: &Ledger, ends: Ends, values: Values<T>) -> Self {
        let traits = SourceTraits {
            kind: "SCRIPT".to_owned(),
            input: "a script".to_owned(),
            identity: None,
            ends,
            commits: Commits::Optimistic,
            keeps_positions: false,
            server: None,
            places: Places::Exclusive(Where::First),
            unacknowledged: None,
            resumable: true,
            visibility: None,
            blocking: false,
        };
        Self {
            ledger: ledger.clone(),
            traits,
            parts: vec![Part { name: "p0".to_owned(), values, opens_after: None, closes_after: None }],
            batch: 256,
            every: Duration::ZERO,
            slow_commits: Duration::ZERO,
            refuses: BTreeSet::new(),
            fails_at: None,
            goes_once: false,
            server: Arc::default(),
        }
    }

    /// With another partition.
    #[must_use]
    pub fn and(mut self, values: impl IntoIterator<Item = T>) -> Self {
        let values = Values::Some(values.into_iter().collect());
        let name = format!("p{}", self.parts.len());
        self.parts.push(Part { name, values, opens_after: None, closes_after: None });
        self
    }

    /// The partition declared last comes only once so many batches are out, or nothing else is left.
    #[must_use]
    pub fn opens_after(mut self, batches: usize) -> Self {
        if let Some(part) = self.parts.last_mut() {
            part.opens_after = Some(batches);
        }
        self
    }

    /// The partition declared last goes away once so many batches are out.
    #[must_use]
    pub fn closes_after(mut self, batches: usize) -> Self {
        if let Some(part) = self.parts.last_mut() {
            part.closes_after = Some(batches);
        }
        self
    }

    /// What goes away is there again when the source is opened anew, and goes no more.
    #[must_use]
    pub fn goes_once(mut self) -> Self {
        self.goes_once = true;
        self
    }

    /// Its positions are kept by this server, at which a [`ScriptSink`](super::ScriptSink) can commit them.
    #[must_use]
    pub fn at_server(mut self, name: &str) -> Self {
        self.traits.keeps_positions = true;
        self.traits.server = Some(name.to_owned());
        self
    }

    /// So many records a batch; 256 unless told otherwise.
    #[must_use]
    pub fn batch(mut self, records: usize) -> Self {
        self.batch = records.max(1);
        self
    }

    /// Waits so long before each batch.
    #[must_use]
    pub fn every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    /// Doesn't end behind its last record: it waits for ever.
    #[must_use]
    pub fn waits(mut self) -> Self {
        self.traits.ends = Ends::Unbounded;
        self
    }

    /// Can't give the record of this number (of any partition).
    #[must_use]
    pub fn refuses(mut self, number: u64) -> Self {
        self.refuses.insert(number);
        self
    }

    /// Fails once, instead of giving the record of this number (of any partition).
    #[must_use]
    pub fn fails_at(mut self, number: u64) -> Self {
        self.fails_at = Some(number);
        self
    }

    /// Takes so long to commit.
    #[must_use]
    pub fn slow_commits(mut self, time: Duration) -> Self {
        self.slow_commits = time;
        self
    }

    /// Has each record acknowledged by itself; what is abandoned is given out again, as after a requeue.
    #[must_use]
    pub fn pessimistic(mut self) -> Self {
        self.traits.commits = Commits::Pessimistic;
        self.traits.keeps_positions = true;
        self
    }

    /// Records stay invisible to others for so long unless that is extended.
    #[must_use]
    pub fn visible_after(mut self, time: Duration) -> Self {
        self.traits.visibility = Some(time);
        self
    }

    /// Its server keeps what is committed: another run goes on from there.
    #[must_use]
    pub fn kept_by_server(mut self) -> Self {
        self.traits.keeps_positions = true;
        self
    }

    /// Runs on every instance, one of them active.
    #[must_use]
    pub fn one_of_all(mut self) -> Self {
        self.traits.places = Places::Everywhere(Active::One);
        self
    }

    /// Runs on this instance.
    #[must_use]
    pub fn exclusive(mut self, place: Where) -> Self {
        self.traits.places = Places::Exclusive(place);
        self
    }

    /// Asks for a thread of its own.
    #[must_use]
    pub fn blocking(mut self) -> Self {
        self.traits.blocking = true;
        self
    }
}

impl<T: Data + Clone> SourceFactory for Script<T> {
    type Source = ScriptSource<T>;

    fn traits(&self) -> SourceTraits {
        self.traits.clone()
    }

    fn shares(&self) -> Option<Shares> {
        Some(self.server.clone())
    }

    fn make(&self) -> ScriptSource<T> {
        ScriptSource {
            script: self.clone(),
            readers: self.parts.iter().map(|_| Reader::default()).collect(),
            ids: Vec::new(),
            batches: 0,
            turn: 0,
            due: None,
            returned: VecDeque::new(),
        }
    }
}

/// The source that [`Script`] declares.
pub struct ScriptSource<T> {
    script: Script<T>,
    readers: Vec<Reader>,
    /// The part of each partition's number.
    ids: Vec<usize>,
    /// How many batches are out.
    batches: usize,
    turn: usize,
    due: Option<Instant>,
    /// Records that were given back.
    returned: VecDeque<(usize, u64)>,
}

#[derive(Default)]
struct Reader {
    id: Option<PartitionId>,
    gone: bool,
    next: u64,
    /// The number of each record, by its sequence number.
    numbers: Vec<u64>,
}

impl<T: Data + Clone> Source for ScriptSource<T> {
    type Out = T;

    async fn open(&mut self, held: &Held) -> Result<Vec<Partition>> {
        let now: Vec<_> = (0..self.readers.len()).filter(|&at| self.script.parts[at].opens_after.is_none()).collect();
        Ok(now.into_iter().map(|at| self.open_part(at, Some(held))).collect())
    }

    async fn next(&mut self) -> Result<Event<T>> {
        if let Some(event) = self.comes_or_goes() {
            return Ok(event);
        }
        self.wait().await;
        if let Some((at, number)) = self.returned.pop_front() {
            return Ok(self.emit(at, vec![number]));
        }
        match self.whose_turn() {
            Some(at) => self.read(at),
            None => match self.comes() {
                Some(event) => Ok(event),
                None if self.script.traits.ends == Ends::Bounded => Ok(Event::End),
                None => std::future::pending().await,
            },
        }
    }

    async fn commit(&mut self, positions: &[(PartitionId, Position)]) -> Result<()> {
        sleep(self.script.slow_commits).await;
        for (id, position) in positions {
            let (partition, upto) = (self.name(*id), number_of(position));
            self.script.server.commit(&partition, upto);
            self.script.ledger.note(Act::Committed { partition, upto });
        }
        Ok(())
    }

    async fn settle(&mut self, settled: &[Settlement]) -> Result<()> {
        sleep(self.script.slow_commits).await;
        for Settlement { partition: id, records, outcome } in settled {
            let at = self.ids[*id as usize];
            for sequence in records.clone() {
                let record = self.readers[at].numbers[sequence as usize];
                self.script.ledger.note(Act::Settled { partition: self.name(*id), record, outcome: *outcome });
                if *outcome == Outcome::Abandoned {
                    self.returned.push_back((at, record));
                }
            }
        }
        Ok(())
    }

    async fn extend(&mut self, partition: PartitionId, in_flight: Range<u64>) -> Result<()> {
        let partition = self.name(partition);
        self.script.ledger.note(Act::Extended { partition, records: in_flight });
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        self.script.ledger.note(Act::SourceClosed);
        Ok(())
    }
}

impl<T: Data + Clone> ScriptSource<T> {
    fn name(&self, id: PartitionId) -> String {
        self.script.parts[self.ids[id as usize]].name.clone()
    }

    fn open_part(&mut self, at: usize, held: Option<&Held>) -> Partition {
        let partition = Partition::new(&self.script.parts[at].name);
        let committed = self.script.server.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let server = committed.get(partition.name()).copied().filter(|_| self.script.traits.keeps_positions);
        let held = held.and_then(|held| held.position(&partition)).as_ref().map(number_of);
        let from = held.or(server).unwrap_or_default();
        self.readers[at].id = Some(self.ids.len() as PartitionId);
        self.readers[at].next = from;
        self.ids.push(at);
        self.script.ledger.note(Act::Opened { partition: partition.to_string(), from });
        partition
    }

    /// A partition that is due to come or to go.
    fn comes_or_goes(&mut self) -> Option<Event<T>> {
        let due = |after: Option<usize>| after.is_some_and(|after| self.batches >= after);
        let parts = &self.script.parts;
        let comes = (0..parts.len()).find(|&at| self.readers[at].id.is_none() && due(parts[at].opens_after));
        if let Some(at) = comes {
            return Some(Event::Opened(self.open_part(at, None)));
        }
        let goes =
            |at: &usize| !self.readers[*at].gone && self.readers[*at].id.is_some() && due(parts[*at].closes_after);
        let gone = |at: &usize| goes(at) && !(self.script.goes_once && self.has_gone(&parts[*at].name));
        let at = (0..parts.len()).find(gone)?;
        self.readers[at].gone = true;
        let mut gone = self.script.server.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.insert(self.script.parts[at].name.clone());
        self.script.ledger.note(Act::Gone { partition: self.script.parts[at].name.clone() });
        self.readers[at].id.map(Event::Closed)
    }

    fn has_gone(&self, name: &str) -> bool {
        self.script.server.gone.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// Nothing is left of the others: the next partition comes now.
    fn comes(&mut self) -> Option<Event<T>> {
        let at = (0..self.readers.len()).find(|&at| self.readers[at].id.is_none())?;
        Some(Event::Opened(self.open_part(at, None)))
    }

    async fn wait(&mut self) {
        if self.script.every > Duration::ZERO {
            sleep_until(*self.due.get_or_insert(Instant::now() + self.script.every)).await;
            self.due = None;
        }
    }

    fn whose_turn(&self) -> Option<usize> {
        let count = self.readers.len();
        (0..count).map(|i| (self.turn + i) % count).find(|&at| {
            let reader = &self.readers[at];
            reader.id.is_some() && !reader.gone && self.value(at, reader.next).is_some()
        })
    }

    fn value(&self, at: usize, number: u64) -> Option<T> {
        match &self.script.parts[at].values {
            Values::Some(values) => values.get(usize::try_from(number).ok()?).cloned(),
            Values::Endless(make) => Some(make(number)),
        }
    }

    /// The next batch of a partition, which ends before the record that fails.
    fn read(&mut self, at: usize) -> Result<Event<T>> {
        let from = self.readers[at].next;
        let wanted = from..from + self.script.batch as u64;
        let fails =
            |number: &u64| self.script.fails_at == Some(*number) && !self.script.server.has_failed.load(Relaxed);
        let numbers: Vec<u64> =
            wanted.take_while(|number| self.value(at, *number).is_some() && !fails(number)).collect();
        if numbers.is_empty() {
            self.script.server.has_failed.store(true, Relaxed);
            return Err(Error::new(Cause::Outside, format!("the script says that record {from} fails")));
        }
        self.turn = at + 1;
        self.batches += 1;
        self.readers[at].next += numbers.len() as u64;
        Ok(self.emit(at, numbers))
    }

    fn emit(&mut self, at: usize, numbers: Vec<u64>) -> Event<T> {
        let mut column = T::Column::default();
        numbers.iter().filter_map(|&number| self.value(at, number)).for_each(|value| column.push(value));
        let name = self.script.parts[at].name.clone();
        let reader = &mut self.readers[at];
        let (sequence, first) = (reader.numbers.len() as u64, numbers[0]);
        reader.numbers.extend(&numbers);
        let records = first..first + numbers.len() as u64;
        self.script.ledger.note(Act::Emitted { partition: name.clone(), sequence, records });
        let refuse =
            |(row, number): (usize, &u64)| self.script.refuses.contains(number).then(|| (row as u32, refusal(*number)));
        let refused = numbers.iter().enumerate().filter_map(refuse).collect();
        let marks = Arc::new(ScriptMarks { name, first });
        let partition = reader.id.unwrap_or_default();
        Event::Records(Chunk { partition, column, times: None, marks, refused })
    }
}

fn refusal(number: u64) -> Refused {
    Refused(format!("the script refuses record {number}"))
}

struct ScriptMarks {
    name: String,
    first: u64,
}

impl Marks for ScriptMarks {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        let number = self.first + u64::from(count);
        Position::new(number.to_le_bytes().to_vec(), number.to_string()).map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("{} record {}", self.name, self.first + u64::from(index))
    }
}
