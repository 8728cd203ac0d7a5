//! One instance against an exchange whose other side is the test.

mod done;
mod wires;

use std::sync::Arc;
use std::time::Duration;

use crate::commit::{Note, Outcome};
use crate::contracts::{
    Across, Arrival, Cause, Claim, Error, Order, Report, SinkTraits, SourceTraits, Where, sink, source,
};
use crate::data::{Batch, Bytes, Partition, Typed};
use crate::plan::Policy;
use crate::runtime::{Ended, Running, Summary};
use crate::testkit::{Ledger, MemoryStore, Script, ScriptSink, ScriptSource, ScriptedSink, Written, number_of};

use self::wires::{Ear, Hand, Heard, Left, Middle, Rig, batch, number};

const P0: &str = "p0";

/// Everything is here.
const HERE: [Where; 3] = [Where::First, Where::Everywhere, Where::Last];
/// The source is on the first, the rest on the last.
const APART: [Where; 3] = [Where::First, Where::Last, Where::Last];
/// The middle alone is on the second of three.
const BETWEEN: [Where; 3] = [Where::First, Where::Everywhere, Where::Last];

fn all_fine() -> Middle {
    Middle::Check(Arc::new(|_| true), Policy::Fail)
}

struct Test {
    rig: Rig,
    ledger: Ledger,
    written: Written<u64>,
    store: MemoryStore,
}

/// A thousand numbers in batches of a hundred; the sink as `change` makes it.
fn test(places: [Where; 3], middle: Middle, change: impl FnOnce(ScriptSink<u64>) -> ScriptSink<u64>) -> Test {
    let ledger = Ledger::new();
    let sink = change(ScriptSink::new(&ledger, "out"));
    let (written, store) = (sink.written(), MemoryStore::new(&ledger));
    let rig = Rig {
        source: Arc::new(Script::of(&ledger, 0..1_000_u64).batch(100)),
        middle,
        sink: Arc::new(sink),
        store: Some(Arc::new(store.clone())),
        letters: Vec::new(),
        places,
        workers: 1,
        across: Across::Any,
    };
    Test { rig, ledger, written, store }
}

/// What a report says, for people.
fn say(report: &Report) -> String {
    match report {
        Report::Ready { hop } => format!("ready {hop}"),
        Report::Opened { partitions } => format!("opened {}", partitions.len()),
        Report::Claimed { partition } => format!("claimed {partition}"),
        Report::Unclaimed { partition } => format!("unclaimed {partition}"),
        Report::Promised { at, from, .. } => format!("promised {}:{} {from}", at.partition, at.sequence),
        Report::Reopen { gained } => format!("reopen with {}", gained.iter().map(Partition::name).collect::<String>()),
        Report::Closed => "closed".into(),
        Report::Anew { hop } => format!("anew {hop}"),
        Report::Committed => "committed".into(),
        Report::Ended { hop } => format!("ended {hop}"),
        Report::Limited { hop, seals } => {
            let seals: Vec<String> =
                seals.iter().map(|at| format!("{}/{}:{}", at.stage, at.epoch, at.sequence)).collect();
            format!("limited {hop} {}", seals.join(" "))
        }
        Report::Settled { id, held } => {
            let held = held.as_ref().map(|held| held.iter().map(|held| number_of(&held.position)).collect::<Vec<_>>());
            format!("settled {id} {held:?}")
        }
        Report::Located { id, position } => format!("located {id} {:?}", position.as_ref().map(number_of)),
        Report::Buried { id, buried } => format!("buried {id} {buried:?}"),
        Report::Locate { id, at } => format!("locate {id} {}:{}", at.partition, at.sequence),
        Report::Drain => "drain".into(),
        Report::Failed { why } => format!("failed {why}"),
    }
}

/// The next reports are these.
async fn hears(hand: &mut Hand, reports: &[&str]) {
    for expected in reports {
        assert_eq!(say(&hand.report().await), *expected);
    }
}

/// All that can happen without time has happened.
async fn settle_down() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn no_report(hand: &mut Hand) {
    let report = hand.reports.try_recv().ok();
    assert_eq!(report.as_ref().map(say), None);
}

async fn ends(running: Running) -> Result<Summary, Error> {
    tokio::time::timeout(Duration::from_secs(3_600), running.join()).await.expect("it comes to an end")
}

fn claim(ear: &Arc<Ear>, slot: u64) -> Claim {
    Claim { origin: ear.clone(), slot }
}

fn values(batch: &Batch) -> Vec<u64> {
    let column: &Typed<u64> = batch.column().cast().expect("numbers");
    column.as_slice().to_vec()
}

fn open(epoch: u64) -> Order {
    Order::Open { epoch, held: None, claimed: Vec::new() }
}

fn settled(slot: u64, records: std::ops::Range<u32>, outcome: Outcome) -> Heard {
    Heard::Settled(slot, records, outcome)
}

