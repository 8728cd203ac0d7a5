//! Panics of users' own code, in each kind of stage: caught, and put down to the right record.

use millstream::contracts::{Emit, Transform};
use millstream::declare::{OnError, Pipeline, Root, Stream};
use millstream_core::testkit::{Ledger, Script, ScriptSink};

use super::{fails, numbers, runs};

const BAD: u64 = 137;

fn check(value: u64) -> u64 {
    assert!(value != BAD, "no {BAD}, please");
    value
}

#[derive(Clone)]
struct Checks;

impl Transform for Checks {
    type In = u64;
    type Out = u64;

    fn name(&self) -> String {
        "CHECKS".to_owned()
    }

    fn apply(&mut self, record: u64, emit: &mut Emit<'_, u64>) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        emit.push(record);
        check(record);
        Ok(())
    }
}

/// Each kind of stage, with a policy.
fn stages(kind: usize, stream: Stream<u64, Root>, policy: OnError, sink: ScriptSink<u64>) -> Option<Pipeline> {
    Some(match kind {
        0 => stream.filter(|value: &u64| check(*value) == *value).named("here").on_error(policy).sink(sink),
        1 => stream.map(check).named("here").on_error(policy).sink(sink),
        2 => stream.map_ref(|value: &u64| check(*value)).named("here").on_error(policy).sink(sink),
        3 => stream.try_map(|value: u64| Ok::<u64, String>(check(value))).named("here").on_error(policy).sink(sink),
        4 => {
            let emit = |value: &u64, emit: &mut Emit<'_, u64>| {
                emit.push(*value);
                check(*value);
            };
            stream.flat_map(emit).named("here").on_error(policy).sink(sink)
        }
        5 => stream.apply(Checks).named("here").on_error(policy).sink(sink),
        // The call panics, or the future does.
        6 => {
            stream.map_async(8, |value: u64| std::future::ready(check(value))).named("here").on_error(policy).sink(sink)
        }
        7 => stream.map_async(8, |value: u64| async move { check(value) }).named("here").on_error(policy).sink(sink),
        8 => {
            let keyed = stream.key_by(|value: &u64| check(*value)).named("here");
            keyed.pairs().on_error(policy).map(|pair: millstream::data::Kv<u64, u64>| pair.value).sink(sink)
        }
        9 => {
            let last = |last: &mut u64, value: u64| *last = check(value);
            stream.fold(0, last).trigger_each(1).named("here").on_error(policy).sink(sink)
        }
        _ => return None,
    })
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_caught_and_is_that_records_failure_in_every_kind_of_stage() {
    for batch in [1, 64, 256] {
        let mut kinds = 0;
        loop {
            let ledger = Ledger::new();
            let sink = ScriptSink::<u64>::new(&ledger, "out");
            let written = sink.written();
            let stream = Pipeline::source(Script::of(&ledger, 0..300_u64).batch(batch));
            let Some(pipeline) = stages(kinds, stream, OnError::Fail, sink) else { break };
            let error = fails(pipeline).await;
            assert_eq!(
                error.to_string(),
                "here: p0 record 137: the stage's own code panicked: no 137, please",
                "kind {kinds}, batches of {batch}"
            );
            assert_eq!((written.durable(), ledger.committed("p0")), (numbers(0..BAD), Some(BAD)), "kind {kinds}");
            kinds += 1;
        }
        assert_eq!(kinds, 10);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_meets_the_policy_and_the_records_around_it_pass() {
    let mut kinds = 0;
    loop {
        let ledger = Ledger::new();
        let sink = ScriptSink::<u64>::new(&ledger, "out");
        let written = sink.written();
        let stream = Pipeline::source(Script::of(&ledger, 0..300_u64));
        let Some(pipeline) = stages(kinds, stream, OnError::Skip, sink) else { break };
        let summary = runs(pipeline).await;
        let mut out = written.durable();
        out.dedup();
        assert_eq!(out, (0..300).filter(|&value| value != BAD).collect::<Vec<_>>(), "kind {kinds}");
        assert_eq!((summary.skipped, ledger.committed("p0")), (1, Some(300)), "kind {kinds}");
        kinds += 1;
    }
    assert_eq!(kinds, 10);
}
