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

/// Rows of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rows {
    /// They are to be published.
    pub(super) left: Vec<usize>,
    /// They were confirmed before.
    pub(super) known: Vec<usize>,
}

impl Ahead {
    /// This one failed, and these behind it, in this order, were confirmed.
    pub(super) fn remember(&mut self, failed: Stamp, confirmed: impl IntoIterator<Item = Stamp>) {
        self.failed = Some(failed);
        // What is left of the former ones stands behind all of these.
        let behind = std::mem::take(&mut self.confirmed);
        self.confirmed = confirmed.into_iter().chain(behind).collect();
    }

    /// What is to be done with the rows of a batch.
    pub(super) fn rows(&mut self, rows: usize, stamps: impl IntoIterator<Item = Stamp>) -> Rows {
        if self.failed.is_none() {
            return Rows { left: (0..rows).collect(), known: Vec::new() };
        }
        let (mut left, mut known) = (Vec::new(), Vec::new());
        for (row, stamp) in stamps.into_iter().enumerate() {
            if row == 0 && self.failed.as_ref() == Some(&stamp) {
                self.confirmed.clear();
            }
            match self.confirmed.iter().position(|confirmed| *confirmed == stamp) {
                Some(at) => {
                    self.confirmed.drain(..=at);
                    known.push(row);
                }
                None => left.push(row),
            }
        }
        if self.confirmed.is_empty() {
            self.failed = None;
        }
        Rows { left, known }
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
        ahead.rows((rows.end - rows.start) as usize, rows.map(stamp)).left
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

    #[test]
    fn what_was_confirmed_stays_known_when_another_fails_among_it() {
        let mut ahead = Ahead::default();
        ahead.remember(stamp(2), [3, 5, 6, 8].map(stamp));
        let rows = ahead.rows(4, (3..7).map(stamp));
        assert_eq!(rows, Rows { left: vec![1], known: vec![0, 2, 3] });
        ahead.remember(stamp(4), [5, 6].map(stamp));
        assert_eq!(left(&mut ahead, 5..9), [2]);
    }
}
