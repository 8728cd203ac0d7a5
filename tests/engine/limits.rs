//! Limits: on every kind of stage, with and without workers, behind folds, inside what one record becomes.

use std::time::Duration;

use millstream::contracts::Emit;
use millstream::data::Kv;
use millstream::declare::{OnError, Pipeline, Stream};
use millstream::prelude::{Collect, Engine as _, Generate};
use millstream::runtime::{Ended, Summary};
use millstream_core::testkit::{Ledger, MemoryStore, Script, ScriptSink};

use super::{millis, numbers, one, runs};

/// Runs an endless source through `stages`; returns what came out, how far was committed, and the summary.
async fn limited<M>(
    batch: usize,
    stages: impl FnOnce(Stream<u64, millstream::declare::Root>) -> Stream<u64, M>,
) -> (Vec<u64>, u64, Summary) {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(7));
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(batch).every(millis(1));
    let summary = runs(stages(Pipeline::source(source)).sink(sink)).await;
    assert_eq!(summary.ended, Ended::Limit);
    assert_eq!(written.durable(), written.values());
    assert_eq!(summary.records_out, written.len() as u64);
    (written.values(), ledger.committed("p0").unwrap_or_default(), summary)
}

fn copies(value: &u64, emit: &mut Emit<'_, u64>) {
    (0..3).for_each(|copy| emit.push(value * 3 + copy));
}

