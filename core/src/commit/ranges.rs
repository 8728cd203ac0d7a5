//! [`Ranges`]: a set of sequence numbers, kept as ranges.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of sequence numbers. What touches is one range, so a dense set is a single one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// The end of each range, by its start; they neither touch nor overlap.
    ends: BTreeMap<u64, u64>,
}

impl Ranges {
    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many ranges it takes: 1 for a dense set, whatever its size.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The lowest range.
    pub fn first(&self) -> Option<Range<u64>> {
        self.ends.first_key_value().map(|(&start, &end)| start..end)
    }

    /// The first number from 0 on that is not in it.
    pub fn frontier(&self) -> u64 {
        self.ends.get(&0).copied().unwrap_or(0)
    }

    /// The range that `at` is in.
    pub fn covering(&self, at: u64) -> Option<Range<u64>> {
        let (&start, &end) = self.ends.range(..=at).next_back()?;
        (at < end).then_some(start..end)
    }

    /// Where the first range begins that begins at `at` or later.
    pub fn next_start(&self, at: u64) -> Option<u64> {
        self.ends.range(at..).next().map(|(&start, _)| start)
    }

    /// What of `within` is in it, ascending.
    pub fn parts(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let from = self.covering(within.start).map_or(within.start, |range| range.start);
        self.ends
            .range(from..)
            .take_while(move |&(&start, _)| start < within.end)
            .map(move |(&start, &end)| start.max(within.start)..end.min(within.end))
            .filter(|part| !part.is_empty())
    }

    /// Whether anything of `within` is in it.
    pub fn intersects(&self, within: Range<u64>) -> bool {
        self.parts(within).next().is_some()
    }

    /// Adds these; those that are in it already make no difference.
    pub fn add(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&near, &far)) = self.ends.range(..=end).next_back()
            && far >= start
        {
            self.ends.remove(&near);
            (start, end) = (start.min(near), end.max(far));
        }
        self.ends.insert(start, end);
    }

    /// Removes `range`; returns what of it was in the set, ascending.
    pub fn take(&mut self, range: Range<u64>) -> Vec<Range<u64>> {
        let parts: Vec<_> = self.parts(range).collect();
        for part in &parts {
            if let Some(whole) = self.covering(part.start) {
                self.ends.remove(&whole.start);
                let left = [whole.start..part.start, part.end..whole.end].into_iter().filter(|left| !left.is_empty());
                self.ends.extend(left.map(|left| (left.start, left.end)));
            }
        }
        parts
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.ends.clear();
    }

    /// Fills the lowest gaps until it takes no more than `most` ranges.
    pub fn coarsen(&mut self, most: usize) {
        while self.len() > most.max(1) {
            let Some((start, _)) = self.ends.pop_first() else { return };
            if let Some((_, end)) = self.ends.pop_first() {
                self.ends.insert(start, end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::Ranges;

    #[derive(Debug, Clone)]
    enum Act {
        Add(u64, u64),
        Take(u64, u64),
    }

    fn act() -> impl Strategy<Value = Act> {
        let range = || (0_u64..40, 0_u64..12);
        prop_oneof![
            range().prop_map(|(start, len)| Act::Add(start, start + len)),
            range().prop_map(|(start, len)| Act::Take(start, start + len)),
        ]
    }

    fn check(ranges: &Ranges, model: &BTreeSet<u64>) -> Result<(), TestCaseError> {
        let listed: Vec<u64> = ranges.parts(0..u64::MAX).flatten().collect();
        prop_assert_eq!(&listed, &model.iter().copied().collect::<Vec<_>>());
        let starts = model.iter().filter(|&&at| at == 0 || !model.contains(&(at - 1)));
        prop_assert_eq!(ranges.len(), starts.count(), "what touches is one range");
        prop_assert_eq!(ranges.is_empty(), model.is_empty());
        prop_assert_eq!(ranges.frontier(), (0..).find(|at| !model.contains(at)).unwrap_or(0));
        prop_assert_eq!(ranges.first().map(|first| first.start), model.first().copied());
        for at in 0..60 {
            prop_assert_eq!(ranges.covering(at).is_some(), model.contains(&at));
            prop_assert_eq!(ranges.intersects(at..at + 3), model.range(at..at + 3).next().is_some());
            let next = model.range(at..).find(|&&next| next == 0 || !model.contains(&(next - 1)));
            prop_assert_eq!(ranges.next_start(at), next.copied());
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_is_the_set_that_was_added_without_what_was_taken(acts in prop::collection::vec(act(), 0..40)) {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for act in acts {
                match act {
                    Act::Add(start, end) => {
                        ranges.add(start..end);
                        model.extend(start..end);
                    }
                    Act::Take(start, end) => {
                        let taken: Vec<u64> = ranges.take(start..end).into_iter().flatten().collect();
                        let gone: Vec<u64> = model.range(start..end).copied().collect();
                        model.retain(|at| !(start..end).contains(at));
                        prop_assert_eq!(taken, gone);
                    }
                }
                check(&ranges, &model)?;
            }
        }
    }

    #[test]
    fn coarser_it_holds_more_and_nothing_less() {
        let mut ranges = Ranges::default();
        for start in [0, 10, 20, 30] {
            ranges.add(start..start + 2);
        }
        ranges.coarsen(2);
        assert_eq!(ranges.parts(0..u64::MAX).collect::<Vec<_>>(), [0..22, 30..32]);
    }
}
