mod by_time;
mod model;

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use millstream_core::commit::Outcome::{self, Abandoned, Absorbed, Delivered, Disposed};
use millstream_core::data::Partition;

use super::super::origin::{By, Load, Origin};
use super::{Ack, Merge, Order, Passed};

/// By which link, and under which tag.
type Token = (u32, u32);

/// Records of some attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    origin: Arc<Origin>,
    records: Range<u64>,
    attempt: u32,
    /// How many rows each record has.
    rows: u64,
    /// Where record 0 of the origin would stand, and how far each record stands from the one before.
    time: i64,
    step: i64,
}

impl Piece {
    fn at(&self, record: u64) -> i64 {
        self.time + self.step * record as i64
    }
}

impl Load for Piece {
    fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    fn records(&self) -> Range<u64> {
        self.records.clone()
    }

    fn bytes(&self) -> u64 {
        3 + self.rows * self.records.clone().count() as u64
    }

    fn place(&self, _: By) -> i64 {
        self.at(self.records.start)
    }

    fn run(&self, _: By, within: RangeInclusive<i64>) -> (u64, i64) {
        let first = self.records.start;
        let end = (first + 1..self.records.end)
            .find(|&record| !within.contains(&self.at(record)))
            .unwrap_or(self.records.end);
        (end, (first..end).map(|record| self.at(record)).max().unwrap())
    }

    fn slice(&self, records: Range<u64>) -> Self {
        assert!(self.records.start <= records.start && records.end <= self.records.end && !records.is_empty());
        Self { records, ..self.clone() }
    }
}

fn origin(instance: u16, partition: &str, epoch: u64) -> Arc<Origin> {
    Arc::new(Origin { instance, stage: "source".into(), partition: Partition::new(partition), epoch })
}

fn partitions<const N: usize>(names: [&str; N]) -> [Partition; N] {
    names.map(Partition::new)
}

fn piece(origin: &Arc<Origin>, records: Range<u64>) -> Piece {
    Piece { origin: origin.clone(), records, attempt: 1, rows: 1, time: 0, step: 0 }
}

/// Another attempt at the same.
fn copy(origin: &Arc<Origin>, records: Range<u64>) -> Piece {
    Piece { attempt: 2, rows: 2, ..piece(origin, records) }
}

fn at_time(origin: &Arc<Origin>, records: Range<u64>, time: i64) -> Piece {
    Piece { time, ..piece(origin, records) }
}

fn merge(order: Order) -> Merge<Piece, Token> {
    Merge::new(order, 1_000, true)
}

fn ack(to: Token, records: Range<u64>, outcome: Outcome) -> Ack<Token> {
    Ack { to, records, outcome }
}

/// A piece comes of which nothing is known yet.
fn come(merge: &mut Merge<Piece, Token>, piece: Piece, from: Token) {
    assert_eq!(merge.arrive(piece, from), []);
}

fn next(merge: &mut Merge<Piece, Token>) -> Option<Passed<Piece, Token>> {
    merge.next(Duration::ZERO)
}

/// All that passes now: whose, and which records.
fn pass_all(merge: &mut Merge<Piece, Token>) -> Vec<(u16, Range<u64>)> {
    std::iter::from_fn(|| next(merge)).map(|passed| (passed.piece.origin.instance, passed.piece.records)).collect()
}

/// The slot of the only piece that passes now.
fn pass_one(merge: &mut Merge<Piece, Token>) -> u64 {
    let passed = next(merge).unwrap();
    assert_eq!(next(merge), None);
    passed.slot
}

#[test]
fn the_order_of_an_origin_is_restored() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 6..9), (1, 1));
    come(&mut merge, piece(&a, 3..6), (2, 1));
    assert_eq!(pass_all(&mut merge), []);
    assert_eq!(merge.needs(), [(a.clone(), 0)]);
    come(&mut merge, piece(&a, 0..3), (1, 2));
    assert_eq!(pass_all(&mut merge), [(0, 0..3), (0, 3..6), (0, 6..9)]);
    assert_eq!((merge.frontiers(), merge.needs()), (vec![(a, 9)], vec![]));
}

