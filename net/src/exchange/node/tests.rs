//! Several nodes in one test, joined by queues: no clock, no links, no runtime.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Mutex;

use bytes::Bytes;
use millstream_core::commit::{HoldId, Outcome, Settle, Ticket};
use millstream_core::contracts::{Across, NetKind, OriginAt};
use millstream_core::data::{Batch, Column as _, EventTime, Marks, Packed, Partition, Position, Shared, Times};

use super::*;

/// What became of the records of a source, by sequence number.
#[derive(Default)]
struct Book(Mutex<BTreeMap<u64, Outcome>>);

impl Settle for Book {
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        let mut book = self.0.lock().expect("no test panics with it");
        book.extend(records.map(|record| (slot + u64::from(record), outcome)));
    }
    fn hold(&self, _: u64, _: u32) -> HoldId {
        HoldId(0)
    }
    fn release(&self, _: HoldId) {}
    fn seal(&self, _: u64, _: u32) {}
}

struct NoMarks;

impl Marks for NoMarks {
    fn position(&self, _: u32) -> Result<Option<Position>, String> {
        Ok(None)
    }
    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        index.to_string()
    }
}

/// One instance: a node, and what stands for the runtime around it.
struct Instance {
    node: Node,
    local: mpsc::UnboundedReceiver<Local>,
    /// What the runtime was told.
    orders: Vec<String>,
    /// The epoch that the source is open as.
    open: Option<u64>,
    next: u64,
    book: Arc<Book>,
    /// What came to the sink, by its settler: not settled yet.
    wrote: Vec<(u64, Ticket)>,
    over: bool,
}

/// A source on the first, a split, workers everywhere, a merge-sort, and a sink on the last.
struct World {
    at: Vec<Option<Instance>>,
    hops: Vec<Hop>,
    /// In flight: from, to, what.
    wires: VecDeque<(PeerId, PeerId, Input)>,
    cut: BTreeSet<(PeerId, PeerId)>,
    /// Workers that do nothing with what they get.
    stuck: BTreeSet<PeerId>,
    kept: Vec<(PeerId, Piece, Ticket)>,
    epoch: u64,
    now: Duration,
    /// Whether the sink makes durable what it gets, at once.
    durable: bool,
    sink: Vec<u64>,
    /// From whom to whom nothing arrives, though nobody has noticed.
    deaf: Option<(PeerId, PeerId)>,
    /// Outcomes that crossed a link.
    outcomes: usize,
}

fn hops(n: usize) -> Vec<Hop> {
    let all: Vec<PeerId> = (0..n).collect();
    let hop = |name: &str, kind, from: Vec<PeerId>, to: Vec<PeerId>, begins| Hop {
        name: name.into(),
        anchors: kind == NetKind::MergeSort,
        kind,
        from,
        to,
        begins,
        by_fold: false,
        folds: false,
        across: Across::Any,
        positions: false,
    };
    vec![
        hop("NET-SPLIT", NetKind::Split, vec![0], all.clone(), true),
        hop("NET-MERGE-SORT", NetKind::MergeSort, all, vec![n - 1], false),
    ]
}

impl World {
    fn new(n: usize) -> Self {
        let mut world = Self {
            at: (0..n).map(|_| None).collect(),
            hops: hops(n),
            wires: VecDeque::new(),
            cut: BTreeSet::new(),
            stuck: BTreeSet::new(),
            kept: Vec::new(),
            epoch: 1_000,
            now: Duration::ZERO,
            durable: true,
            sink: Vec::new(),
            deaf: None,
            outcomes: 0,
        };
        (0..n).for_each(|at| world.start(at));
        world.run();
        world
    }

    fn hello(instance: PeerId, epoch: u64) -> Hello {
        Hello { pipeline: "p".into(), plan: "w".into(), instance, epoch, started: 1 }
    }

