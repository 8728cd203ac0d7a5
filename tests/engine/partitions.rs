//! Partitions that come and go while it runs.

use millstream::declare::Pipeline;
use millstream_core::testkit::{Act, Ledger, MemoryStore, Script, ScriptSink};

use super::{millis, numbers, one, runs};

#[tokio::test(start_paused = true)]
async fn each_partition_is_committed_by_itself() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let source = Script::of(&ledger, 0..1_000_u64).and(2_000..2_300_u64).and(4_000..4_001_u64).batch(64);
    let summary = runs(Pipeline::source(source).map(|value: u64| value).par(2).sink(sink)).await;
    assert_eq!((summary.records_in, summary.records_out), (1_301, 1_301));
    let committed = ["p0", "p1", "p2"].map(|partition| ledger.committed(partition));
    assert_eq!(committed, [Some(1_000), Some(300), Some(1)]);
    assert_eq!(summary.committed, ["p0: 1000", "p1: 300", "p2: 1"]);
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_may_come_while_it_runs() {
    for after in [1, 5, 1_000] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let source =
            Script::of(&ledger, 0..500_u64).batch(10).every(millis(20)).and(1_000..1_200_u64).opens_after(after);
        let pipeline = Pipeline::source(source).sink(sink).store(MemoryStore::new(&ledger));
        let summary = runs(pipeline).await;
        assert_eq!(summary.records_out, 700);
        assert_eq!((ledger.saved("p0"), ledger.saved("p1")), (Some(500), Some(200)));
        assert_eq!(ledger.violations(one), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_settles_after_its_partition_has_gone_is_late_and_counted() {
    let ledger = Ledger::new();
    // What is written settles after 700 ms; the partition goes after 6 of its batches.
    let sink = ScriptSink::<u64>::new(&ledger, "out").settles_after(|_: &u64| millis(700));
    let written = sink.written();
    let source = Script::of(&ledger, 0..400_u64).and(1_000..2_000_u64).closes_after(12).batch(10).every(millis(50));
    let summary = runs(Pipeline::source(source).sink(sink)).await;
    let gone = ledger.entries();
    let gone = gone.iter().position(|entry| matches!(entry.act, Act::Gone { .. })).expect("it went");
    let late = ledger.entries()[gone..]
        .iter()
        .any(|entry| matches!(&entry.act, Act::Committed { partition, .. } if partition == "p1"));
    assert!(!late, "nothing of it is committed at the source once it has gone");
    assert_eq!(summary.records_in, 460);
    assert_eq!(written.len(), 460);
    // Its first two batches settled while the source waited for the sink to flush, the others after it had gone.
    assert_eq!((summary.late, ledger.committed("p1")), (40, None));
    assert_eq!(ledger.committed("p0"), Some(400));
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_goes_with_nothing_in_flight_leaves_nothing_late() {
    let ledger = Ledger::new();
    let source = Script::of(&ledger, 0..400_u64).and(1_000..1_050_u64).closes_after(15).batch(10).every(millis(50));
    let summary = runs(Pipeline::source(source).sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    assert_eq!((summary.records_out, summary.late), (450, 0));
    assert_eq!((ledger.committed("p0"), ledger.committed("p1")), (Some(400), Some(50)));
}

#[tokio::test(start_paused = true)]
async fn positions_kept_by_the_server_are_where_a_second_run_goes_on() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::of(&ledger, 0..300_u64).and(1_000..1_200_u64).batch(10).kept_by_server();
    let first = runs(Pipeline::source(source.clone()).sink(sink.clone()).limit(95)).await;
    assert_eq!((first.records_out, ledger.committed("p0"), ledger.committed("p1")), (95, Some(50), Some(45)));
    let second = runs(Pipeline::source(source).sink(sink)).await;
    assert_eq!(second.records_in, 405);
    let mut values = written.values();
    values.sort_unstable();
    assert_eq!(values, [numbers(0..300), numbers(1_000..1_200)].concat(), "each once");
}