#[test]
fn origins_take_turns_and_equal_sequence_numbers_do_not_collide() {
    let (mut merge, a, b) = (merge(Order::PerOrigin), origin(0, "p", 1), origin(1, "p", 1));
    for (tag, start) in [0, 2, 4].into_iter().enumerate() {
        come(&mut merge, piece(&a, start..start + 2), (1, tag as u32));
        come(&mut merge, piece(&b, start..start + 2), (2, tag as u32));
    }
    let passed = pass_all(&mut merge);
    assert_eq!(passed, [(0, 0..2), (1, 0..2), (0, 2..4), (1, 2..4), (0, 4..6), (1, 4..6)]);
    assert_eq!(merge.settled(1, 0..2, Delivered), [ack((2, 0), 0..2, Delivered)]);
    assert!(!merge.is_idle());
}

#[test]
fn records_without_rows_stall_nothing() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    let without_rows = |records| Piece { rows: 0, ..piece(&a, records) };
    come(&mut merge, without_rows(0..100), (1, 1));
    come(&mut merge, piece(&a, 150..160), (1, 3));
    come(&mut merge, without_rows(100..150), (2, 1));
    assert_eq!(pass_all(&mut merge), [(0, 0..100), (0, 100..150), (0, 150..160)]);
    for (slot, tag, records) in [(0, (1, 1), 0..100), (1, (2, 1), 100..150), (2, (1, 3), 150..160)] {
        assert_eq!(merge.settled(slot, records.clone(), Delivered), [ack(tag, records, Delivered)]);
    }
    assert!(merge.is_idle());
}

#[test]
fn a_piece_of_no_records_is_nothing() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 5..5), (1, 1));
    assert_eq!(merge.take_freed(), [((1, 1), 3)]);
    assert!(merge.is_idle());
    merge.open(0, 2);
    come(&mut merge, piece(&a, 5..5), (1, 2));
}

#[test]
fn as_they_come_nothing_waits_for_what_is_missing() {
    let (mut merge, a) = (merge(Order::Arrival), origin(0, "p", 1));
    come(&mut merge, piece(&a, 6..9), (1, 1));
    assert_eq!(pass_all(&mut merge), [(0, 6..9)]);
    come(&mut merge, piece(&a, 2..4), (1, 2));
    assert_eq!(pass_all(&mut merge), [(0, 2..4)]);
    come(&mut merge, copy(&a, 0..9), (2, 1));
    assert_eq!(pass_all(&mut merge), [(0, 0..2), (0, 4..6)], "what had passed doesn't again");
    assert_eq!(merge.settled(0, 6..9, Delivered), [ack((1, 1), 6..9, Delivered), ack((2, 1), 6..9, Delivered)]);
    assert_eq!(merge.frontiers(), [(a, 9)]);
    assert_eq!(merge.needs(), []);
}

#[test]
fn of_two_attempts_one_passes_and_both_hear() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 2..4), (1, 1));
    come(&mut merge, copy(&a, 0..6), (2, 1));
    let passed: Vec<_> = std::iter::from_fn(|| next(&mut merge)).map(|p| (p.piece.records, p.piece.attempt)).collect();
    assert_eq!(passed, [(0..2, 2), (2..4, 1), (4..6, 2)], "whole records of one attempt each");
    assert_eq!(merge.settled(1, 2..4, Disposed), [ack((1, 1), 2..4, Disposed), ack((2, 1), 2..4, Disposed)]);
    assert_eq!(merge.settled(0, 0..2, Delivered), [ack((2, 1), 0..2, Delivered)]);
    assert_eq!(merge.counts().copies, 2);
}

#[test]
fn a_copy_of_what_has_passed_hears_what_becomes_of_it() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 0..4), (1, 1));
    let slot = pass_one(&mut merge);
    come(&mut merge, copy(&a, 1..4), (2, 1));
    assert_eq!(merge.settled(slot, 0..2, Delivered), [ack((1, 1), 0..2, Delivered), ack((2, 1), 1..2, Delivered)]);
    assert_eq!(merge.arrive(copy(&a, 0..4), (3, 1)), [ack((3, 1), 0..2, Delivered)]);
    let told = [(1, 1), (2, 1), (3, 1)].map(|to| ack(to, 2..4, Absorbed));
    assert_eq!(merge.settled(slot, 2..4, Absorbed), told);
    assert!(merge.is_idle());
}

