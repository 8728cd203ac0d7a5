//! What sinks do: settle late, keep positions, go away, break, lose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use millstream::contracts::{Cause, Emit};
use millstream::data::Bytes;
use millstream::declare::{OnError, Pipeline};
use millstream::runtime::Ended;
use millstream_core::testkit::{Act, Ledger, MemoryStore, Script, ScriptSink};

use super::{fails, millis, numbers, one, run, runs};

#[tokio::test(start_paused = true)]
async fn a_sink_may_keep_tickets_until_it_is_flushed() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").settles_at_flush();
    let written = sink.written();
    let source = Script::of(&ledger, 0..2_000_u64).batch(64).every(millis(30));
    let summary = runs(Pipeline::source(source).sink(sink).store(MemoryStore::new(&ledger))).await;
    assert_eq!((summary.records_out, written.durable().len()), (2_000, 2_000));
    assert_eq!(ledger.committed("p0"), Some(2_000));
    assert!(ledger.count(|act| matches!(act, Act::Committed { .. })) > 2, "also on the way");
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_settles_at_flush_goes_on_after_a_pause() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").settles_at_flush();
    let source = Script::of(&ledger, 0..100_u64).batch(10).every(millis(2_000)).waits();
    let running = super::start(Pipeline::source(source).buffer(30).sink(sink)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(ledger.committed("p0"), Some(100), "nothing but a flush makes it settle, and only a commit flushes it");
    running.drain();
    assert_eq!(super::end(running).await.expect("drained").records_out, 100);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_settles_at_flush_does_not_deadlock_at_the_bound() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").settles_at_flush();
    let source = Script::of(&ledger, 0..2_000_u64).batch(10);
    let summary = runs(Pipeline::source(source).buffer(100).sink(sink)).await;
    assert_eq!((summary.records_out, ledger.committed("p0")), (2_000, Some(2_000)));
}

