#![allow(clippy::single_range_in_vec_init, reason = "ranges of records are what is meant")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use millstream_core::data::Partition;

use super::*;
use crate::exchange::origin::By;

mod model;

/// Bytes that a record counts for.
const RECORD: u64 = 10;

/// What claims were told, by claim and record; [`Outcome::Abandoned`] by being dropped.
type Told = Rc<RefCell<BTreeMap<(usize, u64), Outcome>>>;

#[derive(Debug, Clone)]
struct Bit {
    origin: Arc<Origin>,
    records: Range<u64>,
    /// Which of the pieces that a batch was cut into.
    part: usize,
}

impl Load for Bit {
    fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    fn records(&self) -> Range<u64> {
        self.records.clone()
    }

    fn bytes(&self) -> u64 {
        (RECORD * (self.records.end - self.records.start)).max(1)
    }

    fn place(&self, _: By) -> i64 {
        0
    }

    fn run(&self, _: By, _: std::ops::RangeInclusive<i64>) -> (u64, i64) {
        (self.records.end, 0)
    }

    fn slice(&self, records: Range<u64>) -> Self {
        assert!(self.records.start <= records.start && records.end <= self.records.end, "within what it is cut from");
        Self { records, ..self.clone() }
    }
}

/// A claim that writes down what it is told.
#[derive(Debug)]
struct Slip {
    id: usize,
    records: Range<u64>,
    told: Told,
}

impl Owes for Slip {
    fn open(&self) -> Vec<Range<u64>> {
        let told = self.told.borrow();
        let open = self.records.clone().filter(|&record| !told.contains_key(&(self.id, record)));
        open.map(|record| record..record + 1).collect()
    }

    fn settle(&mut self, records: Range<u64>, outcome: Outcome) {
        assert_ne!(outcome, Outcome::Abandoned, "a claim is abandoned by dropping it");
        assert!(!records.is_empty(), "something settles");
        for record in records {
            assert!(self.records.contains(&record), "record {record} is none of this claim's");
            let before = self.told.borrow_mut().insert((self.id, record), outcome);
            assert_eq!(before, None, "record {record} settles once");
        }
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        for record in self.records.clone() {
            self.told.borrow_mut().entry((self.id, record)).or_insert(Outcome::Abandoned);
        }
    }
}

fn origin(number: u64) -> Arc<Origin> {
    Arc::new(Origin { instance: 0, stage: "SOURCE".into(), partition: Partition::new(number.to_string()), epoch: 1 })
}

fn bit(of: u64, records: Range<u64>) -> Bit {
    Bit { origin: origin(of), records, part: 0 }
}

/// An outbox, and what its claims were told.
struct Bench {
    outbox: Outbox<Bit, Slip>,
    told: Told,
    claims: usize,
}

/// Of a deal: to whom, of which origin, which records.
type Dealt = (PeerId, u64, Range<u64>);

impl Bench {
    fn new(loss: Loss) -> Self {
        Self { outbox: Outbox::new(loss, 100), told: Told::default(), claims: 0 }
    }

    /// With these peers up, all with this much credit.
    fn with(loss: Loss, peers: Range<PeerId>, credit: u64) -> Self {
        let mut bench = Self::new(loss);
        peers.for_each(|peer| bench.outbox.up(peer, credit));
        bench
    }

    fn slip(&mut self, records: Range<u64>) -> Slip {
        self.claims += 1;
        Slip { id: self.claims - 1, records, told: self.told.clone() }
    }

    fn put(&mut self, of: u64, records: Range<u64>, aim: Aim) {
        let slip = self.slip(records.clone());
        self.outbox.put(bit(of, records), slip, aim);
    }

    /// A batch of origin 0, cut: for each piece the peer and the records that have rows in it.
    fn put_cut(&mut self, records: Range<u64>, pieces: &[(PeerId, Vec<Range<u64>>)]) {
        let slip = self.slip(records.clone());
        let cut = |(part, (peer, rows)): (usize, &(PeerId, Vec<Range<u64>>))| Cut {
            peer: *peer,
            piece: Bit { part, ..bit(0, records.clone()) },
            records: rows.clone(),
        };
        self.outbox.put_shared(pieces.iter().enumerate().map(cut).collect(), slip);
    }

    fn deals(&mut self) -> Vec<Deal<Bit>> {
        std::iter::from_fn(|| self.outbox.next()).collect()
    }

