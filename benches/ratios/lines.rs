//! Lines from file to file: all of them, and every second.

use std::hint::black_box;
use std::path::Path;

use memchr::memchr_iter;
use millstream::prelude::*;

use crate::by_hand::{self, each_block};
use crate::measure::in_turn;
use crate::report::{Report, Target, Unit};
use crate::{Bench, Failure, inputs};

const BYTES: u64 = 200_000_000;

/// All lines.
pub(crate) fn copy(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let (input, engine, hand) = files(bench)?;
    let pipeline =
        || Pipeline::source(Files::new([&input], Lines::default())).sink(Output::create(&engine, Lines::default()));
    let taken = in_turn(bench.runs, &[&|| bench.run(pipeline()).map(drop), &|| copy_by_hand(&input, &hand)], || {
        by_hand::same(&engine, &[&hand]).and_then(|()| by_hand::same(&engine, &[&input]))
    })?;
    let against = "blocks of 256 KiB, memchr finds each line, whole blocks are written";
    report.ratio("lines-copy", against, &taken[0], &taken[1], Unit::Millis, Target::Cpu(0.95));
    Ok(())
}

/// Those lines that begin with an `a`: one in two.
pub(crate) fn filter(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let (input, engine, hand) = files(bench)?;
    let pipeline = || {
        Pipeline::source(Files::new([&input], Lines::default()))
            .filter(|line: &[u8]| line.first() == Some(&b'a'))
            .sink(Output::create(&engine, Lines::default()))
    };
    let taken = in_turn(bench.runs, &[&|| bench.run(pipeline()).map(drop), &|| filter_by_hand(&input, &hand)], || {
        by_hand::same(&engine, &[&hand])
    })?;
    let against = "blocks of 256 KiB, memchr finds each line, kept ones are gathered to 256 KiB";
    report.ratio("lines-filter", against, &taken[0], &taken[1], Unit::Millis, Target::Cpu(0.95));
    Ok(())
}

fn files(bench: &Bench) -> Result<(std::path::PathBuf, std::path::PathBuf, std::path::PathBuf), Failure> {
    let input = bench.path("lines.txt");
    if !input.exists() {
        inputs::lines(&input, bench.scaled(BYTES))?;
    }
    Ok((input, bench.path("lines-engine.txt"), bench.path("lines-hand.txt")))
}

fn copy_by_hand(input: &Path, output: &Path) -> Result<(), Failure> {
    let mut output = by_hand::Output::create(output)?;
    let (mut count, mut longest) = (0_u64, 0);
    each_block(input, |block| {
        let mut start = 0;
        for newline in memchr_iter(b'\n', block) {
            longest = longest.max(newline - start);
            count += 1;
            start = newline + 1;
        }
        output.write(&block[..start])?;
        Ok(start)
    })?;
    black_box((count, longest));
    output.put()
}

fn filter_by_hand(input: &Path, output: &Path) -> Result<(), Failure> {
    let mut output = by_hand::Output::create(output)?;
    each_block(input, |block| {
        let mut start = 0;
        for newline in memchr_iter(b'\n', block) {
            if block[start] == b'a' {
                output.write(&block[start..=newline])?;
            }
            start = newline + 1;
        }
        Ok(start)
    })?;
    output.put()
}
