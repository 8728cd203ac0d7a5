//! Exactness: what is in the sink, what is committed, and what a second run goes on with.

use millstream::contracts::Cause;
use millstream::declare::Pipeline;
use millstream::runtime::Ended;
use millstream_core::testkit::{Ledger, MemoryStore, Script, ScriptSink, Written};

use super::{end, fails, millis, numbers, one, run, runs, start};

/// Everything before `record` is in the sink and committed, and nothing else.
fn is_exact(ledger: &Ledger, written: &Written<u64>, record: u64) {
    assert_eq!(written.values(), numbers(0..record));
    assert_eq!(written.durable(), numbers(0..record));
    assert_eq!(ledger.committed("p0").unwrap_or_default(), record);
    assert_eq!(ledger.violations(one), [""; 0]);
}

fn fails_on(bad: u64) -> impl Fn(u64) -> Result<u64, String> + Send + Sync + 'static {
    move |value| if value == bad { Err(format!("{value} is bad")) } else { Ok(value) }
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_at_a_record_exactly_the_records_before_it_are_in_the_sink_and_committed() {
    for par in [1, 3] {
        for batch in [1, 10, 256] {
            for bad in [0, 1, 9, 10, 255, 256, 700, 999] {
                let ledger = Ledger::new();
                let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(5));
                let written = sink.written();
                let source = Script::of(&ledger, 0..1_000_u64).batch(batch);
                let error =
                    fails(Pipeline::source(source).try_map(fails_on(bad)).par(par).named("check").sink(sink)).await;
                assert_eq!(error.to_string(), format!("check: p0 record {bad}: {bad} is bad"));
                assert_eq!(error.cause(), Cause::Record);
                is_exact(&ledger, &written, bad);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_exact_through_tasks_that_stand_behind_it() {
    for stages in 0..3 {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(5));
        let written = sink.written();
        let stream = Pipeline::source(Script::of(&ledger, 0..1_000_u64).batch(50)).try_map(fails_on(432));
        let pipeline = match stages {
            0 => stream.buffer(1_000).map(|value: u64| value).sink(sink),
            1 => stream.map(|value: u64| value).par(3).sink(sink),
            _ => {
                let slowly = |value: u64| async move {
                    tokio::time::sleep(millis(value % 7)).await;
                    value
                };
                stream.map_async(8, slowly).sink(sink)
            }
        };
        assert_eq!(fails(pipeline).await.message(), "432 is bad");
        is_exact(&ledger, &written, 432);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_of_several_failures_counts_with_several_workers() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let bad = |value: u64| if value % 300 == 299 { Err(format!("{value} is bad")) } else { Ok(value) };
    let source = Script::of(&ledger, 0..5_000_u64).batch(16);
    let error = fails(Pipeline::source(source).try_map(bad).par(4).sink(sink)).await;
    is_exact(&ledger, &written, 299);
    assert!(error.message().ends_with("is bad"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_exact_and_a_second_run_goes_on_there() {
    for batch in [1, 10, 256] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let (written, store) = (sink.written(), MemoryStore::new(&ledger));
        let source = Script::of(&ledger, 0..1_000_u64).batch(batch).fails_at(345);
        let again = || Pipeline::source(source.clone()).map(|value: u64| value).sink(sink.clone()).store(store.clone());
        let error = fails(again()).await;
        assert_eq!(error.to_string(), "SCRIPT: the script says that record 345 fails");
        is_exact(&ledger, &written, 345);
        let summary = runs(again()).await;
        assert_eq!((summary.records_in, summary.records_out), (655, 655));
        is_exact(&ledger, &written, 1_000);
        assert_eq!(ledger.saved("p0"), Some(1_000));
    }
}

#[tokio::test(start_paused = true)]
async fn runs_that_fail_again_and_again_lose_nothing_and_double_nothing() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let (written, store) = (sink.written(), MemoryStore::new(&ledger));
    let mut failed = 0;
    loop {
        // Each run gets 77 records further.
        let until = 77 * (1 + failed);
        let check = move |value: u64| if value >= until { Err("not yet") } else { Ok(value) };
        let source = Script::of(&ledger, 0..1_000_u64).batch(30);
        let pipeline = Pipeline::source(source).try_map(check).par(2).sink(sink.clone()).store(store.clone());
        if run(pipeline).await.is_ok() {
            break;
        }
        failed += 1;
        is_exact(&ledger, &written, 77 * failed);
    }
    assert_eq!(failed, 12);
    is_exact(&ledger, &written, 1_000);
}

#[tokio::test(start_paused = true)]
async fn empty_input_ends_well() {
    let ledger = Ledger::new();
    let summary =
        runs(Pipeline::source(Script::<u64>::of(&ledger, [])).sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    assert_eq!((summary.ended, summary.records_in, summary.records_out), (Ended::Input, 0, 0));
    assert_eq!((ledger.committed("p0"), summary.committed.len()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn when_everything_is_filtered_everything_is_committed() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::of(&ledger, 0..3_000_u64).batch(100).every(millis(50));
    let summary = runs(Pipeline::source(source).filter(|_: &u64| false).par(2).sink(sink)).await;
    assert_eq!((summary.records_in, summary.filtered, summary.records_out), (3_000, 3_000, 0));
    assert_eq!((ledger.committed("p0"), written.len()), (Some(3_000), 0));
    assert_eq!(ledger.violations(|_, _| 0), [""; 0]);
    assert_eq!(summary.committed, ["p0: 3000"]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_never_passes_a_gap() {
    let ledger = Ledger::new();
    // Records settle in any order, some only after seconds.
    let sink = ScriptSink::<u64>::new(&ledger, "out").settles_after(|value: &u64| millis(value * 7_919 % 3_000));
    let source = Script::of(&ledger, 0..2_000_u64).batch(40).every(millis(20)).and(5_000..6_000_u64);
    let summary = runs(Pipeline::source(source).sink(sink).store(MemoryStore::new(&ledger))).await;
    assert_eq!((summary.records_out, summary.late), (3_000, 0));
    assert_eq!((ledger.committed("p0"), ledger.committed("p1")), (Some(2_000), Some(1_000)));
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_drain_in_mid_run_is_exact_and_a_second_run_goes_on_there() {
    for batch in [1, 7, 100] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(20));
        let (written, store) = (sink.written(), MemoryStore::new(&ledger));
        let source = Script::of(&ledger, 0..2_000_u64).batch(batch).every(millis(15));
        let again =
            || Pipeline::source(source.clone()).map(|value: u64| value).par(2).sink(sink.clone()).store(store.clone());
        let running = start(again()).await;
        tokio::time::sleep(millis(150)).await;
        running.drain();
        let summary = end(running).await.expect("drained");
        assert_eq!(summary.ended, Ended::Drained);
        let record = summary.records_in;
        assert!(record > 0 && record < 2_000, "in mid-run: {record}");
        is_exact(&ledger, &written, record);
        let summary = runs(again()).await;
        assert_eq!(summary.records_in, 2_000 - record);
        is_exact(&ledger, &written, 2_000);
    }
}
