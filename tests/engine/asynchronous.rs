//! `map_async`: bounded concurrency, order, policies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use millstream::declare::{OnError, Pipeline};
use millstream_core::testkit::{Act, Ledger, Script, ScriptSink};

use super::{fails, millis, numbers, one, runs};

/// Counts how many run at once.
#[derive(Clone, Default)]
struct Gauge(Arc<(AtomicUsize, AtomicUsize)>);

impl Gauge {
    async fn run(self, value: u64) -> u64 {
        let now = self.0.0.fetch_add(1, Relaxed) + 1;
        self.0.1.fetch_max(now, Relaxed);
        tokio::time::sleep(millis(1 + value * 7_919 % 13)).await;
        self.0.0.fetch_sub(1, Relaxed);
        value
    }

    fn most(&self) -> usize {
        self.0.1.load(Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn order_is_kept_and_no_more_run_at_once_than_allowed() {
    for batch in [1, 10, 256] {
        for at_once in [1, 4, 50] {
            let (ledger, gauge) = (Ledger::new(), Gauge::default());
            let sink = ScriptSink::<u64>::new(&ledger, "out");
            let written = sink.written();
            let counts = gauge.clone();
            let source = Script::of(&ledger, 0..500_u64).batch(batch);
            let stream = Pipeline::source(source).map_async(at_once, move |value: u64| counts.clone().run(value));
            let summary = runs(stream.sink(sink)).await;
            assert_eq!((summary.records_out, gauge.most()), (500, at_once), "batches of {batch}");
            assert_eq!((written.durable(), ledger.committed("p0")), (numbers(0..500), Some(500)));
            assert_eq!(ledger.violations(one), [""; 0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn at_once_means_at_once_on_the_clock() {
    let ledger = Ledger::new();
    let source = Script::of(&ledger, 0..100_u64).batch(1);
    let second = |value: u64| async move {
        tokio::time::sleep(millis(1_000)).await;
        value
    };
    runs(Pipeline::source(source).map_async(10, second).sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    let times = ledger.times(|act| matches!(act, Act::Wrote { .. }));
    assert_eq!((times.len(), times[0], times[99]), (100, millis(1_000), millis(10_000)));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_exact_and_what_ran_behind_it_is_dropped() {
    for batch in [1, 10, 256] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        // The bad record takes longest.
        let check = |value: u64| async move {
            tokio::time::sleep(millis(if value == 73 { 100 } else { 1 })).await;
            assert!(value != 73, "no 73, please");
            value
        };
        let source = Script::of(&ledger, 0..500_u64).batch(batch);
        let error = fails(Pipeline::source(source).map_async(20, check).sink(sink)).await;
        assert_eq!(error.place(), Some("p0 record 73"));
        assert_eq!((written.durable(), ledger.committed("p0")), (numbers(0..73), Some(73)), "batches of {batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn stages_and_limits_stand_behind_it() {
    for batch in [1, 10, 256] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        let source = Script::endless(&ledger, |number| number).batch(batch);
        let pipeline = Pipeline::source(source)
            .filter(|value: &u64| value.is_multiple_of(2))
            .map_async(8, |value: u64| Gauge::default().run(value))
            .filter(|value: &u64| value.is_multiple_of(3))
            .map(|value: u64| value / 6)
            .limit(50)
            .sink(sink);
        let summary = runs(pipeline).await;
        assert_eq!((written.durable(), summary.records_out), (numbers(0..50), 50), "batches of {batch}");
        assert_eq!(ledger.committed("p0"), Some(49 * 6 + 1));
    }
}

#[tokio::test(start_paused = true)]
async fn skipped_records_do_not_disturb_those_around_them() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let check = |value: u64| async move {
        tokio::time::sleep(millis(value % 5)).await;
        assert!(value % 7 != 3, "no");
        value
    };
    let source = Script::of(&ledger, 0..700_u64).batch(10);
    let stream = Pipeline::source(source).map_async(16, check).on_error(OnError::Skip).map(|value: u64| value);
    let summary = runs(stream.sink(sink)).await;
    assert_eq!((summary.skipped, summary.records_out), (100, 600));
    assert_eq!(written.durable(), (0..700).filter(|value| value % 7 != 3).collect::<Vec<_>>());
    assert_eq!(ledger.committed("p0"), Some(700));
}
