//! The paid orders among lines of JSON.

use std::path::Path;

use memchr::memchr_iter;
use millstream::coders::limits::Limits;
use millstream::prelude::*;

use crate::by_hand::{self, each_block};
use crate::measure::in_turn;
use crate::report::{Report, Target, Unit};
use crate::{Bench, Failure, inputs};

const BYTES: u64 = 100_000_000;

/// On one worker.
pub(crate) fn one_worker(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let [input, engine, hand] = ["", "-engine", "-hand"].map(|side| bench.path(&format!("orders{side}.json")));
    inputs::orders_json(&input, bench.scaled(BYTES))?;
    let pipeline = || {
        let status = json::Path::parse("status");
        Pipeline::source(Files::new([&input], Lines::default()))
            .filter(move |order: &json::Value| is_paid(order, &status))
            .sink(Output::create(&engine, Lines::default()))
    };
    let taken = in_turn(bench.runs, &[&|| bench.run(pipeline()).map(drop), &|| by_hand(&input, &hand)], || {
        by_hand::same(&engine, &[&hand])
    })?;
    let against = "memchr finds each line, the same decoder";
    report.ratio("json", against, &taken[0], &taken[1], Unit::Millis, Target::Cpu(0.95));
    Ok(())
}

#[inline]
fn is_paid(order: &json::Value, status: &json::Path) -> bool {
    order.find(status).and_then(|status| status.as_str()).is_some_and(|status| status == "paid")
}

fn by_hand(input: &Path, output: &Path) -> Result<(), Failure> {
    let mut output = by_hand::Output::create(output)?;
    let (limits, status) = (Limits::default(), json::Path::parse("status"));
    each_block(input, |block| {
        let mut start = 0;
        for newline in memchr_iter(b'\n', block) {
            let order = json::Value::parse_within(block.slice(start..newline), &limits)?;
            if is_paid(&order, &status) {
                output.write(&block[start..=newline])?;
            }
            start = newline + 1;
        }
        Ok(start)
    })?;
    output.put()
}
