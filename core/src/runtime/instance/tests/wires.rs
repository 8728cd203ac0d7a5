//! [`Wires`]: an exchange whose other side is the test: it gives orders, hears reports, takes what leaves by exits and
//! hands in what comes by entries. And a small pipeline put together by hand.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc};

use crate::commit::{Burial, Hold, HoldId, Note, Outcome, Owed, RemoteHold, Settle, Ticket};
use crate::contracts::{
    About, Across, Arrival, BoxFuture, Claim, Crossing, DynSinkFactory, DynSourceFactory, Emission, Entry, Exchange,
    Exit, ExitFactory, Faults, Fold, Hop, Host, Joined, Look, NetKind, Order, PeerId, Report, Result, Roll, Rows,
    SourcePlace, StoreFactory, Traffic, Where, World,
};
use crate::data::{AnyColumn, Batch, Data, EventTime, Marks, Partition, Position, Shared, Times, Typed};
use crate::plan::{
    Action, Channel, Factory, Graph, Inlet, Letters, Line, Net, Op, Options, Outlet, Part, Policy, Runs, Segment,
    Stage, StageKind, Step, Task,
};
use crate::runtime::{Job, Running, Settings, start};
use crate::testkit::SimulatedClock;

/// What leaves by an exit.
pub(super) enum Left {
    Sent(Batch, Ticket),
    End,
    /// Dropped without an end.
    Gone,
}

/// The test's side of an exchange.
pub(super) struct Hand {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) reports: mpsc::UnboundedReceiver<Report>,
    /// By network stage.
    pub(super) entries: Vec<mpsc::UnboundedSender<Arrival>>,
    /// By network stage.
    pub(super) exits: Vec<mpsc::UnboundedReceiver<Left>>,
    pub(super) hops: Vec<Hop>,
    pub(super) source: SourcePlace,
    /// How many batches have room at the exits.
    room: Arc<Semaphore>,
}

/// An exchange whose other side is the test.
pub(super) struct Wires {
    roll: Roll,
    hand: mpsc::UnboundedSender<Hand>,
}

impl Exchange for Wires {
    fn peers(&self) -> Vec<String> {
        self.roll.peers.clone()
    }

    fn me(&self) -> PeerId {
        self.roll.me
    }

    fn check(&self) -> Vec<String> {
        Vec::new()
    }

    fn join(&self, _: About) -> BoxFuture<'_, Result<Box<dyn Joined>>> {
        let joined = Wires { roll: self.roll.clone(), hand: self.hand.clone() };
        Box::pin(async { Ok(Box::new(joined) as Box<dyn Joined>) })
    }
}

/// An exchange whose others are not there.
struct Alone {
    me: PeerId,
    of: usize,
}

impl Exchange for Alone {
    fn peers(&self) -> Vec<String> {
        names(self.of)
    }

    fn me(&self) -> PeerId {
        self.me
    }

    fn check(&self) -> Vec<String> {
        Vec::new()
    }

    fn join(&self, _: About) -> BoxFuture<'_, Result<Box<dyn Joined>>> {
        // Nobody comes.
        Box::pin(std::future::pending())
    }
}

fn names(of: usize) -> Vec<String> {
    (0..of).map(|peer| format!("peer-{peer}")).collect()
}

impl Joined for Wires {
    fn roll(&self) -> Roll {
        self.roll.clone()
    }

    fn begin(self: Box<Self>, hops: Vec<Hop>, source: SourcePlace) -> Crossing {
        let (orders, ordered) = mpsc::unbounded_channel();
        let (reports, reported) = mpsc::unbounded_channel();
        let (mut entries, mut exits) = (Vec::new(), Vec::new());
        let room = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let traffic = tokio::sync::watch::channel(Traffic::default()).1;
        let mut crossing = Crossing { entries: Vec::new(), exits: Vec::new(), orders: ordered, reports, traffic };
        for hop in &hops {
            let (arrive, arrives) = mpsc::unbounded_channel();
            let (leave, leaves) = mpsc::unbounded_channel();
            let entry = hop.to.contains(&self.roll.me).then(|| Box::new(In(arrives)) as Box<dyn Entry>);
            let exit =
                hop.from.contains(&self.roll.me).then(|| Box::new(Out(leave, room.clone())) as Box<dyn ExitFactory>);
            crossing.entries.push(entry);
            crossing.exits.push(exit);
            entries.push(arrive);
            exits.push(leaves);
        }
        let hand = Hand { orders, reports: reported, entries, exits, hops, source, room };
        self.hand.send(hand).unwrap_or_else(|_| panic!("the test waits for it"));
        crossing
    }
}

