//! Against a model that knows each record by itself.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const INSTANCES: u16 = 2;
const PARTITIONS: [&str; 2] = ["p", "q"];
const LINKS: u32 = 3;
const RECORDS: u64 = 14;

#[derive(Debug, Clone)]
enum Act {
    Arrive { instance: u16, partition: usize, ahead: i64, start: u64, len: u64, link: u32, rows: u64 },
    Next(usize),
    Settle { slot: Index, start: u64, len: u64, outcome: Outcome },
    Lose(u32),
    Freeze(u16),
    Thaw(u16),
    Open(u16),
    Claim { instance: u16, partition: usize },
}

fn act() -> impl Strategy<Value = Act> {
    let ahead = prop_oneof![1 => Just(-1_i64), 12 => Just(0_i64), 1 => Just(1_i64)];
    let arrive = (0..INSTANCES, 0..2_usize, ahead, 0..RECORDS, 1..6_u64, 0..LINKS, 0..3_u64).prop_map(
        |(instance, partition, ahead, start, len, link, rows)| {
            let len = len.min(RECORDS - start);
            Act::Arrive { instance, partition, ahead, start, len, link, rows }
        },
    );
    let outcome = prop_oneof![4 => Just(Delivered), 1 => Just(Disposed), 2 => Just(Absorbed), 3 => Just(Abandoned)];
    let settle = (any::<Index>(), 0..RECORDS, 1..8_u64, outcome).prop_map(|(slot, start, len, outcome)| Act::Settle {
        slot,
        start,
        len,
        outcome,
    });
    prop_oneof![
        24 => arrive,
        8 => (1..4_usize).prop_map(Act::Next),
        12 => settle,
        1 => (0..LINKS).prop_map(Act::Lose),
        1 => (0..INSTANCES).prop_map(Act::Freeze),
        1 => (0..INSTANCES).prop_map(Act::Thaw),
        1 => (0..INSTANCES).prop_map(Act::Open),
        2 => (0..INSTANCES, 0..2_usize).prop_map(|(instance, partition)| Act::Claim { instance, partition }),
    ]
}

/// One record, as the model knows it.
#[derive(Debug, Clone, Default)]
struct Record {
    /// Somebody has brought it while it could still pass.
    came: bool,
    /// As which slot it has passed, and which attempt.
    passed: Option<(u64, u32)>,
    /// It was abandoned, and has not passed since.
    again: bool,
    in_doubt: bool,
    outcome: Option<Outcome>,
}

#[derive(Debug)]
struct Sent {
    origin: Arc<Origin>,
    records: Range<u64>,
    told: BTreeSet<u64>,
    bytes: u64,
    freed: u64,
    /// Its link is up.
    live: bool,
}

struct World {
    order: Order,
    merge: Merge<Piece, Token>,
    origins: BTreeMap<Arc<Origin>, Vec<Record>>,
    sent: BTreeMap<Token, Sent>,
    slots: BTreeMap<u64, Arc<Origin>>,
    epochs: [u64; INSTANCES as usize],
    owners: BTreeMap<Partition, (u16, u64)>,
    former: BTreeSet<(u16, u64, Partition)>,
    frozen: BTreeSet<u16>,
    /// The link's number now: another each time it was lost.
    links: [u32; LINKS as usize],
    tag: u32,
    now: Duration,
    passes: usize,
}

impl World {
    fn new(order: Order) -> Self {
        let mut merge = Merge::new(order, 40, false);
        (0..INSTANCES).for_each(|instance| merge.open(instance, 1));
        Self {
            order,
            merge,
            origins: BTreeMap::new(),
            sent: BTreeMap::new(),
            slots: BTreeMap::new(),
            epochs: [1; INSTANCES as usize],
            owners: BTreeMap::new(),
            former: BTreeSet::new(),
            frozen: BTreeSet::new(),
            links: [0; LINKS as usize],
            tag: 0,
            now: Duration::ZERO,
            passes: 0,
        }
    }

