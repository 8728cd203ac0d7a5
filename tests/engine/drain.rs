//! The end of a run that was asked for: drain, the grace period, abort.

use std::time::Duration;

use millstream::contracts::Cause;
use millstream::declare::Pipeline;
use millstream::runtime::Ended;
use millstream_core::testkit::{Act, Ledger, MemoryStore, Script, ScriptSink};

use super::{end, millis, numbers, one, runs, simulated, start, start_with};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_idle_source_drains_at_once() {
    let ledger = Ledger::new();
    let running =
        start(Pipeline::source(Script::of(&ledger, 0..10_u64).waits()).sink(ScriptSink::<u64>::new(&ledger, "out")))
            .await;
    tokio::time::sleep(10 * SECOND).await;
    let began = tokio::time::Instant::now();
    running.drain();
    let summary = end(running).await.expect("drained");
    assert_eq!((summary.ended, summary.records_out), (Ended::Drained, 10));
    assert!(began.elapsed() < millis(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn ends_are_closed_in_order_once_all_is_committed() {
    let ledger = Ledger::new();
    let pipeline = Pipeline::source(Script::of(&ledger, 0..10_u64)).sink(ScriptSink::<u64>::new(&ledger, "out"));
    runs(pipeline.store(MemoryStore::new(&ledger))).await;
    let acts: Vec<_> = ledger.entries().into_iter().map(|entry| entry.act).collect();
    let (sink, partition) = ("out".to_owned(), "p0".to_owned());
    let expected = [
        Act::Flushed { sink: sink.clone() },
        Act::Saved { partition: partition.clone(), upto: 10 },
        Act::Committed { partition, upto: 10 },
        Act::SinkClosed { sink },
        Act::SourceClosed,
    ];
    assert_eq!(acts[acts.len() - 5..], expected, "{acts:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_grace_period_is_over_what_is_in_flight_is_abandoned_and_a_second_run_goes_on_exactly() {
    for transactional in [false, true] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(SECOND);
        let sink = if transactional { sink.transactional() } else { sink };
        let (written, store) = (sink.written(), MemoryStore::new(&ledger));
        let source = Script::of(&ledger, 0..1_000_u64).batch(10);
        let again = |sink: ScriptSink<u64>| {
            Pipeline::source(source.clone()).filter(|_: &u64| true).par(2).sink(sink).store(store.clone())
        };
        let mut settings = simulated();
        settings.grace = 3 * SECOND;
        let running = start_with(again(sink.clone()), settings).await;
        tokio::time::sleep(5 * SECOND).await;
        running.drain();
        let error = end(running).await.expect_err("more is in flight than 3 s let through");
        assert_eq!(error.cause(), Cause::Outside);
        assert!(error.message().contains("grace period of 3s"), "{error}");
        let kept = ledger.saved("p0").or(stored(&ledger)).expect("some of it was committed");
        assert!((40..=100).contains(&kept), "{kept}");
        assert_eq!(written.durable(), numbers(0..kept));
        let summary = runs(again(sink.slow_writes(Duration::ZERO))).await;
        assert_eq!(summary.records_in, 1_000 - kept);
        assert_eq!(written.durable(), numbers(0..1_000));
        assert_eq!(ledger.violations(one), [""; 0]);
    }
}

fn stored(ledger: &Ledger) -> Option<u64> {
    ledger.entries().iter().rev().find_map(|entry| match &entry.act {
        Act::Stored { upto, .. } => Some(*upto),
        _ => None,
    })
}

#[tokio::test(start_paused = true)]
async fn an_abort_ends_at_once_and_drops_what_is_in_flight() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(300));
    let written = sink.written();
    let source = Script::of(&ledger, 0..1_000_u64).batch(10);
    let running = start(Pipeline::source(source).map(|value: u64| value).par(2).sink(sink)).await;
    tokio::time::sleep(2 * SECOND).await;
    let began = tokio::time::Instant::now();
    running.abort();
    let error = end(running).await.expect_err("aborted");
    assert_eq!(error.cause(), Cause::User);
    assert!(error.message().contains("was aborted"), "{error}");
    assert!(began.elapsed() <= 2 * SECOND, "{:?}", began.elapsed());
    let committed = ledger.committed("p0").expect("some of it was committed");
    assert!((50..=80).contains(&committed), "{committed}");
    assert!(written.len() as u64 >= committed);
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_abort_does_not_wait_for_a_sink_that_hangs() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(Duration::from_secs(86_400 * 365));
    let running = start(Pipeline::source(Script::of(&ledger, 0..1_000_u64)).sink(sink)).await;
    tokio::time::sleep(SECOND).await;
    let began = tokio::time::Instant::now();
    running.abort();
    assert!(end(running).await.is_err());
    assert!(began.elapsed() <= 2 * SECOND, "{:?}", began.elapsed());
    assert_eq!(ledger.committed("p0"), None);
}

#[tokio::test(start_paused = true)]
async fn an_abort_after_a_drain_ends_at_once() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(5 * SECOND);
    let running = start(Pipeline::source(Script::endless(&ledger, |number| number)).sink(sink)).await;
    tokio::time::sleep(SECOND).await;
    running.drain();
    running.abort();
    let began = tokio::time::Instant::now();
    assert!(end(running).await.is_err());
    assert!(began.elapsed() <= 2 * SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_drain_behind_an_untriggered_fold_lets_it_emit_its_last() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(10).every(millis(100));
    let running = start(Pipeline::source(source).count().trigger_each(1_000_000).sink(sink)).await;
    tokio::time::sleep(10 * SECOND + millis(50)).await;
    assert_eq!(ledger.committed("p0").unwrap_or_default(), 0, "nothing has arrived yet");
    running.drain();
    let summary = end(running).await.expect("drained");
    assert_eq!((summary.records_in, written.durable()), (1_000, vec![1_000]));
    assert_eq!(ledger.committed("p0"), Some(1_000));
}

#[tokio::test(start_paused = true)]
async fn a_drain_leaves_what_a_fold_over_all_the_input_has_taken_in_to_the_next_run() {
    for transactional in [false, true] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let sink = if transactional { sink.transactional() } else { sink };
        let (written, store) = (sink.written(), MemoryStore::new(&ledger));
        let source = Script::of(&ledger, 0..400_u64).batch(10).every(millis(100));
        let again = || Pipeline::source(source.clone()).count().sink(sink.clone()).store(store.clone());
        let running = start(again()).await;
        tokio::time::sleep(2 * SECOND + millis(50)).await;
        running.drain();
        let summary = end(running).await.expect("drained");
        assert_eq!((summary.ended, summary.records_in), (Ended::Drained, 200), "in mid-run");
        assert!(written.is_empty(), "half of the input has no count: {:?}", written.values());
        assert_eq!(ledger.saved("p0").or(stored(&ledger)).unwrap_or_default(), 0, "all of it is read again");
        let summary = runs(again()).await;
        assert_eq!((summary.ended, summary.records_in, written.durable()), (Ended::Input, 400, vec![400]));
    }
}
