//! Random pipelines against a naive model: one record after the other, through one stage after the other.

use millstream::contracts::Emit;
use millstream::declare::{OnError, Pipeline, Stream};
use millstream::runtime::Ended;
use millstream_core::testkit::{Ledger, Script, ScriptSink};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{run, runs};

/// A stage, with its workers.
#[derive(Debug, Clone)]
enum Op {
    Filter { by: u64, par: usize },
    Map { add: u64, par: usize },
    FlatMap { most: u64, par: usize },
    TryMap { by: u64, skip: bool, par: usize },
    Limit(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let par = 1..4_usize;
    prop_oneof![
        3 => (2..6_u64, par.clone()).prop_map(|(by, par)| Op::Filter { by, par }),
        3 => (0..9_u64, par.clone()).prop_map(|(add, par)| Op::Map { add, par }),
        3 => (1..5_u64, par.clone()).prop_map(|(most, par)| Op::FlatMap { most, par }),
        2 => (5..80_u64, prop::bool::weighted(0.8), par).prop_map(|(by, skip, par)| Op::TryMap { by, skip, par }),
        2 => (1..400_u64).prop_map(Op::Limit),
    ]
}

fn declare<M>(stream: Stream<u64, M>, ops: &[Op], sink: ScriptSink<u64>) -> Pipeline {
    let Some((op, rest)) = ops.split_first() else { return stream.sink(sink) };
    match *op {
        Op::Filter { by, par } => {
            declare(stream.filter(move |value: &u64| !value.is_multiple_of(by)).par(par), rest, sink)
        }
        Op::Map { add, par } => declare(stream.map(move |value: u64| value + add).par(par), rest, sink),
        Op::FlatMap { most, par } => {
            let copies = move |value: &u64, emit: &mut Emit<'_, u64>| {
                (0..value % (most + 1)).for_each(|copy| emit.push(value + copy));
            };
            declare(stream.flat_map(copies).par(par), rest, sink)
        }
        Op::TryMap { by, skip, par } => {
            let check = move |value: u64| if value % by == by - 1 { Err("bad") } else { Ok(value) };
            let policy = if skip { OnError::Skip } else { OnError::Fail };
            declare(stream.try_map(check).par(par).on_error(policy), rest, sink)
        }
        // A limit is an option: of a stage that does nothing.
        Op::Limit(records) => declare(stream.map_ref(|value: &u64| *value).limit(records), rest, sink),
    }
}

/// How a run has to end.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    out: Vec<u64>,
    /// The record that the commit stands before.
    committed: u64,
    filtered: u64,
    skipped: u64,
    limited: bool,
    failed: bool,
}

/// What becomes of one source record.
enum Fate {
    Passes(Vec<u64>),
    Skipped,
    Fails,
    DoesNotFit,
}

struct Model<'a> {
    ops: &'a [Op],
    /// What is left of each limit.
    left: Vec<u64>,
    outcome: Outcome,
}

impl Model<'_> {
    fn run(ops: &[Op], count: u64) -> Outcome {
        let left = ops.iter().map(|op| if let Op::Limit(records) = op { *records } else { u64::MAX }).collect();
        let mut model = Model { ops, left, outcome: Outcome::default() };
        for record in 0..count {
            match model.pass(record) {
                Fate::Passes(rows) => model.outcome.out.extend(rows),
                Fate::Skipped => model.outcome.skipped += 1,
                Fate::Fails => {
                    model.outcome.failed = true;
                    return model.outcome;
                }
                Fate::DoesNotFit => {
                    model.outcome.limited = true;
                    return model.outcome;
                }
            }
            model.outcome.committed = record + 1;
            if model.left.contains(&0) {
                model.outcome.limited = true;
                return model.outcome;
            }
        }
        model.outcome
    }

    fn pass(&mut self, record: u64) -> Fate {
        let mut rows = vec![record];
        for (at, op) in self.ops.iter().enumerate() {
            match *op {
                Op::Filter { by, .. } => {
                    let before = rows.len();
                    rows.retain(|value| !value.is_multiple_of(by));
                    self.outcome.filtered += (before - rows.len()) as u64;
                }
                Op::Map { add, .. } => rows.iter_mut().for_each(|value| *value += add),
                Op::FlatMap { most, .. } => {
                    let copies = |value: u64| (0..value % (most + 1)).map(move |copy| value + copy);
                    rows = rows.into_iter().flat_map(copies).collect();
                }
                Op::TryMap { by, skip, .. } => {
                    if rows.iter().any(|value| value % by == by - 1) {
                        // A source record passes whole or not at all.
                        return if skip { Fate::Skipped } else { Fate::Fails };
                    }
                }
                Op::Limit(_) => {
                    let Some(left) = self.left[at].checked_sub(rows.len() as u64) else { return Fate::DoesNotFit };
                    self.left[at] = left;
                }
            }
        }
        Fate::Passes(rows)
    }
}

async fn check(ops: Vec<Op>, count: u64, batch: usize) -> Result<(), TestCaseError> {
    let expected = Model::run(&ops, count);
    let ledger = Ledger::new();
    let sink = ScriptSink::<u64>::new(&ledger, "out");
    let written = sink.written();
    let source = Script::of(&ledger, 0..count).batch(batch);
    let pipeline = declare(Pipeline::source(source), &ops, sink);
    if expected.failed {
        prop_assert!(run(pipeline).await.is_err());
    } else {
        let summary = runs(pipeline).await;
        prop_assert_eq!(summary.ended, if expected.limited { Ended::Limit } else { Ended::Input });
        prop_assert_eq!(summary.records_out, expected.out.len() as u64);
        if !expected.limited {
            // Behind a limit stages may have seen more than what has passed.
            let counts = (summary.records_in, summary.filtered, summary.skipped);
            prop_assert_eq!(counts, (count, expected.filtered, expected.skipped));
        }
    }
    prop_assert_eq!(written.durable(), expected.out);
    prop_assert_eq!(ledger.committed("p0").unwrap_or_default(), expected.committed);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_pipelines_do_what_a_naive_model_does(
        ops in vec(op(), 0..6),
        count in 0..600_u64,
        batch in prop_oneof![Just(1_usize), 2..20_usize, Just(256_usize)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime needs nothing from outside");
        runtime.block_on(check(ops, count, batch))?;
    }
}