#[test]
fn a_late_copy_of_what_was_absorbed_is_told_so_until_it_is_released() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 0..6), (1, 1));
    let slot = pass_one(&mut merge);
    for (records, outcome) in [(0..2, Delivered), (2..4, Absorbed), (4..6, Disposed)] {
        assert_eq!(merge.settled(slot, records.clone(), outcome), [ack((1, 1), records, outcome)]);
    }
    let told = [(0..2, Delivered), (2..4, Absorbed), (4..6, Delivered)].map(|(at, outcome)| ack((2, 1), at, outcome));
    assert_eq!(merge.arrive(copy(&a, 0..6), (2, 1)), told);
    merge.released(&a);
    assert_eq!(merge.arrive(copy(&a, 0..6), (2, 2)), [ack((2, 2), 0..6, Delivered)]);
}

#[test]
fn what_is_abandoned_passes_again_before_anything_new() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 0..6), (1, 1));
    let slot = pass_one(&mut merge);
    come(&mut merge, piece(&a, 6..8), (1, 2));
    assert_eq!(merge.settled(slot, 4..6, Abandoned), []);
    assert_eq!(merge.settled(slot, 0..2, Abandoned), []);
    let passed = std::iter::from_fn(|| next(&mut merge)).map(|p| (p.slot, p.piece.records, p.again));
    assert_eq!(passed.collect::<Vec<_>>(), [(slot, 0..2, true), (slot, 4..6, true)], "what is new waits for 2..4");
    assert_eq!(merge.settled(slot, 2..6, Delivered), [ack((1, 1), 2..6, Delivered)]);
    assert_eq!(pass_all(&mut merge), [(0, 6..8)]);
    assert_eq!(merge.settled(slot, 0..2, Delivered), [ack((1, 1), 0..2, Delivered)]);
}

#[test]
fn after_an_abort_the_order_holds_however_its_news_comes() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    for start in [0, 2, 4, 6] {
        come(&mut merge, piece(&a, start..start + 2), (1, start as u32));
    }
    for slot in 0..3 {
        assert_eq!(next(&mut merge).map(|passed| passed.slot), Some(slot));
    }
    assert_eq!(merge.settled(0, 0..2, Abandoned), []);
    assert_eq!(pass_all(&mut merge), [(0, 0..2)]);
    assert_eq!(merge.settled(1, 2..4, Abandoned), []);
    assert_eq!(pass_all(&mut merge), [(0, 2..4)], "4..6 may be abandoned, too");
    assert_eq!(merge.settled(2, 4..6, Delivered), [ack((1, 4), 4..6, Delivered)]);
    assert_eq!(pass_all(&mut merge), [(0, 6..8)]);
    assert_eq!(merge.counts().replayed, 4);
}

#[test]
fn what_was_settled_is_not_abandoned_any_more() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 0..4), (1, 1));
    let slot = pass_one(&mut merge);
    assert_eq!(merge.settled(slot, 1..3, Delivered), [ack((1, 1), 1..3, Delivered)]);
    assert_eq!(merge.settled(slot, 0..9, Abandoned), []);
    assert_eq!(pass_all(&mut merge), [(0, 0..1), (0, 3..4)]);
    assert_eq!(merge.settled(slot, 0..9, Delivered), [ack((1, 1), 0..1, Delivered), ack((1, 1), 3..4, Delivered)]);
    assert_eq!(merge.settled(slot, 0..9, Delivered), [], "an outcome is told once");
    assert_eq!(merge.settled(77, 0..9, Delivered), [], "nothing has passed as this");
}

#[test]
fn a_piece_waits_until_its_partition_is_claimed() {
    let (mut merge, a) = (Merge::new(Order::Arrival, 1_000, false), origin(0, "p", 1));
    merge.open(0, 1);
    come(&mut merge, piece(&a, 0..2), (1, 1));
    assert_eq!((pass_all(&mut merge), merge.frontiers(), merge.is_idle()), (vec![], vec![], false));
    assert_eq!(merge.claim(0, 1, &partitions(["p", "q"])), []);
    assert_eq!(pass_all(&mut merge), [(0, 0..2)]);
    let q = origin(0, "q", 1);
    assert_eq!(merge.frontiers(), [(a.clone(), 2), (q.clone(), 0)]);
    come(&mut merge, piece(&q, 0..3), (1, 2));
    assert_eq!(pass_all(&mut merge), [(0, 0..3)]);
    assert_eq!(merge.frontiers(), [(a, 2), (q, 3)]);
}

