//! Backpressure: what is in flight stays within its bounds, whatever the sink does.

use std::time::Duration;

use millstream::declare::Pipeline;
use millstream_core::testkit::{Ledger, Script, ScriptSink};

use super::{end, millis, numbers, one, run_with, runs, simulated, start};

#[tokio::test(start_paused = true)]
async fn no_more_records_are_in_flight_than_the_sources_buffer_and_one_batch() {
    for par in [1, 3] {
        for (bound, batch) in [(1, 1), (10, 1), (100, 30), (1_000, 256)] {
            let ledger = Ledger::new();
            let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(50));
            let source = Script::of(&ledger, 0..3_000_u64).batch(batch);
            let stream = Pipeline::source(source).buffer(bound).map(|value: u64| value).par(par).buffer(100_000);
            let summary = runs(stream.sink(sink)).await;
            let most = ledger.most_in_flight();
            assert_eq!((summary.records_in, summary.records_out), (3_000, 3_000));
            assert!(most < bound + batch as u64, "{most} in flight, par {par}, bound {bound}, batches of {batch}");
            assert!(most >= bound.min(batch as u64), "{most}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_bytes_are_in_flight_than_allowed_and_one_batch() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<String>::new(&ledger, "out").slow_writes(millis(50));
    let written = sink.written();
    let source = Script::of(&ledger, (0..2_000).map(|value| format!("{value:0100}"))).batch(10);
    let stream = Pipeline::source(source).map(|text: String| text).buffer(100_000).map(|text: String| text);
    let mut settings = simulated();
    settings.in_flight_bytes = 20_000;
    let summary = run_with(stream.sink(sink), settings).await.expect("it runs well");
    let most = ledger.most_in_flight();
    assert_eq!((summary.records_out, written.len()), (2_000, 2_000));
    // Each record has 100 bytes, and its bookkeeping may count too.
    assert!(most <= 200 + 10, "{most} records of 100 bytes are in flight");
    assert!(most >= 100, "the bound is made use of: {most}");
}

#[tokio::test(start_paused = true)]
async fn one_batch_above_the_bound_passes_alone() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(50));
    let source = Script::of(&ledger, 0..1_000_u64).batch(100);
    let mut settings = simulated();
    (settings.in_flight_bytes, settings.in_flight_records) = (1, 1);
    let summary = run_with(Pipeline::source(source).map(|value: u64| value).par(2).sink(sink), settings).await;
    assert_eq!(summary.expect("it runs well").records_out, 1_000);
    assert_eq!(ledger.most_in_flight(), 100);
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_that_come_late_hold_the_source_back() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").settles_after(|_: &u64| millis(1_000));
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(10);
    let running = start(Pipeline::source(source).buffer(50).sink(sink)).await;
    tokio::time::sleep(millis(10_500)).await;
    let before = ledger.emitted();
    assert!((400..=560).contains(&before), "about 50 a second: {before}");
    running.drain();
    let summary = end(running).await.expect("drained");
    assert_eq!(written.durable(), numbers(0..summary.records_in));
    assert_eq!(ledger.committed("p0"), Some(summary.records_in));
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_default_bound_holds_behind_a_sink_that_hangs() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(Duration::from_secs(3_600));
    let source = Script::endless(&ledger, |number| number).batch(1_000);
    let stream = Pipeline::source(source).map(|value: u64| value).buffer(10_000_000);
    let running = start(stream.sink(sink)).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(ledger.emitted(), 100_000);
    assert_eq!(running.metrics().lag, 100_000);
    running.abort();
    assert!(end(running).await.is_err());
}
