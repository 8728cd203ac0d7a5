//! The words of a gzipped file, counted: for information.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use millstream::prelude::*;

use crate::measure::in_turn;
use crate::report::{Report, Target, Unit};
use crate::{Bench, Failure, inputs};

const BYTES: u64 = 100_000_000;

type Counts = HashMap<String, u64>;

/// Decompress, cut into lines, cut into words, count each.
pub(crate) fn count(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let input = bench.path("words.gz");
    inputs::words_gzip(&input, bench.scaled(BYTES))?;
    let (engine, hand) = (RefCell::new(Counts::new()), RefCell::new(Counts::new()));
    let run = || {
        *engine.borrow_mut() = by_engine(bench, &input)?;
        Ok(())
    };
    let loop_ = || {
        *hand.borrow_mut() = by_hand(&input)?;
        Ok(())
    };
    let taken = in_turn(bench.runs, &[&run, &loop_], || match *engine.borrow() == *hand.borrow() {
        true => Ok(()),
        false => Err("the words were counted differently".into()),
    })?;
    let against = "flate2, read_until, split, a HashMap that allocates once a word; one thread";
    report.ratio("words", against, &taken[0], &taken[1], Unit::Millis, Target::None);
    Ok(())
}

fn by_engine(bench: &Bench, input: &Path) -> Result<Counts, Failure> {
    let counted = Collect::<Kv<String, u64>>::new();
    let out = counted.collected();
    let pipeline = Pipeline::source(Files::new([input], Lines::default()).compression(gzip::Gzip::default()))
        .flat_map(|line: &str, words: &mut Emit<'_, String>| {
            line.split_ascii_whitespace().for_each(|word| words.text(word));
        })
        .key_by(|word: &String| word.clone())
        .count()
        .sink(counted);
    bench.run(pipeline)?;
    Ok(out.take().into_iter().map(|(_, Kv { key, value })| (key, value)).collect())
}

fn by_hand(input: &Path) -> Result<Counts, Failure> {
    let mut lines = BufReader::with_capacity(
        256 << 10,
        MultiGzDecoder::new(BufReader::with_capacity(256 << 10, File::open(input)?)),
    );
    let (mut counts, mut line) = (Counts::new(), Vec::new());
    while lines.read_until(b'\n', &mut line)? > 0 {
        for word in std::str::from_utf8(&line)?.split_ascii_whitespace() {
            match counts.get_mut(word) {
                Some(count) => *count += 1,
                None => drop(counts.insert(word.to_owned(), 1)),
            }
        }
        line.clear();
    }
    Ok(counts)
}