#[test]
fn the_first_piece_tells_the_stage_that_claims_are_about() {
    let (mut merge, a, b) = (Merge::new(Order::PerOrigin, 5, false), origin(0, "p", 1), origin(1, "q", 1));
    assert_eq!(merge.claim(0, 1, &partitions(["p"])), []);
    assert_eq!(merge.claim(1, 1, &partitions(["q"])), []);
    let unnamed: Vec<_> = merge.frontiers().into_iter().map(|(origin, at)| (origin.stage.to_string(), at)).collect();
    assert_eq!(unnamed, [("".to_owned(), 0), ("".to_owned(), 0)]);
    come(&mut merge, piece(&a, 0..2), (1, 1));
    assert_eq!(merge.needs(), [(b.clone(), 0)], "by its name, though nothing has come of it");
    assert_eq!(merge.claim(2, 1, &partitions(["q"])), [b]);
    assert_eq!(pass_all(&mut merge), [(0, 0..2)]);
}

#[test]
fn a_claim_of_another_instance_ends_the_former_one() {
    let (mut merge, a, b) = (Merge::new(Order::PerOrigin, 1_000, false), origin(0, "p", 1), origin(1, "p", 4));
    assert_eq!(merge.claim(0, 1, &partitions(["p"])), []);
    come(&mut merge, piece(&a, 0..2), (1, 1));
    let slot = pass_one(&mut merge);
    come(&mut merge, piece(&a, 2..4), (1, 2));
    come(&mut merge, piece(&b, 0..2), (2, 1));
    assert_eq!(merge.claim(1, 4, &partitions(["p"])), std::slice::from_ref(&a));
    assert_eq!(merge.take_discarded(), [(a.clone(), ack((1, 2), 2..4, Abandoned))]);
    assert_eq!(pass_all(&mut merge), [(1, 0..2)]);
    assert_eq!(merge.arrive(piece(&a, 4..6), (1, 3)), [ack((1, 3), 4..6, Abandoned)]);
    assert_eq!(merge.settled(slot, 0..1, Delivered), [ack((1, 1), 0..1, Delivered)], "what is out is waited for");
    assert_eq!(merge.settled(slot, 1..2, Abandoned), [ack((1, 1), 1..2, Abandoned)]);
    assert_eq!((next(&mut merge), merge.is_out(slot)), (None, false), "and doesn't pass again");
    assert_eq!((merge.counts().discarded, merge.counts().dead), (2, 2));
    let fenced = merge.claim(0, 1, &partitions(["p"]));
    assert_eq!(fenced.iter().map(|origin| origin.instance).collect::<Vec<_>>(), [0], "lost is lost");
    assert_eq!(merge.claim(1, 4, &partitions(["p"])), [], "said again");
    merge.open(0, 2);
    assert_eq!(merge.claim(0, 2, &partitions(["p"])), [b], "in a new epoch it may have it back");
}

#[test]
fn a_new_epoch_ends_the_older_ones() {
    let (mut merge, old, other) = (merge(Order::PerOrigin), origin(0, "p", 1), origin(1, "p", 1));
    come(&mut merge, piece(&old, 0..2), (1, 1));
    let slot = pass_one(&mut merge);
    assert_eq!(merge.settled(slot, 0..1, Abandoned), []);
    come(&mut merge, piece(&old, 4..6), (1, 2));
    come(&mut merge, piece(&other, 2..4), (1, 3));
    merge.open(0, 3);
    let told = [ack((1, 2), 4..6, Abandoned), ack((1, 1), 0..1, Abandoned)].map(|ack| (old.clone(), ack));
    assert_eq!(merge.take_discarded(), told);
    assert_eq!(merge.take_freed(), [((1, 1), 5), ((1, 2), 5)]);
    assert_eq!(merge.arrive(piece(&old, 2..4), (1, 4)), [ack((1, 4), 2..4, Abandoned)]);
    merge.open(0, 2);
    let new = origin(0, "p", 3);
    come(&mut merge, piece(&new, 0..2), (1, 5));
    assert_eq!(pass_all(&mut merge), [(0, 0..2)], "from 0 on");
    assert_eq!(merge.needs(), [(other, 0)]);
    assert_eq!(merge.streams.len(), 3);
    assert_eq!(merge.settled(slot, 1..2, Delivered), [ack((1, 1), 1..2, Delivered)]);
    assert_eq!(merge.streams.len(), 2, "nothing is kept of what is over");
}