struct In(mpsc::UnboundedReceiver<Arrival>);

impl Entry for In {
    fn next(&mut self) -> BoxFuture<'_, Arrival> {
        Box::pin(async { self.0.recv().await.unwrap_or(Arrival::Gone) })
    }
}

struct Out(mpsc::UnboundedSender<Left>, Arc<Semaphore>);

impl ExitFactory for Out {
    fn make(&mut self) -> Box<dyn Exit> {
        Box::new(OutEnd(Some(self.0.clone()), self.1.clone()))
    }
}

struct OutEnd(Option<mpsc::UnboundedSender<Left>>, Arc<Semaphore>);

impl Exit for OutEnd {
    fn ready(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async { drop(self.1.acquire().await.expect("it stays open")) })
    }

    fn send(&mut self, batch: Batch, ticket: Ticket) {
        self.1.forget_permits(1);
        if let Some(out) = &self.0 {
            let _ = out.send(Left::Sent(batch, ticket));
        }
    }

    fn end(&mut self) {
        if let Some(out) = self.0.take() {
            let _ = out.send(Left::End);
        }
    }
}

impl Drop for OutEnd {
    fn drop(&mut self) {
        if let Some(out) = self.0.take() {
            let _ = out.send(Left::Gone);
        }
    }
}

/// What an origin hears of what became of its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Settled(u64, Range<u32>, Outcome),
    Held(u64, u32, u64),
    Released(u64),
    Buries(u64, u32, Note),
}

/// Writes down what it hears, and passes it on to what a batch that left by an exit owes.
#[derive(Default)]
pub(super) struct Ear(Mutex<EarState>);

#[derive(Default)]
struct EarState {
    heard: Vec<Heard>,
    owed: BTreeMap<u64, Owed>,
    holds: BTreeMap<u64, Hold>,
    next: u64,
    burials: Vec<tokio::sync::oneshot::Sender<Result<(), String>>>,
}

impl Ear {
    pub(super) fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.0.lock().unwrap().heard)
    }

    /// Whether all that was passed on has settled.
    pub(super) fn is_settled(&self) -> bool {
        self.0.lock().unwrap().owed.values().all(Owed::is_settled)
    }

    /// A claim on what this ticket owes.
    pub(super) fn claim(self: &Arc<Self>, ticket: Ticket) -> Claim {
        let mut state = self.0.lock().unwrap();
        let slot = state.next;
        state.next += 1;
        state.owed.insert(slot, ticket.owed());
        Claim { origin: self.clone(), slot }
    }

    /// Answers the oldest wish for a dead letter.
    pub(super) fn buried(&self, result: Result<(), String>) {
        let burial = self.0.lock().unwrap().burials.remove(0);
        burial.send(result).expect("someone waits for it");
    }
}

