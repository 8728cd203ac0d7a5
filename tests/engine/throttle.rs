//! Throttles, on the simulated clock.

use std::time::Duration;

use millstream::declare::Pipeline;
use millstream::runtime::Ended;
use millstream_core::testkit::{Act, Ledger, Script, ScriptSink};

use super::{end, millis, numbers, one, runs, start};

const SECOND: Duration = Duration::from_secs(1);

fn writes(ledger: &Ledger) -> Vec<Duration> {
    ledger.times(|act| matches!(act, Act::Wrote { .. }))
}

#[tokio::test(start_paused = true)]
async fn records_pass_evenly_spread() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    runs(Pipeline::source(Script::of(&ledger, 0..100_u64)).throttle(10, SECOND).sink(sink)).await;
    let times = writes(&ledger);
    assert_eq!(times.len(), 100);
    assert!(times.iter().enumerate().all(|(at, time)| *time == millis(100 * at as u64)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fast_throttle_keeps_its_rate_over_any_second() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    runs(Pipeline::source(Script::of(&ledger, 0..50_000_u64)).throttle(10_000, SECOND).sink(sink)).await;
    let times = writes(&ledger);
    assert_eq!(times.len(), 50_000);
    let last = times[49_999];
    assert!((millis(4_900)..=millis(5_100)).contains(&last), "{last:?}");
    let burst = (0..49_000).map(|at| times[at + 999] - times[at]).min().unwrap_or_default();
    assert!(burst >= millis(80), "no 1,000 records within less than about 100 ms: {burst:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_source_has_not_used_is_not_made_up_for() {
    let ledger = Ledger::new();
    // Nothing for 10 s, then 100 at once.
    let source = Script::of(&ledger, 0..100_u64).every(Duration::from_secs(10));
    runs(Pipeline::source(source).throttle(10, SECOND).sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    let times = writes(&ledger);
    assert_eq!(times.len(), 100);
    assert!(times[99] - times[0] >= millis(9_700), "{:?}", times[99] - times[0]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_before_a_throttle_lets_everything_before_it_through() {
    // Longer than the grace period: a limit is no request to end soon.
    for (limit, named) in [(40_u64, false), (40, true), (1_000, true)] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        let source = Script::endless(&ledger, |number| number).batch(16);
        let pipeline = match named {
            true => Pipeline::source(source).limit(limit).map(|value: u64| value).throttle(10, SECOND).sink(sink),
            false => Pipeline::source(source).throttle(10, SECOND).limit(limit).sink(sink),
        };
        let summary = runs(pipeline).await;
        assert_eq!((summary.ended, summary.records_out), (Ended::Limit, limit));
        assert_eq!((written.durable(), ledger.committed("p0")), (numbers(0..limit), Some(limit)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_behind_a_throttle_is_exact_and_soon() {
    for partitions in [1, 2] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        let source = Script::of(&ledger, numbers(0..10_000)).batch(100);
        let source = if partitions == 2 { source.and(numbers(20_000..30_000)) } else { source };
        let running = start(Pipeline::source(source).throttle(10, SECOND).map(|value: u64| value).sink(sink)).await;
        tokio::time::sleep(millis(30_050)).await;
        running.drain();
        let began = tokio::time::Instant::now();
        let summary = end(running).await.unwrap_or_else(|error| panic!("drained: {}", error.chain()));
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
        assert_eq!((summary.ended, summary.records_out), (Ended::Drained, 301));
        let committed = ledger.committed("p0").unwrap_or_default() + ledger.committed("p1").unwrap_or_default();
        assert_eq!((committed, written.durable().len()), (301, 301), "{partitions} partitions");
        assert_eq!(ledger.violations(one), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_behind_a_throttle_behind_a_fold_ends_well() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(64).every(millis(100));
    let pipeline = Pipeline::source(source).count().trigger_each(10).throttle(1, SECOND).sink(sink);
    let running = start(pipeline).await;
    tokio::time::sleep(millis(9_500)).await;
    running.drain();
    let summary = end(running).await.unwrap_or_else(|error| panic!("drained: {}", error.chain()));
    assert_eq!((summary.ended, summary.records_out), (Ended::Drained, 10));
    assert_eq!(written.durable(), (1..=10).map(|turn| turn * 10).collect::<Vec<_>>());
    assert_eq!(ledger.committed("p0"), Some(100), "what the sink has, and not more");
}

#[tokio::test(start_paused = true)]
async fn a_drain_behind_a_throttle_drops_what_waits_in_a_buffer_before_it() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::of(&ledger, numbers(0..10_000)).and(numbers(20_000..30_000)).batch(100);
    let buffered = Pipeline::source(source).map(|value: u64| value).buffer(1_000);
    let running = start(buffered.map(|value: u64| value).throttle(10, SECOND).sink(sink)).await;
    tokio::time::sleep(millis(30_050)).await;
    assert!(ledger.emitted() >= 800, "the rest waits: {}", ledger.emitted());
    running.drain();
    let summary = end(running).await.unwrap_or_else(|error| panic!("drained: {}", error.chain()));
    assert_eq!((summary.ended, summary.records_out, written.durable().len()), (Ended::Drained, 301, 301));
    let of_p0 = written.values().iter().filter(|&&value| value < 10_000).count() as u64;
    assert_eq!((ledger.committed("p0"), ledger.committed("p1")), (Some(of_p0), Some(301 - of_p0)));
    assert_eq!(ledger.violations(one), [""; 0]);
}
