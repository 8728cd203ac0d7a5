//! [`Broker`]: a queue of numbered records that one consumer at a time is given, as a message broker's that has a single
//! active consumer. It runs in the test, and consumers are other processes; what each says is a line.
//!
//! ```text
//!   consumer                  broker
//!   consume INSTANCE    ->
//!                       <-    active TURN FROM       it is chosen: it gets records from FROM on
//!   get                 ->
//!                       <-    records FIRST COUNT
//!   ack UPTO            ->
//!                       <-    passed                 another is chosen, which it may not be told
//!                       <-    end                    all is acknowledged
//! ```
//!
//! A *turn* is the time for which one consumer is chosen. Each record says in which turn it was given, so that the output
//! tells what came of each turn. An acknowledgement counts while its consumer is chosen, and then whatever it covers has
//! to be in the output.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most records that are given at once.
const BATCH: u64 = 64;

/// The most records that are given and not acknowledged.
const UNACKNOWLEDGED: u64 = 1_000;

/// A queue that has one active consumer.
pub(crate) struct Broker(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many records there are, once no more come.
    records: u64,
    /// Up to where they are acknowledged.
    acknowledged: u64,
    turns: Vec<Turn>,
    /// Those that are there, whoever has waited longest first.
    consumers: Vec<Consumer>,
    /// Those that are there and were given up.
    given_up: Vec<Consumer>,
    /// Which of them is chosen, by its number.
    active: Option<u64>,
    /// How many there have been.
    connected: u64,
    /// Acknowledgements of those who were not chosen any more.
    late: u64,
    output: Output,
    wrong: Vec<String>,
}

/// One who may be chosen.
struct Consumer {
    /// Of its connection: one that comes again is another.
    number: u64,
    instance: usize,
    connection: UnixStream,
    /// It has asked for records, and there were none that it may have.
    waits: bool,
}

/// The time for which one consumer is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) instance: usize,
    /// The first record that it gets.
    pub(crate) from: u64,
    /// Up to where it was given records.
    pub(crate) given: u64,
    /// Up to where they were acknowledged at its end, or are now.
    pub(crate) acknowledged: u64,
}

impl Turn {
    /// What was given and not acknowledged.
    pub(crate) fn in_flight(&self) -> u64 {
        self.given - self.acknowledged
    }
}

impl Broker {
    /// A queue that gets ever more records, and `listens` there. What arrives of them is in `output`.
    pub(crate) fn new(listens: &Path, output: PathBuf) -> Self {
        let output = Output { path: output, ..Output::default() };
        let state = State { records: u64::MAX, output, ..State::default() };
        let (broker, listener) = (Arc::new(Mutex::new(state)), UnixListener::bind(listens).expect("a path is free"));
        let state = Arc::downgrade(&broker);
        // It waits for whoever comes, for as long as the tests run.
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let Some(state) = state.upgrade() else { return };
                std::thread::spawn(move || serve(&state, connection));
            }
        });
        Self(broker)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// All turns so far; the last one may be over.
    pub(crate) fn turns(&self) -> Vec<Turn> {
        self.state().turns.clone()
    }

    /// Who is chosen.
    pub(crate) fn active(&self) -> Option<usize> {
        self.state().chosen().map(|consumer| consumer.instance)
    }

    /// How many consumers there are.
    pub(crate) fn consumers(&self) -> usize {
        self.state().consumers.len()
    }

    /// How many acknowledgements came of those who were not chosen any more.
    pub(crate) fn late(&self) -> u64 {
        self.state().late
    }

    /// Chooses whoever has waited longest, if another waits. If the former one isn't `told`, it is given up: it may hold
    /// its connection for as long as it likes, and is heard no more.
    pub(crate) fn moves(&self, told: bool) -> bool {
        let mut state = self.state();
        let Some(at) = state.at_chosen().filter(|_| state.consumers.len() > 1) else { return false };
        let mut former = state.consumers.remove(at);
        state.choose();
        if told {
            former.waits = false;
            former.hears("passed");
            state.consumers.push(former);
        } else {
            state.given_up.push(former);
        }
        true
    }

    /// Ends the connection of whoever is chosen, which may come again.
    pub(crate) fn drops(&self) {
        let state = self.state();
        let chosen = state.chosen().expect("one is chosen");
        // One that has just ended by itself is as good.
        let _ = chosen.connection.shutdown(std::net::Shutdown::Both);
    }

    /// No more records come than were given. Returns how many there are.
    pub(crate) fn no_more(&self) -> u64 {
        let mut state = self.state();
        state.records = state.turns.iter().map(|turn| turn.given).max().unwrap_or_default();
        if state.is_done() {
            state.ends();
        }
        state.records
    }

    /// What is in the output, in its order: turn and number of each record.
    pub(crate) fn rows(&self) -> Vec<(usize, u64)> {
        let mut state = self.state();
        state.output.look();
        state.output.rows.clone()
    }

    /// How many records of the last turn have arrived.
    pub(crate) fn arrived(&self) -> usize {
        let mut state = self.state();
        state.output.look();
        let last = state.turns.len().saturating_sub(1);
        state.output.rows.iter().rev().take_while(|(turn, _)| *turn == last).count()
    }

    /// What there is, for people.
    pub(crate) fn told(&self) -> String {
        let state = self.state();
        let consumers: Vec<_> = state.consumers.iter().map(|one| (one.number, one.instance + 1)).collect();
        format!("{:?} of {consumers:?} is chosen; {:#?}", state.active, state.turns)
    }

    /// What was not as it has to be.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.state().wrong.clone()
    }
}

