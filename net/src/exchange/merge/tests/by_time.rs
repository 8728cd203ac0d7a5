//! By event time.

use proptest::prelude::*;

use super::*;

const IDLE: Duration = Duration::from_secs(5);

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn by_time() -> Merge<Piece, Token> {
    merge(Order::EventTime { idle: IDLE })
}

/// The event times of all that passes at this time, and whether it is late.
fn times(merge: &mut Merge<Piece, Token>, now: Duration) -> Vec<(i64, bool)> {
    std::iter::from_fn(|| merge.next(now)).map(|passed| (passed.piece.time, passed.late)).collect()
}

#[test]
fn the_earliest_goes_first_while_all_have_something() {
    let (mut merge, a, b) = (by_time(), origin(0, "p", 1), origin(1, "p", 1));
    for (start, time) in [(0, 10), (1, 30)] {
        come(&mut merge, at_time(&a, start..start + 1, time), (1, start as u32));
        come(&mut merge, at_time(&b, start..start + 1, time + 10), (2, start as u32));
    }
    assert_eq!(times(&mut merge, at(0)), [(10, false), (20, false), (30, false)], "40 waits for the first origin");
    assert_eq!(merge.wake(at(0)), Some(at(5)));
    assert_eq!(times(&mut merge, at(5)), [(40, false)]);
}

#[test]
fn a_watermark_holds_nothing_back_that_is_not_later() {
    let (mut merge, a, b) = (by_time(), origin(0, "p", 1), origin(1, "p", 1));
    merge.watermark(&b, 15);
    come(&mut merge, at_time(&a, 0..1, 15), (1, 1));
    come(&mut merge, at_time(&a, 1..2, 16), (1, 2));
    assert_eq!(times(&mut merge, at(0)), [(15, false)]);
    merge.watermark(&b, 20);
    assert_eq!(times(&mut merge, at(0)), [(16, false)]);
    assert_eq!(merge.wake(at(0)), None);
    come(&mut merge, at_time(&b, 0..1, 12), (2, 1));
    assert_eq!(times(&mut merge, at(0)), [(12, true)], "the promise is broken");
}

#[test]
fn what_comes_after_its_time_out_is_late_and_its_own_order_holds() {
    let (mut merge, a, b) =
        (Merge::new(Order::EventTime { idle: IDLE }, 1_000, false), origin(0, "p", 1), origin(1, "q", 1));
    merge.claim(0, 1, &partitions(["p"]));
    merge.claim(1, 1, &partitions(["q"]));
    come(&mut merge, at_time(&a, 0..1, 100), (1, 1));
    assert_eq!(times(&mut merge, at(60)), [], "a claim is waited for, though nothing has come");
    assert_eq!((times(&mut merge, at(65)), merge.wake(at(65))), (vec![(100, false)], None));
    come(&mut merge, at_time(&b, 0..1, 200), (2, 1));
    come(&mut merge, at_time(&b, 1..2, 50), (2, 2));
    come(&mut merge, at_time(&b, 2..3, 100), (2, 3));
    come(&mut merge, at_time(&a, 1..2, 201), (1, 2));
    assert_eq!(times(&mut merge, at(66)), [(200, false), (50, true), (100, false)]);
    assert_eq!(merge.counts().late, 1);
    assert_eq!(merge.settled(2, 1..2, Abandoned), []);
    assert_eq!(times(&mut merge, at(67)), [(50, true)], "late it stays when it passes again, and waits for nobody");
}

#[test]
fn the_disorder_of_one_origin_is_not_late() {
    let (mut merge, a) = (by_time(), origin(0, "p", 1));
    come(&mut merge, at_time(&a, 0..1, 100), (1, 1));
    come(&mut merge, at_time(&a, 1..2, 50), (1, 2));
    assert_eq!(times(&mut merge, at(0)), [(100, false), (50, false)]);
}

#[test]
fn a_frozen_origin_is_waited_for_no_longer_than_a_silent_one() {
    let (mut merge, a, b) = (by_time(), origin(0, "p", 1), origin(1, "p", 1));
    come(&mut merge, at_time(&a, 0..1, 10), (1, 1));
    come(&mut merge, at_time(&b, 0..1, 20), (2, 1));
    merge.freeze(0);
    assert_eq!(times(&mut merge, at(0)), []);
    assert_eq!(times(&mut merge, at(5)), [(20, false)]);
    merge.thaw(0);
    assert_eq!(times(&mut merge, at(6)), [(10, true)]);
}

#[test]
fn an_origin_that_is_over_is_not_waited_for() {
    let (mut merge, a, b) = (by_time(), origin(0, "p", 1), origin(1, "p", 1));
    come(&mut merge, at_time(&a, 0..1, 10), (1, 1));
    come(&mut merge, at_time(&b, 1..2, 5), (2, 1));
    assert_eq!(times(&mut merge, at(0)), [], "5 is not there before 0..1 is");
    merge.open(1, 2);
    assert_eq!(times(&mut merge, at(0)), [(10, false)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However pieces come: what is in order by itself is in order together, and the end of one holds nobody up.
    #[test]
    fn sorted_origins_become_one_sorted_stream(
        steps in prop::collection::vec(prop::collection::vec(0_i64..5, 0..12), 1..5),
        turns in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..60),
    ) {
        let mut merge = by_time();
        let origins: Vec<_> = (0..steps.len()).map(|at| origin(at as u16, "p", 1)).collect();
        origins.iter().for_each(|origin| merge.watermark(origin, 0));
        let (mut sent, mut high, mut passed) = (vec![0; steps.len()], vec![0; steps.len()], Vec::new());
        let all = (0..steps.len()).flat_map(|at| [(at, true); 13]);
        for (which, pull) in turns.into_iter().map(|(at, pull)| (at.index(steps.len()), pull)).chain(all) {
            match steps[which].get(sent[which]) {
                Some(step) => {
                    high[which] += step;
                    let records = sent[which] as u64..sent[which] as u64 + 1;
                    let from = (which as u32, sent[which] as u32);
                    come(&mut merge, at_time(&origins[which], records, high[which]), from);
                    sent[which] += 1;
                }
                None => merge.watermark(&origins[which], i64::MAX),
            }
            if pull {
                passed.extend(times(&mut merge, at(0)));
            }
        }
        passed.extend(times(&mut merge, at(0)));
        prop_assert_eq!(passed.len(), steps.iter().map(Vec::len).sum::<usize>());
        prop_assert!(passed.is_sorted(), "{:?}", passed);
    }
}
