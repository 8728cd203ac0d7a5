//! Sinks that have to take back what they were given: both ends are opened anew, and all goes on from the last commit.

use millstream::contracts::Cause;
use millstream::declare::Pipeline;
use millstream::runtime::Ended;
use millstream_core::testkit::{Act, Ledger, MemoryStore, Script, ScriptSink};

use super::{end, fails, millis, numbers, run, runs, start};

#[tokio::test(start_paused = true)]
async fn what_could_not_be_committed_comes_again_and_is_there_once() {
    for par in [1, 3] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").transactional().begins_anew_at(&[1, 3, 4, 5, 9]);
        let written = sink.written();
        let source = Script::of(&ledger, 0..2_000_u64).batch(20).every(millis(30));
        let stream = Pipeline::source(source).map(|value: u64| value).par(par);
        let summary = runs(stream.sink(sink).store(MemoryStore::new(&ledger))).await;
        assert_eq!(written.durable(), numbers(0..2_000));
        assert_eq!((summary.records_in, summary.ended), (2_000, Ended::Input));
        let opened = ledger.count(|act| matches!(act, Act::Opened { .. }));
        assert_eq!((opened, ledger.count(|act| matches!(act, Act::SourceClosed))), (6, 1), "closed at the end alone");
        assert_eq!(ledger.count(|act| matches!(act, Act::SinkClosed { .. })), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_commits_at_the_sources_own_server_needs_no_store() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").commits_at("one").begins_anew_at(&[2, 3]);
    let (written, source) = (sink.written(), Script::of(&ledger, 0..1_000_u64).batch(20).every(millis(30)));
    let source = source.at_server("one").fails_at(500);
    let pipeline = || Pipeline::source(source.clone()).sink(sink.clone());
    let error = run(pipeline()).await.expect_err("the source fails once");
    assert!(error.message().contains("record 500 fails"), "{error}");
    assert_eq!(written.durable(), numbers(0..500), "what was before it is committed");
    let summary = runs(pipeline()).await;
    assert_eq!((summary.records_in, written.durable()), (500, numbers(0..1_000)));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_commits_at_another_server_commits_nothing_there() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").commits_at("another");
    let source = Script::of(&ledger, 0..100_u64).batch(20).at_server("one");
    assert_eq!(runs(Pipeline::source(source).sink(sink)).await.records_out, 100);
    assert_eq!(ledger.count(|act| matches!(act, Act::Stored { .. })), 0);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_goes_with_records_that_are_not_committed_takes_them_back() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").commits_at("one");
    let written = sink.written();
    let source = Script::of(&ledger, 0..400_u64).and(1_000..1_300_u64).closes_after(15).goes_once().at_server("one");
    let summary = runs(Pipeline::source(source.batch(10).every(millis(30))).sink(sink)).await;
    let mut values = written.durable();
    values.sort_unstable();
    assert_eq!(values, [numbers(0..400), numbers(1_000..1_300)].concat(), "each once");
    assert_eq!(summary.records_in, 700);
    let opened = ledger.count(|act| matches!(act, Act::Opened { .. }));
    assert_eq!(opened, 4, "both were opened anew");
    assert_eq!(summary.committed, ["p0: 400", "p1: 300"]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_goes_with_all_of_it_committed_takes_nothing_back() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").commits_at("one");
    let source = Script::of(&ledger, 0..400_u64).and(1_000..1_050_u64).closes_after(30).goes_once().at_server("one");
    let summary = runs(Pipeline::source(source.batch(10).every(millis(50))).sink(sink)).await;
    assert_eq!((summary.records_out, summary.late), (450, 0));
    assert_eq!(ledger.count(|act| matches!(act, Act::Opened { .. })), 2);
    // Where it stands its server knows, and another may have read on there.
    assert_eq!(summary.committed, ["p0: 400"]);
    let stored = ledger.entries().into_iter().rev().take_while(|entry| !matches!(entry.act, Act::Gone { .. }));
    let p1 = |act: &Act| matches!(act, Act::Stored { partition, .. } if partition == "p1");
    assert!(!stored.into_iter().any(|entry| p1(&entry.act)), "nothing is said of what has gone");
}

#[tokio::test(start_paused = true)]
async fn a_limit_counts_once_what_comes_again() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").transactional().begins_anew_at(&[2, 3, 4]);
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(20).every(millis(30));
    let pipeline = Pipeline::source(source).map(|value: u64| value).limit(555).sink(sink);
    let summary = runs(pipeline.store(MemoryStore::new(&ledger))).await;
    assert_eq!((summary.ended, written.durable()), (Ended::Limit, numbers(0..555)));
}

#[tokio::test(start_paused = true)]
async fn it_waits_longer_each_time_and_ends_when_it_is_asked_to() {
    let ledger = Ledger::new();
    let always: Vec<u32> = (1..1_000).collect();
    let sink = ScriptSink::<u64>::new(&ledger, "out").transactional().begins_anew_at(&always);
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(20).every(millis(30));
    let pipeline = || Pipeline::source(source.clone()).sink(sink.clone()).store(MemoryStore::new(&ledger));
    let running = start(pipeline()).await;
    tokio::time::sleep(millis(60_000)).await;
    running.drain();
    let summary = end(running).await.expect("drained");
    assert_eq!((summary.ended, summary.records_in, written.durable().len()), (Ended::Drained, 0, 0));
    let opened = ledger.count(|act| matches!(act, Act::Opened { .. }));
    assert!((6..20).contains(&opened), "{opened} times in a minute");
    let closed = ledger.count(|act| matches!(act, Act::SourceClosed));
    assert_eq!(closed, 1, "what it keeps to be opened anew is let go of");

    let running = start(pipeline()).await;
    tokio::time::sleep(millis(60_000)).await;
    running.abort();
    let error = end(running).await.expect_err("aborted");
    assert!(error.message().contains("aborted"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_fails_for_another_reason_ends_the_run() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").transactional().begins_anew_at(&[2]);
    let sink = sink.fails_on(|value: &u64| *value == 600, u32::MAX, Cause::Record);
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(20).every(millis(30));
    let error = fails(Pipeline::source(source).sink(sink).store(MemoryStore::new(&ledger))).await;
    assert_eq!((error.cause(), written.durable()), (Cause::Record, numbers(0..600)));
}
