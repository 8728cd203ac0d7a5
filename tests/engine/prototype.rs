//! The test cases of the prototype, by its own names for them.

use std::time::Duration;

use millstream::Engine as _;
use millstream::contracts::Where;
use millstream::declare::Pipeline;
use millstream::runtime::{self, Ended, Job};
use millstream_core::testkit::{Act, Ledger, Script, ScriptSink};

use super::{end, millis, numbers, one, runs, simulated, start};

fn is_commit(act: &Act) -> bool {
    matches!(act, Act::Committed { .. })
}

#[tokio::test(start_paused = true)]
async fn commits_get_rarer_under_slow_commits() {
    let mut counts = Vec::new();
    for slow in [0, 1_000, 4_000] {
        let ledger = Ledger::new();
        let source = Script::endless(&ledger, |number| number).batch(10).every(millis(10)).slow_commits(millis(slow));
        let running = start(Pipeline::source(source).sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
        tokio::time::sleep(Duration::from_secs(60)).await;
        running.drain();
        let summary = end(running).await.expect("drained");
        assert_eq!(ledger.violations(one), [""; 0]);
        assert_eq!(ledger.committed("p0"), Some(summary.records_in));
        assert!(summary.records_in > 1_000, "{summary:?}");
        counts.push(ledger.count(is_commit));
    }
    assert!((200..=242).contains(&counts[0]), "at most every 250 ms: {counts:?}");
    assert!((15..=21).contains(&counts[1]), "each takes 1 s and 2 s pass between: {counts:?}");
    assert!((4..=7).contains(&counts[2]), "each takes 4 s and 8 s pass between: {counts:?}");
}

#[tokio::test(start_paused = true)]
async fn the_final_commit_is_exact_when_a_limit_ends_an_unbounded_source() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(100).every(millis(30)).slow_commits(millis(100));
    let summary = runs(Pipeline::source(source).limit(12_345).sink(sink)).await;
    assert_eq!((summary.ended, summary.records_out), (Ended::Limit, 12_345));
    assert_eq!(written.durable(), numbers(0..12_345));
    assert_eq!(ledger.committed("p0"), Some(12_345));
    assert!(ledger.count(is_commit) > 3, "it also committed on the way");
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_with_network_stages_fails_without_a_network() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<String>::new(&ledger, "out");
    let written = sink.written();
    let pipeline =
        Pipeline::source(Script::of(&ledger, vec!["a".to_owned()]).one_of_all()).filter(|_: &str| true).sink(sink);
    let plan = pipeline.plan_for(3).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    assert!(!plan.graph.network.is_empty());
    let error = runtime::start(Job::new(plan, pipeline.declaration()), simulated()).await.err().expect("no network");
    assert!(error.message().contains("no network to run them"), "{error}");
    assert!(written.is_empty() && ledger.entries().is_empty(), "nothing was opened");
}

#[tokio::test(start_paused = true)]
async fn sources_can_choose_an_exclusive_node() {
    for place in [Where::First, Where::Last, Where::Named("reader".to_owned())] {
        let ledger = Ledger::new();
        let source = Script::of(&ledger, vec!["a".to_owned()]).exclusive(place.clone());
        let pipeline = Pipeline::source(source).filter(|_: &str| true).sink(ScriptSink::<String>::new(&ledger, "out"));
        let plan = pipeline.plan_for(3).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(plan.located[0].place, place);
        let filter = plan.located.iter().find(|located| located.stage.starts_with("FILTER")).expect("it runs");
        assert_eq!(filter.place, Where::Everywhere, "what it reads is dealt to all");
    }
}

#[tokio::test(start_paused = true)]
async fn timed_triggers_flush() {
    let ledger = Ledger::new();
    let source = Script::of(&ledger, 0..49_u64).batch(1).every(millis(10)).waits();
    let pipeline = Pipeline::source(source).sink(ScriptSink::<u64>::new(&ledger, "out")).trigger_every(millis(50));
    let mut settings = simulated();
    settings.commit_interval = Duration::from_secs(100);
    let running = super::start_with(pipeline, settings).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let flushes = ledger.times(|act| matches!(act, Act::Flushed { .. }));
    let expected: Vec<_> = (1..=10).map(|turn| millis(50 * turn)).collect();
    assert_eq!(flushes, expected, "every 50 ms while records come, and not after the last");
    running.drain();
    assert_eq!(end(running).await.expect("drained").records_out, 49);
}