#[tokio::test(start_paused = true)]
async fn rows_of_one_record_settle_one_by_one_and_the_record_with_the_last() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").settles_after(|value: &u64| millis(value * 37 % 1_000));
    let copies = |value: &u64, emit: &mut Emit<'_, u64>| (0..value % 4).for_each(|copy| emit.push(value * 10 + copy));
    let source = Script::of(&ledger, 0..1_000_u64).batch(32).every(millis(20));
    let summary = runs(Pipeline::source(source).flat_map(copies).sink(sink)).await;
    assert_eq!((summary.records_in, summary.records_out), (1_000, 1_500));
    assert_eq!(ledger.committed("p0"), Some(1_000));
    assert_eq!(ledger.violations(|_, number| (number % 4) as usize), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_keeps_positions_holds_exactly_what_they_say() {
    for par in [1, 2] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").transactional().slow_flushes(millis(20));
        let (written, store) = (sink.written(), MemoryStore::new(&ledger));
        let mut failed = 0;
        loop {
            let until = 777 * (failed + 1);
            let check = move |value: u64| if value >= until { Err("not yet") } else { Ok(value) };
            let source = Script::of(&ledger, 0..3_000_u64).batch(50).every(millis(30));
            let stream = Pipeline::source(source).try_map(check).par(par);
            let Err(error) = run(stream.sink(sink.clone()).store(store.clone())).await else { break };
            assert_eq!(error.message(), "not yet");
            failed += 1;
            assert_eq!(written.durable(), numbers(0..777 * failed), "exactly what was committed");
        }
        assert_eq!((failed, written.durable()), (3, numbers(0..3_000)));
        let stored = ledger.count(|act| matches!(act, Act::Stored { .. }));
        assert!(stored > 6, "{stored}");
        assert_eq!(ledger.violations(one), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_sink_holds_wins_over_the_store() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").transactional();
    let written = sink.written();
    // The store breaks behind the sink's back: it never hears of what the sink has stored.
    let (store, good) = (MemoryStore::new(&ledger).fails_after(0), MemoryStore::new(&ledger));
    let source = Script::of(&ledger, 0..1_000_u64).batch(50).every(millis(20));
    let error = fails(Pipeline::source(source.clone()).sink(sink.clone()).store(store)).await;
    assert!(error.message().contains("the store fails"), "{error}");
    let held = written.durable().len() as u64;
    assert!(held > 0 && held < 1_000, "{held}");
    let summary = runs(Pipeline::source(source).sink(sink).store(good)).await;
    assert_eq!((summary.records_in, written.durable()), (1_000 - held, numbers(0..1_000)));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_away_ends_the_run_quietly() {
    for slow in [0, 100, 2_000] {
        for buffer in [1, 10_000] {
            let ledger = Ledger::new();
            let sink = ScriptSink::<u64>::new(&ledger, "out").reader_goes_after(95).slow_writes(millis(slow));
            let written = sink.written();
            let source = Script::endless(&ledger, |number| number).batch(10);
            let stream = Pipeline::source(source).map(|value: u64| value).buffer(buffer).filter(|_: &u64| true);
            let summary = runs(stream.sink(sink)).await;
            assert_eq!(summary.ended, Ended::ReaderGone, "{slow} ms");
            assert_eq!(written.len(), 95);
            assert!(ledger.committed("p0").unwrap_or_default() <= 90);
            assert_eq!(ledger.violations(one), [""; 0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_fails_ends_the_run_and_commits_nothing_more() {
    for transactional in [false, true] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").fails_after_flushes(3).slow_writes(millis(60));
        let sink = if transactional { sink.transactional() } else { sink };
        let written = sink.written();
        let source = Script::endless(&ledger, |number| number).batch(10);
        let pipeline = Pipeline::source(source).map(|value: u64| value).par(2).sink(sink);
        let error = fails(pipeline.store(MemoryStore::new(&ledger)).named("out")).await;
        assert_eq!((error.stage(), error.cause()), (Some("out"), Cause::Outside));
        assert_eq!(error.message(), "the script says that the flush fails");
        let kept = ledger.saved("p0").unwrap_or_default();
        let durable = written.durable().len() as u64;
        assert_eq!(written.durable(), numbers(0..durable));
        assert!(if transactional { durable == kept } else { durable >= kept }, "{kept} committed, {durable} durable");
        assert!(kept > 0, "what was flushed before is committed");
        assert_eq!(ledger.count(|act| matches!(act, Act::SinkClosed { .. })), 0, "the output is not put in its place");
        assert_eq!(ledger.violations(one), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_flush_does_not_commit_what_came_in_behind_it() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").slow_flushes(millis(700));
    let source = Script::of(&ledger, 0..3_000_u64).batch(10).every(millis(10));
    let summary = runs(Pipeline::source(source).map(|value: u64| value).par(2).sink(sink)).await;
    assert_eq!((summary.records_out, ledger.committed("p0")), (3_000, Some(3_000)));
    assert!(ledger.flushes("out") > 2);
    assert_eq!(ledger.violations(one), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_loses_a_record_fails_the_run_and_nothing_past_it_is_committed() {
    for settles_in in [Duration::ZERO, Duration::from_secs(1)] {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out").loses(|value: &u64| *value == 456);
        let sink = if settles_in.is_zero() { sink } else { sink.settles_after(move |_: &u64| settles_in) };
        let source = Script::of(&ledger, 0..2_000_u64).batch(64).every(millis(50));
        let error = fails(Pipeline::source(source).sink(sink)).await;
        assert_eq!(error.cause(), Cause::Bug);
        assert!(error.message().contains("record 456"), "{error}");
        assert_eq!(ledger.committed("p0"), Some(456));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_lost_in_the_last_batch_fails_the_run_as_well() {
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out").loses(|value: &u64| *value == 99);
    let error = fails(Pipeline::source(Script::of(&ledger, 0..100_u64)).sink(sink)).await;
    assert!(error.message().contains("never settled"), "{error}");
    assert_eq!(ledger.committed("p0"), Some(99));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_ends_the_run_before_the_source_commits() {
    let ledger = Ledger::new();
    let store = MemoryStore::new(&ledger).fails_after(2);
    let source = Script::endless(&ledger, |number| number).batch(10).every(millis(20));
    let error = fails(Pipeline::source(source).sink(ScriptSink::<u64>::new(&ledger, "out")).store(store)).await;
    assert!(error.message().contains("the store fails"), "{error}");
    assert_eq!(ledger.committed("p0"), ledger.saved("p0"));
    assert!(ledger.saved("p0").unwrap_or_default() > 0);
    assert_eq!(ledger.violations(one), [""; 0]);
}

/// A pipeline whose sink says of some rows that they failed, once it has taken them over.
fn fails_late(ledger: &Ledger, cause: Cause, policy: OnError) -> Pipeline {
    let sink = ScriptSink::<u64>::new(ledger, "out").fails_late(|value| value % 200 == 85, cause);
    let copies = |text: &str, emit: &mut Emit<'_, u64>| {
        let number: u64 = text.parse().expect("a number");
        (0..2).for_each(|copy| emit.push(number * 2 + copy));
    };
    let numbers = (0..1_000).map(|number: u64| number.to_string());
    let source = Script::of(ledger, numbers).batch(32).every(millis(20));
    let pipeline = Pipeline::source(source).flat_map(copies).sink(sink).named("out").on_error(policy);
    pipeline.store(MemoryStore::new(ledger))
}

#[tokio::test(start_paused = true)]
async fn a_row_that_fails_late_meets_the_policy() {
    let ledger = Ledger::new();
    let skipped = runs(fails_late(&ledger, Cause::Record, OnError::Skip)).await;
    assert_eq!((skipped.skipped, ledger.saved("p0")), (10, Some(1_000)));

    let ledger = Ledger::new();
    let letters = ScriptSink::<Bytes>::new(&ledger, "letters");
    let written = letters.written();
    let buried = runs(fails_late(&ledger, Cause::Record, OnError::dead_letter(letters))).await;
    assert_eq!((buried.dead_lettered, written.durable().len(), ledger.saved("p0")), (10, 10, Some(1_000)));

    let ledger = Ledger::new();
    let error = fails(fails_late(&ledger, Cause::Record, OnError::Fail)).await;
    assert_eq!((error.stage(), error.place()), (Some("out"), Some("p0 record 42")));
    assert_eq!(ledger.saved("p0"), Some(42), "what is before it is committed, and nothing past it");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_fails_late_by_no_fault_of_its_own_ends_the_run() {
    let ledger = Ledger::new();
    let error = fails(fails_late(&ledger, Cause::Outside, OnError::Skip)).await;
    assert_eq!(error.message(), "the script says that this row fails late");
    assert!(ledger.saved("p0").unwrap_or_default() <= 42);
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_fails_late_is_not_taken_for_written() {
    let ledger = Ledger::new();
    let letters = ScriptSink::<Bytes>::new(&ledger, "letters").fails_late(|_| true, Cause::Record);
    let error = fails(fails_late(&ledger, Cause::Record, OnError::dead_letter(letters))).await;
    assert_eq!(error.message(), "the script says that this row fails late");
    assert!(ledger.saved("p0").unwrap_or_default() <= 42);
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_which_its_sink_says_nothing_is_not_taken_for_written() {
    let ledger = Ledger::new();
    let letters = ScriptSink::<Bytes>::new(&ledger, "letters").loses(|_| true);
    let error = fails(fails_late(&ledger, Cause::Record, OnError::dead_letter(letters))).await;
    assert!(error.message().contains("has not said of each"), "{error}");
    assert!(ledger.saved("p0").unwrap_or_default() <= 42);
}

#[tokio::test(start_paused = true)]
async fn once_a_letter_could_not_be_written_none_is_tried_again_and_nothing_is_given_back_while_it_runs() {
    let (ledger, tries) = (Ledger::new(), Arc::new(AtomicU32::new(0)));
    let counts = tries.clone();
    let tried = move |_: &Bytes| {
        counts.fetch_add(1, Relaxed);
        true
    };
    let letters = ScriptSink::<Bytes>::new(&ledger, "letters").fails_on(tried, u32::MAX, Cause::Outside);
    // Several of a batch, so that others wait for their letters when the first one's is not written.
    let sink = ScriptSink::<String>::new(&ledger, "out").fails_late(|text| text.ends_with('5'), Cause::Record);
    let numbers = (0..1_000).map(|number: u64| number.to_string());
    let source = Script::of(&ledger, numbers).batch(32).every(millis(20)).pessimistic();
    let policy = OnError::dead_letter(letters);
    let error = fails(Pipeline::source(source).sink(sink).named("out").on_error(policy)).await;
    assert_eq!((error.message(), tries.load(Relaxed)), ("the script says that this row fails", 1));
    let writes = |act: &Act| matches!(act, Act::Wrote { sequence: 5.., sink, .. } if sink == "out");
    assert!(ledger.count(writes) <= 27, "a record of the batch was given back, and came again");
}
