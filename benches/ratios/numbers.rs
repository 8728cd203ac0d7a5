//! Three element-wise stages over numbers: what the engine itself costs a record.

use std::cell::Cell;
use std::hint::black_box;

use millstream::prelude::*;

use crate::measure::in_turn;
use crate::report::{Report, Target, Unit};
use crate::{Bench, Failure};

const RECORDS: u64 = 200_000_000;

/// Filter, map, filter.
pub(crate) fn three_stages(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let records = bench.scaled(RECORDS);
    let pipeline = || {
        Pipeline::source(Generate::sequence().count(records))
            .filter(|n: &u64| first(*n))
            .map(|n: u64| made(n))
            .filter(|n: &u64| second(*n))
            .sink(Null::<u64>::new())
    };
    let (engine, hand) = (Cell::new(0), Cell::new(0));
    let taken = in_turn(
        bench.runs,
        &[
            &|| {
                engine.set(bench.run(pipeline())?.records_out);
                Ok(())
            },
            &|| {
                hand.set(by_hand(records));
                Ok(())
            },
        ],
        || match (engine.get(), hand.get()) {
            (engine, hand) if engine == hand => Ok(()),
            (engine, hand) => Err(format!("{engine} records arrived and {hand} by hand").into()),
        },
    )?;
    let against = "one fused loop whose values the compiler can't see through";
    report.ratio("numbers", against, &taken[0], &taken[1], Unit::NanosEach(records), Target::AtMost(2.0));
    Ok(())
}

#[inline]
fn first(n: u64) -> bool {
    n & 3 != 0
}

#[inline]
fn made(n: u64) -> u64 {
    n.wrapping_mul(3) ^ (n >> 5)
}

#[inline]
fn second(n: u64) -> bool {
    n & 4 == 0
}

fn by_hand(records: u64) -> u64 {
    let mut count = 0;
    for n in 0..records {
        let n = black_box(n);
        if first(n) {
            let n = made(n);
            if second(n) {
                black_box(n);
                count += 1;
            }
        }
    }
    count
}