#[tokio::test(start_paused = true)]
async fn no_trigger_is_one_flush_at_the_end() {
    let ledger = Ledger::new();
    let summary =
        runs(Pipeline::source(Script::of(&ledger, 0..5_000_u64)).sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    assert_eq!((summary.records_out, ledger.flushes("out")), (5_000, 1));
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_each_1_is_a_flush_for_each_record() {
    let ledger = Ledger::new();
    let source = Script::of(&ledger, 0..40_u64).batch(1);
    let summary = runs(Pipeline::source(source).sink(ScriptSink::<u64>::new(&ledger, "out")).trigger_each(1)).await;
    let flushes = ledger.flushes("out");
    assert_eq!(summary.records_out, 40);
    assert!((40..=41).contains(&flushes), "{flushes} flushes: one a record, and the last commit's");
    let acts = ledger.entries().into_iter().map(|entry| entry.act);
    let acts: Vec<_> = acts.filter(|act| matches!(act, Act::Wrote { .. } | Act::Flushed { .. })).take(80).collect();
    assert!(acts.chunks(2).all(|pair| matches!(pair, [Act::Wrote { .. }, Act::Flushed { .. }])), "{acts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_trigger_each_1_flushes_each_record_of_a_larger_batch() {
    let ledger = Ledger::new();
    let source = Script::of(&ledger, 0..40_u64).batch(16);
    runs(Pipeline::source(source).sink(ScriptSink::<u64>::new(&ledger, "out")).trigger_each(1)).await;
    let flushes = ledger.flushes("out");
    assert!((40..=41).contains(&flushes), "{flushes} flushes: one a record, and the last commit's");
}

#[tokio::test(start_paused = true)]
async fn sinks_without_timed_triggers_still_checkpoint() {
    let ledger = Ledger::new();
    let source = Script::of(&ledger, 0..100_u64).batch(1).every(millis(100)).waits();
    let running =
        start(Pipeline::source(source).sink(ScriptSink::<u64>::new(&ledger, "out")).trigger_each(1_000_000)).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(ledger.committed("p0"), Some(100), "all is committed while it still runs");
    assert!(ledger.count(is_commit) > 20);
    assert_eq!(ledger.violations(one), [""; 0]);
    running.drain();
    assert_eq!(end(running).await.expect("drained").records_out, 100);
}

#[tokio::test(start_paused = true)]
async fn timed_folds_emit_at_the_right_intervals() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    // A record at 10, 20, … 1,000 ms; an emission at 101, 202, …
    let source = Script::of(&ledger, 0..100_u64).batch(1).every(millis(10)).waits();
    let pipeline = Pipeline::source(source).count().trigger_every(millis(101)).sink(sink);
    let running = start(pipeline).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let times = ledger.times(|act| matches!(act, Act::Wrote { .. }));
    assert_eq!(times, (1..=10).map(|turn| millis(101 * turn)).collect::<Vec<_>>());
    assert_eq!(written.values(), [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    running.drain();
    assert_eq!(end(running).await.expect("drained").records_in, 100);
    assert_eq!(ledger.committed("p0"), Some(100));
}

#[tokio::test(start_paused = true)]
async fn bounded_sources_always_end_with_the_right_result() {
    for round in 0..40_u64 {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        let source = Script::of(&ledger, 0..round * 37).batch(1 + round as usize % 9).every(millis(round % 4 * 40));
        let fold = Pipeline::source(source).fold(0, |sum: &mut u64, value: u64| *sum += value);
        let summary = runs(fold.trigger_every(millis(30)).sink(sink)).await;
        let count = round * 37;
        assert_eq!(summary.records_in, count);
        assert_eq!(written.values().last(), Some(&(count * count.saturating_sub(1) / 2)), "round {round}");
        assert_eq!(ledger.committed("p0").unwrap_or_default(), count);
    }
}

/// Workers that take longer for some records than for others still keep order.
#[tokio::test(start_paused = true)]
async fn filter_map_flat_map_and_sink_keep_order_with_several_workers() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(3));
    let written = sink.written();
    let source = Script::of(&ledger, 0..10_000_u64).batch(97);
    let pipeline = Pipeline::source(source)
        .filter(|value: &u64| !value.is_multiple_of(3))
        .par(3)
        .map(|value: u64| value * 2)
        .par(4)
        .flat_map(|value: &u64, emit: &mut millstream::contracts::Emit<'_, u64>| {
            (0..value % 3).for_each(|copy| emit.push(value * 10 + copy));
        })
        .par(2)
        .map_ref(|value: &u64| value + 1)
        .sink(sink);
    let summary = runs(pipeline).await;
    let expected: Vec<u64> = (0..10_000_u64)
        .filter(|value| !value.is_multiple_of(3))
        .map(|value| value * 2)
        .flat_map(|value| (0..value % 3).map(move |copy| value * 10 + copy + 1))
        .collect();
    assert_eq!(written.values(), expected);
    assert_eq!((summary.filtered, summary.records_out), (3_334, expected.len() as u64));
    assert_eq!(ledger.committed("p0"), Some(10_000));
}

#[tokio::test(start_paused = true)]
async fn several_folds_in_a_row() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let pipeline = Pipeline::source(Script::of(&ledger, 0..1_000_u64).batch(33))
        .count()
        .trigger_each(10)
        .fold(0, |sum: &mut u64, count: u64| *sum += count)
        .trigger_each(4)
        .fold(0, |emissions: &mut u64, _: u64| *emissions += 1)
        .sink(sink);
    let summary = runs(pipeline).await;
    assert_eq!(written.values(), [25]);
    assert_eq!((summary.records_in, summary.records_out), (1_000, 1));
    assert_eq!(ledger.committed("p0"), Some(1_000));
}