    fn dealt(&mut self) -> Vec<Dealt> {
        self.deals().iter().map(dealt).collect()
    }

    /// What claim `id` was told, as ranges.
    fn told(&self, id: usize) -> Vec<(Range<u64>, Outcome)> {
        let mut told: Vec<(Range<u64>, Outcome)> = Vec::new();
        for (&(_, record), &outcome) in self.told.borrow().range((id, 0)..(id + 1, 0)) {
            match told.last_mut() {
                Some((range, last)) if range.end == record && *last == outcome => range.end += 1,
                _ => told.push((record..record + 1, outcome)),
            }
        }
        told
    }
}

fn dealt(deal: &Deal<Bit>) -> Dealt {
    (deal.peer, deal.piece.origin.partition.name().parse().expect("a number"), deal.piece.records.clone())
}

use Aim::{Any, Peer as To};
use Outcome::{Abandoned, Absorbed, Delivered, Disposed};

// ---- Dealing ----

#[test]
fn pieces_go_to_peers_in_turn() {
    let mut bench = Bench::with(Loss::Redeal, 0..3, 1000);
    (0..4).for_each(|at| bench.put(0, at * 2..at * 2 + 2, Any));
    assert_eq!(bench.dealt(), [(1, 0, 0..2), (2, 0, 2..4), (0, 0, 4..6), (1, 0, 6..8)]);
    assert!(bench.outbox.next().is_none());
}

#[test]
fn each_peer_gets_of_the_origins_in_turn_the_lowest_records() {
    let mut bench = Bench::with(Loss::Keep, 0..1, 1000);
    for (of, start) in [(7, 10), (7, 5), (3, 0), (3, 1), (5, 0)] {
        bench.put(of, start..start + 1, To(0));
    }
    let order = bench.dealt().into_iter().map(|(_, of, records)| (of, records.start)).collect::<Vec<_>>();
    assert_eq!(order, [(7, 5), (3, 0), (5, 0), (7, 10), (3, 1)]);
}

#[test]
fn a_peer_gets_pieces_while_it_has_credit_and_one_may_overdraw_it() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 25);
    (0..6).for_each(|at| bench.put(0, at * 2..at * 2 + 2, Any));
    assert_eq!(bench.dealt(), [(0, 0, 0..2), (0, 0, 2..4)], "25 is enough for one of 20 bytes, and 5 for another");
    bench.outbox.grant(0, 15);
    assert_eq!(bench.dealt(), [], "it has paid back what it owed");
    bench.outbox.grant(0, 1);
    assert_eq!(bench.dealt(), [(0, 0, 4..6)]);
}

#[test]
fn a_piece_for_one_peer_goes_to_no_other() {
    let mut bench = Bench::with(Loss::Keep, 0..2, 1000);
    bench.put(0, 0..1, To(2));
    bench.put(0, 1..2, To(1));
    assert_eq!(bench.dealt(), [(1, 0, 1..2)], "who waits for one peer keeps nobody else waiting");
    bench.outbox.up(2, 1000);
    assert_eq!(bench.dealt(), [(2, 0, 0..1)]);
}

#[test]
fn who_is_not_eligible_gets_nothing_new_and_keeps_what_it_has() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 1000);
    bench.put(0, 0..2, Any);
    let deal = bench.outbox.next().expect("a deal");
    bench.outbox.eligible(0, false);
    bench.put(0, 2..4, Any);
    assert_eq!(bench.dealt(), []);
    bench.outbox.outcome(0, deal.tag, 0..2, Delivered);
    assert_eq!(bench.told(0), [(0..2, Delivered)]);
    bench.outbox.eligible(0, true);
    assert_eq!(bench.dealt(), [(0, 0, 2..4)]);
}

#[test]
fn credit_ends_with_the_link() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 1000);
    bench.outbox.down(0);
    bench.outbox.grant(0, 1000);
    bench.put(0, 0..1, Any);
    bench.put(0, 1..2, Any);
    assert_eq!(bench.dealt(), []);
    bench.outbox.up(0, 0);
    assert_eq!(bench.dealt(), [(0, 0, 0..1)], "the lowest alone, without credit");
}

#[test]
fn it_is_full_by_what_waits_and_not_by_what_is_dealt() {
    let mut bench = Bench::new(Loss::Redeal);
    bench.put(0, 0..9, Any);
    assert!(bench.outbox.has_room());
    bench.put(0, 9..10, Any);
    assert!(!bench.outbox.has_room(), "100 bytes wait");
    bench.outbox.up(0, 1);
    assert_eq!(bench.dealt(), [(0, 0, 0..9)]);
    assert!(bench.outbox.has_room());
}