#[tokio::test(start_paused = true)]
async fn limits_work_on_sources() {
    for batch in [1, 7, 100, 1_000] {
        let (out, committed, _) = limited(batch, |source| source.limit(321)).await;
        assert_eq!((out, committed), (numbers(0..321), 321), "batches of {batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_work_on_filters_with_and_without_workers() {
    for par in [1, 4] {
        for batch in [1, 64] {
            let (out, committed, _) =
                limited(batch, |source| source.filter(|value: &u64| value % 5 == 4).par(par).limit(60)).await;
            assert_eq!(out, (0..60).map(|value| value * 5 + 4).collect::<Vec<_>>());
            assert_eq!(committed, 300, "up to the record behind the last that passed, par {par}, batches of {batch}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_work_on_maps_with_and_without_workers() {
    for par in [1, 4] {
        let (out, committed, _) = limited(50, |source| source.map(|value: u64| value + 1).par(par).limit(777)).await;
        assert_eq!((out, committed), (numbers(1..778), 777), "par {par}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_work_on_flat_maps_with_and_without_workers() {
    for par in [1, 4] {
        let (out, committed, _) = limited(50, |source| source.flat_map(copies).par(par).limit(600)).await;
        assert_eq!((out, committed), (numbers(0..600), 200), "par {par}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_inside_what_one_record_becomes_ends_before_the_record_that_does_not_fit_whole() {
    for batch in [1, 2, 50] {
        for (limit, records) in [(1, 0), (2, 0), (3, 1), (4, 1), (100, 33), (101, 33), (102, 34)] {
            let (out, committed, _) = limited(batch, |source| source.flat_map(copies).limit(limit)).await;
            assert_eq!((out, committed), (numbers(0..records * 3), records), "limit {limit}, batches of {batch}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn limits_work_on_folds() {
    for batch in [1, 7, 256] {
        let (out, committed, _) = limited(batch, |source| source.count().trigger_each(10).limit(5)).await;
        assert_eq!((out, committed), (vec![10, 20, 30, 40, 50], 50), "batches of {batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_work_on_stages_behind_a_fold() {
    for par in [1, 3] {
        for batch in [1, 7, 256] {
            let stages =
                |source: Stream<u64, _>| source.count().trigger_each(10).map(|count: u64| count * 2).par(par).limit(5);
            let (out, committed, _) = limited(batch, stages).await;
            assert_eq!((out, committed), (vec![20, 40, 60, 80, 100], 50), "par {par}, batches of {batch}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_before_a_fold_lets_the_fold_emit_its_last() {
    let (out, committed, _) = limited(64, |source| source.limit(105).count().trigger_each(50)).await;
    assert_eq!((out, committed), (vec![50, 100, 105], 105));
}

#[tokio::test(start_paused = true)]
async fn limits_work_on_sinks() {
    for par in [1, 4] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        let source = Script::endless(&ledger, |number| number).batch(64);
        let summary = runs(Pipeline::source(source).map(|value: u64| value).par(par).sink(sink).limit(1_000)).await;
        assert_eq!((written.durable(), ledger.committed("p0")), (numbers(0..1_000), Some(1_000)), "par {par}");
        assert_eq!((summary.ended, summary.records_out), (Ended::Limit, 1_000));
        assert_eq!(ledger.violations(one), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_lower_of_two_limits_ends_the_run() {
    let (out, committed, _) =
        limited(64, |source| source.limit(200).filter(|value: &u64| value.is_multiple_of(2)).limit(30)).await;
    assert_eq!((out.len(), committed), (30, 59));
    let (out, committed, _) =
        limited(64, |source| source.limit(20).filter(|value: &u64| value.is_multiple_of(2)).limit(30)).await;
    assert_eq!((out.len(), committed), (10, 20));
}

/// Stages before the limit run ahead of it; what fails there has never been part of the run.
#[tokio::test(start_paused = true)]
async fn a_failure_past_the_limit_is_none() {
    for par in [1, 3] {
        for bad in [50, 51, 99, 120, 400] {
            let check = move |value: u64| if value == bad { Err("bad") } else { Ok(value) };
            let (out, committed, _) = limited(10, |source| source.try_map(check).par(par).buffer(500).limit(50)).await;
            assert_eq!((out, committed), (numbers(0..50), 50), "par {par}, record {bad} is bad");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_the_input_does_not_reach_changes_nothing() {
    let ledger = Ledger::new();
    let summary =
        runs(Pipeline::source(Script::of(&ledger, 0..99_u64)).limit(100).sink(ScriptSink::<u64>::new(&ledger, "out")))
            .await;
    assert_eq!((summary.ended, summary.records_out, ledger.committed("p0")), (Ended::Input, 99, Some(99)));
}

/// What is in flight of another partition when the limit is reached is dropped, and that is no fault.
#[tokio::test(start_paused = true)]
async fn a_limit_over_several_partitions_ends_well_behind_a_slow_sink() {
    for buffer in [None, Some(10_000)] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(millis(400));
        let written = sink.written();
        let source = Script::of(&ledger, numbers(0..1_000)).and(numbers(10_000..11_000)).batch(10);
        let stream = Pipeline::source(source).filter(|_: &u64| true).limit(45);
        let stream = match buffer {
            Some(records) => stream.buffer(records),
            None => stream,
        };
        let summary = runs(stream.sink(sink)).await;
        assert_eq!((summary.ended, summary.records_out), (Ended::Limit, 45));
        let committed = (ledger.committed("p0"), ledger.committed("p1"));
        assert_eq!(committed, (Some(25), Some(20)), "{:?}", written.values());
        assert_eq!(ledger.violations(one), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_inside_what_one_record_becomes_counts_only_rows_of_records_that_came_through() {
    for batch in [1, 7, 64] {
        let check = |value: u64| if value % 10 == 4 { Err("skipped") } else { Ok(value) };
        let stages = |source: Stream<u64, _>| {
            let checked = source.filter(|value: &u64| value.is_multiple_of(2)).try_map(check).on_error(OnError::Skip);
            checked.flat_map(copies).limit(14)
        };
        let (out, committed, _) = limited(batch, stages).await;
        // 0, 2, 6 and 8 become 12 rows, and the three of 10 don't fit.
        let expected: Vec<_> = [0, 2, 6, 8].into_iter().flat_map(|value| numbers(value * 3..value * 3 + 3)).collect();
        assert_eq!((out, committed), (expected, 10), "batches of {batch}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_behind_a_fold_ends_well_at_a_sink_that_keeps_positions_and_a_second_run_goes_on_there() {
    for throttled in [false, true] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").transactional();
        let (written, store) = (sink.written(), MemoryStore::new(&ledger));
        let source = Script::endless(&ledger, |number| number).batch(4).every(millis(10));
        for turn in 1..3_u64 {
            let folded = Pipeline::source(source.clone()).fold(0, |last: &mut u64, value: u64| *last = value);
            let folded = folded.trigger_each(10).limit(3);
            let folded = if throttled { folded.throttle(5, millis(1_000)) } else { folded };
            let pipeline = folded.map(|last: u64| last).sink(sink.clone()).store(store.clone());
            let summary = runs(pipeline).await;
            assert_eq!((summary.ended, summary.records_out), (Ended::Limit, 3), "throttled: {throttled}");
            let expected: Vec<_> = (1..=turn * 3).map(|emission| emission * 10 - 1).collect();
            assert_eq!(written.durable(), expected, "throttled: {throttled}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_inside_what_a_keyed_fold_emits_at_once_ends_well_and_commits_nothing_that_other_keys_hold() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").transactional();
    let written = sink.written();
    let source = Script::endless(&ledger, |number| number).batch(16).every(millis(20));
    let counts = Pipeline::source(source).key_by(|value: &u64| value % 7).count().trigger_each(50).limit(3);
    let pipeline = counts.map(|pair: Kv<u64, u64>| pair.key * 1_000 + pair.value).sink(sink);
    let summary = runs(pipeline.store(MemoryStore::new(&ledger))).await;
    assert_eq!((summary.ended, summary.records_out), (Ended::Limit, 3));
    // Record 0 has come out with its key; 3, the first of a key that hasn't, holds the commit before all of the emission.
    assert_eq!((written.durable(), ledger.committed("p0").unwrap_or_default()), (vec![8, 1_007, 2_007], 0));
}

#[tokio::test(start_paused = true)]
async fn a_limit_ends_the_run_though_a_future_before_it_never_ends() {
    let out = Collect::<u64>::new();
    let collected = out.collected();
    let declared = Pipeline::source(Generate::with(|n| n).count(100).rate(10))
        .map_async(4, |n: u64| async move {
            if n == 7 {
                std::future::pending::<()>().await;
            }
            n
        })
        .map_async(4, |n: u64| async move { n })
        .limit(5)
        .sink(out);
    let ended = tokio::time::timeout(Duration::from_secs(3_600), declared.run()).await;
    let summary = ended.expect("the run ends").expect("the run ends well");
    assert_eq!((summary.ended, summary.records_out), (Ended::Limit, 5));
    assert_eq!(collected.values(), [0, 1, 2, 3, 4]);
}