    fn start(&mut self, at: PeerId) {
        self.epoch += 1_000;
        let (send, local) = mpsc::unbounded_channel();
        let names = (0..self.at.len()).map(|peer| format!("i{peer}")).collect();
        let source = SourcePlace { on: vec![0], movable: false, claims_first: false };
        let limits = Limits { window: 3_000, room: 3_000, ..Limits::default() };
        let me = Self::hello(at, self.epoch);
        let setup = Setup { me, names, hops: self.hops.clone(), source, limits, local: send.clone() };
        let instance = Instance {
            node: Node::new(setup),
            local,
            orders: Vec::new(),
            open: None,
            next: 0,
            book: Arc::default(),
            wrote: Vec::new(),
            over: false,
        };
        self.at[at] = Some(instance);
        for peer in 0..self.at.len() {
            if peer != at && self.at[peer].is_some() {
                self.link(at, peer);
            }
        }
        for hop in 0..self.hops.len() {
            if self.hops[hop].from.contains(&at) && hop > 0 {
                self.input(at, Input::Local(Local::ExitMade { hop, made: 1 }));
            }
        }
        if at + 1 == self.at.len() {
            self.input(at, Input::Local(Local::Report(Report::Ready { hop: 1 })));
        }
    }

    fn link(&mut self, a: PeerId, b: PeerId) {
        if self.cut.contains(&(a.min(b), a.max(b))) {
            return;
        }
        for (to, of) in [(a, b), (b, a)] {
            let epoch = self.at[of].as_ref().map_or(0, |instance| instance.node.epoch);
            self.wires.push_back((of, to, Input::Up(Self::hello(of, epoch))));
        }
    }

    fn unlink(&mut self, a: PeerId, b: PeerId) {
        self.wires.retain(|(from, to, _)| (*from, *to) != (a, b) && (*from, *to) != (b, a));
        for (at, peer) in [(a, b), (b, a)] {
            if self.at[at].is_some() {
                self.input(at, Input::Down { peer, why: "cut".into() });
            }
        }
    }

    fn cut(&mut self, a: PeerId, b: PeerId) {
        self.cut.insert((a.min(b), a.max(b)));
        self.unlink(a, b);
        self.run();
    }

    fn heal(&mut self, a: PeerId, b: PeerId) {
        self.cut.remove(&(a.min(b), a.max(b)));
        self.link(a, b);
        self.run();
    }

    fn kill(&mut self, at: PeerId) {
        self.at[at] = None;
        self.kept.retain(|(by, ..)| *by != at);
        self.wires.retain(|(from, to, _)| *from != at && *to != at);
        for peer in 0..self.at.len() {
            if self.at[peer].is_some() {
                self.input(peer, Input::Down { peer: at, why: "killed".into() });
            }
        }
        self.run();
    }

    fn input(&mut self, at: PeerId, input: Input) {
        let now = self.now;
        let Some(instance) = &mut self.at[at] else { return };
        let acts = instance.node.on(now, input);
        for act in acts {
            self.act(at, act);
        }
    }

    fn act(&mut self, at: PeerId, act: Act) {
        match act {
            Act::Tell { peer, message } => self.wires.push_back((at, peer, Input::Told { peer: at, message })),
            Act::Deal { peer, hop, tag, piece } => {
                self.wires.push_back((at, peer, Input::Came { peer: at, hop, tag, piece }));
            }
            Act::Hand { hop, handed: Handed::Piece { slot, piece, settler } } => {
                let made = settler.made;
                let ticket = Ticket::new(settler, slot, piece.part());
                self.input(at, Input::Local(Local::Took { hop, made }));
                self.kept.push((at, *piece, ticket));
                self.work();
            }
            Act::Hand { hop, handed: Handed::End { .. } } if hop + 1 == self.hops.len() => {
                self.input(at, Input::Local(Local::Report(Report::Ended { hop })));
            }
            Act::Hand { hop, handed: Handed::End { .. } } => {
                self.input(at, Input::Local(Local::Report(Report::Ended { hop })));
                self.input(at, Input::Local(Local::ExitEnded { hop: hop + 1, made: 1 }));
            }
            Act::Order(order) => self.order(at, order),
            Act::Over => self.instance(at).over = true,
            Act::Feed { .. } | Act::Took { .. } | Act::Full { .. } | Act::Await { .. } => {}
        }
    }

