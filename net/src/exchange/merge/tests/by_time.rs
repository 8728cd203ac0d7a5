//! By event time, and by turns.

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
    std::iter::from_fn(|| merge.next(now))
        .map(|passed| (passed.piece.at(passed.piece.records.start), passed.late))
        .collect()
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
    merge.watermark(&b, 0, 15);
    come(&mut merge, at_time(&a, 0..1, 15), (1, 1));
    come(&mut merge, at_time(&a, 1..2, 16), (1, 2));
    assert_eq!(times(&mut merge, at(0)), [(15, false)]);
    merge.watermark(&b, 0, 20);
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

#[test]
fn a_promise_counts_once_all_before_it_has_passed() {
    let (mut merge, a, b) = (by_time(), origin(0, "p", 1), origin(1, "p", 1));
    come(&mut merge, at_time(&a, 0..1, 30), (1, 1));
    merge.watermark(&b, 2, 100);
    assert_eq!(times(&mut merge, at(0)), [], "records 0 and 1 of the other are on their way");
    come(&mut merge, at_time(&b, 0..1, 10), (2, 1));
    assert_eq!(times(&mut merge, at(0)), [(10, false)]);
    come(&mut merge, at_time(&b, 1..2, 20), (2, 2));
    assert_eq!(times(&mut merge, at(0)), [(20, false), (30, false)]);
    merge.watermark(&b, 1, 5);
    come(&mut merge, at_time(&a, 1..2, 90), (1, 2));
    assert_eq!(times(&mut merge, at(0)), [(90, false)], "an older promise takes nothing back");
}

/// Records whose times are this far apart, the first at `time`.
fn every(step: i64, origin: &Arc<Origin>, records: Range<u64>, time: i64) -> Piece {
    let zero = time - step * records.start as i64;
    Piece { time: zero, step, ..piece(origin, records) }
}

#[test]
fn a_piece_passes_as_far_as_nothing_from_elsewhere_is_earlier() {
    let (mut merge, a, b) = (by_time(), origin(0, "p", 1), origin(1, "p", 1));
    come(&mut merge, every(10, &a, 0..5, 0), (1, 1));
    come(&mut merge, every(10, &b, 0..3, 15), (2, 1));
    let passed: Vec<_> = std::iter::from_fn(|| next(&mut merge)).collect();
    let shown: Vec<_> =
        passed.iter().map(|passed| (passed.piece.origin.instance, passed.piece.records.clone())).collect();
    assert_eq!(shown, [(0, 0..2), (1, 0..1), (0, 2..3), (1, 1..2), (0, 3..4), (1, 2..3)], "40 waits for the second");
    merge.watermark(&b, 3, 40);
    let last = next(&mut merge).unwrap();
    assert_eq!(last.piece.records, 4..5);
    let told: Vec<_> =
        passed.iter().chain([&last]).flat_map(|passed| merge.settled(passed.slot, 0..9, Delivered)).collect();
    let of = |token| told.iter().filter(|ack| ack.to == token).map(|ack| ack.records.clone()).collect::<Vec<_>>();
    assert_eq!(
        (of((1, 1)), of((2, 1))),
        (vec![0..2, 2..3, 3..4, 4..5], vec![0..1, 1..2, 2..3]),
        "each hears of each once"
    );
    let mut freed = merge.take_freed();
    freed.sort_unstable();
    assert_eq!((freed, merge.is_idle()), (vec![((1, 1), 8), ((2, 1), 6)], true));
}

#[test]
fn what_passes_late_and_what_does_not_pass_apart() {
    let (mut merge, a, b) = (by_time(), origin(0, "p", 1), origin(1, "p", 1));
    come(&mut merge, at_time(&b, 0..1, 0), (2, 1));
    come(&mut merge, at_time(&a, 0..1, 25), (1, 1));
    assert_eq!(times(&mut merge, at(0)), [(0, false)]);
    assert_eq!(times(&mut merge, at(5)), [(25, false)], "the second is given up");
    come(&mut merge, every(10, &b, 1..5, 10), (2, 2));
    assert_eq!(times(&mut merge, at(6)), [(10, true)], "what is not late waits for the first");
    come(&mut merge, at_time(&a, 1..2, 99), (1, 2));
    assert_eq!(times(&mut merge, at(6)), [(30, false)]);
    assert_eq!(merge.counts().late, 2, "10 and 20");
}

#[test]
fn what_is_late_within_a_piece_passes_late_though_what_is_before_it_does_not() {
    let (mut merge, a, b) = (by_time(), origin(0, "p", 1), origin(1, "p", 1));
    come(&mut merge, at_time(&b, 0..1, 0), (2, 1));
    come(&mut merge, at_time(&a, 0..1, 200), (1, 1));
    assert_eq!((times(&mut merge, at(0)), times(&mut merge, at(5))), (vec![(0, false)], vec![(200, false)]));
    come(&mut merge, every(-60, &b, 1..3, 210), (2, 2));
    merge.watermark(&a, 1, i64::MAX);
    assert_eq!(times(&mut merge, at(6)), [(210, false), (150, true)]);
}

fn by_turn() -> Merge<Piece, Token> {
    merge(Order::Turn).expecting([0, 1])
}

#[test]
fn by_turn_nobody_is_given_up() {
    let (mut merge, a, b) = (by_turn(), origin(0, "fold", 1), origin(1, "fold", 1));
    come(&mut merge, every(2, &a, 0..3, 0), (1, 1));
    assert_eq!(times(&mut merge, at(9_000)), [], "nothing is known of the second fold");
    come(&mut merge, every(2, &b, 0..2, 1), (2, 1));
    assert_eq!(times(&mut merge, at(0)), [(0, false), (1, false), (2, false), (3, false)]);
    assert_eq!((times(&mut merge, at(9_000)), merge.wake(at(9_000))), (vec![], None), "it may have more");
    merge.watermark(&b, 2, i64::MAX);
    assert_eq!(times(&mut merge, at(0)), [(4, false)]);
}

#[test]
fn by_turn_a_fold_that_begins_anew_is_waited_for_anew() {
    let (mut merge, a, b) = (by_turn(), origin(0, "fold", 1), origin(1, "fold", 1));
    merge.watermark(&b, 0, i64::MAX);
    come(&mut merge, every(1, &a, 0..2, 0), (1, 1));
    merge.open(1, 2);
    assert_eq!(times(&mut merge, at(9_000)), []);
    let anew = origin(1, "fold", 2);
    come(&mut merge, every(1, &anew, 0..1, 0), (2, 1));
    assert_eq!(times(&mut merge, at(0)), [(0, false), (0, false)]);
    merge.watermark(&anew, 1, i64::MAX);
    assert_eq!(times(&mut merge, at(0)), [(1, false)]);
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
        origins.iter().for_each(|origin| merge.watermark(origin, 0, 0));
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
                None => merge.watermark(&origins[which], 0, i64::MAX),
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
