//! Panics of users' own code, in each kind of stage: caught, and put down to the right record.

use millstream::contracts::{CodeError, Decoder, Emit, Encoder, Error, Transform, decoder, encoder};
use millstream::data::{Bytes, Column, Typed};
use millstream::declare::{OnError, Pipeline, Root, Stream};
use millstream::runtime::Summary;
use millstream_core::testkit::{Ledger, Script, ScriptSink};

use super::{fails, numbers, run, runs};

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

/// Both ways between numbers and their digits.
struct Digits;

impl Decoder for Digits {
    type Out = u64;

    fn name(&self) -> String {
        "DIGITS-DECODER".to_owned()
    }

    fn decode(&self, bytes: Bytes, column: &mut Typed<u64>) -> Result<(), CodeError> {
        let value = String::from_utf8_lossy(&bytes).parse().expect("digits");
        column.push(check(value));
        Ok(())
    }
}

impl Encoder for Digits {
    type In = u64;

    fn name(&self) -> String {
        "DIGITS-ENCODER".to_owned()
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), CodeError> {
        out.extend_from_slice(value.to_string().as_bytes());
        check(*value);
        Ok(())
    }
}

fn digits(value: u64) -> Bytes {
    Bytes::from(value.to_string())
}

/// Either coder, before a stage with a policy; returns what came out, as numbers, and how the run ended.
async fn coded(decodes: bool, batch: usize, policy: OnError, ledger: &Ledger) -> (Vec<u64>, Result<Summary, Error>) {
    if decodes {
        let sink = ScriptSink::<u64>::new(ledger, "out");
        let written = sink.written();
        let stream = Pipeline::source(Script::of(ledger, (0..300).map(digits)).batch(batch));
        let pipeline = stream.map(|value: u64| value).on_error(policy).sink(sink).with_coder(decoder(Digits));
        let ended = run(pipeline).await;
        (written.durable(), ended)
    } else {
        let sink = ScriptSink::<Bytes>::new(ledger, "out");
        let written = sink.written();
        let stream = Pipeline::source(Script::of(ledger, 0..300_u64).batch(batch));
        let pipeline = stream.map(|digits: Bytes| digits).on_error(policy).sink(sink).with_coder(encoder(Digits));
        let ended = run(pipeline).await;
        let number = |digits: Bytes| String::from_utf8_lossy(&digits).parse().expect("digits");
        (written.durable().into_iter().map(number).collect(), ended)
    }
}

#[tokio::test(start_paused = true)]
async fn a_coder_that_panics_fails_only_the_record_that_it_panicked_at() {
    for (decodes, name) in [(true, "DIGITS-DECODER"), (false, "DIGITS-ENCODER")] {
        for batch in [1, 64, 256] {
            let ledger = Ledger::new();
            let (out, ended) = coded(decodes, batch, OnError::Fail, &ledger).await;
            let error = ended.expect_err("a record fails");
            assert_eq!((error.stage(), error.place()), (Some(name), Some("p0 record 137")), "{}", error.chain());
            assert!(error.message().contains("no 137, please"), "{error}");
            assert_eq!((out, ledger.committed("p0")), (numbers(0..BAD), Some(BAD)), "{name}, batches of {batch}");

            let ledger = Ledger::new();
            let (out, ended) = coded(decodes, batch, OnError::Skip, &ledger).await;
            let summary = ended.unwrap_or_else(|error| panic!("it should run well: {}", error.chain()));
            assert_eq!(out, (0..300).filter(|&value| value != BAD).collect::<Vec<_>>(), "{name}, batches of {batch}");
            assert_eq!((summary.skipped, ledger.committed("p0")), (1, Some(300)), "{name}, batches of {batch}");
        }
    }
}
