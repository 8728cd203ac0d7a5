//! [`Tags`]: which acknowledgements say what has settled.
//!
//! A broker can be told about one message, or about all that it has given up to one and not heard about. The latter is one
//! frame for many messages, and right only where all before have settled.

use std::collections::BTreeMap;
use std::ops::Range;

/// What the broker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Say {
    /// The message's tag.
    pub(super) tag: u64,
    /// And all before it that it has not heard about.
    pub(super) multiple: bool,
    /// It is done with; else it goes back to the queue.
    pub(super) done: bool,
}

/// What a channel's messages have come to. Tags count from 1.
#[derive(Debug)]
pub(super) struct Tags {
    /// All before this tag have settled.
    lowest: u64,
    /// What has settled behind it: first tag and one past the last one.
    apart: BTreeMap<u64, u64>,
    /// How many have settled in all.
    settled: u64,
}

impl Default for Tags {
    fn default() -> Self {
        Self { lowest: 1, apart: BTreeMap::new(), settled: 0 }
    }
}

impl Tags {
    /// All before this have settled.
    pub(super) fn lowest(&self) -> u64 {
        self.lowest
    }

    /// How many have settled.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// All up to this tag are done with.
    pub(super) fn upto(&mut self, tag: u64) -> Option<Say> {
        if tag < self.lowest {
            return None;
        }
        self.settle(self.lowest..tag + 1);
        Some(Say { tag, multiple: true, done: true })
    }

    /// These have settled. Ranges of what has settled before are not given again.
    pub(super) fn each(&mut self, tags: Range<u64>, done: bool, say: &mut Vec<Say>) {
        if tags.is_empty() {
            return;
        }
        if tags.start == self.lowest {
            say.push(Say { tag: tags.end - 1, multiple: true, done });
        } else {
            say.extend(tags.clone().map(|tag| Say { tag, multiple: false, done }));
        }
        self.settle(tags);
    }

    fn settle(&mut self, tags: Range<u64>) {
        self.settled += tags.end - tags.start;
        if tags.start > self.lowest {
            self.apart.insert(tags.start, tags.end);
            return;
        }
        self.lowest = self.lowest.max(tags.end);
        while let Some(next) = self.apart.first_entry().filter(|next| *next.key() <= self.lowest) {
            self.lowest = self.lowest.max(next.remove());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A broker that has given so many messages, and what it was told of each.
    struct Broker(BTreeMap<u64, Option<bool>>);

    impl Broker {
        fn hears(&mut self, say: Say) {
            let range = if say.multiple { 1..=say.tag } else { say.tag..=say.tag };
            let open = self.0.range_mut(range).filter(|(_, told)| told.is_none());
            let heard = open.map(|(_, told)| *told = Some(say.done)).count();
            assert!(heard > 0, "{say:?} is about nothing, which a broker takes for an error");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_broker_hears_of_each_message_what_became_of_it(
            lens in prop::collection::vec((1_u64..5, any::<bool>()), 1..20), order in any::<prop::sample::Index>(), seed in any::<u64>()
        ) {
            let mut ranges = Vec::new();
            let mut next = 1;
            for (len, done) in lens {
                ranges.push((next..next + len, done));
                next += len;
            }
            let mut broker = Broker((1..next).map(|tag| (tag, None)).collect());
            let mut tags = Tags::default();
            let expected: BTreeMap<u64, Option<bool>> =
                ranges.iter().flat_map(|(range, done)| range.clone().map(|tag| (tag, Some(*done)))).collect();
            let at = order.index(ranges.len());
            ranges.rotate_left(at);
            let mut random = seed;
            while !ranges.is_empty() {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (range, done) = ranges.remove((random >> 33) as usize % ranges.len());
                let mut say = Vec::new();
                tags.each(range, done, &mut say);
                say.into_iter().for_each(|say| broker.hears(say));
                let lowest = broker.0.iter().find(|(_, told)| told.is_none()).map_or(next, |(tag, _)| *tag);
                prop_assert_eq!(tags.lowest(), lowest);
                let told = broker.0.values().filter(|told| told.is_some()).count();
                prop_assert_eq!(tags.settled(), told as u64);
            }
            prop_assert_eq!(broker.0, expected);
        }

        #[test]
        fn one_word_covers_all_up_to_a_point(points in prop::collection::vec(0_u64..50, 1..10)) {
            let mut broker = Broker((1..50).map(|tag| (tag, None)).collect());
            let mut tags = Tags::default();
            let mut highest = 0;
            for point in points {
                let said = tags.upto(point);
                prop_assert_eq!(said.is_some(), point > highest);
                said.into_iter().for_each(|say| broker.hears(say));
                highest = highest.max(point);
                prop_assert!(broker.0.iter().all(|(tag, told)| told.is_some() == (*tag <= highest)));
            }
        }
    }
}