    fn instance(&mut self, at: PeerId) -> &mut Instance {
        self.at[at].as_mut().expect("it runs")
    }

    fn order(&mut self, at: PeerId, order: Order) {
        match order {
            Order::Open { epoch, .. } => {
                let instance = self.instance(at);
                instance.orders.push("open".into());
                (instance.open, instance.next) = (Some(epoch), 0);
                self.input(at, Input::Local(Local::ExitMade { hop: 0, made: epoch }));
                let partitions = vec![Partition::new("p")];
                self.input(at, Input::Local(Local::Report(Report::Opened { partitions })));
            }
            Order::Close { .. } => {
                let instance = self.instance(at);
                instance.orders.push("close".into());
                let made = instance.open.take().unwrap_or_default();
                self.input(at, Input::Local(Local::ExitGone { hop: 0, made }));
                self.input(at, Input::Local(Local::Report(Report::Closed)));
            }
            Order::Drain => self.end(at),
            Order::Over(result) => {
                let ended = if result.is_ok() { "over" } else { "failed" };
                self.instance(at).orders.push(ended.into());
            }
            Order::Finish => self.input(at, Input::Local(Local::Report(Report::Committed))),
            _ => {}
        }
    }

    /// Runs until nothing is in flight.
    fn run(&mut self) {
        for _ in 0..100_000 {
            let mut busy = false;
            for at in 0..self.at.len() {
                while let Some(local) = self.at[at].as_mut().and_then(|instance| instance.local.try_recv().ok()) {
                    busy = true;
                    self.input(at, Input::Local(local));
                }
            }
            if let Some((from, to, input)) = self.wires.pop_front() {
                busy = true;
                self.outcomes += usize::from(matches!(&input, Input::Told { message: Message::Outcome { .. }, .. }));
                if self.deaf != Some((from, to)) {
                    self.input(to, input);
                }
            }
            if !busy {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// Passes on what workers have, but for those that are stuck, and writes what came to the sink.
    fn work(&mut self) {
        let kept = std::mem::take(&mut self.kept);
        for (at, piece, ticket) in kept {
            let sinks = at + 1 == self.at.len() && ticket_is_of_merge(&piece);
            if self.stuck.contains(&at) && !sinks {
                self.kept.push((at, piece, ticket));
            } else if sinks {
                self.write(at, &piece, ticket);
            } else {
                let piece = worked(piece);
                self.input(at, Input::Local(Local::Put { hop: 1, made: 1, piece, owed: ticket.owed() }));
            }
        }
    }

    fn write(&mut self, at: PeerId, piece: &Piece, ticket: Ticket) {
        use super::super::origin::Load as _;
        self.sink.extend(piece.records());
        if self.durable {
            ticket.delivered();
        } else {
            self.instance(at).wrote.push((0, ticket));
        }
    }

    /// The source emits a batch of so many records.
    fn emit(&mut self, len: u32) {
        let instance = self.instance(0);
        let (epoch, first) = (instance.open.expect("the source is open"), instance.next);
        instance.next += u64::from(len);
        let ticket = Ticket::new(instance.book.clone(), first, 0..len);
        let piece = piece(epoch, first, len);
        self.input(0, Input::Local(Local::Put { hop: 0, made: epoch, piece, owed: ticket.owed() }));
        self.run();
    }

    fn end(&mut self, at: PeerId) {
        let made = self.instance(at).open.unwrap_or_default();
        self.input(at, Input::Local(Local::ExitEnded { hop: 0, made }));
        self.run();
    }

    fn delivered(&self) -> usize {
        let book = &self.at[0].as_ref().expect("the first runs").book;
        let book = book.0.lock().expect("no test panics with it");
        book.values().filter(|outcome| **outcome == Outcome::Delivered).count()
    }
}

/// Workers pass on what they get with another mark, so that it can be told from what comes to the sink.
fn worked(piece: Piece) -> Piece {
    piece.into_late()
}

fn ticket_is_of_merge(piece: &Piece) -> bool {
    piece.is_late()
}

fn piece(epoch: u64, first: u64, len: u32) -> Piece {
    let mut column = Packed::<Bytes>::default();
    (0..len).for_each(|record| column.push(Bytes::from(format!("record {}", first + u64::from(record)))));
    column.freeze();
    let shared = Shared {
        stage: "source".into(),
        partition: Partition::new("p"),
        instance: 0,
        epoch,
        first,
        len,
        times: Times::Uniform(EventTime { micros: 0, ingested: true }),
        marks: Arc::new(NoMarks),
        raw: None,
        late: false,
        turns: None,
        dealt: None,
    };
    Piece::of(Batch::new(Arc::new(shared), Box::new(column)), false).expect("rows of bytes")
}

#[test]
fn records_cross_to_all_workers_and_come_out_in_order_and_outcomes_come_back() {
    let mut world = World::new(3);
    (0..50).for_each(|_| world.emit(7));
    assert_eq!(world.sink, (0..350).collect::<Vec<u64>>());
    assert_eq!(world.delivered(), 350);
}

#[test]
fn outcomes_cross_by_the_piece_and_not_by_the_record() {
    let mut world = World::new(3);
    (0..10).for_each(|_| world.emit(200));
    assert_eq!(world.delivered(), 2_000);
    // From the merge to the worker, and from there to the origin; what an instance says to itself crosses no link.
    assert!((1..=20).contains(&world.outcomes), "{} outcomes", world.outcomes);
}

#[test]
fn no_source_opens_before_the_sink_is_there() {
    let mut world = World::new(3);
    world.kill(2);
    world.kill(0);
    world.start(0);
    world.run();
    assert_eq!(world.instance(0).open, None);
    world.start(2);
    world.run();
    assert!(world.instance(0).open.is_some());
}

#[test]
fn what_a_lost_worker_had_is_dealt_to_others_and_nothing_comes_twice() {
    let mut world = World::new(3);
    world.stuck.insert(1);
    (0..6).for_each(|_| world.emit(5));
    assert!(world.sink.len() < 30, "a stuck worker holds up what is behind it");
    world.kill(1);
    assert_eq!(world.sink, (0..30).collect::<Vec<u64>>());
    assert_eq!(world.delivered(), 30);
    world.start(1);
    world.run();
    world.stuck.clear();
    (0..6).for_each(|_| world.emit(5));
    assert_eq!(world.sink, (0..60).collect::<Vec<u64>>());
}

#[test]
fn an_origin_that_the_merge_does_not_reach_is_frozen_whatever_others_forward_and_goes_on_after() {
    let mut world = World::new(3);
    world.emit(5);
    world.cut(0, 2);
    (0..4).for_each(|_| world.emit(5));
    assert_eq!(world.sink.len(), 5, "what others forward does not pass");
    world.heal(0, 2);
    assert_eq!(world.sink, (0..25).collect::<Vec<u64>>());
    assert_eq!(world.delivered(), 25);
    assert_eq!(world.instance(0).orders, ["open"], "the same epoch goes on");
}

#[test]
fn a_worker_that_does_not_reach_the_merge_gets_no_work() {
    let mut world = World::new(3);
    world.cut(1, 2);
    (0..8).for_each(|_| world.emit(5));
    assert_eq!(world.sink, (0..40).collect::<Vec<u64>>());
    world.heal(1, 2);
    (0..8).for_each(|_| world.emit(5));
    assert_eq!(world.sink, (0..80).collect::<Vec<u64>>());
}

#[test]
fn a_source_opens_anew_when_the_instance_of_the_sink_has_come_back_as_another() {
    let mut world = World::new(3);
    world.emit(5);
    world.kill(2);
    world.emit(5);
    assert_eq!(world.instance(0).orders, ["open"], "it waits");
    world.start(2);
    world.run();
    assert_eq!(world.instance(0).orders, ["open", "close", "open"]);
    world.sink.clear();
    (0..3).for_each(|_| world.emit(5));
    assert_eq!(world.sink, (0..15).collect::<Vec<u64>>());
}

#[test]
fn what_a_merge_asks_for_is_forgotten_by_all_once_it_has_passed_or_its_link_is_lost() {
    let ask = |world: &mut World| {
        world.now += SECOND;
        world.input(2, Input::Time);
        world.now += SECOND;
        world.input(2, Input::Time);
        world.run();
    };
    let needed = |world: &mut World, at: PeerId| {
        let out = |hop: usize| world.at[at].as_ref().and_then(|at| at.node.outboxes[hop].as_ref());
        (0..2).filter_map(out).map(|out| out.outbox.missing().count()).sum::<usize>()
    };
    let mut world = World::new(3);
    world.stuck.insert(1);
    (0..6).for_each(|_| world.emit(5));
    ask(&mut world);
    assert!(needed(&mut world, 2) > 0, "what the second has is asked of the third as well");
    world.stuck.clear();
    world.work();
    world.run();
    assert_eq!(world.sink, (0..30).collect::<Vec<u64>>());
    assert_eq!((0..3).map(|at| needed(&mut world, at)).sum::<usize>(), 0);
    world.stuck.insert(1);
    (0..6).for_each(|_| world.emit(5));
    ask(&mut world);
    world.cut(0, 2);
    assert_eq!(needed(&mut world, 0), 0, "it asks again when it is back");
}

#[test]
fn an_origin_that_comes_back_as_another_has_closed_what_it_had_sent_before() {
    let mut world = World::new(3);
    world.stuck.insert(1);
    (0..6).for_each(|_| world.emit(5));
    let passed = world.sink.len();
    world.kill(0);
    world.start(0);
    world.run();
    world.stuck.clear();
    world.work();
    world.run();
    assert_eq!(world.sink.len(), passed, "what waited of the older epoch is discarded");
    world.sink.clear();
    world.emit(5);
    assert_eq!(world.sink, (0..5).collect::<Vec<u64>>());
}

#[test]
fn when_the_input_has_ended_all_are_over() {
    let mut world = World::new(3);
    (0..3).for_each(|_| world.emit(5));
    world.end(0);
    world.input(0, Input::Local(Local::Report(Report::Committed)));
    world.run();
    for at in 0..3 {
        assert!(world.instance(at).over, "instance {at}: {:?}", world.instance(at).orders);
    }
}

#[test]
fn one_that_leaves_is_given_no_more_work_and_goes_when_it_is_done() {
    let mut world = World::new(3);
    world.stuck.insert(1);
    (0..4).for_each(|_| world.emit(5));
    world.input(1, Input::Local(Local::Report(Report::Drain)));
    world.run();
    assert!(!world.instance(1).over, "it has work");
    world.stuck.clear();
    world.work();
    world.run();
    assert!(world.instance(1).over);
    world.kill(1);
    (0..4).for_each(|_| world.emit(5));
    assert_eq!(world.sink, (0..40).collect::<Vec<u64>>());
}

#[test]
fn an_instance_that_others_commit_through_leaves_only_once_all_has_gone_through_it() {
    let mut world = World::new(3);
    world.stuck.insert(1);
    (0..4).for_each(|_| world.emit(5));
    world.input(2, Input::Local(Local::Report(Report::Drain)));
    world.run();
    assert!(!world.instance(2).over);
    world.stuck.clear();
    world.work();
    world.run();
    assert!(world.instance(2).over);
    assert_eq!((world.delivered(), world.sink.len()), (20, 20));
    assert!(!world.instance(0).over, "the others wait for it");
    world.kill(2);
    world.start(2);
    world.run();
    assert!(world.instance(0).open.is_some(), "and go on when it is back: {:?}", world.instance(0).orders);
}

#[test]
fn whoever_leaves_while_the_origin_is_away_waits_for_nothing_that_it_would_drain() {
    for leaves in [1, 2] {
        let mut world = World::new(3);
        world.stuck.insert(1);
        (0..6).for_each(|_| world.emit(5));
        world.kill(0);
        world.input(leaves, Input::Local(Local::Report(Report::Drain)));
        world.run();
        assert!(world.instance(leaves).over, "{:?}", world.instance(leaves).orders);
    }
}

#[test]
fn a_position_is_not_waited_for_that_only_one_knows_who_is_away() {
    let at = |world: &mut World| {
        let epoch = world.instance(0).open.expect("the source is open");
        OriginAt { instance: 0, stage: "source".into(), partition: Partition::new("p"), epoch, sequence: 3 }
    };
    let placed = |acts: &[Act]| {
        let none = |act: &Act| matches!(act, Act::Order(Order::Placed { id: 7, position: None }));
        acts.iter().any(none)
    };
    let mut world = World::new(3);
    let (asked, now) = (at(&mut world), world.now);
    let ask = |at: &OriginAt| Input::Local(Local::Report(Report::Locate { id: 7, at: at.clone() }));
    let acts = world.instance(2).node.on(now, ask(&asked));
    assert!(!placed(&acts) && acts.iter().any(|act| matches!(act, Act::Tell { peer: 0, .. })));
    let acts = world.instance(2).node.on(now, Input::Down { peer: 0, why: "cut".into() });
    assert!(placed(&acts), "it was lost before it answered");
    let acts = world.instance(2).node.on(now, ask(&asked));
    assert!(placed(&acts), "it is away");
}

#[test]
fn when_all_leave_at_once_all_goes_through_first() {
    let mut world = World::new(3);
    world.stuck.insert(1);
    (0..4).for_each(|_| world.emit(5));
    for at in [1, 2, 0] {
        world.input(at, Input::Local(Local::Report(Report::Drain)));
    }
    world.run();
    world.stuck.clear();
    world.work();
    world.run();
    assert_eq!(world.delivered(), 20);
    for at in 0..3 {
        assert!(world.instance(at).over, "instance {at}: {:?}", world.instance(at).orders);
    }
}

/// A limit behind the merge has let so many records pass, and no more.
fn limit(world: &mut World, sequence: u64) {
    let epoch = world.instance(0).open.expect("the source is open");
    let (stage, partition) = ("source".into(), Partition::new("p"));
    let seals = vec![OriginAt { instance: 0, stage, partition, epoch, sequence }];
    world.input(2, Input::Local(Local::Report(Report::Limited { hop: 1, seals })));
    world.run();
}

#[test]
fn beyond_a_limit_nothing_is_dealt_and_nothing_goes_to_and_fro() {
    let mut world = World::new(3);
    (0..4).for_each(|_| world.emit(5));
    world.stuck.extend([0, 1, 2]);
    (0..6).for_each(|_| world.emit(5));
    limit(&mut world, 20);
    world.stuck.clear();
    world.work();
    world.run();
    (0..4).for_each(|_| world.emit(5));
    assert_eq!((world.sink.len(), world.delivered()), (20, 20));
    assert!(world.instance(0).node.outboxes.iter().flatten().all(|out| out.outbox.is_empty()));
}

#[test]
fn an_origin_that_is_cut_off_from_the_limit_hears_of_it_from_the_others() {
    let mut world = World::new(3);
    (0..4).for_each(|_| world.emit(5));
    world.cut(0, 2);
    limit(&mut world, 20);
    assert_eq!(world.instance(0).node.ending.seals.values().copied().collect::<Vec<u64>>(), [20]);
    assert!(world.instance(0).node.ending.is_limited());
}

#[test]
fn where_a_limit_has_ended_the_run_late_copies_hear_what_became_of_what_has_passed() {
    let mut world = World::new(3);
    world.stuck.insert(1);
    (0..6).for_each(|_| world.emit(5));
    // What the second has passes, and the first doesn't hear of it.
    world.deaf = Some((1, 0));
    world.stuck.clear();
    world.work();
    world.run();
    assert!(world.sink.len() == 30 && world.delivered() < 30, "{} are delivered", world.delivered());
    limit(&mut world, 30);
    world.deaf = None;
    world.cut(0, 1);
    assert_eq!((world.sink.len(), world.delivered()), (30, 30));
}

/// A record on the second instance fails the run.
fn fails(world: &mut World) {
    world.input(1, Input::Local(Local::Report(Report::Failed { why: "a bad record".into() })));
    world.run();
}

#[test]
fn a_failure_anywhere_ends_all() {
    let mut world = World::new(3);
    fails(&mut world);
    for at in [0, 2] {
        assert_eq!(world.instance(at).orders.last().map(String::as_str), Some("failed"));
    }
    assert!((0..3).all(|at| world.instance(at).over), "all know, and nobody waits");
}

#[test]
fn a_failure_is_heard_by_one_that_is_cut_off_from_where_it_was() {
    let mut world = World::new(3);
    world.cut(0, 1);
    fails(&mut world);
    assert_eq!(world.instance(0).orders, ["open", "failed"], "the third has told it");
    assert!(world.instance(2).over && !world.instance(1).over, "the second doesn't know that the first knows");
    world.heal(0, 1);
    assert!((0..2).all(|at| world.instance(at).over));
}

#[test]
fn a_failure_is_heard_by_one_that_was_cut_off_from_all_and_by_one_that_has_come_back() {
    let mut world = World::new(3);
    world.cut(0, 1);
    world.cut(0, 2);
    fails(&mut world);
    assert_eq!(world.instance(0).orders, ["open"]);
    assert!(!world.instance(1).over && !world.instance(2).over);
    world.heal(0, 2);
    assert_eq!(world.instance(0).orders, ["open", "failed"]);
    let mut world = World::new(3);
    world.kill(0);
    fails(&mut world);
    world.start(0);
    world.run();
    assert_eq!(world.instance(0).orders, ["failed"]);
    assert!((0..3).all(|at| world.instance(at).over));
}

#[test]
fn a_failure_that_one_never_hears_of_holds_up_the_others_for_seconds_and_no_longer() {
    let mut world = World::new(3);
    world.now = 100 * SECOND;
    world.kill(0);
    fails(&mut world);
    assert_eq!(world.instance(2).node.wake(), Some(105 * SECOND));
    world.now = 105 * SECOND;
    for at in [1, 2] {
        assert!(!world.instance(at).over);
        world.input(at, Input::Time);
        assert!(world.instance(at).over);
    }
}

/// What the run has come to on an instance when time passes; `None`: it is not over.
fn ended_at(world: &mut World, at: PeerId, now: Duration) -> Option<Result<(), String>> {
    let acts = world.instance(at).node.on(now, Input::Time);
    acts.into_iter().find_map(|act| match act {
        Act::Order(Order::Over(result)) => Some(result.map_err(|error| error.message().to_owned())),
        _ => None,
    })
}

const SECOND: Duration = Duration::from_secs(1);

/// The source of the first is one that its broker can move.
fn movable() -> World {
    let mut world = World::new(3);
    world.kill(0);
    world.start(0);
    world.instance(0).node.source = Source::new(&SourcePlace { on: vec![0], movable: true, claims_first: false }, 0);
    world.run();
    assert_eq!(world.instance(0).orders, ["open"]);
    world.emit(5);
    world.now = 100 * SECOND;
    world
}

/// Time passes for the first.
fn wait(world: &mut World, until: Duration) {
    world.now = until;
    world.input(0, Input::Time);
    world.run();
}

#[test]
fn a_source_that_can_be_moved_is_closed_when_the_sinks_instance_is_away_for_thirty_seconds() {
    let mut world = movable();
    world.kill(2);
    assert_eq!(world.instance(0).node.wake(), Some(130 * SECOND));
    wait(&mut world, 129 * SECOND);
    assert_eq!(world.instance(0).orders, ["open"], "another may not be chosen yet");
    wait(&mut world, 131 * SECOND);
    assert_eq!(world.instance(0).orders, ["open", "close"]);
    world.start(2);
    world.run();
    assert_eq!(world.instance(0).orders, ["open", "close", "open"]);
}

#[test]
fn a_source_that_can_be_moved_goes_on_when_the_sinks_instance_is_back_in_time() {
    let mut world = movable();
    world.cut(0, 2);
    wait(&mut world, 129 * SECOND);
    world.heal(0, 2);
    assert_eq!(world.instance(0).node.wake(), None);
    wait(&mut world, 131 * SECOND);
    assert_eq!(world.instance(0).orders, ["open"]);
    // And each time anew.
    world.cut(0, 2);
    wait(&mut world, 160 * SECOND);
    assert_eq!(world.instance(0).orders, ["open"]);
    wait(&mut world, 162 * SECOND);
    assert_eq!(world.instance(0).orders, ["open", "close"]);
}

#[test]
fn a_source_that_stays_where_it_is_waits_for_ever() {
    let mut world = World::new(3);
    world.cut(0, 2);
    assert_eq!(world.instance(0).node.wake(), None);
    wait(&mut world, 1_000 * SECOND);
    assert_eq!(world.instance(0).orders, ["open"]);
}

#[test]
fn an_origin_that_lacks_the_last_word_of_the_sinks_instance_says_so_after_thirty_seconds() {
    let mut world = World::new(3);
    world.emit(5);
    world.now = 100 * SECOND;
    world.cut(0, 2);
    world.end(0);
    world.input(0, Input::Local(Local::Report(Report::Committed)));
    world.run();
    assert_eq!(world.instance(0).node.wake(), Some(130 * SECOND));
    assert_eq!(ended_at(&mut world, 0, 129 * SECOND), None);
    let error = ended_at(&mut world, 0, 131 * SECOND).expect("it is over").expect_err("it doesn't know");
    assert!(error.contains("i2 did not say that the output is in its place"), "{error}");
    assert!(error.contains("start the pipeline again to see it through"), "{error}");
}

#[test]
fn an_origin_that_hears_the_last_word_late_ends_well() {
    let mut world = World::new(3);
    world.now = 100 * SECOND;
    world.cut(0, 2);
    world.end(0);
    world.input(0, Input::Local(Local::Report(Report::Committed)));
    wait(&mut world, 129 * SECOND);
    assert_eq!(world.instance(0).orders, ["open"]);
    world.heal(0, 2);
    assert_eq!(world.instance(0).orders, ["open", "over"]);
}

#[test]
fn the_sinks_instance_waits_thirty_seconds_for_an_origins_last_word_and_ends_well_without() {
    let mut world = World::new(3);
    world.emit(5);
    world.now = 100 * SECOND;
    let made = world.instance(0).open.expect("it is open");
    world.input(0, Input::Local(Local::ExitEnded { hop: 0, made }));
    // The first hears nothing of what the others say to its last records.
    while let Some((_, to, input)) = world.wires.pop_front() {
        if to != 0 {
            world.input(to, input);
        }
    }
    world.kill(0);
    assert_eq!(world.instance(2).node.wake(), Some(130 * SECOND));
    assert_eq!(ended_at(&mut world, 2, 129 * SECOND), None);
    assert_eq!(ended_at(&mut world, 2, 131 * SECOND), Some(Ok(())));
}
