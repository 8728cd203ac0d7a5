//! Folds: what they hold, what they absorb, and that they never stand in their own way.

use std::time::Duration;

use millstream::data::Kv;
use millstream::declare::Pipeline;
use millstream_core::testkit::{Ledger, MemoryStore, Script, ScriptSink};

use super::{end, fails, millis, run, runs, simulated, start, start_with};

#[tokio::test(start_paused = true)]
async fn the_commit_stays_behind_what_a_fold_has_taken_in_until_its_output_has_arrived() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::of(&ledger, 0..95_u64).batch(1).every(millis(100)).waits();
    let running = start(Pipeline::source(source).count().trigger_each(10).sink(sink)).await;
    for turn in 1..10_u64 {
        // Between two emissions: the count stands at `turn * 10 + 5`.
        tokio::time::sleep(millis(if turn == 1 { 1_550 } else { 1_000 })).await;
        assert_eq!(written.values().last(), Some(&(turn * 10)));
        assert_eq!(ledger.committed("p0"), Some(turn * 10), "not past the first record of what has not come out");
    }
    running.drain();
    end(running).await.expect("drained");
    assert_eq!((written.durable().last(), ledger.committed("p0")), (Some(&95), Some(95)));
}

#[tokio::test(start_paused = true)]
async fn a_trigger_above_the_bound_on_records_in_flight_does_not_deadlock() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::of(&ledger, 0..120_000_u64);
    let summary = runs(Pipeline::source(source).buffer(1_000).count().trigger_each(50_000).sink(sink)).await;
    assert_eq!(written.durable(), [50_000, 100_000, 120_000]);
    assert_eq!((summary.records_in, ledger.committed("p0")), (120_000, Some(120_000)));
}

#[tokio::test(start_paused = true)]
async fn a_fold_without_a_trigger_takes_in_more_than_may_be_in_flight() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let mut settings = simulated();
    settings.in_flight_bytes = 4_096;
    let fold = Pipeline::source(Script::of(&ledger, 0..50_000_u64)).fold(0, |sum: &mut u64, value: u64| *sum += value);
    super::run_with(fold.sink(sink), settings).await.expect("it runs well");
    assert_eq!((written.durable(), ledger.committed("p0")), (vec![49_999 * 25_000], Some(50_000)));
}

#[tokio::test(start_paused = true)]
async fn empty_input_gives_the_initial_state_and_a_count_of_none() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::<u64>::of(&ledger, []);
    let summary = runs(Pipeline::source(source).fold(7, |sum: &mut u64, value: u64| *sum += value).sink(sink)).await;
    assert_eq!((written.durable(), summary.records_in, summary.records_out), (vec![7], 0, 1));
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    runs(Pipeline::source(Script::<u64>::of(&ledger, [])).count().sink(sink)).await;
    assert_eq!(written.durable(), [0]);
}

#[tokio::test(start_paused = true)]
async fn a_fold_of_nothing_but_filtered_records_commits_them() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::of(&ledger, 0..1_000_u64).batch(10).every(millis(10)).waits();
    let running = start(Pipeline::source(source).filter(|_: &u64| false).count().trigger_each(5).sink(sink)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let committed = ledger.committed("p0").unwrap_or_default();
    running.drain();
    end(running).await.expect("drained");
    assert_eq!((written.durable(), ledger.committed("p0")), (vec![0], Some(1_000)));
    assert!(committed == 0 || committed == 1_000, "{committed}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_a_fold_commits_only_what_has_come_out() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let check = |count: u64| if count == 70 { Err("no 70, please") } else { Ok(count) };
    let pipeline = Pipeline::source(Script::of(&ledger, 0..1_000_u64).batch(64)).count().trigger_each(10);
    fails(pipeline.try_map(check).sink(sink)).await;
    assert_eq!((written.durable(), ledger.committed("p0")), (vec![10, 20, 30, 40, 50, 60], Some(60)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_a_fold_emits_nothing_more() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let (written, store) = (sink.written(), MemoryStore::new(&ledger));
    let source = Script::of(&ledger, 0..1_000_u64).batch(64);
    let pipeline = |bad: u64| {
        let check = move |value: u64| if value == bad { Err("bad") } else { Ok(value) };
        let stream = Pipeline::source(source.clone()).try_map(check).count().trigger_each(10);
        stream.sink(sink.clone()).store(store.clone())
    };
    run(pipeline(77)).await.expect_err("it fails");
    assert_eq!((written.durable(), ledger.committed("p0")), (vec![10, 20, 30, 40, 50, 60, 70], Some(70)));
    // State starts afresh: the second run counts what was not committed.
    runs(pipeline(u64::MAX)).await;
    assert_eq!(written.durable()[7..].last(), Some(&930));
    assert_eq!(ledger.committed("p0"), Some(1_000));
}

#[tokio::test(start_paused = true)]
async fn one_state_a_key_is_emitted_when_it_has_changed() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let pipeline = Pipeline::source(Script::of(&ledger, 0..1_000_u64).batch(64))
        .key_by(|value: &u64| value % 3)
        .count()
        .map(|pair: Kv<u64, u64>| pair.key * 1_000 + pair.value)
        .sink(sink);
    let summary = runs(pipeline).await;
    assert_eq!((written.durable(), summary.records_in), (vec![334, 1_333, 2_333], 1_000));
    assert_eq!(ledger.committed("p0"), Some(1_000));
}

#[tokio::test(start_paused = true)]
async fn more_keys_than_allowed_fail_the_record_that_has_one_more() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let keyed = Pipeline::source(Script::of(&ledger, 0..100_u64)).key_by(|value: &u64| *value);
    let fold = keyed.fold_up_to(40, 0, |sum: &mut u64, value: u64| *sum += value).map(|pair: Kv<u64, u64>| pair.value);
    let error = fails(fold.sink(sink)).await;
    assert_eq!(error.place(), Some("p0 record 40"));
    assert!(error.message().contains("the 40 that the fold may keep"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_fold_by_count_and_time_emits_at_whichever_comes_first() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    // 25 records in the first 25 ms, then none.
    let source = Script::of(&ledger, 0..25_u64).batch(1).every(millis(1)).waits();
    let pipeline = Pipeline::source(source).count().trigger_each(10).trigger_every(millis(100)).sink(sink);
    let running = start_with(pipeline, simulated()).await;
    tokio::time::sleep(millis(99)).await;
    assert_eq!(written.values(), [10, 20]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(written.values(), [10, 20, 25]);
    running.drain();
    assert_eq!(end(running).await.expect("drained").records_out, 3);
}
