use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const SLOT: u64 = 7;

/// Writes down what an origin is told.
#[derive(Default)]
struct Ledger {
    told: Mutex<Vec<(u64, Range<u32>, Outcome)>>,
    holds: Mutex<Vec<Held>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Held {
    record: u32,
    /// How much had been told when the hold was asked for.
    told: usize,
    released: bool,
}

impl Settle for Ledger {
    fn settle(&self, slot: u64, records: Range<u32>, outcome: Outcome) {
        self.told.lock().unwrap().push((slot, records, outcome));
    }

    fn hold(&self, slot: u64, record: u32) -> HoldId {
        assert_eq!(slot, SLOT);
        let mut holds = self.holds.lock().unwrap();
        holds.push(Held { record, told: self.told.lock().unwrap().len(), released: false });
        HoldId(holds.len() as u64 - 1)
    }

    fn release(&self, hold: HoldId) {
        let hold = &mut self.holds.lock().unwrap()[hold.0 as usize];
        assert!(!hold.released, "given back twice");
        hold.released = true;
    }

    fn seal(&self, slot: u64, _: u32) {
        assert_eq!(slot, SLOT);
    }
}

impl Ledger {
    fn ticket(self: &Arc<Self>, records: Range<u32>) -> Ticket {
        Ticket::new(self.clone(), SLOT, records)
    }

    /// What became of the first `len` records; none may be told twice, or lie beyond.
    fn outcomes(&self, len: u32) -> Vec<Option<Outcome>> {
        let mut outcomes = vec![None; len as usize];
        for (slot, records, outcome) in self.told.lock().unwrap().iter() {
            assert_eq!(*slot, SLOT);
            assert!(records.start < records.end, "nothing was told: {records:?}");
            for record in records.clone() {
                let before = outcomes[record as usize].replace(*outcome);
                assert_eq!(before, None, "record {record} was settled again, as {outcome:?}");
            }
        }
        outcomes
    }

    fn held(&self) -> Vec<(u32, bool)> {
        self.holds.lock().unwrap().iter().map(|held| (held.record, held.released)).collect()
    }
}

#[derive(Debug, Clone)]
enum Act {
    Split(u32),
    Dispose(u32),
    Deliver,
    Absorb(bool),
    Drop,
    /// How many rows each record became, in turn.
    Share(Vec<u8>),
    DeliverShare,
    DropShare,
    Release,
}

/// Live claims beside what is known of them, and what should have become of each record.
struct World {
    ledger: Arc<Ledger>,
    tickets: Vec<(Ticket, Range<u32>)>,
    /// With the record and the number of its group.
    shares: Vec<(Share, u32, usize)>,
    /// How many shares have not arrived.
    groups: Vec<usize>,
    holds: Vec<(Hold, usize)>,
    held: Vec<(u32, bool)>,
    expected: Vec<Option<Outcome>>,
}

impl World {
    fn new(len: u32) -> Self {
        let ledger = Arc::new(Ledger::default());
        Self {
            tickets: vec![(ledger.ticket(0..len), 0..len)],
            ledger,
            shares: Vec::new(),
            groups: Vec::new(),
            holds: Vec::new(),
            held: Vec::new(),
            expected: vec![None; len as usize],
        }
    }

    fn act(&mut self, index: &Index, act: Act) {
        match act {
            Act::DeliverShare | Act::DropShare if !self.shares.is_empty() => {
                let share = self.shares.swap_remove(index.index(self.shares.len()));
                self.end_share(share, matches!(act, Act::DeliverShare));
            }
            Act::Release if !self.holds.is_empty() => {
                let (hold, at) = self.holds.swap_remove(index.index(self.holds.len()));
                hold.release();
                self.held[at].1 = true;
            }
            Act::DeliverShare | Act::DropShare | Act::Release => {}
            _ if self.tickets.is_empty() => {}
            _ => {
                let ticket = self.tickets.swap_remove(index.index(self.tickets.len()));
                self.ticket(ticket, act);
            }
        }
        self.check();
    }

    fn ticket(&mut self, (mut ticket, records): (Ticket, Range<u32>), act: Act) {
        assert_eq!(ticket.records(), records);
        match act {
            Act::Split(record) => {
                let at = record.clamp(records.start, records.end);
                let rest = ticket.split_at(record);
                self.tickets.extend([(ticket, records.start..at), (rest, at..records.end)]);
            }
            Act::Dispose(record) => {
                ticket.dispose(record);
                if records.contains(&record) {
                    self.expect(record..record + 1, Outcome::Disposed);
                }
                self.tickets.push((ticket, records));
            }
            Act::Deliver => {
                ticket.delivered();
                self.expect(records, Outcome::Delivered);
            }
            Act::Absorb(hold) => self.absorb(ticket, records, hold),
            Act::Share(rows) => self.share(ticket, records, &rows),
            _ => {
                drop(ticket);
                self.expect(records, Outcome::Abandoned);
            }
        }
    }

