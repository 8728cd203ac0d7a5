//! Retries: order, waits by the clock, and what comes after them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream::coders::json;
use millstream::contracts::{Cause, Emit};
use millstream::data::Bytes;
use millstream::declare::{OnError, Pipeline};
use millstream_core::testkit::{Act, Ledger, Script, ScriptSink};
use tokio::time::Instant;

use super::{end, fails, millis, numbers, one, runs, simulated, start, start_with};

/// Counts how often each record was tried, and when.
#[derive(Clone, Default)]
struct Tries(Arc<Mutex<HashMap<u64, Vec<Instant>>>>);

impl Tries {
    fn count(&self, value: u64) -> usize {
        let mut tries = self.0.lock().expect("no panic while it is locked");
        let times = tries.entry(value).or_default();
        times.push(Instant::now());
        times.len()
    }

    fn waits(&self, value: u64) -> Vec<Duration> {
        let tries = self.0.lock().expect("no panic while it is locked");
        tries[&value].windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    fn of(&self, value: u64) -> usize {
        self.0.lock().expect("no panic while it is locked").get(&value).map_or(0, Vec::len)
    }

    /// Records that `is_bad` go well only at try number `good`.
    fn check(
        &self,
        is_bad: impl Fn(u64) -> bool + Send + Sync + 'static,
        good: usize,
    ) -> impl Fn(u64) -> Result<u64, String> + Send + Sync + 'static {
        let tries = self.clone();
        move |value| match tries.count(value) >= good || !is_bad(value) {
            true => Ok(value),
            false => Err(format!("{value} is not ready")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn retries_keep_order_with_and_without_workers() {
    for par in [1, 4] {
        for batch in [1, 10, 256] {
            let (ledger, tries) = (Ledger::new(), Tries::default());
            let sink = ScriptSink::<u64>::new(&ledger, "out");
            let written = sink.written();
            let source = Script::of(&ledger, 0..1_000_u64).batch(batch);
            let check = tries.check(|value| value % 10 == 3 || value % 100 == 4, 3);
            let summary = runs(Pipeline::source(source).try_map(check).par(par).retry(2).sink(sink)).await;
            assert_eq!(written.durable(), numbers(0..1_000), "par {par}, batches of {batch}");
            assert_eq!((summary.retried, summary.records_out), (220, 1_000), "par {par}, batches of {batch}");
            assert_eq!((tries.of(3), tries.of(4), tries.of(5)), (3, 3, 1), "none that went well runs twice");
            assert!((0..1_000).all(|value| tries.of(value) == if value % 10 == 3 || value % 100 == 4 { 3 } else { 1 }));
            assert_eq!(ledger.committed("p0"), Some(1_000));
            assert_eq!(ledger.violations(one), [""; 0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_doubles_up_to_its_cap() {
    let (ledger, tries) = (Ledger::new(), Tries::default());
    let source = Script::of(&ledger, 0..20_u64);
    let stream = Pipeline::source(source).try_map(tries.check(|value| value == 7, 7)).retry(6);
    runs(stream.backoff(millis(50), millis(500)).sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    assert_eq!(tries.waits(7), [50, 100, 200, 400, 500, 500].map(millis));

    let (ledger, tries) = (Ledger::new(), Tries::default());
    let stream =
        Pipeline::source(Script::of(&ledger, 0..20_u64)).try_map(tries.check(|value| value == 7, 12)).retry(11);
    runs(stream.sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    let first = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000];
    assert_eq!(tries.waits(7), first.map(millis), "100 ms to 30 s unless told otherwise");
}

#[tokio::test(start_paused = true)]
async fn what_lies_before_a_record_that_waits_goes_through_and_is_committed() {
    let (ledger, tries) = (Ledger::new(), Tries::default());
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let stream =
        Pipeline::source(Script::of(&ledger, 0..100_u64)).try_map(tries.check(|value| value == 40, 2)).retry(1);
    let mut running =
        start(stream.named("check").backoff(Duration::from_secs(60), Duration::from_secs(60)).sink(sink)).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((written.values(), ledger.committed("p0")), (numbers(0..40), Some(40)));
    let metrics = running.metrics();
    assert_eq!((metrics.stages[1].name.as_str(), metrics.stages[1].waiting, metrics.lag), ("check", 1, 60));
    assert_eq!(metrics.blocking.as_deref(), Some("p0: record 40 is in flight"));
    let summary = running.ended().await.expect("it ends");
    assert_eq!((written.values(), summary.retried), (numbers(0..100), 1));
}

#[tokio::test(start_paused = true)]
async fn after_the_last_retry_comes_the_policy() {
    for (policy, out) in [(OnError::Fail, 40), (OnError::Skip, 99)] {
        let (ledger, tries) = (Ledger::new(), Tries::default());
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        let check = tries.check(|value| value == 40, usize::MAX);
        let failing = matches!(policy, OnError::Fail);
        let stream = Pipeline::source(Script::of(&ledger, 0..100_u64).batch(30)).try_map(check);
        let pipeline = stream.retry(3).on_error(policy).sink(sink);
        if failing {
            assert_eq!(fails(pipeline).await.to_string().split(": ").nth(1), Some("p0 record 40"));
            assert_eq!(ledger.committed("p0"), Some(40));
        } else {
            let summary = runs(pipeline).await;
            assert_eq!((summary.skipped, summary.retried), (1, 3));
            assert_eq!(ledger.committed("p0"), Some(100));
        }
        assert_eq!((tries.of(40), written.durable().len()), (4, out));
    }
}

#[tokio::test(start_paused = true)]
async fn filters_flat_maps_and_what_takes_texts_run_again_from_their_own_input() {
    let (ledger, tries) = (Ledger::new(), Tries::default());
    let sink = ScriptSink::<String>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::of(&ledger, (0..200_u64).map(|value| value.to_string())).batch(32);
    let (first, second, third) = (tries.clone(), Tries::default(), Tries::default());
    let (looks, takes) = (second.clone(), third.clone());
    let number = |text: &str| text.parse::<u64>().unwrap_or_default();
    let pipeline = Pipeline::source(source)
        .filter(move |text: &str| {
            assert!(first.count(number(text)) > 1 || number(text) % 50 != 7, "not yet");
            number(text) % 2 == 1
        })
        .retry(1)
        .flat_map(move |text: &str, emit: &mut Emit<'_, String>| {
            emit.text(text);
            assert!(looks.count(number(text)) > 1 || number(text) % 50 != 9, "not yet");
            emit.text("and");
        })
        .retry(1)
        .try_map(move |text: String| {
            match text == "and" || takes.count(number(&text)) > 1 || number(&text) % 50 != 11 {
                true => Ok(text),
                false => Err("not yet"),
            }
        })
        .retry(1)
        .sink(sink);
    let summary = runs(pipeline).await;
    let expected: Vec<_> = (0..100_u64).flat_map(|half| [(half * 2 + 1).to_string(), "and".to_owned()]).collect();
    assert_eq!(written.durable(), expected);
    assert_eq!((summary.retried, summary.filtered), (12, 100));
    assert_eq!((tries.of(7), second.of(9), third.of(11), tries.of(9)), (2, 2, 2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_while_a_retry_waits_lets_it_through() {
    let (ledger, tries) = (Ledger::new(), Tries::default());
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(10).every(millis(100));
    let stream = Pipeline::source(source).try_map(tries.check(|value| value == 45, 2)).retry(1);
    let stream = stream.backoff(Duration::from_secs(20), Duration::from_secs(20));
    let running = start(stream.sink(sink)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.drain();
    let summary = end(running).await.expect("drained");
    assert_eq!(summary.retried, 1);
    assert!(summary.records_in >= 50);
    assert_eq!(tries.waits(45), [Duration::from_secs(20)]);
    assert_eq!(written.durable(), numbers(0..summary.records_in));
    assert_eq!(ledger.committed("p0"), Some(summary.records_in));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_waits_longer_than_the_grace_period_is_abandoned() {
    let (ledger, tries) = (Ledger::new(), Tries::default());
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(10).every(millis(100));
    let stream = Pipeline::source(source).try_map(tries.check(|value| value == 45, 2)).retry(1);
    let pipeline = stream.backoff(Duration::from_secs(60), Duration::from_secs(60)).sink(sink);
    let mut settings = simulated();
    settings.grace = Duration::from_secs(10);
    let running = start_with(pipeline, settings).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    running.drain();
    let error = end(running).await.expect_err("the grace period is over");
    assert!(error.message().contains("within its grace period of 10s"), "{error}");
    assert_eq!((written.durable(), ledger.committed("p0"), tries.of(45)), (numbers(0..45), Some(45), 1));
}

#[tokio::test(start_paused = true)]
async fn a_sink_writes_again_from_the_row_that_failed() {
    for batch in [1, 10, 256] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").fails_on(|value: &u64| *value == 123, 3, Cause::Outside);
        let written = sink.written();
        let source = Script::of(&ledger, 0..500_u64).batch(batch);
        let pipeline = Pipeline::source(source).sink(sink).retry(3).backoff(millis(10), millis(20));
        let summary = runs(pipeline).await;
        assert_eq!((written.durable(), summary.retried, summary.records_out), (numbers(0..500), 3, 500));
        let times = ledger.times(|act| matches!(act, Act::Wrote { .. }));
        assert_eq!(times[123] - times[122], millis(50), "10, 20 and 20 ms");
        assert_eq!(ledger.violations(one), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_record_of_a_batch_has_all_of_its_retries_at_the_sink() {
    let ledger = Ledger::new();
    let sink = [10, 20, 30, 40_u64].into_iter().fold(ScriptSink::<u64>::new(&ledger, "out"), |sink, bad| {
        sink.fails_on(move |value: &u64| *value == bad, 2, Cause::Outside)
    });
    let written = sink.written();
    let summary = runs(Pipeline::source(Script::of(&ledger, 0..100_u64)).sink(sink).retry(2)).await;
    assert_eq!((written.durable(), summary.retried), (numbers(0..100), 8));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_never_takes_a_row_fails_the_run_after_its_retries() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").fails_on(|value: &u64| *value == 77, u32::MAX, Cause::Outside);
    let written = sink.written();
    let error = fails(Pipeline::source(Script::of(&ledger, 0..100_u64)).sink(sink).retry(4)).await;
    assert_eq!(error.place(), Some("p0 record 77"));
    assert_eq!((written.durable(), ledger.committed("p0")), (numbers(0..77), Some(77)));
}

#[tokio::test(start_paused = true)]
async fn what_an_encoder_made_is_there_again_for_the_retry() {
    for batch in [1, 10, 256] {
        let (ledger, takes, looks) = (Ledger::new(), Tries::default(), Tries::default());
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        let number = |json: &[u8]| String::from_utf8_lossy(json).parse::<u64>().expect("a number in JSON");
        let (take, counts) = (takes.check(|value| value % 50 == 7, 2), looks.clone());
        let look = move |json: &[u8]| {
            assert!(counts.count(number(json)) > 1 || number(json) % 50 != 11, "not yet");
            number(json)
        };
        let stream = Pipeline::source(Script::of(&ledger, 0..300_u64).batch(batch));
        let taken = stream.try_map(move |json: Bytes| take(number(&json))).retry(1);
        let pipeline = taken.map_ref(look).retry(1).sink(sink).with(json::of::<u64>());
        let summary = runs(pipeline).await;
        assert_eq!(written.durable(), numbers(0..300), "batches of {batch}");
        assert_eq!((summary.retried, summary.records_out), (12, 300), "batches of {batch}");
        assert_eq!((takes.of(7), looks.of(11), takes.of(11), looks.of(7)), (2, 2, 1, 1), "batches of {batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_inside_what_one_record_became_gets_none_of_its_rows_twice() {
    for batch in [1, 10, 256] {
        for row in 0..4 {
            let ledger = Ledger::new();
            let bad = move |value: &u64| *value == 40 + row || *value == 43;
            let sink = ScriptSink::<u64>::new(&ledger, "out").fails_on(bad, 3, Cause::Outside);
            let written = sink.written();
            let copies = |value: &u64, emit: &mut Emit<'_, u64>| (0..4).for_each(|copy| emit.push(value * 4 + copy));
            let stream = Pipeline::source(Script::of(&ledger, 0..100_u64).batch(batch)).flat_map(copies);
            let summary = runs(stream.sink(sink).retry(3)).await;
            assert_eq!(written.durable(), numbers(0..400), "row {row} fails, batches of {batch}");
            assert_eq!((summary.retried, summary.records_out), (3, 400), "row {row} fails, batches of {batch}");
            assert_eq!(ledger.committed("p0"), Some(100));
            assert_eq!(ledger.violations(|_, _| 4), [""; 0]);
        }
    }
}