/// Serves a consumer until it is gone.
fn serve(state: &Mutex<State>, connection: UnixStream) {
    let Ok(other) = connection.try_clone() else { return };
    let number = {
        let mut state = lock(state);
        state.connected += 1;
        state.connected
    };
    let mut other = Some(other);
    for line in BufReader::new(connection).lines().map_while(Result::ok) {
        let mut state = lock(state);
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("consume", instance) => state.comes(number, instance.parse().ok(), other.take()),
            ("get", "") => state.gives(number),
            ("ack", upto) => state.acknowledges(number, upto.parse().ok()),
            _ => state.wrong.push(format!("a consumer said `{line}`")),
        }
    }
    lock(state).goes(number);
}

impl State {
    fn at_chosen(&self) -> Option<usize> {
        self.consumers.iter().position(|consumer| Some(consumer.number) == self.active)
    }

    fn chosen(&self) -> Option<&Consumer> {
        self.at_chosen().map(|at| &self.consumers[at])
    }

    fn comes(&mut self, number: u64, instance: Option<usize>, connection: Option<UnixStream>) {
        let (Some(instance), Some(connection)) = (instance, connection) else {
            return self.wrong.push("a consumer didn't say which one it is, or twice".to_owned());
        };
        self.consumers.push(Consumer { number, instance, connection, waits: false });
        if self.active.is_none() {
            self.choose();
        } else if self.is_done() {
            self.ends();
        }
    }

    fn goes(&mut self, number: u64) {
        self.consumers.retain(|consumer| consumer.number != number);
        self.given_up.retain(|consumer| consumer.number != number);
        if self.active == Some(number) {
            self.choose();
        }
    }

    /// Whoever has waited longest is chosen.
    fn choose(&mut self) {
        self.active = self.consumers.first().map(|first| first.number);
        let (from, turn) = (self.acknowledged, self.turns.len());
        if self.is_done() {
            self.ends();
        } else if let Some(first) = self.consumers.first_mut() {
            first.hears(&format!("active {turn} {from}"));
            self.turns.push(Turn { instance: first.instance, from, given: from, acknowledged: from });
        }
    }

    fn is_done(&self) -> bool {
        self.acknowledged == self.records
    }

    fn ends(&mut self) {
        self.consumers.iter_mut().for_each(|consumer| consumer.hears("end"));
    }

    fn gives(&mut self, number: u64) {
        let Some(at) = self.at_chosen().filter(|_| self.active == Some(number)) else { return };
        let turn = self.turns.last_mut().expect("whoever is chosen has a turn");
        let upto = (turn.given + BATCH).min(turn.acknowledged + UNACKNOWLEDGED).min(self.records);
        let (first, count) = (turn.given, upto - turn.given);
        let consumer = &mut self.consumers[at];
        consumer.waits = count == 0;
        if count > 0 {
            turn.given = upto;
            consumer.hears(&format!("records {first} {count}"));
        }
    }

    fn acknowledges(&mut self, number: u64, upto: Option<u64>) {
        let Some(at) = self.at_chosen().filter(|_| self.active == Some(number)) else {
            self.late += 1;
            return;
        };
        let turn = self.turns.last_mut().expect("whoever is chosen has a turn");
        let range = turn.acknowledged..=turn.given;
        let Some(upto) = upto.filter(|upto| range.contains(upto)) else {
            let what = format!("{upto:?} was acknowledged where {range:?} may be");
            return self.wrong.push(what);
        };
        turn.acknowledged = upto;
        let from = std::mem::replace(&mut self.acknowledged, upto);
        self.output.look();
        if let Some(missing) = (from..upto).find(|number| !self.output.arrived.contains(number)) {
            self.wrong.push(format!("{missing} was acknowledged, and is not in the output"));
        }
        if self.is_done() {
            self.ends();
        } else if self.consumers[at].waits {
            self.gives(number);
        }
    }
}

impl Consumer {
    /// One that is gone is noticed elsewhere.
    fn hears(&mut self, what: &str) {
        let _ = self.connection.write_all(format!("{what}\n").as_bytes());
    }
}

/// The output, as far as it was read.
#[derive(Default)]
struct Output {
    path: PathBuf,
    read: u64,
    /// A line that has no end yet.
    begun: String,
    /// Turn and number of each record.
    rows: Vec<(usize, u64)>,
    /// All numbers among them.
    arrived: BTreeSet<u64>,
}

impl Output {
    /// Reads what has come since.
    fn look(&mut self) {
        let Ok(mut file) = File::open(&self.path) else { return };
        let mut new = String::new();
        file.seek(SeekFrom::Start(self.read)).expect("the output is a file");
        self.read += file.read_to_string(&mut new).expect("the output is text") as u64;
        self.begun.push_str(&new);
        let ended = self.begun.rfind('\n').map_or(0, |end| end + 1);
        let lines: String = self.begun.drain(..ended).collect();
        // What was torn off by a kill is no row.
        for (turn, number) in lines.lines().filter_map(row) {
            self.rows.push((turn, number));
            self.arrived.insert(number);
        }
    }
}

/// What a record is in the output: its turn, its number, and a dot, so that one that is torn off is known.
pub(crate) fn text(turn: usize, number: u64) -> String {
    format!("{turn} {number}.")
}

fn row(line: &str) -> Option<(usize, u64)> {
    let (turn, number) = line.strip_suffix('.')?.split_once(' ')?;
    Some((turn.parse().ok()?, number.parse().ok()?))
}

/// A panic elsewhere ends the test anyway.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