// ---- The reserve ----

#[test]
fn the_lowest_record_of_each_origin_is_dealt_without_credit_to_who_has_most() {
    let mut bench = Bench::new(Loss::Redeal);
    bench.outbox.up(0, 0);
    bench.outbox.up(1, 5);
    bench.put(9, 0..2, Any);
    assert_eq!(bench.dealt(), [(1, 9, 0..2)], "by its credit");
    for (of, start) in [(0, 0), (0, 2), (1, 40), (1, 50)] {
        bench.put(of, start..start + 2, Any);
    }
    assert_eq!(bench.dealt(), [(0, 0, 0..2), (1, 1, 40..42)], "0 has 0 and then -20, 1 has -15");
}

#[test]
fn the_next_lowest_goes_once_the_lowest_has_settled() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 0);
    (0..3).for_each(|at| bench.put(0, at * 2..at * 2 + 2, Any));
    let deal = bench.outbox.next().expect("the lowest");
    assert_eq!(bench.outbox.lowest(&origin(0)), Some(0));
    bench.outbox.outcome(0, deal.tag, 0..1, Delivered);
    assert_eq!((bench.dealt(), bench.outbox.lowest(&origin(0))), (vec![], Some(1)));
    bench.outbox.outcome(0, deal.tag, 1..2, Delivered);
    assert_eq!(bench.dealt(), [(0, 0, 2..4)]);
}

#[test]
fn what_is_lower_and_comes_back_is_dealt_before_what_waits() {
    let mut bench = Bench::with(Loss::Redeal, 0..2, 1);
    (0..4).for_each(|at| bench.put(0, at..at + 1, Any));
    assert_eq!(bench.dealt(), [(1, 0, 0..1), (0, 0, 1..2)]);
    bench.outbox.down(1);
    bench.outbox.grant(0, 30);
    assert_eq!(bench.dealt(), [(0, 0, 0..1), (0, 0, 2..3), (0, 0, 3..4)]);
}

// ---- Outcomes ----

#[test]
fn outcomes_come_in_any_order_and_settle_once() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 1000);
    bench.put(0, 0..10, Any);
    let tag = bench.outbox.next().expect("a deal").tag;
    for (records, outcome) in [(4..6, Absorbed), (3..7, Disposed), (0..1, Delivered), (8..99, Delivered)] {
        bench.outbox.outcome(0, tag, records, outcome);
    }
    let told = [(0..1, Delivered), (3..4, Disposed), (4..6, Absorbed), (6..7, Disposed), (8..10, Delivered)];
    assert_eq!(bench.told(0), told);
    assert!(!bench.outbox.is_empty());
    bench.outbox.outcome(0, tag, 0..10, Delivered);
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.outbox.counts(), Counts::default(), "to hear twice while the tag lives is nothing");
}

#[test]
#[allow(clippy::reversed_empty_ranges, reason = "what comes from outside may be any two numbers")]
fn a_tag_that_is_over_or_of_another_peer_has_nothing_to_say() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 1000);
    bench.put(0, 0..10, Any);
    let tag = bench.outbox.next().expect("a deal").tag;
    bench.outbox.outcome(1, tag, 0..10, Delivered);
    bench.outbox.outcome(0, tag + 1, 0..u64::MAX, Delivered);
    bench.outbox.outcome(0, tag + 1, 0..10, Delivered);
    bench.outbox.outcome(0, tag, 9..3, Delivered);
    assert_eq!((bench.told(0), bench.outbox.counts().late), (vec![], u64::MAX));
    assert!(bench.outbox.with_claim(1, tag).is_none());
    let (claim, piece) = bench.outbox.with_claim(0, tag).expect("it is dealt");
    assert_eq!((claim.id, piece.records.clone()), (0, 0..10));
    bench.outbox.down(0);
    assert!(bench.outbox.with_claim(0, tag).is_none());
}

