use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::data::{Bytes, Data as _, EventTime, Packed, Partition, Shared, Times};
use crate::runtime::nowhere::Nowhere;

fn shared(epoch: u64, first: u64, len: u32) -> Arc<Shared> {
    Arc::new(Shared {
        stage: Bytes::NAME.into(),
        partition: Partition::new("p"),
        instance: 0,
        epoch,
        first,
        len,
        times: Times::Uniform(EventTime { micros: 0, ingested: true }),
        marks: Arc::new(Nowhere),
        raw: None,
        late: false,
        turns: None,
        dealt: None,
    })
}

/// A batch of the records from `first` on, with so many rows each.
fn batch(epoch: u64, first: u64, rows: &[u8]) -> Batch {
    let mut column = Packed::<Bytes>::default();
    let index: Vec<u32> = (0..).zip(rows).flat_map(|(at, &rows)| (0..rows).map(move |_| at)).collect();
    index.iter().for_each(|_| column.append_bytes(b"x"));
    column.freeze();
    let shared = shared(epoch, first, rows.len() as u32);
    let part = 0..rows.len() as u32;
    Batch::with_rows(shared, part, Some(index), Box::new(column))
}

#[test]
fn what_is_let_go_of_counts_once_it_comes_again_and_what_has_arrived_for_good() {
    let tally = Tally::new(10);
    tally.count(&batch(1, 5, &[1, 0, 3, 1]), true);
    assert_eq!(tally.left(), 5);
    tally.keep(|_| true, &(5..7));
    tally.give_back(|_| true, &(5..8));
    assert_eq!(tally.left(), 8, "the third had three rows");
    tally.give_back(|_| true, &(0..100));
    assert_eq!(tally.left(), 9);
    tally.give_back(|_| true, &(0..100));
    assert_eq!(tally.left(), 9, "once");
}

#[test]
fn origins_are_told_apart() {
    let tally = Tally::new(10);
    tally.count(&batch(1, 0, &[1, 1]), true);
    tally.count(&batch(2, 0, &[1, 1, 1]), true);
    tally.give_back(|key| key.epoch == 2, &(0..100));
    assert_eq!(tally.left(), 8);
    tally.count(&batch(1, 2, &[1]), false);
    tally.give_back(|_| true, &(2..3));
    assert_eq!(tally.left(), 7, "what never comes again is not remembered");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_counted_is_what_is_neither_left_nor_given_back(
        acts in prop::collection::vec((prop::collection::vec(0..4_u8, 0..6), 0..30_u64, 0..8_u64, any::<bool>()), 0..20)
    ) {
        let tally = Tally::new(1_000);
        let (mut counted, mut open, mut next) = (0_u64, BTreeMap::<u64, u64>::new(), 0);
        for (rows, from, len, arrives) in acts {
            tally.count(&batch(1, next, &rows), true);
            for rows in rows {
                counted += u64::from(rows);
                open.insert(next, u64::from(rows));
                next += 1;
            }
            let gone: u64 = open.extract_if(from..from + len, |_, _| true).map(|(_, rows)| rows).sum();
            match arrives {
                true => tally.keep(|_| true, &(from..from + len)),
                false => {
                    counted -= gone;
                    tally.give_back(|_| true, &(from..from + len));
                }
            }
            prop_assert_eq!(tally.left(), 1_000 - counted);
        }
    }
}
