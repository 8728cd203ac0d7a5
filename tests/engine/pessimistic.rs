//! Sources that acknowledge each record by itself.

use std::time::Duration;

use millstream::commit::Outcome;
use millstream::declare::{OnError, Pipeline};
use millstream_core::testkit::{Act, Ledger, Script, ScriptSink};

use super::{end, millis, numbers, one, runs, start};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn each_record_is_acknowledged_once_after_it_is_durable() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let source = Script::of(&ledger, 0..3_000_u64).batch(70).every(millis(20)).pessimistic();
    let check = |value: u64| if value % 10 == 9 { Err("skipped") } else { Ok(value) };
    let stream = Pipeline::source(source).filter(|value: &u64| value % 10 != 8).try_map(check).on_error(OnError::Skip);
    let summary = runs(stream.sink(sink)).await;
    assert_eq!((summary.records_out, summary.filtered, summary.skipped), (2_400, 300, 300));
    let mut delivered = ledger.settled("p0", Outcome::Delivered);
    delivered.sort_unstable();
    assert_eq!(delivered, (0..3_000).filter(|value| value % 10 != 9).collect::<Vec<_>>());
    assert_eq!(ledger.settled("p0", Outcome::Disposed), (0..300).map(|turn| turn * 10 + 9).collect::<Vec<_>>());
    assert_eq!(ledger.settled("p0", Outcome::Abandoned), [0; 0]);
    assert_eq!(ledger.committed("p0"), None, "no position is committed");
    durable_before(&ledger);
}