#[test]
fn what_is_given_back_goes_to_another_peer_if_one_takes_work() {
    let mut bench = Bench::with(Loss::Redeal, 0..2, 1000);
    bench.put(0, 0..10, Any);
    let deal = bench.outbox.next().expect("a deal");
    assert_eq!(deal.peer, 1);
    bench.outbox.outcome(1, deal.tag, 2..5, Abandoned);
    assert_eq!(bench.told(0), []);
    bench.outbox.eligible(0, false);
    bench.outbox.eligible(1, false);
    assert_eq!(bench.dealt(), []);
    bench.outbox.eligible(0, true);
    bench.outbox.eligible(1, true);
    let again = bench.deals();
    assert_eq!(again.iter().map(dealt).collect::<Vec<_>>(), [(0, 0, 2..5)]);
    assert_eq!(bench.outbox.counts().redealt, 3);

    bench.outbox.outcome(0, again[0].tag, 2..5, Abandoned);
    bench.outbox.eligible(1, false);
    assert_eq!(bench.dealt(), [(0, 0, 2..5)], "there is no other");
    bench.outbox.outcome(1, deal.tag, 0..10, Delivered);
    assert_eq!(bench.told(0), [(0..2, Delivered), (5..10, Delivered)], "it has no word in what it gave back");
}

#[test]
fn who_gave_a_piece_back_is_not_kept_from_others() {
    let mut bench = Bench::new(Loss::Redeal);
    bench.outbox.up(0, 0);
    bench.outbox.up(1, 1000);
    bench.put(0, 0..1, Any);
    bench.put(0, 1..2, Any);
    let deals = bench.deals();
    assert_eq!(deals.iter().map(dealt).collect::<Vec<_>>(), [(1, 0, 0..1), (1, 0, 1..2)]);
    bench.outbox.outcome(1, deals[1].tag, 1..2, Abandoned);
    bench.put(0, 2..3, Any);
    assert_eq!(bench.dealt(), [(1, 0, 2..3)], "1..2 waits for the other to have credit");
    bench.outbox.grant(0, 1);
    assert_eq!(bench.dealt(), [(0, 0, 1..2)]);
}

// ---- Loss ----

#[test]
fn of_what_a_lost_peer_had_the_unsettled_ranges_alone_are_dealt_anew() {
    let mut bench = Bench::with(Loss::Redeal, 0..2, 1000);
    bench.put(0, 0..10, Any);
    let deal = bench.outbox.next().expect("a deal");
    bench.outbox.outcome(1, deal.tag, 0..2, Delivered);
    bench.outbox.outcome(1, deal.tag, 5..7, Disposed);
    bench.outbox.down(1);
    let again = bench.deals();
    assert_eq!(again.iter().map(dealt).collect::<Vec<_>>(), [(0, 0, 2..5), (0, 0, 7..10)]);
    assert_eq!(bench.outbox.counts().redealt, 6);

    bench.outbox.outcome(1, deal.tag, 0..10, Delivered);
    assert_eq!((bench.told(0).len(), bench.outbox.counts().late), (2, 10));
    bench.outbox.outcome(0, again[1].tag, 0..10, Delivered);
    assert_eq!(bench.told(0), [(0..2, Delivered), (5..7, Disposed), (7..10, Delivered)]);
    assert!(!bench.outbox.is_empty(), "one claim serves several tags");
    bench.outbox.outcome(0, again[0].tag, 0..10, Absorbed);
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.told(0)[1], (2..5, Absorbed));
}

#[test]
fn a_link_that_is_up_again_without_a_word_was_down() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 1000);
    bench.put(0, 0..2, Any);
    let first = bench.outbox.next().expect("a deal");
    bench.outbox.up(0, 1000);
    let second = bench.outbox.next().expect("it is dealt anew");
    assert_ne!(first.tag, second.tag);
    bench.outbox.outcome(0, first.tag, 0..2, Delivered);
    assert_eq!(bench.told(0), []);
}

#[test]
fn what_is_kept_goes_to_the_same_peer_when_it_is_back() {
    let mut bench = Bench::with(Loss::Keep, 0..2, 1000);
    bench.put(0, 0..4, To(1));
    bench.put(0, 4..6, Any);
    let deals = bench.deals();
    assert_eq!(deals.iter().map(dealt).collect::<Vec<_>>(), [(1, 0, 0..4), (0, 0, 4..6)]);
    bench.outbox.outcome(1, deals[0].tag, 1..2, Delivered);
    bench.outbox.down(1);
    bench.outbox.down(0);
    bench.outbox.up(0, 1000);
    assert_eq!(bench.dealt(), [(0, 0, 4..6)]);
    bench.outbox.up(1, 0);
    assert_eq!(bench.dealt(), [(1, 0, 0..1)], "without credit the lowest alone");
    bench.outbox.grant(1, 100);
    let rest = bench.deals();
    assert_eq!(rest.iter().map(dealt).collect::<Vec<_>>(), [(1, 0, 2..4)]);
    bench.outbox.outcome(1, rest[0].tag, 2..4, Abandoned);
    assert_eq!(bench.dealt(), [(1, 0, 2..4)], "given back, it is sent again");
}