#[test]
fn what_comes_before_its_epoch_is_opened_stays() {
    let (mut merge, a) = (Merge::new(Order::PerOrigin, 1_000, false), origin(0, "p", 2));
    merge.open(0, 1);
    come(&mut merge, piece(&a, 0..2), (1, 1));
    merge.open(0, 2);
    assert_eq!(merge.claim(0, 1, &partitions(["p"])), [], "late, and nothing");
    assert_eq!(pass_all(&mut merge), []);
    assert_eq!(merge.claim(0, 2, &partitions(["p"])), []);
    assert_eq!(pass_all(&mut merge), [(0, 0..2)]);
}

#[test]
fn a_frozen_instance_passes_nothing_and_others_flow() {
    let (mut merge, a, b) = (merge(Order::PerOrigin), origin(0, "p", 1), origin(1, "p", 1));
    come(&mut merge, piece(&a, 0..2), (1, 1));
    let slot = pass_one(&mut merge);
    merge.freeze(0);
    merge.freeze(0);
    come(&mut merge, piece(&a, 2..4), (2, 1));
    come(&mut merge, piece(&b, 0..2), (2, 2));
    assert_eq!(merge.settled(slot, 0..1, Abandoned), []);
    assert_eq!(pass_all(&mut merge), [(1, 0..2)]);
    merge.thaw(0);
    assert_eq!(merge.settled(slot, 1..2, Delivered).len(), 1);
    assert_eq!(pass_all(&mut merge), [(0, 0..1), (0, 2..4)]);
    assert_eq!(merge.counts().frozen, 1);
}

#[test]
fn an_instance_that_opens_anew_is_not_frozen_any_more() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 2));
    merge.freeze(0);
    merge.open(0, 2);
    come(&mut merge, piece(&a, 0..2), (1, 1));
    assert_eq!(pass_all(&mut merge), [(0, 0..2)]);
}

#[test]
fn a_source_that_is_gone_is_told_nothing_but_what_it_brought_passes() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 0..2), (1, 1));
    let slot = pass_one(&mut merge);
    come(&mut merge, piece(&a, 2..4), (1, 2));
    merge.lost(|(link, _)| link == 1);
    come(&mut merge, copy(&a, 0..4), (2, 1));
    assert_eq!(merge.settled(slot, 0..2, Delivered), [ack((2, 1), 0..2, Delivered)]);
    let slot = pass_one(&mut merge);
    assert_eq!(merge.settled(slot, 2..4, Delivered), [ack((2, 1), 2..4, Delivered)]);
    assert_eq!(merge.take_freed(), [((2, 1), 11)], "bytes of a link that is gone are owed to nobody");
    assert_eq!(merge.waiting_bytes(), 0);
    come(&mut merge, piece(&a, 8..9), (2, 2));
    merge.open(0, 2);
    merge.lost(|(link, _)| link == 2);
    assert_eq!((merge.take_discarded(), merge.take_freed()), (vec![], vec![]));
}

#[test]
fn bytes_are_given_back_once_and_to_whom_they_came_from() {
    let (mut merge, a) = (merge(Order::PerOrigin), origin(0, "p", 1));
    come(&mut merge, piece(&a, 2..4), (1, 1));
    assert_eq!((merge.take_freed(), merge.waiting_bytes()), (vec![], 5));
    come(&mut merge, copy(&a, 0..8), (2, 1));
    assert_eq!(merge.take_freed(), [((2, 1), 1)], "its two ends wait");
    pass_all(&mut merge);
    let freed = merge.take_freed();
    let total = |of: Token| freed.iter().filter(|(to, _)| *to == of).map(|(_, bytes)| bytes).sum::<u64>();
    assert_eq!((total((1, 1)), total((2, 1)), merge.waiting_bytes()), (5, 18, 0));
}

#[test]
fn when_the_budget_is_used_up_every_origin_is_asked_for_its_next_piece() {
    let mut merge = Merge::new(Order::PerOrigin, 100, true);
    let (a, b, c) = (origin(0, "p", 1), origin(1, "p", 1), origin(2, "p", 1));
    come(&mut merge, piece(&a, 0..2), (1, 1));
    come(&mut merge, piece(&b, 0..2), (1, 2));
    pass_all(&mut merge);
    assert_eq!(merge.needs(), []);
    merge.freeze(2);
    come(&mut merge, piece(&c, 0..97), (1, 3));
    assert_eq!(merge.needs(), [(a.clone(), 2), (b.clone(), 2)], "what is frozen uses it up for all");
    come(&mut merge, piece(&a, 2..4), (1, 4));
    assert_eq!(merge.needs(), [(b, 2)]);
}