impl Settle for Ear {
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        let mut state = self.0.lock().unwrap();
        state.heard.push(Heard::Settled(slot, records.clone(), outcome));
        if let Some(owed) = state.owed.get_mut(&slot) {
            owed.settle(records, outcome);
        }
    }

    fn hold(&self, slot: u64, record: u32) -> HoldId {
        let mut state = self.0.lock().unwrap();
        let id = state.next + 1_000;
        state.next += 1;
        state.heard.push(Heard::Held(slot, record, id));
        let hold = state.owed.get(&slot).and_then(|owed| owed.hold(record, RemoteHold { holder: 0, epoch: 0, id }));
        hold.and_then(|hold| state.holds.insert(id, hold));
        HoldId(id)
    }

    fn release(&self, hold: HoldId) {
        let mut state = self.0.lock().unwrap();
        state.heard.push(Heard::Released(hold.0));
        let held = state.holds.remove(&hold.0);
        drop(state);
        held.into_iter().for_each(Hold::release);
    }

    fn seal(&self, _: u64, _: u32) {
        panic!("a limit is reported, not told to claims");
    }

    fn bury(&self, slot: u64, record: u32, note: Note) -> Option<Burial> {
        let mut state = self.0.lock().unwrap();
        state.heard.push(Heard::Buries(slot, record, note));
        let (answer, answered) = tokio::sync::oneshot::channel();
        state.burials.push(answer);
        Some(Box::pin(async { answered.await.unwrap_or_else(|_| Err("lost".to_owned())) }))
    }
}

/// Marks whose positions are the sequence numbers; told only where they are known.
pub(super) struct Numbered {
    pub(super) first: u64,
    pub(super) known: Mutex<Option<BTreeMap<u32, Position>>>,
}

impl Marks for Numbered {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        match &*self.known.lock().unwrap() {
            Some(known) => Ok(known.get(&count).cloned()),
            None => Ok(Some(number(self.first + u64::from(count)))),
        }
    }

    fn knows(&self, count: u32) -> bool {
        self.known.lock().unwrap().as_ref().is_none_or(|known| known.contains_key(&count))
    }

    fn learn(&self, count: u32, position: Option<Position>) {
        if let (Some(known), Some(position)) = (&mut *self.known.lock().unwrap(), position) {
            known.insert(count, position);
        }
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("record {}", self.first + u64::from(index))
    }
}

pub(super) fn number(number: u64) -> Position {
    Position::new(number.to_le_bytes().to_vec(), number.to_string()).expect("eight bytes fit")
}

/// A batch of numbers that are their own sequence numbers, from a source elsewhere, as this epoch. `known`: whether its
/// positions are known without asking.
pub(super) fn batch(epoch: u64, numbers: Range<u64>, known: bool) -> Batch {
    let marks = Numbered { first: numbers.start, known: Mutex::new((!known).then(BTreeMap::new)) };
    let shared = Shared {
        stage: "SCRIPT".into(),
        partition: Partition::new("p0"),
        instance: 0,
        epoch,
        first: numbers.start,
        len: (numbers.end - numbers.start) as u32,
        times: Times::Uniform(EventTime { micros: 0, ingested: true }),
        marks: Arc::new(marks),
        raw: None,
        late: false,
        turns: None,
        dealt: None,
    };
    Batch::new(Arc::new(shared), Box::new(Typed::from(numbers.collect::<Vec<u64>>())))
}

/// A stage between source and sink.
#[derive(Clone)]
pub(super) enum Middle {
    /// Lets pass what this says is fine; the rest fails.
    Check(Arc<dyn Fn(u64) -> bool + Send + Sync>, Policy),
    /// Adds all up.
    Sum,
    /// Lets so many pass.
    Limit(u64),
    /// Can't be made.
    Unmade,
}

/// A pipeline of numbers: source, a stage between, sink; each in a task of its own, and network stages between them.
pub(super) struct Rig {
    pub(super) source: Arc<dyn DynSourceFactory>,
    pub(super) middle: Middle,
    pub(super) sink: Arc<dyn DynSinkFactory>,
    pub(super) store: Option<Arc<dyn StoreFactory>>,
    pub(super) letters: Vec<Letters>,
    /// Where the three run; two neighbours with the same are one part.
    pub(super) places: [Where; 3],
    /// How many workers the middle has.
    pub(super) workers: usize,
    /// How network stages order records of different origins.
    pub(super) across: Across,
}

impl Rig {
    /// Starts the instance `me` of so many.
    pub(super) async fn start(self, me: PeerId, of: usize) -> (Running, Hand) {
        let (started, hand) = self.try_start(me, of).await;
        (started.unwrap_or_else(|error| panic!("it should start: {error}")), hand.expect("the exchange has begun"))
    }