    fn absorb(&mut self, ticket: Ticket, records: Range<u32>, hold: bool) {
        let first = records.clone().find(|&record| self.expected[record as usize].is_none());
        let hold = ticket.absorbed(hold).map(|held| (held, self.held.len()));
        if let Some((held, at)) = hold {
            assert!(self.ledger.held().get(at).is_some(), "the hold is the origin's");
            self.held.push((first.expect("a hold is on a record that had not settled"), false));
            self.holds.push((held, at));
        }
        self.expect(records, Outcome::Absorbed);
    }

    fn share(&mut self, ticket: Ticket, records: Range<u32>, rows: &[u8]) {
        let counts = records.clone().zip(rows.iter().cycle()).map(|(record, &rows)| (record, rows as usize));
        let of: Vec<u32> = counts.clone().flat_map(|(record, rows)| std::iter::repeat_n(record, rows)).collect();
        let shares = ticket.share(&of);
        assert_eq!(shares.len(), of.len());
        let group = self.groups.len();
        for (share, &record) in shares.into_iter().zip(&of) {
            self.shares.push((share, record, group + (record - records.start) as usize));
        }
        for (record, rows) in counts {
            self.groups.push(rows);
            if rows == 0 {
                self.expect(record..record + 1, Outcome::Delivered);
            }
        }
    }

    fn end_share(&mut self, (share, record, group): (Share, u32, usize), delivered: bool) {
        if delivered {
            share.delivered();
            self.groups[group] -= 1;
            if self.groups[group] == 0 {
                self.expect(record..record + 1, Outcome::Delivered);
            }
        } else {
            drop(share);
            self.expect(record..record + 1, Outcome::Abandoned);
        }
    }

    /// The first word counts.
    fn expect(&mut self, records: Range<u32>, outcome: Outcome) {
        for record in records {
            self.expected[record as usize].get_or_insert(outcome);
        }
    }

    fn check(&self) {
        assert_eq!(self.ledger.outcomes(self.expected.len() as u32), self.expected);
        assert_eq!(self.ledger.held(), self.held);
    }