#[test]
fn what_is_handed_back_is_abandoned_with_its_claim() {
    let mut bench = Bench::with(Loss::HandBack, 0..1, 30);
    bench.put(0, 0..4, To(0));
    bench.put(0, 4..6, To(0));
    let tag = bench.outbox.next().expect("a deal").tag;
    bench.outbox.outcome(0, tag, 1..2, Delivered);
    bench.outbox.down(0);
    assert_eq!(bench.told(0), [(0..1, Abandoned), (1..2, Delivered), (2..4, Abandoned)]);
    assert_eq!(bench.told(1), [], "what waits goes on waiting");
    assert_eq!((bench.outbox.counts().handed_back, bench.outbox.counts().redealt), (3, 0));
    assert_eq!(bench.outbox.lowest(&origin(0)), Some(4));
}

#[test]
fn what_a_peer_gives_back_is_abandoned_once_the_rest_of_its_piece_has_settled() {
    let mut bench = Bench::with(Loss::HandBack, 0..1, 1000);
    bench.put(0, 0..4, To(0));
    let tag = bench.outbox.next().expect("a deal").tag;
    bench.outbox.outcome(0, tag, 1..3, Abandoned);
    bench.outbox.outcome(0, tag, 0..3, Delivered);
    assert_eq!(bench.told(0), [(0..1, Delivered)]);
    bench.outbox.outcome(0, tag, 3..4, Delivered);
    assert_eq!(bench.told(0), [(0..1, Delivered), (1..3, Abandoned), (3..4, Delivered)]);
    assert!(bench.outbox.is_empty());
}

#[test]
fn of_an_origin_that_is_over_nothing_is_left() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 1);
    for (of, start) in [(0, 0), (0, 2), (1, 0)] {
        bench.put(of, start..start + 2, Any);
    }
    let deals = bench.deals();
    assert_eq!(deals.iter().map(dealt).collect::<Vec<_>>(), [(0, 0, 0..2), (0, 1, 0..2)]);
    bench.outbox.drop_origins(|of| *of == *origin(0));
    bench.outbox.drop_origins(|of| *of == *origin(5));
    bench.outbox.outcome(0, deals[0].tag, 0..2, Delivered);
    assert_eq!((bench.told(0), bench.told(1)), (vec![(0..2, Abandoned)], vec![(2..4, Abandoned)]));
    assert_eq!((bench.outbox.lowest(&origin(0)), bench.outbox.lowest(&origin(1))), (None, Some(0)));
    assert!(bench.outbox.has_room() && bench.outbox.next().is_none());
    bench.outbox.outcome(0, deals[1].tag, 0..2, Delivered);
    assert!(bench.outbox.is_empty());
}

#[test]
fn of_a_part_that_begins_anew_nothing_is_left_but_what_a_merge_waits_for() {
    let mut bench = Bench::with(Loss::HandBack, 0..1, 1);
    (0..3).for_each(|at| bench.put(0, at..at + 1, To(0)));
    bench.outbox.need(0, &origin(0), 7);
    let tag = bench.outbox.next().expect("a deal").tag;
    bench.outbox.clear();
    bench.outbox.outcome(0, tag, 0..1, Delivered);
    assert!((0..3).all(|id| bench.told(id)[0].1 == Abandoned));
    assert!(bench.outbox.is_empty() && bench.outbox.has_room() && bench.outbox.next().is_none());
    for start in [3, 4, 7] {
        bench.put(0, start..start + 1, To(0));
    }
    assert_eq!(bench.dealt(), [(0, 0, 7..8), (0, 0, 3..4)]);
}

#[test]
fn what_has_settled_before_it_came_is_sent_all_the_same() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 1000);
    bench.told.borrow_mut().insert((0, 1), Disposed);
    let slip = Settled(bench.slip(0..3));
    let mut outbox = Outbox::new(Loss::Redeal, 100);
    outbox.up(0, 1000);
    outbox.put(bit(0, 0..3), slip, Any);
    outbox.next().expect("it is dealt");
    outbox.down(0);
    outbox.up(0, 1000);
    let deal = outbox.next().expect("it is dealt anew");
    assert_eq!(deal.piece.records, 0..3, "a merge has to hear of record 1 too");
    outbox.outcome(0, deal.tag, 0..3, Delivered);
    assert_eq!(bench.told(0), [(0..1, Delivered), (1..2, Disposed), (2..3, Delivered)]);
}