    pub(super) async fn try_start(self, me: PeerId, of: usize) -> (Result<Running>, Option<Hand>) {
        let (hand, mut hands) = mpsc::unbounded_channel();
        let peers = names(of);
        let started = self.over(Wires { roll: Roll { me, peers, last_joined: of - 1, epoch: 1 }, hand }).await;
        (started, hands.try_recv().ok())
    }

    /// Starts the instance `me` of so many, which may not join the others.
    pub(super) async fn start_without_others(self, me: PeerId, of: usize) -> Result<Running> {
        self.over(Alone { me, of }).await
    }

    async fn over(self, exchange: impl Exchange) -> Result<Running> {
        let world = World { clock: Arc::new(SimulatedClock::new()), workers: Host::Inline };
        let settings = Settings { world, exchange: Some(Arc::new(exchange)), ..Settings::default() };
        start(self.job(), settings).await
    }

    fn job(self) -> Job {
        let (graph, parts) = self.graph();
        let middle = match self.middle.clone() {
            Middle::Check(fine, _) => Factory::Look(Arc::new(move || Box::new(Checks(fine.clone())))),
            Middle::Sum => Factory::Fold(Arc::new(|| Box::new(Sums { sum: 0, fresh: true, turn: None }))),
            Middle::Limit(_) => Factory::Look(Arc::new(|| Box::new(Checks(Arc::new(|_| true))))),
            Middle::Unmade => Factory::Look(Arc::new(|| panic!("a stage that is not here was made"))),
        };
        Job {
            name: "numbers".into(),
            graph,
            parts,
            factories: vec![Factory::Source(self.source), middle, Factory::Sink(self.sink)],
            letters: self.letters,
            policy: Policy::Fail,
            store: self.store,
            fingerprint: "numbers".into(),
            agreement: "numbers".into(),
        }
    }

    fn graph(&self) -> (Graph, Vec<Part>) {
        let form = u64::form();
        let (steps, kind, options) = self.middle();
        let stage = |name: &str, kind, options| Stage {
            name: name.into(),
            kind,
            takes: Some(u64::form()),
            gives: Some(u64::form()),
            options,
            line: Line::here(),
        };
        let sink = self.sink.traits(self.store.is_some());
        let stages = vec![
            stage("SCRIPT", StageKind::Source(self.source.traits()), Options::default()),
            stage("MIDDLE", kind, options),
            stage("SINK", StageKind::Sink(sink), Options::default()),
        ];
        let task = |name: &str, workers, inlet, steps, outlet| Task {
            name: name.into(),
            runs: Runs::Async,
            workers,
            inlet,
            steps,
            outlet,
        };
        let tasks = vec![
            task("source", 1, Inlet::Source(0), Vec::new(), Outlet::Channel(0)),
            task("middle", self.workers, Inlet::Channel(0), steps, Outlet::Channel(1)),
            task("sink", 1, Inlet::Channel(1), Vec::new(), Outlet::Sink(2)),
        ];
        let channels = vec![Channel { batches: 4, form: form.clone() }, Channel { batches: 4, form: form.clone() }];
        let parts = self.parts();
        let network = parts.iter().filter_map(|part| Some(part.enters.as_ref()?.name.clone())).collect();
        let graph = Graph { stages, coders: Vec::new(), tasks, channels, network, keep_bytes: Vec::new(), emits: form };
        (graph, parts)
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for (task, place) in self.places.iter().enumerate() {
            if let Some(part) = parts.last_mut().filter(|part| part.place == *place) {
                part.tasks.end = task + 1;
                continue;
            }
            let kind = if *place == Where::Everywhere { NetKind::Split } else { NetKind::MergeSort };
            let enters = (task > 0).then(|| Net { name: format!("NET-{kind:?}"), kind, across: self.across });
            parts.push(Part { tasks: task..task + 1, place: place.clone(), enters });
        }
        parts
    }

