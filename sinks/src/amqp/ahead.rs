//! [`Ahead`]: what was confirmed behind a record that was not. If that is left out, the others come again, and are not
//! published twice. If it is retried they are, behind it: the order of records wins.

use std::collections::VecDeque;

use millstream_core::data::Stamp;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    failed: Option<Stamp>,
    confirmed: VecDeque<Stamp>,
}

impl Ahead {
    /// This one failed, and these behind it, in this order, were confirmed.
    pub(super) fn remember(&mut self, failed: Stamp, confirmed: impl IntoIterator<Item = Stamp>) {
        (self.failed, self.confirmed) = (Some(failed), confirmed.into_iter().collect());
    }

    /// The rows that are to be published, of as many as there are.
    pub(super) fn left(&mut self, rows: usize, stamps: impl IntoIterator<Item = Stamp>) -> Vec<usize> {
        if self.failed.is_none() {
            return (0..rows).collect();
        }
        let left = |(row, stamp): (usize, Stamp)| {
            if row == 0 && self.failed.as_ref() == Some(&stamp) {
                self.confirmed.clear();
            }
            match self.confirmed.iter().position(|confirmed| *confirmed == stamp) {
                Some(at) => {
                    self.confirmed.drain(..=at);
                    None
                }
                None => {
                    // What is behind it was not confirmed either, but for what was remembered of a window.
                    Some(row)
                }
            }
        };
        let left = stamps.into_iter().enumerate().filter_map(left).collect();
        if self.confirmed.is_empty() {
            self.failed = None;
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::data::{EventTime, Partition};

    fn stamp(sequence: u64) -> Stamp {
        let time = EventTime { micros: 0, ingested: true };
        let (stage, partition) = ("S".into(), Partition::new("p"));
        Stamp { stage, partition, instance: 0, epoch: 0, sequence, sub: 0, time, late: false }
    }

    fn left(ahead: &mut Ahead, rows: std::ops::Range<u64>) -> Vec<usize> {
        ahead.left((rows.end - rows.start) as usize, rows.map(stamp))
    }

    #[test]
    fn what_was_confirmed_is_not_published_again_when_the_one_before_it_is_left_out() {
        let mut ahead = Ahead::default();
        assert_eq!(left(&mut ahead, 0..3), [0, 1, 2]);
        ahead.remember(stamp(2), [3, 4, 6].map(stamp));
        assert_eq!(left(&mut ahead, 3..5), [] as [usize; 0]);
        assert_eq!(left(&mut ahead, 5..9), [0, 2, 3]);
        assert_eq!(left(&mut ahead, 3..5), [0, 1]);
    }

    #[test]
    fn all_is_published_again_behind_one_that_is_retried() {
        let mut ahead = Ahead::default();
        ahead.remember(stamp(2), [3, 4].map(stamp));
        assert_eq!(left(&mut ahead, 2..6), [0, 1, 2, 3]);
        assert_eq!(left(&mut ahead, 3..6), [0, 1, 2]);
    }
}
