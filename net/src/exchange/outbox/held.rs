//! [`Held`]: a claim, and what of it is still on its way.

use std::ops::Range;

use millstream_core::commit::{Outcome, Ranges};

use super::Owes;
use super::spans::Spans;

/// A claim, and what of it is still on its way.
#[derive(Debug)]
pub(super) struct Held<C> {
    pub(super) claim: C,
    /// How many speak for it: items, and at first whoever makes them. With the last it goes, and what it still owes is
    /// abandoned.
    pub(super) items: usize,
    /// The parts that one batch became; none where it is whole.
    parts: Vec<Part>,
    /// Records that a part has told to be absorbed, and others have still to settle.
    absorbed: Ranges,
}

/// What went to one peer of a batch that went to several.
#[derive(Debug)]
struct Part {
    /// The records that have rows in it.
    speaks: Spans,
    /// Those of them that this part has not settled.
    open: Spans,
}

impl<C: Owes> Held<C> {
    pub(super) fn whole(claim: C) -> Self {
        Self { claim, items: 1, parts: Vec::new(), absorbed: Ranges::default() }
    }

    /// `speaks`: the records that have rows in each part. All others have arrived.
    pub(super) fn shared(mut claim: C, speaks: Vec<Spans>) -> Self {
        let spoken_for = Spans::of(speaks.iter().flat_map(Spans::iter));
        for range in claim.open() {
            for loose in spoken_for.outside(range) {
                claim.settle(loose, Outcome::Delivered);
            }
        }
        let parts = speaks.into_iter().map(|speaks| Part { open: speaks.clone(), speaks }).collect();
        Self { claim, items: 1, parts, absorbed: Ranges::default() }
    }

    /// A part has settled these; what no other part has to settle, settles. What was absorbed in one part is absorbed: a fold
    /// holds it.
    pub(super) fn settle(&mut self, part: usize, records: &Spans, outcome: Outcome) {
        for range in records.iter() {
            if let Some(part) = self.parts.get_mut(part) {
                part.open.take(range.clone());
            }
            if outcome == Outcome::Absorbed {
                self.absorbed.add(range.clone());
            }
            for range in self.left_by_others(part, range) {
                let absorbed = self.absorbed.take(range.clone());
                absorbed.iter().for_each(|range| self.claim.settle(range.clone(), Outcome::Absorbed));
                let rest = Spans::of(absorbed).outside(range);
                rest.into_iter().for_each(|range| self.claim.settle(range, outcome));
            }
        }
    }

    fn left_by_others(&self, part: usize, range: Range<u64>) -> Vec<Range<u64>> {
        let mut left = vec![range];
        for (at, other) in self.parts.iter().enumerate() {
            if at != part {
                left = left.into_iter().flat_map(|range| other.open.outside(range)).collect();
            }
        }
        left
    }

    /// Cuts what is to go out again into runs: a record that ends one has rows and must not go with them. One that has
    /// no rows in this part is no reason to cut.
    pub(super) fn runs(&self, part: usize, records: &Spans) -> Vec<Spans> {
        let part = self.parts.get(part);
        let mut runs: Vec<Vec<Range<u64>>> = Vec::new();
        for range in records.iter() {
            let joins = |last: &Range<u64>| part.is_some_and(|part| !part.speaks.meets(&(last.end..range.start)));
            match runs.last_mut() {
                Some(run) if run.last().is_some_and(joins) => run.push(range),
                _ => runs.push(vec![range]),
            }
        }
        runs.into_iter().map(Spans::of).collect()
    }
}