/// Each record that was acknowledged as delivered and became a row had been flushed.
fn durable_before(ledger: &Ledger) {
    let (mut written, mut durable) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    let mut checked = 0;
    for entry in ledger.entries() {
        match entry.act {
            Act::Wrote { sequence, .. } => drop(written.insert(sequence)),
            Act::Flushed { .. } => durable.extend(written.drain()),
            Act::Settled { record, outcome: Outcome::Delivered, .. } => {
                assert!(!written.contains(&record), "record {record} was not durable");
                checked += usize::from(durable.contains(&record));
            }
            _ => {}
        }
    }
    assert!(checked > 1_000, "{checked}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_neighbour_in_its_batch_does_not_hold_a_record_up() {
    let ledger = Ledger::new();
    let tried = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let check = move |value: u64| match value == 30 && !tried.swap(true, std::sync::atomic::Ordering::Relaxed) {
        true => Err("not yet"),
        false => Ok(value),
    };
    let source = Script::of(&ledger, 0..100_u64).batch(100).waits().pessimistic();
    let stream = Pipeline::source(source).try_map(check).retry(1).backoff(10 * SECOND, 10 * SECOND);
    let running = start(stream.sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(ledger.settled("p0", Outcome::Delivered), numbers(0..30), "while record 30 waits");
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(ledger.settled("p0", Outcome::Delivered), numbers(0..100));
    running.drain();
    assert_eq!(end(running).await.expect("drained").records_out, 100);
}

#[tokio::test(start_paused = true)]
async fn a_record_behind_a_slow_one_is_acknowledged_before_it() {
    let ledger = Ledger::new();
    // The sink hears of each row by itself, and of record 5 late.
    let late = |value: &u64| if *value == 5 { millis(3_000) } else { millis(1) };
    let source = Script::of(&ledger, 0..20_u64).batch(20).waits().pessimistic();
    let running =
        start(Pipeline::source(source).sink(ScriptSink::<u64>::new(&ledger, "out").settles_after(late))).await;
    tokio::time::sleep(10 * SECOND).await;
    let settled = ledger.settled("p0", Outcome::Delivered);
    let of_5 = settled.iter().position(|&record| record == 5).expect("it settled");
    let of_6 = settled.iter().position(|&record| record == 6).expect("it settled");
    assert!((settled.len(), of_6 < of_5) == (20, true), "{settled:?}");
    running.drain();
    assert!(end(running).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_abandoned_is_given_back_and_runs_again() {
    let ledger = Ledger::new();
    let lost = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = lost.clone();
    // The first two times that it sees record 33, and once record 34, it loses them.
    let loses = move |value: &u64| {
        let count = || counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (*value == 33 || *value == 34) && count() < 3
    };
    let sink = ScriptSink::<u64>::new(&ledger, "out").loses(loses);
    let written = sink.written();
    let source = Script::of(&ledger, 0..100_u64).batch(40).waits().pessimistic();
    let running = start(Pipeline::source(source).sink(sink)).await;
    tokio::time::sleep(10 * SECOND).await;
    running.drain();
    let summary = end(running).await.expect("drained");
    let abandoned = ledger.settled("p0", Outcome::Abandoned);
    assert!(!abandoned.is_empty() && abandoned.iter().all(|record| (33..=34).contains(record)), "{abandoned:?}");
    let mut delivered = ledger.settled("p0", Outcome::Delivered);
    delivered.sort_unstable();
    assert_eq!(delivered, numbers(0..100), "each is delivered in the end, and once");
    assert_eq!((summary.records_in, written.len()), (100 + abandoned.len() as u64, 100 + abandoned.len()));
}

#[tokio::test(start_paused = true)]
async fn a_failure_gives_back_what_lies_behind_it() {
    let ledger = Ledger::new();
    let check = |value: u64| if value == 33 { Err("bad") } else { Ok(value) };
    let source = Script::of(&ledger, 0..100_u64).batch(100).pessimistic();
    super::fails(Pipeline::source(source).try_map(check).sink(ScriptSink::<u64>::new(&ledger, "out"))).await;
    assert_eq!(ledger.settled("p0", Outcome::Delivered), numbers(0..33));
    assert_eq!(ledger.settled("p0", Outcome::Abandoned), numbers(33..100));
}

/// When visibility was extended, and that no record's time of 3 s ran out in between.
fn extensions(ledger: &Ledger) -> Vec<Duration> {
    let times = ledger.times(|act| matches!(act, Act::Extended { .. }));
    let from_start: Vec<_> = std::iter::once(Duration::ZERO).chain(times.iter().copied()).collect();
    let longest = from_start.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default();
    assert!(longest < 3 * SECOND, "a record's time ran out: {from_start:?}");
    assert!(times.len() > 8, "{times:?}");
    times
}

#[tokio::test(start_paused = true)]
async fn the_visibility_of_what_is_in_flight_is_extended() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(10 * SECOND);
    let source = Script::of(&ledger, 0..60_u64).batch(10).waits().pessimistic().visible_after(3 * SECOND);
    let stream = Pipeline::source(source).map(|value: u64| value).buffer(1_000);
    let running = start(stream.sink(sink)).await;
    tokio::time::sleep(100 * SECOND).await;
    assert_eq!(ledger.settled("p0", Outcome::Delivered).len(), 60);
    let times = extensions(&ledger);
    let last = times.last().copied().unwrap_or_default();
    assert!((50 * SECOND..62 * SECOND).contains(&last), "and not once all has settled: {last:?}");
    running.drain();
    assert!(end(running).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn visibility_is_extended_while_source_and_sink_share_a_task() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_writes(10 * SECOND);
    let source = Script::of(&ledger, 0..30_u64).batch(10).waits().pessimistic().visible_after(3 * SECOND);
    let running = start(Pipeline::source(source).sink(sink)).await;
    tokio::time::sleep(60 * SECOND).await;
    let times = extensions(&ledger);
    assert!(times.last() >= Some(&(27 * SECOND)), "for as long as a write takes: {times:?}");
    running.drain();
    assert!(end(running).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_a_fold_has_taken_in_is_acknowledged_once_its_output_has_arrived() {
    let ledger = Ledger::new();
    let source = Script::of(&ledger, 0..95_u64).batch(5).every(millis(100)).waits().pessimistic();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let running = start(Pipeline::source(source).count().trigger_each(20).sink(sink)).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(ledger.settled("p0", Outcome::Delivered), numbers(0..80));
    running.drain();
    end(running).await.expect("drained");
    assert_eq!(ledger.settled("p0", Outcome::Delivered), numbers(0..95));
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_visibility_of_what_a_fold_keeps_back_is_extended() {
    let ledger = Ledger::new();
    let source = Script::of(&ledger, 0..60_u64).batch(10).waits().pessimistic().visible_after(3 * SECOND);
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let running = start(Pipeline::source(source).count().trigger_every(30 * SECOND).sink(sink)).await;
    tokio::time::sleep(40 * SECOND).await;
    assert_eq!(ledger.settled("p0", Outcome::Delivered), numbers(0..60));
    let last = extensions(&ledger).last().copied().unwrap_or_default();
    assert!((27 * SECOND..32 * SECOND).contains(&last), "until it is acknowledged: {last:?}");
    running.drain();
    assert!(end(running).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_visibility_of_what_waits_to_be_durable_is_extended() {
    for buffered in [true, false] {
        let ledger = Ledger::new();
        let source = Script::of(&ledger, 0..60_u64).batch(10).waits().pessimistic().visible_after(3 * SECOND);
        let sink = ScriptSink::<u64>::new(&ledger, "out").slow_flushes(30 * SECOND);
        let stream = Pipeline::source(source).map(|value: u64| value);
        let pipeline = if buffered { stream.buffer(1_000).sink(sink) } else { stream.sink(sink) };
        let running = start(pipeline).await;
        tokio::time::sleep(100 * SECOND).await;
        assert_eq!(ledger.settled("p0", Outcome::Delivered), numbers(0..60));
        let last = extensions(&ledger).last().copied().unwrap_or_default();
        assert!(last >= 27 * SECOND, "until it is acknowledged: {last:?}");
        running.abort();
    }
}