    fn is_over(&self, origin: &Origin) -> bool {
        let Origin { instance, partition, epoch, .. } = origin;
        *epoch < self.epochs[usize::from(*instance)] || self.former.contains(&(*instance, *epoch, partition.clone()))
    }

    fn may_pass(&self, origin: &Origin) -> bool {
        let claimed = self.owners.get(&origin.partition) == Some(&(origin.instance, origin.epoch));
        claimed && !self.is_over(origin) && !self.frozen.contains(&origin.instance)
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Arrive { instance, partition, ahead, start, len, link, rows } => {
                let epoch = self.epochs[usize::from(instance)].saturating_add_signed(ahead);
                let origin = origin(instance, PARTITIONS[partition], epoch);
                self.arrive(&origin, start..start + len, link, rows);
            }
            Act::Next(count) => {
                for _ in 0..count {
                    self.next();
                }
            }
            Act::Settle { slot, start, len, outcome } if !self.slots.is_empty() => {
                let slots: Vec<u64> = self.slots.keys().copied().collect();
                self.settle(*slot.get(&slots), start..start + len, outcome);
            }
            Act::Settle { .. } => {}
            Act::Lose(link) => self.lose(link),
            Act::Freeze(instance) => {
                self.frozen.insert(instance);
                self.merge.freeze(instance);
            }
            Act::Thaw(instance) => {
                self.frozen.remove(&instance);
                self.merge.thaw(instance);
            }
            Act::Open(instance) => self.open(instance),
            Act::Claim { instance, partition } => {
                self.claim(instance, self.epochs[usize::from(instance)], PARTITIONS[partition]);
            }
        }
        self.count_freed();
    }

    fn arrive(&mut self, origin: &Arc<Origin>, records: Range<u64>, link: u32, rows: u64) {
        self.tag += 1;
        let to = (link + LINKS * self.links[link as usize], self.tag);
        let (origin_at, attempt) = (origin.clone(), self.tag);
        let piece = Piece { origin: origin_at, records: records.clone(), attempt, rows, time: 0, step: 10 };
        let (told, bytes) = (BTreeSet::new(), piece.bytes());
        self.sent
            .insert(to, Sent { origin: origin.clone(), records: records.clone(), told, bytes, freed: 0, live: true });
        if !self.is_over(origin) {
            let known = self.origins.entry(origin.clone()).or_insert_with(|| vec![Record::default(); RECORDS as usize]);
            records.for_each(|record| known[record as usize].came = true);
        }
        let acks = self.merge.arrive(piece, to);
        self.hear(acks, None);
    }

    /// Checks what somebody is told; `now`: what has just become of these records of a slot.
    fn hear(&mut self, acks: Vec<Ack<Token>>, now: Option<Outcome>) {
        for Ack { to, records, outcome } in acks {
            let over = self.is_over(&self.sent[&to].origin);
            let sent = self.sent.get_mut(&to).unwrap();
            assert!(sent.live, "{to:?} is gone");
            assert!(!records.is_empty() && sent.records.start <= records.start && records.end <= sent.records.end);
            for record in records {
                assert!(sent.told.insert(record), "{to:?} hears twice of {record}");
                let known = self.origins.get(&sent.origin).and_then(|known| known[record as usize].outcome);
                match outcome {
                    Abandoned => assert!(over, "nothing is abandoned that may pass again"),
                    Delivered if now.is_none() => assert!(matches!(known, Some(Delivered | Disposed))),
                    outcome => assert_eq!(known, Some(outcome)),
                }
                assert!(now.is_none_or(|now| now == outcome));
            }
        }
    }

    fn next(&mut self) -> bool {
        let Some(Passed { slot, piece, from, again, .. }) = self.merge.next(self.now) else {
            self.check_that_nothing_can_pass();
            return false;
        };
        self.passes += 1;
        assert!(self.may_pass(&piece.origin));
        assert_eq!(self.sent[&from].origin, piece.origin);
        assert_eq!(from.1, piece.attempt);
        let known = self.origins.get_mut(&piece.origin).unwrap();
        let lowest_again = known.iter().position(|record| record.again);
        let frontier = known.iter().position(|record| record.passed.is_none());
        if again {
            assert_eq!(lowest_again, Some(piece.records.start as usize));
        } else {
            assert_eq!(lowest_again, None, "what has to pass again comes first");
            assert!(self.order == Order::Arrival || frontier == Some(piece.records.start as usize));
            assert!(self.order == Order::Arrival || !known.iter().any(|record| record.in_doubt));
            assert_eq!(self.slots.insert(slot, piece.origin.clone()), None);
        }
        for record in piece.records {
            let record = &mut known[record as usize];
            assert_eq!(record.passed, again.then_some((slot, piece.attempt)), "once, and from one attempt");
            assert_eq!((record.again, record.outcome), (again, None));
            (record.passed, record.again) = (Some((slot, piece.attempt)), false);
        }
        true
    }

    fn check_that_nothing_can_pass(&self) {
        for (origin, known) in self.origins.iter().filter(|(origin, _)| self.may_pass(origin)) {
            if matches!(self.order, Order::EventTime { .. }) {
                continue;
            }
            assert!(!known.iter().any(|record| record.again), "{origin} has something to replay");
            let waits = |record: &Record| record.came && record.passed.is_none();
            match self.order {
                Order::Arrival => assert!(!known.iter().any(waits), "{origin} has something new"),
                _ if known.iter().any(|record| record.in_doubt) => {}
                _ => assert!(!known.iter().find(|record| record.passed.is_none()).is_some_and(waits)),
            }
        }
    }

    fn settle(&mut self, slot: u64, records: Range<u64>, outcome: Outcome) {
        let origin = self.slots[&slot].clone();
        let over = self.is_over(&origin);
        let known = self.origins.get_mut(&origin).unwrap();
        let is_mine = |record: &Record| record.passed.is_some_and(|(of, _)| of == slot);
        let mut hit = false;
        for at in records.start..records.end.min(RECORDS) {
            let record = &mut known[at as usize];
            if !is_mine(record) {
                continue;
            }
            record.in_doubt = false;
            if record.outcome.is_some() {
                continue;
            }
            hit = true;
            match outcome {
                Abandoned if !over => record.again = true,
                outcome => (record.outcome, record.again) = (Some(outcome), false),
            }
        }
        if hit && outcome == Abandoned && !over {
            let end = (records.start..records.end.min(RECORDS)).rev().find(|&at| is_mine(&known[at as usize]));
            for record in known.iter_mut().skip(end.unwrap_or(0) as usize + 1) {
                record.in_doubt |= record.passed.is_some() && record.outcome.is_none() && !record.again;
            }
        }
        if known.iter().filter(|record| is_mine(record)).all(|record| record.outcome.is_some()) {
            self.slots.remove(&slot);
        }
        let acks = self.merge.settled(slot, records, outcome);
        self.hear(acks, Some(outcome));
        assert_eq!(self.merge.is_out(slot), self.slots.contains_key(&slot));
    }

    fn lose(&mut self, link: u32) {
        let gone = link + LINKS * self.links[link as usize];
        self.links[link as usize] += 1;
        self.sent.iter_mut().filter(|(token, _)| token.0 == gone).for_each(|(_, sent)| sent.live = false);
        self.merge.lost(|(link, _)| link == gone);
    }

    fn open(&mut self, instance: u16) {
        let epoch = &mut self.epochs[usize::from(instance)];
        *epoch += 1;
        self.merge.open(instance, *epoch);
        let epoch = *epoch;
        self.frozen.remove(&instance);
        self.owners.retain(|_, owner| owner.0 != instance || owner.1 >= epoch);
        self.discard();
    }

    fn claim(&mut self, instance: u16, epoch: u64, name: &str) {
        let partition = Partition::new(name);
        let fenced = self.merge.claim(instance, epoch, std::slice::from_ref(&partition));
        let fenced: Vec<_> = fenced.iter().map(|origin| (origin.instance, origin.epoch)).collect();
        if self.former.contains(&(instance, epoch, partition.clone())) {
            assert_eq!(fenced, [(instance, epoch)]);
            return;
        }
        let before =
            self.owners.insert(partition.clone(), (instance, epoch)).filter(|&owner| owner != (instance, epoch));
        self.former.extend(before.map(|(instance, epoch)| (instance, epoch, partition)));
        assert_eq!(fenced, before.into_iter().collect::<Vec<_>>());
        self.discard();
    }

    /// What has to pass again and can't any more is abandoned.
    fn discard(&mut self) {
        let over: Vec<_> = self.origins.keys().filter(|origin| self.is_over(origin)).cloned().collect();
        for (_, known) in self.origins.iter_mut().filter(|(origin, _)| over.contains(origin)) {
            let again = known.iter_mut().filter(|record| record.again);
            again.for_each(|record| (record.again, record.outcome) = (false, Some(Abandoned)));
        }
        let origins = &self.origins;
        self.slots.retain(|slot, origin| {
            let mine = |record: &&Record| record.passed.is_some_and(|(of, _)| of == *slot);
            origins[origin].iter().filter(mine).any(|record| record.outcome.is_none())
        });
        assert!((0..self.passes as u64).all(|slot| self.merge.is_out(slot) == self.slots.contains_key(&slot)));
        for (origin, ack) in self.merge.take_discarded() {
            assert_eq!(self.sent[&ack.to].origin, origin);
            self.hear(vec![ack], None);
        }
    }

    fn count_freed(&mut self) {
        for (token, bytes) in self.merge.take_freed() {
            let sent = self.sent.get_mut(&token).unwrap();
            assert!(sent.live);
            sent.freed += bytes;
            assert!(sent.freed <= sent.bytes, "{token:?} gets back more than it sent");
        }
    }

    /// All that is missing comes, all passes, all settles.
    fn finish(&mut self) {
        (0..INSTANCES).for_each(|instance| self.act(Act::Thaw(instance)));
        for origin in self.origins.keys().cloned().collect::<Vec<_>>() {
            if self.is_over(&origin) {
                continue;
            }
            let Origin { instance, partition, epoch, .. } = &*origin;
            self.claim(*instance, *epoch, partition.name());
            self.arrive(&origin, 0..RECORDS, 0, 1);
            while self.pass_and_settle() {}
            let known = &self.origins[&origin];
            assert!(known.iter().all(|record| record.passed.is_some() && record.outcome.is_some()), "{known:?}");
            assert!(self.merge.frontiers().contains(&(origin, RECORDS)));
        }
        while self.pass_and_settle() {}
        self.count_freed();
        assert!(self.merge.is_idle());
        assert_eq!((self.merge.waiting_bytes(), self.slots.len()), (0, 0));
        for (token, sent) in self.sent.iter().filter(|(_, sent)| sent.live) {
            assert_eq!(sent.told.len() as u64, sent.records.end - sent.records.start, "{token:?} {sent:?}");
            assert_eq!(sent.freed, sent.bytes, "{token:?}");
        }
    }

    fn pass_and_settle(&mut self) -> bool {
        self.now += Duration::from_secs(10);
        let mut moved = false;
        while self.next() {
            moved = true;
        }
        for slot in self.slots.keys().copied().collect::<Vec<_>>() {
            moved = true;
            self.settle(slot, 0..RECORDS, Delivered);
        }
        moved || self.merge.wake(self.now).is_some()
    }
}

fn run(order: Order, acts: Vec<Act>) {
    let mut world = World::new(order);
    for (instance, name) in [(0, "p"), (1, "q")] {
        world.claim(instance, 1, name);
    }
    acts.into_iter().for_each(|act| world.act(act));
    world.finish();
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn in_order_every_record_passes_once_and_everybody_hears(acts in acts()) {
        run(Order::PerOrigin, acts);
    }

    #[test]
    fn as_they_come_every_record_passes_once_and_everybody_hears(acts in acts()) {
        run(Order::Arrival, acts);
    }

    #[test]
    fn by_time_every_record_passes_once_and_everybody_hears(acts in acts()) {
        run(Order::EventTime { idle: Duration::from_secs(5) }, acts);
    }
}