    fn end(mut self) {
        for (ticket, records) in std::mem::take(&mut self.tickets) {
            self.ticket((ticket, records), Act::Drop);
        }
        for share in std::mem::take(&mut self.shares) {
            self.end_share(share, false);
        }
        self.holds.clear();
        self.check();
        assert!(self.expected.iter().all(Option::is_some), "every record settles");
        assert_eq!(Arc::strong_count(&self.ledger), 1, "no claim is left");
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => (0..45u32).prop_map(Act::Split),
        5 => (0..45u32).prop_map(Act::Dispose),
        2 => Just(Act::Deliver),
        2 => any::<bool>().prop_map(Act::Absorb),
        1 => Just(Act::Drop),
        3 => prop::collection::vec(0..4u8, 1..9).prop_map(Act::Share),
        9 => Just(Act::DeliverShare),
        2 => Just(Act::DropShare),
        1 => Just(Act::Release),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_record_settles_once_and_as_it_should(
        len in 0..40u32,
        acts in prop::collection::vec((any::<Index>(), act()), 0..60),
    ) {
        let mut world = World::new(len);
        for (index, act) in acts {
            world.act(&index, act);
        }
        world.end();
    }
}

use Outcome::{Abandoned, Absorbed, Delivered, Disposed};

#[test]
fn a_ticket_that_is_dropped_abandons_what_is_left_of_it() {
    let ledger = Arc::new(Ledger::default());
    let mut ticket = ledger.ticket(0..4);
    ticket.dispose(2);
    drop(ticket);
    assert_eq!(ledger.outcomes(4), [Abandoned, Abandoned, Disposed, Abandoned].map(Some));
}

#[test]
fn a_whole_batch_is_told_in_one_word() {
    let ledger = Arc::new(Ledger::default());
    ledger.ticket(0..256).delivered();
    assert_eq!(*ledger.told.lock().unwrap(), [(SLOT, 0..256, Delivered)]);
}

#[test]
fn records_of_others_are_not_disposed_of() {
    let ledger = Arc::new(Ledger::default());
    let mut ticket = ledger.ticket(2..4);
    for record in [0, 1, 4, u32::MAX] {
        ticket.dispose(record);
    }
    assert!(ledger.told.lock().unwrap().is_empty());
    ticket.delivered();
}

#[test]
fn one_record_may_be_abandoned_and_the_others_arrive() {
    let ledger = Arc::<Ledger>::default();
    let mut ticket = ledger.ticket(0..5);
    ticket.abandon(2);
    ticket.abandon(7);
    // It has had its word.
    ticket.dispose(2);
    ticket.delivered();
    let delivered = Some(Outcome::Delivered);
    assert_eq!(ledger.outcomes(5), [delivered, delivered, Some(Outcome::Abandoned), delivered, delivered]);
}

#[test]
fn a_hold_is_asked_for_before_the_record_settles_and_on_the_first_that_has_not() {
    let ledger = Arc::new(Ledger::default());
    let mut ticket = ledger.ticket(3..6);
    ticket.dispose(3);
    let hold = ticket.absorbed(true).unwrap();
    assert_eq!(*ledger.holds.lock().unwrap(), [Held { record: 4, told: 1, released: false }]);
    assert_eq!(ledger.outcomes(6)[3..], [Disposed, Absorbed, Absorbed].map(Some));
    hold.release();
    assert!(ledger.held()[0].1);
}

#[test]
fn nothing_is_held_without_a_record_or_a_wish() {
    let ledger = Arc::new(Ledger::default());
    assert!(ledger.ticket(0..3).absorbed(false).is_none());
    assert!(ledger.ticket(3..3).absorbed(true).is_none());
    let mut ticket = ledger.ticket(4..5);
    ticket.dispose(4);
    assert!(ticket.absorbed(true).is_none());
    assert_eq!(ledger.held(), []);
}

#[test]
fn a_hold_that_is_dropped_stays() {
    let ledger = Arc::new(Ledger::default());
    drop(ledger.ticket(0..3).absorbed(true));
    assert_eq!(ledger.held(), [(0, false)]);
}

#[test]
fn a_record_has_arrived_when_all_its_rows_have() {
    let ledger = Arc::new(Ledger::default());
    let mut shares = ledger.ticket(0..4).share(&[1, 1, 3]);
    assert_eq!(ledger.outcomes(4), [Some(Delivered), None, Some(Delivered), None]);
    shares.remove(0).delivered();
    assert_eq!(ledger.outcomes(4)[1], None);
    shares.remove(0).delivered();
    assert_eq!(ledger.outcomes(4)[1], Some(Delivered));
    drop(shares);
    assert_eq!(ledger.outcomes(4)[3], Some(Abandoned));
}

#[test]
fn a_record_of_which_a_row_is_lost_is_abandoned_at_once_and_once() {
    for lost in 0..3 {
        let ledger = Arc::new(Ledger::default());
        for (row, share) in ledger.ticket(0..1).share(&[0, 0, 0]).into_iter().enumerate() {
            if row == lost {
                drop(share)
            } else {
                share.delivered()
            }
            assert_eq!(ledger.outcomes(1)[0], (row >= lost).then_some(Abandoned));
        }
    }
}

#[test]
fn rows_of_records_outside_the_ticket_settle_nothing() {
    let ledger = Arc::new(Ledger::default());
    let shares = ledger.ticket(2..4).share(&[0, 3, 9, u32::MAX]);
    assert_eq!(ledger.outcomes(4)[2..], [Some(Delivered), None]);
    shares.into_iter().for_each(Share::delivered);
    assert_eq!(ledger.outcomes(4)[2..], [Delivered, Delivered].map(Some));
}

#[test]
fn a_hold_knows_its_origin() {
    let (one, other) = (Arc::new(Ledger::default()), Arc::new(Ledger::default()));
    let hold = one.ticket(0..1).absorbed(true).unwrap();
    assert!(one.ticket(1..2).same_origin(&hold));
    assert!(!other.ticket(1..2).same_origin(&hold));
}

/// Counts what it is told, from any thread.
#[derive(Default)]
struct Counts {
    delivered: AtomicU64,
    abandoned: AtomicU64,
}

impl Settle for Counts {
    fn settle(&self, _: u64, records: Range<u32>, outcome: Outcome) {
        let count = if outcome == Delivered { &self.delivered } else { &self.abandoned };
        count.fetch_add(records.len() as u64, Ordering::Relaxed);
    }

    fn hold(&self, _: u64, _: u32) -> HoldId {
        HoldId(0)
    }

    fn release(&self, _: HoldId) {}

    fn seal(&self, _: u64, _: u32) {}
}

#[test]
fn rows_of_one_record_may_end_on_several_threads() {
    const RECORDS: u32 = 2_000;
    let counts = Arc::new(Counts::default());
    let rows: Vec<u32> = (0..RECORDS).flat_map(|record| [record, record]).collect();
    let mut shares = Ticket::new(counts.clone(), 0, 0..RECORDS).share(&rows).into_iter();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    while let (Some(one), Some(other)) = (shares.next(), shares.next()) {
        left.push(one);
        right.push(other);
    }
    std::thread::scope(|scope| {
        scope.spawn(move || left.into_iter().for_each(Share::delivered));
        // A third of the records lose a row.
        scope.spawn(move || {
            for (record, share) in right.into_iter().enumerate() {
                if record % 3 == 0 { drop(share) } else { share.delivered() }
            }
        });
    });
    let lost = u64::from(RECORDS.div_ceil(3));
    assert_eq!(counts.abandoned.load(Ordering::Relaxed), lost);
    assert_eq!(counts.delivered.load(Ordering::Relaxed), u64::from(RECORDS) - lost);
}