/// A claim of which some had settled before it came.
struct Settled(Slip);

impl Owes for Settled {
    fn open(&self) -> Vec<Range<u64>> {
        self.0.open()
    }

    fn settle(&mut self, records: Range<u64>, outcome: Outcome) {
        let settle = |range: Range<u64>| (range.start >= records.start && range.end <= records.end).then_some(range);
        self.0.open().into_iter().filter_map(settle).for_each(|range| self.0.settle(range, outcome));
    }
}

#[test]
fn a_piece_without_records_is_nothing() {
    let mut bench = Bench::with(Loss::Redeal, 0..1, 1000);
    bench.put(0, 3..3, Any);
    assert!(bench.outbox.is_empty() && bench.outbox.next().is_none());
    assert!(bench.outbox.lanes.is_empty() && bench.outbox.claims.is_empty());
}

// ---- What a merge waits for ----

#[test]
fn what_a_merge_waits_for_goes_first_and_without_credit() {
    let mut bench = Bench::with(Loss::HandBack, 0..1, 0);
    (0..4).for_each(|at| bench.put(0, at * 2..at * 2 + 2, To(0)));
    bench.outbox.need(0, &origin(0), 5);
    assert_eq!(bench.dealt(), [(0, 0, 4..6), (0, 0, 0..2)]);
    bench.outbox.need(0, &origin(0), 5);
    assert_eq!(bench.dealt(), [], "it is dealt already");
    assert!(bench.outbox.needs.all().next().is_none());
}

#[test]
fn what_a_merge_waits_for_is_remembered_until_it_comes() {
    let mut bench = Bench::with(Loss::Keep, 0..1, 0);
    bench.outbox.need(0, &origin(0), 5);
    bench.put(0, 0..2, To(0));
    bench.put(0, 2..4, To(0));
    assert_eq!(bench.dealt(), [(0, 0, 0..2)]);
    assert_eq!(bench.outbox.missing().map(|(_, _, record)| record).collect::<Vec<_>>(), [5]);
    bench.put(0, 4..6, To(0));
    assert_eq!(bench.outbox.missing().count(), 0);
    assert_eq!(bench.dealt(), [(0, 0, 4..6)]);
    bench.put(0, 4..6, To(0));
    assert_eq!(bench.dealt(), [], "once");
}

#[test]
fn what_a_merge_waits_for_no_more_is_forgotten_and_its_origin_with_it() {
    for loss in [Loss::Redeal, Loss::Keep, Loss::HandBack] {
        let mut bench = Bench::with(loss, 0..2, 0);
        bench.outbox.need(0, &origin(0), 5);
        bench.outbox.need(1, &origin(0), 5);
        bench.outbox.met(0, &origin(0));
        assert_eq!(bench.outbox.missing().map(|(peer, _, record)| (peer, record)).collect::<Vec<_>>(), [(1, 5)]);
        bench.outbox.down(1);
        assert_eq!(bench.outbox.missing().count(), 0, "it asks again once it is back");
        assert!(bench.outbox.lanes.is_empty() && bench.outbox.names.is_empty());
    }
}

#[test]
fn a_long_piece_is_found_behind_short_ones_that_overlap_it() {
    let mut bench = Bench::with(Loss::HandBack, 0..1, 0);
    bench.put(0, 0..1, To(0));
    bench.put(0, 1..20, To(0));
    (3..9).for_each(|at| bench.put(0, at..at + 1, To(0)));
    assert_eq!(bench.dealt(), [(0, 0, 0..1)]);
    bench.outbox.need(0, &origin(0), 15);
    assert_eq!(bench.dealt(), [(0, 0, 1..20)]);
}

