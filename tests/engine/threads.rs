//! The same on real threads and the real clock: nothing here asserts how long anything takes.

use std::time::Duration;

use millstream::Engine as _;
use millstream::contracts::Emit;
use millstream::declare::Pipeline;
use millstream::runtime::{Ended, Settings, Summary};
use millstream_core::testkit::{Ledger, MemoryStore, Script, ScriptSink};

use super::{numbers, one};

/// A minute of real time is for ever.
async fn within_a_minute<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it should come to an end")
}

async fn runs(pipeline: Pipeline) -> Summary {
    let running = pipeline.start(Settings::default()).await.unwrap_or_else(|error| panic!("it should start: {error}"));
    within_a_minute(running.join()).await.unwrap_or_else(|error| panic!("it should run well: {}", error.chain()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_workers_on_threads_keep_order() {
    for par in [2, 4] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").blocking();
        let written = sink.written();
        let source = Script::of(&ledger, 0..50_000_u64).batch(100).blocking();
        let copies = |value: &u64, emit: &mut Emit<'_, u64>| (0..value % 3).for_each(|_| emit.push(*value));
        let stream =
            Pipeline::source(source).filter(|value: &u64| !value.is_multiple_of(5)).par(par).flat_map(copies).par(par);
        let summary = runs(stream.sink(sink).store(MemoryStore::new(&ledger))).await;
        let kept = (0..50_000_u64).filter(|value| !value.is_multiple_of(5));
        let expected: Vec<_> = kept.flat_map(|value| (0..value % 3).map(move |_| value)).collect();
        assert_eq!((summary.records_in, summary.filtered), (50_000, 10_000));
        assert!(written.durable() == expected, "order is kept");
        assert_eq!(ledger.committed("p0"), Some(50_000));
        let rows = |_: &str, number: u64| if number.is_multiple_of(5) { 0 } else { (number % 3) as usize };
        assert_eq!(ledger.violations(rows), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_on_threads_is_exact() {
    for round in 0..10_u64 {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").blocking();
        let written = sink.written();
        let source = Script::endless(&ledger, |number| number).batch(13).blocking();
        let limit = 1_000 + round * 17;
        let summary = runs(Pipeline::source(source).map(|value: u64| value).par(3).limit(limit).sink(sink)).await;
        assert_eq!((summary.ended, summary.records_out), (Ended::Limit, limit));
        assert_eq!((written.durable(), ledger.committed("p0")), (numbers(0..limit), Some(limit)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drains_and_failures_on_threads_lose_nothing_and_double_nothing() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").blocking().transactional();
    let (written, store) = (sink.written(), MemoryStore::new(&ledger));
    let source = Script::of(&ledger, 0..20_000_u64).batch(50).blocking().every(Duration::from_micros(500));
    let (mut drained, mut failed, mut ended) = (0, 0, false);
    for round in 0..100_u64 {
        let bad = if round % 2 == 1 { written.durable().len() as u64 + 777 } else { u64::MAX };
        let check = move |value: u64| if value == bad { Err("bad") } else { Ok(value) };
        let stream = Pipeline::source(source.clone()).try_map(check).par(3);
        let pipeline = stream.sink(sink.clone()).store(store.clone());
        let running =
            pipeline.start(Settings::default()).await.unwrap_or_else(|error| panic!("it should start: {error}"));
        if round % 2 == 0 && round < 20 {
            tokio::time::sleep(Duration::from_millis(3 * round)).await;
            running.drain();
        }
        match within_a_minute(running.join()).await {
            Ok(summary) if summary.ended == Ended::Drained => drained += 1,
            Ok(_) => ended = true,
            Err(error) => {
                assert_eq!(error.message(), "bad");
                failed += 1;
            }
        }
        let kept = written.durable();
        assert!(kept == numbers(0..kept.len() as u64), "round {round}");
        if ended {
            break;
        }
    }
    assert!(drained >= 3 && failed >= 3 && ended, "{drained} drained, {failed} failed, {ended}");
    assert_eq!(written.durable().len(), 20_000);
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_fails_late_on_threads_is_exact_and_a_second_run_goes_on_there() {
    for transactional in [false, true] {
        for par in [2, 4] {
            let ledger = Ledger::new();
            let sink = ScriptSink::<u64>::new(&ledger, "out").blocking();
            let sink = if transactional { sink.transactional() } else { sink };
            let (written, store) = (sink.written(), MemoryStore::new(&ledger));
            let source = Script::of(&ledger, 0..20_000_u64);
            // The other workers have gone far ahead when this one fails.
            let late = |value: u64| match value {
                1_500 => {
                    std::thread::sleep(Duration::from_millis(100));
                    Err("bad")
                }
                _ => Ok(value),
            };
            let stream = Pipeline::source(source.clone()).try_map(late).par(par);
            let pipeline = stream.sink(sink.clone()).store(store.clone());
            let running =
                pipeline.start(Settings::default()).await.unwrap_or_else(|error| panic!("it should start: {error}"));
            let error = within_a_minute(running.join()).await.expect_err("it fails");
            assert_eq!((error.message(), error.place()), ("bad", Some("p0 record 1500")));
            assert_eq!((written.values(), written.durable().len()), (numbers(0..1_500), 1_500), "par {par}");
            let summary = runs(Pipeline::source(source).map(|value: u64| value).par(par).sink(sink).store(store)).await;
            assert_eq!(summary.records_in, 18_500);
            assert!(written.durable() == numbers(0..20_000), "par {par}, transactional: {transactional}");
            assert_eq!(ledger.violations(one), [""; 0]);
        }
    }
}