    fn middle(&self) -> (Vec<Step>, StageKind, Options) {
        let op = Op { stage: 1, action: Action::Look { from: 0 } };
        let segment = Step::Segment(Segment { slots: vec![u64::form()], ops: vec![op], output: 0 });
        match &self.middle {
            Middle::Check(_, policy) => {
                (vec![segment], StageKind::Filter, Options { policy: Some(*policy), ..Options::default() })
            }
            Middle::Unmade => (vec![segment], StageKind::Filter, Options::default()),
            Middle::Sum => {
                let fold = Step::Fold { stage: 1, each: None, every: None };
                (vec![fold], StageKind::Fold { keyed: false }, Options::default())
            }
            Middle::Limit(records) => {
                (vec![Step::Limit { stage: 1, records: *records }], StageKind::Filter, Options::default())
            }
        }
    }
}

struct Checks(Arc<dyn Fn(u64) -> bool + Send + Sync>);

impl Look for Checks {
    fn look(&mut self, column: &dyn AnyColumn, rows: &mut Rows, faults: &mut Faults) {
        let values: &Typed<u64> = column.cast().expect("numbers");
        let (fine, bad): (Vec<u32>, Vec<u32>) =
            (0..rows.len()).map(|i| rows.at(i)).partition(|&row| (self.0)(values.as_slice()[row as usize]));
        faults.extend(bad.into_iter().map(|row| (row, format!("{} is bad", values.as_slice()[row as usize]).into())));
        rows.set(fine);
    }
}

struct Sums {
    sum: u64,
    fresh: bool,
    /// Of the last row.
    turn: Option<i64>,
}

impl Fold for Sums {
    fn absorb(&mut self, from: &mut dyn AnyColumn, turns: Option<&[i64]>, _: &mut Faults) {
        let values: &Typed<u64> = from.cast().expect("numbers");
        self.sum += values.as_slice().iter().sum::<u64>();
        self.fresh = true;
        self.turn = turns.and_then(|turns| turns.last().copied()).or(self.turn);
    }

    fn emit(&mut self, _: bool) -> Emission {
        let fresh = std::mem::take(&mut self.fresh);
        let column = Box::new(Typed::from(if fresh { vec![self.sum] } else { Vec::new() }));
        Emission { column, turns: self.turn.map(|turn| vec![turn]) }
    }
}

impl Hand {
    pub(super) fn order(&self, order: Order) {
        self.orders.send(order).unwrap_or_else(|_| panic!("the instance runs"));
    }

    /// The next report; a minute of simulated time is for ever.
    pub(super) async fn report(&mut self) -> Report {
        let report = tokio::time::timeout(Duration::from_secs(60), self.reports.recv()).await;
        report.expect("a report comes").expect("the instance runs")
    }

    /// So many batches more have room at the exits.
    pub(super) fn room(&self, batches: usize) {
        self.room.forget_permits(usize::MAX);
        self.room.add_permits(batches);
    }

    /// Hands in a batch.
    pub(super) fn arrive(&self, hop: usize, batch: Batch, claim: Claim) {
        self.entries[hop].send(Arrival::Batch(batch, claim)).unwrap_or_else(|_| panic!("the part takes it"));
    }

    pub(super) fn end(&self, hop: usize) {
        self.entries[hop].send(Arrival::End { drained: false }).unwrap_or_else(|_| panic!("the part takes it"));
    }

    pub(super) fn drained(&self, hop: usize) {
        self.entries[hop].send(Arrival::End { drained: true }).unwrap_or_else(|_| panic!("the part takes it"));
    }

    /// The next batch that leaves.
    pub(super) async fn sent(&mut self, hop: usize) -> (Batch, Ticket) {
        let left = tokio::time::timeout(Duration::from_secs(60), self.exits[hop].recv()).await;
        match left.expect("a batch leaves") {
            Some(Left::Sent(batch, ticket)) => (batch, ticket),
            Some(Left::End) => panic!("nothing more leaves"),
            Some(Left::Gone) | None => panic!("the part is dropped"),
        }
    }
}