#[test]
fn to_make_room_the_highest_records_are_handed_back_and_never_what_is_needed() {
    let mut bench = Bench::new(Loss::HandBack);
    for (of, start) in [(0, 0), (0, 4), (1, 10), (0, 8), (1, 20)] {
        bench.put(of, start..start + 4, To(0));
    }
    bench.outbox.need(0, &origin(1), 22);
    assert_eq!(bench.outbox.make_room(0, &origin(0), 50), 12);
    let abandoned = (0..5).map(|id| !bench.told(id).is_empty()).collect::<Vec<_>>();
    assert_eq!(abandoned, [false, true, true, true, false], "200 bytes waited, and 80 still do");
    assert_eq!(bench.outbox.counts().handed_back, 12);
    assert_eq!(bench.outbox.make_room(0, &origin(0), 50), 0, "there is room");
    bench.put(0, 50..54, To(0));
    assert_eq!(bench.outbox.make_room(0, &origin(0), 50), 0, "it is here");
}

#[test]
fn where_nothing_is_handed_back_no_room_is_made() {
    for loss in [Loss::Redeal, Loss::Keep] {
        let mut bench = Bench::new(loss);
        bench.put(0, 0..20, To(0));
        assert_eq!(bench.outbox.make_room(0, &origin(0), 50), 0);
        assert!(!bench.outbox.has_room());
    }
}

#[test]
fn an_exit_that_makes_room_as_often_as_it_is_full_lets_the_needed_record_out() {
    let mut bench = Bench::new(Loss::HandBack);
    bench.outbox.up(0, 0);
    bench.outbox.need(0, &origin(0), 99);
    let mut inside = (0..100).rev();
    while bench.outbox.missing().next().is_some() {
        if !bench.outbox.has_room() {
            assert!(bench.outbox.make_room(0, &origin(0), 99) > 0, "full, and nothing to hand back");
        }
        let at = inside.next().expect("it is inside");
        bench.put(0, (99 - at)..(100 - at), To(0));
    }
    assert!(bench.dealt().contains(&(0, 0, 99..100)));
}

// ---- Cut by key ----

#[test]
fn each_merge_waits_for_its_own_piece_of_a_record() {
    let mut bench = Bench::with(Loss::HandBack, 0..2, 0);
    bench.put_cut(0..2, &[(0, vec![0..2]), (1, vec![0..2])]);
    bench.put_cut(2..4, &[(0, vec![2..4]), (1, vec![2..4])]);
    bench.outbox.need(0, &origin(0), 3);
    let peers = |bench: &mut Bench| bench.dealt().into_iter().map(|(peer, _, at)| (peer, at.start)).collect::<Vec<_>>();
    assert_eq!(peers(&mut bench), [(0, 2), (0, 0), (1, 0)]);
    bench.outbox.need(1, &origin(0), 3);
    assert_eq!(peers(&mut bench), [(1, 2)], "what the other got is no use to this one");
}

#[test]
fn a_record_of_several_pieces_settles_with_the_last_of_them() {
    let mut bench = Bench::with(Loss::HandBack, 0..3, 1000);
    bench.put_cut(0..6, &[(0, vec![0..1, 2..3]), (2, vec![2..5])]);
    assert_eq!(bench.told(0), [(1..2, Delivered), (5..6, Delivered)], "no piece has rows of these");
    let deals = bench.deals();
    assert_eq!(deals.iter().map(|deal| (deal.peer, deal.piece.part)).collect::<Vec<_>>(), [(2, 1), (0, 0)]);
    bench.outbox.outcome(0, deals[1].tag, 0..6, Delivered);
    assert_eq!(bench.told(0), [(0..2, Delivered), (5..6, Delivered)]);
    bench.outbox.outcome(2, deals[0].tag, 0..6, Absorbed);
    assert_eq!(bench.told(0), [(0..2, Delivered), (2..5, Absorbed), (5..6, Delivered)]);
    assert!(bench.outbox.is_empty());
}

#[test]
fn a_record_that_one_piece_gave_up_is_not_settled_by_another() {
    let mut bench = Bench::with(Loss::HandBack, 0..2, 1000);
    bench.put_cut(0..4, &[(0, vec![0..3]), (1, vec![2..4])]);
    let deals = bench.deals();
    bench.outbox.down(0);
    assert_eq!(bench.told(0), []);
    bench.outbox.outcome(1, deals[0].tag, 0..4, Absorbed);
    assert_eq!(bench.told(0), [(0..3, Abandoned), (3..4, Absorbed)]);
}

