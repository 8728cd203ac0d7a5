//! [`Spans`]: sequence numbers, as ranges.

use std::ops::Range;

/// Sequence numbers, as ascending ranges that don't touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spans(Vec<Range<u64>>);

impl Spans {
    /// What is in any of these.
    pub(super) fn of(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut spans: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        spans.sort_unstable_by_key(|range| range.start);
        spans.dedup_by(|next, last| {
            let joined = next.start <= last.end;
            if joined {
                last.end = last.end.max(next.end);
            }
            joined
        });
        Self(spans)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest.
    pub(super) fn first(&self) -> Option<u64> {
        self.0.first().map(|range| range.start)
    }

    /// The lowest, and where they end.
    pub(super) fn bounds(&self) -> Option<Range<u64>> {
        Some(self.0.first()?.start..self.0.last()?.end)
    }

    /// How many they are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.meets(&(number..number.saturating_add(1)))
    }

    /// Whether any of these is within `range`.
    pub(super) fn meets(&self, range: &Range<u64>) -> bool {
        !self.hit(range).is_empty()
    }

    /// The ranges.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().cloned()
    }

    /// What of `range` is not in here.
    pub(super) fn outside(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let (mut left, mut from) = (Vec::new(), range.start);
        for span in self.0.get(self.hit(&range)).unwrap_or_default() {
            left.push(from..span.start);
            from = span.end;
        }
        left.push(from..range.end);
        left.retain(|range| !range.is_empty());
        left
    }

    /// Takes out what is within `range`.
    pub(super) fn take(&mut self, range: Range<u64>) -> Self {
        let hit = self.hit(&range);
        let taken = self.0.get(hit.clone()).unwrap_or_default();
        let (Some(first), Some(last)) = (taken.first(), taken.last()) else { return Self::default() };
        let left = [first.start..range.start, range.end..last.end];
        let taken = taken.iter().map(|span| span.start.max(range.start)..span.end.min(range.end)).collect();
        self.0.splice(hit, left.into_iter().filter(|range| !range.is_empty()));
        Self(taken)
    }

    /// Which of the ranges have something within `range`.
    fn hit(&self, range: &Range<u64>) -> Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        let from = self.0.partition_point(|span| span.end <= range.start);
        let to = self.0.partition_point(|span| span.start < range.end);
        from..to.max(from)
    }
}