/// Carries what leaves by exits to the entries behind them until all is over, as an exchange with one instance would.
async fn carry(hand: &mut Hand, ears: &[Arc<Ear>]) {
    let hops = hand.hops.len();
    let (mut ended, mut told, mut over) = (vec![false; hops], vec![false; hops], vec![false; hops + 1]);
    while !over.iter().all(|&over| over) {
        for hop in 0..hops {
            while let Ok(left) = hand.exits[hop].try_recv() {
                match left {
                    Left::Sent(batch, ticket) => hand.arrive(hop, batch, ears[hop].claim(ticket)),
                    Left::End => ended[hop] = true,
                    Left::Gone => panic!("no part is dropped"),
                }
            }
            let begins = (0..=hop).rev().find(|&at| hand.hops[at].begins).expect("the source begins");
            if ended[begins] && ears[begins].is_settled() && !std::mem::replace(&mut told[hop], true) {
                hand.end(hop);
            }
        }
        while let Ok(report) = hand.reports.try_recv() {
            match report {
                Report::Committed => over[hops] = true,
                Report::Ended { hop } => over[hop] = true,
                Report::Opened { .. } | Report::Ready { .. } => {}
                other => panic!("nothing else is to be said: {}", say(&other)),
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    hand.order(Order::Over(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn records_cross_and_come_back_acknowledged() {
    for workers in [1, 3] {
        let Test { mut rig, ledger, written, .. } = test(HERE, all_fine(), |sink| sink);
        rig.workers = workers;
        let (running, mut hand) = rig.start(0, 1).await;
        assert_eq!(
            hand.hops.iter().map(|hop| (hop.begins, hop.anchors)).collect::<Vec<_>>(),
            [(true, false), (false, true)]
        );
        assert_eq!((hand.source.on.clone(), hand.source.movable), (vec![0], false));
        hears(&mut hand, &["ready 0", "ready 1"]).await;
        hand.order(open(7));
        let ears = [Arc::default(), Arc::default()];
        carry(&mut hand, &ears).await;
        let summary = ends(running).await.expect("it runs well");
        assert_eq!((summary.ended, summary.records_in, summary.records_out), (Ended::Input, 1_000, 1_000));
        assert_eq!(summary.committed, ["p0: 1000"]);
        assert_eq!(written.durable(), (0..1_000).collect::<Vec<_>>());
        assert_eq!((ledger.committed(P0), ledger.saved(P0)), (Some(1_000), Some(1_000)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn records_cross_between_threads() {
    for transactional in [false, true] {
        let change = |sink: ScriptSink<u64>| if transactional { sink.transactional() } else { sink };
        let Test { mut rig, ledger, written, .. } = test(HERE, all_fine(), change);
        rig.source = Arc::new(Script::of(&ledger, 0..2_000_u64).batch(7));
        rig.workers = 3;
        let (running, mut hand) = rig.start(0, 1).await;
        hand.order(open(7));
        carry(&mut hand, &[Arc::default(), Arc::default()]).await;
        ends(running).await.expect("it runs well");
        assert_eq!(written.durable(), (0..2_000).collect::<Vec<_>>());
        assert_eq!(ledger.saved(P0), Some(2_000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fold_between_is_committed_once_what_it_made_has_arrived() {
    let Test { rig, ledger, written, .. } = test(HERE, Middle::Sum, |sink| sink.transactional());
    let (running, mut hand) = rig.start(0, 1).await;
    assert!(hand.hops[0].folds && hand.hops[0].anchors && hand.hops[1].begins && !hand.hops[1].positions);
    hand.order(open(7));
    let ears = [Arc::default(), Arc::default()];
    carry(&mut hand, &ears).await;
    ends(running).await.expect("it runs well");
    assert_eq!(written.durable(), [(0..1_000).sum::<u64>()]);
    assert_eq!(ledger.committed(P0), Some(1_000));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_has_ended_promises_that_nothing_more_comes_of_it() {
    let Test { rig, .. } = test(APART, all_fine(), |sink| sink);
    let (_running, mut hand) =
        Rig { across: Across::EventTime { idle: Duration::from_secs(1) }, ..rig }.start(0, 2).await;
    hand.order(open(7));
    let promised = format!("promised p0:1000 {}", i64::MAX);
    hears(&mut hand, &["opened 1", &promised]).await;
}

#[tokio::test(start_paused = true)]
async fn a_fold_among_others_says_which_row_each_of_its_rows_began_with_and_when_it_has_no_more() {
    let Test { rig, .. } = test(BETWEEN, Middle::Sum, |sink| sink);
    let (_running, mut hand) = Rig { across: Across::FirstRecord, ..rig }.start(1, 3).await;
    hears(&mut hand, &[&format!("promised fold:0 {}", i64::MIN), "ready 0"]).await;
    let ear = Arc::<Ear>::default();
    let (shared, part, ..) = batch(1, 0..5, true).into_parts();
    // Its rows went to other instances.
    let empty = Batch::with_rows(shared, part, Some(Vec::new()), Box::new(Typed::<u64>::default()));
    hand.arrive(0, empty, claim(&ear, 0));
    hand.arrive(0, batch(1, 5..10, true), claim(&ear, 1));
    hand.end(0);
    hears(&mut hand, &[&format!("promised fold:1 {}", i64::MAX)]).await;
    let (sent, _ticket) = hand.sent(1).await;
    assert_eq!(sent.shared().turns.as_deref(), Some(&[9 << 23][..]), "its last row was of the tenth record");
}

#[tokio::test(start_paused = true)]
async fn outcomes_go_back_once_the_sink_has_flushed_and_no_sooner() {
    let slow = Duration::from_millis(500);
    let Test { rig, written, .. } = test(APART, all_fine(), |sink| sink.slow_flushes(slow));
    let (running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 5));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(written.len(), 10);
    hand.arrive(0, batch(1, 10..20, true), claim(&ear, 6));
    assert_eq!(ear.heard(), []);
    // The second came while the first flush was under way: it waits for the next.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(ear.heard(), [settled(5, 0..10, Outcome::Delivered)]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(ear.heard(), [settled(6, 0..10, Outcome::Delivered)]);
    hand.end(0);
    hears(&mut hand, &["ended 0"]).await;
    hand.order(Order::Over(Ok(())));
    let summary = ends(running).await.expect("it runs well");
    assert_eq!((summary.records_in, summary.records_out), (0, 20));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_settles_when_it_flushes_is_flushed() {
    let Test { rig, .. } = test(APART, all_fine(), |sink| sink.settles_at_flush());
    let (_running, hand) = rig.start(1, 2).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 5));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(ear.heard(), [settled(5, 0..10, Outcome::Delivered)]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_is_not_flushed_more_often_than_its_spacing_allows() {
    let Test { rig, ledger, .. } = test(APART, all_fine(), |sink| sink);
    let (_running, hand) = rig.start(1, 2).await;
    let ear = Arc::<Ear>::default();
    for slot in 0..1_000 {
        hand.arrive(0, batch(1, slot..slot + 1, true), claim(&ear, slot));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let flushes = ledger.flushes("out");
    assert!((100..=220).contains(&flushes), "{flushes} flushes in a second");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_keeps_positions_stores_them_by_the_source_and_says_so() {
    let Test { rig, written, .. } = test(APART, all_fine(), |sink| sink.transactional());
    let (running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    hand.order(Order::Settle { id: 1 });
    // It holds nothing, and has never said that it keeps anything: the store decides.
    hears(&mut hand, &["settled 1 None"]).await;
    let ear = Arc::<Ear>::default();
    // Out of order, as a plain merge passes them: the position is that of what is there whole.
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    hand.arrive(0, batch(1, 20..30, true), claim(&ear, 2));
    settle_down().await;
    hand.order(Order::Settle { id: 2 });
    hears(&mut hand, &["settled 2 Some([10])"]).await;
    assert_eq!(ear.heard().len(), 2);
    hand.arrive(0, batch(1, 10..20, true), claim(&ear, 1));
    settle_down().await;
    hand.order(Order::Settle { id: 3 });
    hears(&mut hand, &["settled 3 Some([30])"]).await;
    // Opened anew, elsewhere: from where it is committed.
    hand.arrive(0, batch(2, 0..5, true), claim(&Arc::default(), 0));
    settle_down().await;
    assert_eq!(running.committed(), ["p0: 30"]);
    hand.order(Order::Settle { id: 4 });
    hears(&mut hand, &["settled 4 Some([5])"]).await;
    assert_eq!(written.durable().len(), 35);
}

#[tokio::test(start_paused = true)]
async fn a_position_that_only_the_origin_knows_is_asked_for() {
    let Test { rig, written, .. } = test(APART, all_fine(), |sink| sink.transactional());
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, false), claim(&ear, 0));
    settle_down().await;
    hand.order(Order::Settle { id: 9 });
    hears(&mut hand, &["locate 0 p0:10"]).await;
    assert_eq!((written.durable(), ear.heard()), (vec![], vec![]));
    hand.order(Order::Placed { id: 0, position: Some(number(4_711)) });
    hears(&mut hand, &["settled 9 Some([4711])"]).await;
    assert_eq!(ear.heard(), [settled(0, 0..10, Outcome::Delivered)]);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_committed_any_more_is_cut_off_and_given_back() {
    let Test { rig, written, .. } = test(APART, all_fine(), |sink| sink.transactional());
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, false), claim(&ear, 0));
    settle_down().await;
    hand.order(Order::Settle { id: 9 });
    hears(&mut hand, &["locate 0 p0:10"]).await;
    hand.order(Order::Placed { id: 0, position: None });
    hears(&mut hand, &["settled 9 None"]).await;
    assert_eq!(ear.heard(), [settled(0, 0..10, Outcome::Abandoned)]);
    assert_eq!(written.len(), 0);
    // The same again, under the same slot: it is there once.
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    settle_down().await;
    hand.order(Order::Settle { id: 10 });
    hears(&mut hand, &["settled 10 Some([10])"]).await;
    assert_eq!(ear.heard(), [settled(0, 0..10, Outcome::Delivered)]);
    assert_eq!(written.durable(), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_can_not_commit_begins_anew_though_nobody_asks_what_it_holds() {
    let Test { rig, written, .. } = test(APART, all_fine(), |sink| sink.transactional());
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, false), claim(&ear, 0));
    hears(&mut hand, &["locate 0 p0:10"]).await;
    hand.order(Order::Placed { id: 0, position: None });
    settle_down().await;
    assert_eq!(ear.heard(), [settled(0, 0..10, Outcome::Abandoned)]);
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(written.durable(), (0..10).collect::<Vec<_>>());
    no_report(&mut hand);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_can_never_commit_begins_anew_after_longer_and_longer_waits() {
    let always: Vec<u32> = (1..10_000).collect();
    let Test { rig, written, .. } = test(APART, all_fine(), |sink| sink.transactional().begins_anew_at(&always));
    let (running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    let mut lives = 0;
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    for _ in 0..6_000 {
        if ear.heard() == [settled(0, 0..10, Outcome::Abandoned)] {
            lives += 1;
            hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!((6..20).contains(&lives), "{lives} lives in a minute");
    hand.order(Order::Anew { hop: 0 });
    hears(&mut hand, &["anew 0", "ready 0"]).await;
    hand.order(Order::Over(Ok(())));
    ends(running).await.expect("it is told to end");
    assert!(written.durable().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_can_not_be_opened_anew_is_tried_again() {
    let change = |sink: ScriptSink<u64>| sink.transactional().begins_anew_at(&[1]).away_at(&[2, 3, 4, 6, 7]);
    let Test { rig, written, .. } = test(APART, all_fine(), change);
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ear.heard(), [settled(0, 0..10, Outcome::Abandoned)]);
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(written.durable(), (0..10).collect::<Vec<_>>());
    no_report(&mut hand);
    // Told to, too.
    hand.order(Order::Anew { hop: 0 });
    hears(&mut hand, &["anew 0", "ready 0"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_can_not_be_opened_at_first_ends_the_run() {
    let Test { rig, .. } = test(APART, all_fine(), |sink| sink.transactional().away_at(&[1]));
    let (running, mut hand) = rig.start(1, 2).await;
    let said = say(&hand.report().await);
    assert!(said.contains("can't be opened"), "{said}");
    ends(running).await.expect_err("it can't be opened");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_drained_ends_without_what_it_can_not_commit() {
    let Test { rig, written, .. } = test(APART, all_fine(), |sink| sink.transactional());
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    tokio::time::sleep(Duration::from_secs(1)).await;
    hand.arrive(0, batch(1, 10..20, false), claim(&ear, 1));
    hand.drained(0);
    hears(&mut hand, &["locate 0 p0:20"]).await;
    hand.order(Order::Placed { id: 0, position: None });
    hears(&mut hand, &["ended 0"]).await;
    assert_eq!(ear.heard(), [settled(0, 0..10, Outcome::Delivered), settled(1, 0..10, Outcome::Abandoned)]);
    assert_eq!(written.durable(), (0..10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_replay_under_the_same_slot_moves_the_position_once() {
    let Test { rig, written, .. } = test(APART, all_fine(), |sink| sink.transactional());
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    settle_down().await;
    assert_eq!(written.len(), 10);
    hand.order(Order::Anew { hop: 0 });
    hears(&mut hand, &["anew 0", "ready 0"]).await;
    assert_eq!((ear.heard(), written.len()), (vec![settled(0, 0..10, Outcome::Abandoned)], 0));
    for slot in [0, 0] {
        hand.arrive(0, batch(1, 0..10, true), claim(&ear, slot));
    }
    settle_down().await;
    hand.order(Order::Settle { id: 1 });
    hears(&mut hand, &["settled 1 Some([10])"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_closed_opens_again_where_it_is_committed() {
    let Test { rig, ledger, .. } = test(APART, all_fine(), |sink| sink);
    let (running, mut hand) = rig.start(0, 2).await;
    // Close and ask before there is anything.
    hand.order(Order::Close { gives_up: true });
    hears(&mut hand, &["closed"]).await;
    hand.order(Order::Settle { id: 1 });
    hears(&mut hand, &["settled 1 None"]).await;
    hand.order(open(5));
    hears(&mut hand, &["opened 1"]).await;
    let ear = Arc::<Ear>::default();
    let mut kept = Vec::new();
    for _ in 0..4 {
        let (batch, ticket) = hand.sent(0).await;
        assert_eq!((batch.shared().epoch, batch.shared().instance), (5, 0));
        kept.push(ticket);
    }
    let fourth = kept.pop().expect("there are four");
    kept.into_iter().for_each(|ticket| ticket.delivered());
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(ledger.saved(P0), Some(300));
    hand.order(Order::Locate { id: 3, partition: Partition::new(P0), epoch: 5, sequence: 342 });
    hand.order(Order::Locate { id: 4, partition: Partition::new(P0), epoch: 4, sequence: 342 });
    hears(&mut hand, &["located 3 Some(342)", "located 4 None"]).await;
    hand.order(Order::Close { gives_up: true });
    hears(&mut hand, &["closed"]).await;
    while !matches!(hand.exits[0].recv().await, Some(Left::Gone | Left::End)) {}
    fourth.delivered();
    hand.order(open(6));
    hears(&mut hand, &["opened 1"]).await;
    let (again, _) = hand.sent(0).await;
    assert_eq!((values(&again)[0], again.shared().first, again.shared().epoch), (300, 0, 6));
    // What the sink holds wins.
    hand.order(Order::Close { gives_up: true });
    hears(&mut hand, &["closed"]).await;
    while !matches!(hand.exits[0].recv().await, Some(Left::Gone | Left::End)) {}
    let key =
        crate::contracts::Key { pipeline: "numbers".into(), stage: "SCRIPT".into(), partition: Partition::new(P0) };
    let held = Some(vec![crate::contracts::Checkpoint { key, position: number(950) }]);
    hand.order(Order::Open { epoch: 7, held, claimed: Vec::new() });
    hears(&mut hand, &["opened 1"]).await;
    let (last, ticket) = hand.sent(0).await;
    assert_eq!(values(&last), (950..1_000).collect::<Vec<_>>());
    let Claim { origin, slot } = ear.claim(ticket);
    origin.settle(slot, 0..50, Outcome::Delivered);
    hears(&mut hand, &["committed"]).await;
    hand.order(Order::Over(Ok(())));
    let summary = ends(running).await.expect("it runs well");
    assert_eq!(summary.committed, ["p0: 1000"]);
    // What was read again counts once: 300 and 50 are in the run.
    assert_eq!(summary.records_in, 350);
}

#[tokio::test(start_paused = true)]
async fn a_seal_commits_exactly_so_far() {
    for sequence in [0, 437, 500, 1_000] {
        let Test { rig, ledger, .. } = test(APART, all_fine(), |sink| sink);
        let (running, mut hand) = rig.start(0, 2).await;
        hand.order(open(5));
        hears(&mut hand, &["opened 1"]).await;
        let ear = Arc::<Ear>::default();
        let mut claims = Vec::new();
        for _ in 0..10 {
            claims.push(ear.claim(hand.sent(0).await.1));
        }
        hand.order(Order::Seal { partition: Partition::new(P0), epoch: 5, sequence });
        tokio::time::sleep(Duration::from_secs(1)).await;
        if sequence > 0 {
            no_report(&mut hand);
        }
        for (first, Claim { origin, slot }) in (0..).step_by(100).zip(claims) {
            let passed = sequence.saturating_sub(first).min(100) as u32;
            origin.settle(slot, 0..passed, Outcome::Delivered);
        }
        hears(&mut hand, &["committed"]).await;
        hand.order(Order::Over(Ok(())));
        let summary = ends(running).await.expect("it runs well");
        assert_eq!((summary.ended, summary.records_in), (Ended::Limit, sequence));
        assert_eq!(ledger.saved(P0).unwrap_or_default(), sequence);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_told_by_the_first_record_of_each_origin_that_did_not_pass() {
    let Test { rig, written, .. } = test(APART, Middle::Limit(25), |sink| sink);
    let (running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    for slot in 0..4 {
        hand.arrive(0, batch(1, slot * 10..slot * 10 + 10, true), claim(&ear, slot));
    }
    hears(&mut hand, &["limited 0 SCRIPT/1:25", "ended 0"]).await;
    assert_eq!(written.durable(), (0..25).collect::<Vec<_>>());
    let heard = ear.heard();
    assert!(heard.contains(&settled(2, 0..5, Outcome::Delivered)), "{heard:?}");
    assert!(heard.contains(&settled(2, 5..10, Outcome::Abandoned)), "{heard:?}");
    hand.order(Order::Over(Ok(())));
    assert_eq!(ends(running).await.expect("it runs well").ended, Ended::Limit);
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_could_not_commit_counts_for_a_limit_only_once_it_comes_again() {
    let Test { rig, written, .. } = test(APART, Middle::Limit(25), |sink| sink.transactional());
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..5, true), claim(&ear, 0));
    settle_down().await;
    hand.order(Order::Settle { id: 8 });
    hears(&mut hand, &["settled 8 Some([5])"]).await;
    hand.arrive(0, batch(1, 5..15, false), claim(&ear, 1));
    settle_down().await;
    hand.order(Order::Settle { id: 9 });
    hears(&mut hand, &["locate 0 p0:15"]).await;
    hand.order(Order::Placed { id: 0, position: None });
    hears(&mut hand, &["settled 9 Some([5])"]).await;
    for slot in 1..4 {
        hand.arrive(0, batch(1, slot * 10 - 5..slot * 10 + 5, true), claim(&ear, slot));
    }
    hears(&mut hand, &["limited 0 SCRIPT/1:25", "ended 0"]).await;
    assert_eq!(written.durable(), (0..25).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_limit_whose_last_commit_is_lost_lets_the_same_pass_again() {
    let Test { rig, written, .. } = test(APART, Middle::Limit(25), |sink| sink.transactional());
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    for slot in 0..3 {
        hand.arrive(0, batch(1, slot * 10..slot * 10 + 10, slot < 2), claim(&ear, slot));
    }
    hears(&mut hand, &["locate 0 p0:25"]).await;
    hand.order(Order::Placed { id: 0, position: None });
    settle_down().await;
    let heard = ear.heard();
    assert!((0..2).all(|slot| heard.contains(&settled(slot, 0..10, Outcome::Abandoned))), "{heard:?}");
    for slot in 0..3 {
        hand.arrive(0, batch(1, slot * 10..slot * 10 + 10, true), claim(&ear, slot));
    }
    hears(&mut hand, &["limited 0 SCRIPT/1:25", "ended 0"]).await;
    assert_eq!(written.durable(), (0..25).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_a_source_reads_again_counts_for_a_limit_once() {
    let first = [Where::First, Where::First, Where::Last];
    let Test { rig, .. } = test(first, Middle::Limit(250), |sink| sink);
    let (_running, mut hand) = rig.start(0, 2).await;
    let ear = Arc::<Ear>::default();
    let mut passed = Vec::new();
    for (epoch, held, batches) in [(5, None, 2), (6, None, 1), (7, Some(150), usize::MAX)] {
        let key =
            crate::contracts::Key { pipeline: "numbers".into(), stage: "SCRIPT".into(), partition: Partition::new(P0) };
        let held = held.map(|at| vec![crate::contracts::Checkpoint { key, position: number(at) }]);
        hand.order(Order::Open { epoch, held, claimed: Vec::new() });
        hears(&mut hand, &["opened 1"]).await;
        let (mut seen, mut claims) = (Vec::new(), Vec::new());
        while seen.len() < batches
            && let Some(Left::Sent(batch, ticket)) = hand.exits[0].recv().await
        {
            let Claim { origin, slot } = ear.claim(ticket);
            if seen.is_empty() && epoch == 5 {
                origin.settle(slot, 0..100, Outcome::Delivered);
            }
            claims.push(origin);
            seen.push(values(&batch));
        }
        passed = seen.concat();
        if batches < usize::MAX {
            settle_down().await;
            hand.order(Order::Close { gives_up: true });
            hears(&mut hand, &["closed"]).await;
            while !matches!(hand.exits[0].recv().await, Some(Left::Gone | Left::End)) {}
        }
    }
    assert_eq!(passed, (150..250).collect::<Vec<_>>(), "0 to 149 are in the sink");
}

#[tokio::test(start_paused = true)]
async fn what_a_broker_deals_out_is_read_once_the_sink_was_asked_where_it_stands() {
    let everywhere = [Where::Everywhere, Where::Last, Where::Last];
    let Test { mut rig, ledger, .. } = test(everywhere, all_fine(), |sink| sink.transactional());
    let dealt = Script::of(&ledger, 0..1_000_u64).and(0..1_000).opens_after(3).batch(100).one_of_all();
    rig.source = Arc::new(dealt);
    let (_running, mut hand) = rig.start(0, 2).await;
    hand.order(open(5));
    hears(&mut hand, &["opened 1", "reopen with "]).await;
    settle_down().await;
    assert!(hand.exits[0].try_recv().is_err(), "others may have read on since the sink was asked");
    hand.order(Order::Open { epoch: 6, held: None, claimed: vec![Partition::new(P0)] });
    hears(&mut hand, &["opened 1"]).await;
    assert!(matches!(hand.exits[0].recv().await, Some(Left::Gone)));
    for _ in 0..3 {
        hand.sent(0).await;
    }
    hears(&mut hand, &["reopen with p1"]).await;
    settle_down().await;
    assert!(hand.exits[0].try_recv().is_err(), "nothing more is read, of no partition");
}

#[tokio::test(start_paused = true)]
async fn a_limit_between_two_network_stages_is_told_before_its_records_have_arrived() {
    let on_one = [Where::First, Where::Named("peer-1".into()), Where::Last];
    let Test { rig, .. } = test(on_one, Middle::Limit(25), |sink| sink);
    let (_running, mut hand) = rig.start(1, 3).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    for slot in 0..4 {
        hand.arrive(0, batch(1, slot * 10..slot * 10 + 10, true), claim(&ear, slot));
    }
    hears(&mut hand, &["limited 0 SCRIPT/1:25", "ended 0"]).await;
    let mut passed = 0;
    while let Ok(Left::Sent(batch, ticket)) = hand.exits[1].try_recv() {
        passed += batch.len();
        ticket.delivered();
    }
    assert_eq!(passed, 25);
    assert!(ear.heard().contains(&settled(2, 0..5, Outcome::Delivered)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_is_told_as_a_limit_behind_what_is_durable() {
    let Test { rig, .. } = test(APART, all_fine(), |sink| sink.reader_goes_after(25));
    let (running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    tokio::time::sleep(Duration::from_secs(1)).await;
    hand.arrive(0, batch(1, 10..20, true), claim(&ear, 1));
    hand.arrive(0, batch(1, 20..30, true), claim(&ear, 2));
    hears(&mut hand, &["limited 0 SCRIPT/1:10", "ended 0"]).await;
    let heard = ear.heard();
    assert!(heard.contains(&settled(0, 0..10, Outcome::Delivered)), "{heard:?}");
    assert!(heard.contains(&settled(1, 0..10, Outcome::Abandoned)), "{heard:?}");
    hand.order(Order::Over(Ok(())));
    assert_eq!(ends(running).await.expect("that is no failure").ended, Ended::ReaderGone);
}

#[tokio::test(start_paused = true)]
async fn one_of_several_sinks_has_records_with_gaps_and_follows_none() {
    let Test { rig, written, .. } =
        test([Where::First, Where::Everywhere, Where::Everywhere], all_fine(), |sink| sink.transactional());
    let (_running, mut hand) = rig.start(1, 3).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    for slot in 0..10 {
        hand.arrive(0, batch(1, slot * 30..slot * 30 + 10, true), claim(&ear, slot));
    }
    settle_down().await;
    hand.order(Order::Settle { id: 1 });
    hears(&mut hand, &["settled 1 None"]).await;
    assert_eq!((ear.heard().len(), written.durable().len()), (10, 100));
}

#[tokio::test(start_paused = true)]
async fn between_two_network_stages_outcomes_go_back_at_once() {
    let Test { rig, .. } = test(BETWEEN, all_fine(), |sink| sink);
    let (_running, mut hand) = rig.start(1, 3).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 3));
    let (sent, mut ticket) = hand.sent(1).await;
    assert_eq!(values(&sent).len(), 10);
    ticket.split_at(5).delivered();
    assert_eq!(ear.heard(), [settled(3, 5..10, Outcome::Delivered)]);
    drop(ticket);
    assert_eq!(ear.heard(), [settled(3, 0..5, Outcome::Abandoned)]);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_begins_anew_has_an_empty_fold() {
    let Test { rig, written, .. } = test(APART, Middle::Sum, |sink| sink);
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 5..10, true), claim(&ear, 1));
    hand.arrive(0, batch(1, 0..5, true), claim(&ear, 0));
    settle_down().await;
    // The hold comes before what it holds is absorbed; one on a lower record replaces it.
    let absorbed = |slot| settled(slot, 0..5, Outcome::Absorbed);
    let (first, second) = (1_000, 1_001);
    let expected = [Heard::Held(1, 0, first), absorbed(1), Heard::Held(0, 0, second), absorbed(0)];
    assert_eq!(ear.heard(), expected, "the release of the first hold waits for the sink");
    hand.order(Order::Anew { hop: 0 });
    hears(&mut hand, &["anew 0", "ready 0"]).await;
    hand.arrive(0, batch(2, 0..4, true), claim(&ear, 7));
    hand.end(0);
    hears(&mut hand, &["ended 0"]).await;
    assert_eq!(written.durable(), [6]);
    let heard = ear.heard();
    assert!(matches!(heard.last(), Some(Heard::Released(id)) if *id > second), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_asked_of_the_origin_and_its_record_settles_once_it_is_durable() {
    let middle = Middle::Check(Arc::new(|value| value != 3), Policy::DeadLetter(0));
    let Test { mut rig, ledger, written, .. } = test(APART, middle, |sink| sink);
    let letters = ScriptSink::<Bytes>::new(&ledger, "letters");
    rig.letters = vec![Arc::new(letters.clone())];
    let (_running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    for (slot, answer) in [(0, Ok(())), (1, Err("the way is lost".to_owned()))] {
        hand.arrive(0, batch(1, 0..10, true), claim(&ear, slot));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let note = Note { letters: 0, stage: "MIDDLE".into(), reason: "3 is bad".into() };
        assert_eq!(ear.heard(), [Heard::Buries(slot, 3, note)]);
        ear.buried(answer.clone());
        tokio::time::sleep(Duration::from_secs(1)).await;
        // What lies behind one that comes again must not be written before it.
        let heard = match answer {
            Ok(()) => settled(slot, 3..4, Outcome::Disposed),
            Err(_) => settled(slot, 3..10, Outcome::Abandoned),
        };
        assert!(ear.heard().contains(&heard));
    }
    assert_eq!((written.len(), letters.written().len()), (9 + 3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_written_where_the_source_is() {
    let Test { mut rig, ledger, .. } = test(APART, all_fine(), |sink| sink);
    let letters = ScriptSink::<Bytes>::new(&ledger, "letters");
    rig.letters = vec![Arc::new(letters.clone())];
    let (running, mut hand) = rig.start(0, 2).await;
    hand.order(open(5));
    hears(&mut hand, &["opened 1"]).await;
    let (batch, _) = hand.sent(0).await;
    let note = Note { letters: 0, stage: "MIDDLE".into(), reason: "3 is bad".into() };
    hand.order(Order::Bury { id: 8, shared: batch.shared().clone(), record: 3, note: note.clone() });
    hears(&mut hand, &["buried 8 Ok(())"]).await;
    let line = String::from_utf8(letters.written().durable()[0].to_vec()).expect("JSON is text");
    assert!(line.contains(r#""position":"p0 record 3","stage":"MIDDLE","reason":"3 is bad""#), "{line}");
    // A letter that can't be written fails the run, as it does where there is one instance.
    hand.order(Order::Bury { id: 9, shared: batch.shared().clone(), record: 100, note });
    let wrong = "a dead letter was asked for record 100 of a batch of 100";
    hears(&mut hand, &[&format!("buried 9 Err({wrong:?})"), &format!("failed {wrong}")]).await;
    hand.order(Order::Over(Err(Error::new(Cause::Outside, "as said"))));
    assert_eq!(ends(running).await.expect_err("it fails").message(), wrong);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_run_here_is_not_made() {
    let ledger = Ledger::new();
    let no_source = || -> ScriptSource<u64> { panic!("a source that is not here was made") };
    let no_sink = || -> ScriptedSink<u64> { panic!("a sink that is not here was made") };
    let no_letters = || -> ScriptedSink<Bytes> { panic!("dead letters that are not needed were opened") };
    for me in 0..3 {
        let Test { mut rig, .. } = test(BETWEEN, all_fine(), |sink| sink);
        rig.places = [Where::First, Where::Named("peer-1".into()), Where::Last];
        if me != 0 {
            rig.source = Arc::new(source(SourceTraits::new("SCRIPT", "nothing"), no_source));
            rig.letters = vec![Arc::new(sink(SinkTraits::new("LETTERS", "nothing", "no"), no_letters))];
        }
        if me != 1 {
            rig.middle = Middle::Unmade;
        }
        if me != 2 {
            rig.sink = Arc::new(sink(SinkTraits::new("SINK", "nothing", "no"), no_sink));
        }
        rig.store = (me == 0).then(|| Arc::new(MemoryStore::new(&ledger)) as _);
        let (running, mut hand) = rig.start(me, 3).await;
        match me {
            0 => {
                hand.order(open(1));
                hears(&mut hand, &["opened 1"]).await;
                hand.sent(0).await;
            }
            _ => hears(&mut hand, &[["ready 0", "ready 1"][me - 1]]).await,
        }
        settle_down().await;
        running.abort();
        assert_eq!(ends(running).await.expect_err("it was aborted").cause(), Cause::User);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_to_all_and_what_has_settled_is_committed() {
    let middle = Middle::Check(Arc::new(|value| value != 15), Policy::Fail);
    let Test { rig, written, .. } = test(APART, middle, |sink| sink.slow_flushes(Duration::from_millis(100)));
    let (running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    let ear = Arc::<Ear>::default();
    hand.arrive(0, batch(1, 0..10, true), claim(&ear, 0));
    hand.arrive(0, batch(1, 10..20, true), claim(&ear, 1));
    hears(&mut hand, &["failed MIDDLE: record 15: 15 is bad"]).await;
    assert_eq!(written.durable(), (0..15).collect::<Vec<_>>());
    let delivered: u32 = ear
        .heard()
        .iter()
        .map(|heard| match heard {
            Heard::Settled(_, records, Outcome::Delivered) => records.len() as u32,
            _ => 0,
        })
        .sum();
    assert_eq!(delivered, 15);
    hand.order(Order::Over(Err(Error::new(Cause::Outside, "as said"))));
    assert_eq!(ends(running).await.expect_err("it fails").message(), "15 is bad");
}

#[tokio::test(start_paused = true)]
async fn a_failure_elsewhere_ends_this_instance_with_what_has_settled_committed() {
    let Test { rig, ledger, .. } = test(APART, all_fine(), |sink| sink);
    let (running, mut hand) = rig.start(0, 2).await;
    hand.order(open(5));
    hears(&mut hand, &["opened 1"]).await;
    let (_, first) = hand.sent(0).await;
    let (_, _second) = hand.sent(0).await;
    first.delivered();
    hand.order(Order::Over(Err(Error::new(Cause::Record, "peer-1: it is bad"))));
    assert_eq!(ends(running).await.expect_err("it fails").message(), "peer-1: it is bad");
    assert_eq!(ledger.saved(P0), Some(100));
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_asked_to_end_says_so_and_follows_orders() {
    let Test { rig, ledger, .. } = test(APART, all_fine(), |sink| sink);
    let rig =
        Rig { source: Arc::new(Script::endless(&ledger, |at| at).batch(100).every(Duration::from_millis(10))), ..rig };
    let (running, mut hand) = rig.start(0, 2).await;
    hand.order(open(5));
    hears(&mut hand, &["opened 1"]).await;
    running.drain();
    hears(&mut hand, &["drain"]).await;
    // It reads on until it is told not to.
    let mut tickets: Vec<_> = vec![hand.sent(0).await.1, hand.sent(0).await.1];
    hand.order(Order::Drain);
    loop {
        match hand.exits[0].recv().await {
            Some(Left::Sent(_, ticket)) => tickets.push(ticket),
            Some(Left::End) => break,
            _ => panic!("it ends well"),
        }
    }
    let read = tickets.len() as u64 * 100;
    tickets.into_iter().for_each(|ticket| ticket.delivered());
    hears(&mut hand, &["committed"]).await;
    hand.order(Order::Over(Ok(())));
    let summary = ends(running).await.expect("it runs well");
    assert_eq!((summary.ended, summary.records_in, ledger.saved(P0)), (Ended::Drained, read, Some(read)));
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_takes_longer_than_the_grace_period_ends_this_instance_alone() {
    let Test { rig, .. } = test(APART, all_fine(), |sink| sink);
    let (running, mut hand) = rig.start(0, 2).await;
    hand.order(open(5));
    hears(&mut hand, &["opened 1"]).await;
    let (_, _kept) = hand.sent(0).await;
    running.drain();
    hears(&mut hand, &["drain"]).await;
    hand.order(Order::Drain);
    let error = ends(running).await.expect_err("a record never came back");
    assert!(error.message().contains("within its grace period"), "{error}");
    no_report(&mut hand);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_waits_for_what_will_not_come_finishes_when_it_is_told_to() {
    let Test { rig, ledger, .. } = test(APART, all_fine(), |sink| sink);
    let (running, mut hand) = rig.start(0, 2).await;
    hand.order(open(5));
    hears(&mut hand, &["opened 1"]).await;
    let (_, first) = hand.sent(0).await;
    first.delivered();
    let (_, second) = hand.sent(0).await;
    let hold = second.hold(0);
    second.absorbed(false);
    while let Some(Left::Sent(_, ticket)) = hand.exits[0].recv().await {
        ticket.absorbed(false);
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    no_report(&mut hand);
    hand.order(Order::Finish);
    hears(&mut hand, &["committed"]).await;
    hand.order(Order::Over(Ok(())));
    ends(running).await.expect("it runs well");
    assert_eq!(ledger.saved(P0), Some(100));
    drop(hold);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_dropped_by_the_exchange_waits_for_what_comes_next() {
    let Test { rig, .. } = test(APART, all_fine(), |sink| sink);
    let (running, mut hand) = rig.start(1, 2).await;
    hears(&mut hand, &["ready 0"]).await;
    hand.entries[0].send(Arrival::Gone).unwrap_or_else(|_| panic!("it is there"));
    settle_down().await;
    no_report(&mut hand);
    hand.order(Order::Anew { hop: 0 });
    hears(&mut hand, &["anew 0", "ready 0"]).await;
    hand.end(0);
    hears(&mut hand, &["ended 0"]).await;
    hand.order(Order::Over(Ok(())));
    ends(running).await.expect("it runs well");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_ends_the_run_everywhere() {
    let Test { rig, store, .. } = test(APART, all_fine(), |sink| sink);
    let rig = Rig { store: Some(Arc::new(store.fails_after(0))), ..rig };
    let (running, mut hand) = rig.start(0, 2).await;
    hand.order(open(1));
    hears(&mut hand, &["opened 1"]).await;
    hand.sent(0).await.1.delivered();
    hears(&mut hand, &["failed the script says that the store fails"]).await;
    // Whether or not the exchange has a last word.
    assert_eq!(ends(running).await.expect_err("it fails").message(), "the script says that the store fails");
}

#[tokio::test(start_paused = true)]
async fn a_failed_commit_is_told_although_what_leaves_finds_no_room() {
    let Test { rig, store, .. } = test(APART, all_fine(), |sink| sink);
    let rig = Rig { store: Some(Arc::new(store.fails_after(0))), ..rig };
    let (running, mut hand) = rig.start(0, 2).await;
    hand.room(3);
    hand.order(open(1));
    hears(&mut hand, &["opened 1"]).await;
    hand.sent(0).await.1.delivered();
    hears(&mut hand, &["failed the script says that the store fails"]).await;
    hand.order(Order::Over(Err(Error::new(Cause::Outside, "as said"))));
    ends(running).await.expect_err("it fails");
}

#[tokio::test(start_paused = true)]
async fn an_exit_without_room_holds_the_source_back() {
    let Test { rig, ledger, .. } = test(APART, all_fine(), |sink| sink);
    let (_running, mut hand) = rig.start(0, 2).await;
    hand.room(3);
    hand.order(open(1));
    hears(&mut hand, &["opened 1"]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(ledger.emitted(), 400, "three have left, and one waits");
    // It is dropped where it waits, and begins again from there.
    hand.order(Order::Close { gives_up: true });
    hears(&mut hand, &["closed"]).await;
}

#[tokio::test(start_paused = true)]
async fn the_epoch_of_a_fold_is_another_each_time() {
    let Test { rig, .. } = test(BETWEEN, Middle::Sum, |sink| sink);
    let (_running, mut hand) = rig.start(1, 3).await;
    hears(&mut hand, &["ready 0"]).await;
    let mut epochs = Vec::new();
    for _ in 0..3 {
        hand.arrive(0, batch(1, 0..10, true), claim(&Arc::default(), 0));
        hand.end(0);
        hears(&mut hand, &["ended 0"]).await;
        let (sum, ticket) = hand.sent(1).await;
        assert_eq!((values(&sum), sum.shared().instance), (vec![45], 1));
        epochs.push(sum.shared().epoch);
        ticket.delivered();
        while !matches!(hand.exits[1].recv().await, Some(Left::End)) {}
        hand.order(Order::Anew { hop: 0 });
        hears(&mut hand, &["anew 0", "ready 0"]).await;
    }
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stage_on_a_peer_that_is_none_is_refused_before_anything_is_opened() {
    let Test { mut rig, .. } = test(APART, all_fine(), |sink| sink);
    rig.places = [Where::First, Where::Named("peer-9".into()), Where::Last];
    let (started, hand) = rig.try_start(0, 2).await;
    let error = started.err().expect("there is no such peer");
    assert_eq!(error.message(), "a stage is to run on peer-9, which is none of the peers (peer-0, peer-1): name one");
    assert!(hand.is_none());
}