#[test]
fn a_piece_cut_by_key_is_cut_again_only_where_its_own_records_have_settled() {
    let mut bench = Bench::with(Loss::Keep, 0..1, 1000);
    bench.put_cut(0..10, &[(0, vec![0..1, 3..4, 5..6, 9..10])]);
    bench.outbox.next().expect("a deal");
    bench.outbox.up(0, 1000);
    let whole = bench.outbox.next().expect("a deal");
    assert_eq!(whole.piece.records, 0..10, "as it was");
    bench.outbox.outcome(0, whole.tag, 5..6, Delivered);
    bench.outbox.up(0, 1000);
    assert_eq!(bench.dealt(), [(0, 0, 0..4), (0, 0, 9..10)]);
    assert_eq!(bench.outbox.counts().redealt, 4 + 3);
}

#[test]
fn a_batch_that_became_no_piece_has_arrived() {
    let mut bench = Bench::with(Loss::HandBack, 0..1, 1000);
    bench.put_cut(0..4, &[]);
    assert_eq!(bench.told(0), [(0..4, Delivered)]);
    assert!(bench.outbox.is_empty());
}

// ---- No deadlock ----

/// A worker with a buffer of a few bytes: grants for what leaves it, and its part lets the records of each origin out
/// only in their order.
#[derive(Default)]
struct Worker {
    holds: Vec<Deal<Bit>>,
}

#[test]
fn grants_of_a_few_bytes_do_not_stop_two_origins_on_two_workers() {
    for seed in 0..50_u64 {
        let mut bench = Bench::with(Loss::Redeal, 0..2, 3);
        let mut workers = [Worker::default(), Worker::default()];
        for at in 0..20 {
            // The origins' shares are uneven, and differ by seed.
            bench.put(at * (seed + 1) % 3 / 2, at * 3..at * 3 + 3, Any);
        }
        while !bench.outbox.is_empty() {
            for deal in bench.deals() {
                workers[deal.peer].holds.push(deal);
            }
            let mut moved = false;
            for worker in &mut workers {
                // In order across all workers: a merge behind them takes the lowest alone.
                let next = |deal: &Deal<Bit>| bench.outbox.lowest(&deal.piece.origin) == Some(deal.piece.records.start);
                let Some(at) = worker.holds.iter().position(next) else { continue };
                let Deal { peer, tag, piece } = worker.holds.swap_remove(at);
                bench.outbox.outcome(peer, tag, piece.records(), Delivered);
                bench.outbox.grant(peer, piece.bytes() * (seed % 3));
                moved = true;
            }
            assert!(moved, "seed {seed}: stands still");
        }
    }
}

/// Three workers with a window of two pieces each and a merge behind them that takes records in order alone; when all
/// windows are full one is lost, with the lowest records. `reserve`: what is sent without credit arrives; else it is
/// what a sender would send that keeps to its credit. Returns how many pieces have settled once nothing moves any more.
fn settled_after_a_loss(reserve: bool) -> usize {
    let mut bench = Bench::with(Loss::Redeal, 0..3, 60);
    (0..12).for_each(|at| bench.put(0, at * 3..at * 3 + 3, Any));
    let (mut credit, mut settled) = ([60_i64; 3], 0);
    let mut holds: Vec<Deal<Bit>> = Vec::new();
    let mut lost = false;
    loop {
        for deal in bench.deals() {
            let has_credit = credit[deal.peer] > 0;
            credit[deal.peer] -= deal.piece.bytes() as i64;
            if reserve || has_credit {
                holds.push(deal);
            }
        }
        if !std::mem::replace(&mut lost, true) {
            assert_eq!(holds.len(), 6, "all windows are full");
            let gone = holds.iter().find(|deal| deal.piece.records.start == 0).expect("somebody has the lowest").peer;
            bench.outbox.down(gone);
            holds.retain(|deal| deal.peer != gone);
            continue;
        }
        let next = |deal: &Deal<Bit>| bench.outbox.lowest(&deal.piece.origin) == Some(deal.piece.records.start);
        let Some(at) = holds.iter().position(next) else { return settled };
        let Deal { peer, tag, piece } = holds.swap_remove(at);
        bench.outbox.outcome(peer, tag, piece.records(), Delivered);
        bench.outbox.grant(peer, piece.bytes());
        credit[peer] += piece.bytes() as i64;
        settled += 1;
    }
}

#[test]
fn where_a_sender_that_keeps_to_its_credit_stands_still_for_ever_the_reserve_goes_on() {
    assert_eq!(settled_after_a_loss(false), 0, "the lowest records have no room, and all others wait for them");
    assert_eq!(settled_after_a_loss(true), 12);
}
