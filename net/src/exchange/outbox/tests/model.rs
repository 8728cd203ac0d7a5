//! The outbox against a model that knows nothing but records, one by one, and works everything out anew each time.

use proptest::prelude::*;

use super::*;

const PEERS: usize = 3;
const ORIGINS: u64 = 2;

#[derive(Debug, Clone)]
enum Act {
    Put {
        of: u64,
        len: u64,
        aim: Option<PeerId>,
    },
    /// For each record, a bit for each peer that gets rows of it.
    Cut {
        of: u64,
        rows: Vec<u8>,
    },
    Up(PeerId, u64),
    Down(PeerId),
    Eligible(PeerId, bool),
    Grant(PeerId, u64),
    Deal(usize),
    /// By any tag that ever was.
    Outcome {
        tag: usize,
        from: u64,
        len: u64,
        outcome: Outcome,
    },
    Need {
        peer: PeerId,
        of: u64,
        ahead: i64,
    },
    /// Of an origin.
    Met(PeerId, u64),
    MakeRoom {
        peer: PeerId,
        of: u64,
        ahead: i64,
    },
    DropOrigin(u64),
    Seal {
        of: u64,
        ahead: i64,
    },
    Clear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting { gave_back: Option<PeerId> },
    Dealt { peer: PeerId, tag: u64 },
    Settled,
    Gone,
}

/// A record in one of the pieces that its batch became.
#[derive(Debug, Clone)]
struct Unit {
    of: u64,
    record: u64,
    claim: usize,
    part: usize,
    aim: Aim,
    state: State,
    absorbed: bool,
}

impl Unit {
    fn waits(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    fn is_here(&self) -> bool {
        self.waits() || self.is_dealt()
    }

    fn is_dealt(&self) -> bool {
        matches!(self.state, State::Dealt { .. })
    }

    /// Whether it is this record, on its way to this peer or to any.
    fn is(&self, of: u64, peer: PeerId, record: u64) -> bool {
        (self.of, self.record) == (of, record) && (self.aim == Any || self.aim == To(peer))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Link {
    up: bool,
    shut: bool,
    credit: i64,
}

struct Model {
    loss: Loss,
    bench: Bench,
    units: Vec<Unit>,
    /// The records of each claim.
    claims: Vec<Range<u64>>,
    told: BTreeMap<(usize, u64), Outcome>,
    peers: [Link; PEERS],
    needs: BTreeMap<(u64, PeerId), u64>,
    /// The next record of each origin.
    next: [u64; ORIGINS as usize],
    /// Where each origin ends.
    seals: [u64; ORIGINS as usize],
    tags: Vec<(PeerId, u64)>,
    counts: Counts,
    /// Whether any batch was cut.
    cut: bool,
}

impl Model {
    fn new(loss: Loss) -> Self {
        Self {
            loss,
            bench: Bench::new(loss),
            units: Vec::new(),
            claims: Vec::new(),
            told: BTreeMap::new(),
            peers: Default::default(),
            needs: BTreeMap::new(),
            next: [0; ORIGINS as usize],
            seals: [u64::MAX; ORIGINS as usize],
            tags: Vec::new(),
            counts: Counts::default(),
            cut: false,
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Put { of, len, aim } => self.put(of, len, aim.map_or(Any, To)),
            Act::Cut { of, rows } => self.cut(of, &rows),
            Act::Up(peer, credit) => {
                self.down(peer);
                (self.peers[peer].up, self.peers[peer].credit) = (true, credit as i64);
                self.bench.outbox.up(peer, credit);
            }
            Act::Down(peer) => {
                self.down(peer);
                self.bench.outbox.down(peer);
            }
            Act::Eligible(peer, eligible) => {
                self.peers[peer].shut = !eligible;
                self.bench.outbox.eligible(peer, eligible);
            }
            Act::Grant(peer, bytes) => {
                if self.peers[peer].up {
                    self.peers[peer].credit += bytes as i64;
                }
                self.bench.outbox.grant(peer, bytes);
            }
            Act::Deal(most) => {
                self.deal(most);
            }
            Act::Outcome { tag, from, len, outcome } => {
                if let Some(&(peer, tag)) = self.tags.get(tag % self.tags.len().max(1)) {
                    self.outcome(peer, tag, from..from + len, outcome);
                }
            }
            Act::Need { peer, of, ahead } => {
                self.need(peer, of, self.next[of as usize].saturating_add_signed(ahead));
            }
            Act::Met(peer, of) => {
                self.needs.remove(&(of, peer));
                self.bench.outbox.met(peer, &origin(of));
            }
            Act::MakeRoom { peer, of, ahead } => {
                self.make_room(peer, of, self.next[of as usize].saturating_add_signed(ahead));
            }
            Act::DropOrigin(of) => {
                self.units.iter_mut().filter(|unit| unit.of == of && unit.is_here()).for_each(|unit| {
                    unit.state = State::Gone;
                });
                self.needs.retain(|&(at, _), _| at != of);
                self.seals[of as usize] = u64::MAX;
                self.bench.outbox.drop_origins(|at| *at == *origin(of));
            }
            Act::Seal { of, ahead } => {
                let at = self.next[of as usize].saturating_add_signed(ahead);
                self.seals[of as usize] = self.seals[of as usize].min(at);
                self.bench.outbox.seal(&origin(of), at);
            }
            Act::Clear => {
                self.units.iter_mut().filter(|unit| unit.is_here()).for_each(|unit| unit.state = State::Gone);
                self.bench.outbox.clear();
            }
        }
        let seals = self.seals;
        let beyond = |unit: &&mut Unit| unit.is_here() && unit.record >= seals[unit.of as usize];
        self.units.iter_mut().filter(beyond).for_each(|unit| unit.state = State::Gone);
    }

    fn records(&mut self, of: u64, len: u64) -> Range<u64> {
        let start = self.next[of as usize];
        self.next[of as usize] += len;
        self.claims.push(start..start + len);
        start..start + len
    }

    fn put(&mut self, of: u64, len: u64, aim: Aim) {
        let records = self.records(of, len);
        let (claim, state) = (self.claims.len() - 1, State::Waiting { gave_back: None });
        let state = self.state_for(aim, state, len);
        self.units.extend(records.clone().map(|record| Unit {
            of,
            record,
            claim,
            part: 0,
            aim,
            state,
            absorbed: false,
        }));
        self.bench.put(of, records, aim);
    }

    fn cut(&mut self, of: u64, rows: &[u8]) {
        self.cut = true;
        let records = self.records(of, rows.len() as u64);
        let (claim, state) = (self.claims.len() - 1, State::Waiting { gave_back: None });
        let slip = self.bench.slip(records.clone());
        let mut cuts = Vec::new();
        for peer in 0..PEERS {
            let mine = |&(_, rows): &(u64, &u8)| rows >> peer & 1 == 1;
            let mine: Vec<u64> = records.clone().zip(rows).filter(mine).map(|(record, _)| record).collect();
            let part = cuts.len();
            let state = self.state_for(To(peer), state, mine.len() as u64);
            let unit = |record: u64| Unit { of, record, claim, part, aim: To(peer), state, absorbed: false };
            self.units.extend(mine.iter().copied().map(unit));
            let piece = Bit { part, ..bit(of, records.clone()) };
            cuts.push(Cut { peer, piece, records: mine.iter().map(|&record| record..record + 1).collect() });
        }
        for (record, _) in records.zip(rows).filter(|(_, rows)| **rows & 7 == 0) {
            self.told.insert((claim, record), Delivered);
        }
        self.bench.outbox.put_shared(cuts, slip);
    }

    /// What goes round a peer that is not reached is handed back at once.
    fn state_for(&mut self, aim: Aim, state: State, records: u64) -> State {
        let waits = |peer: PeerId| self.peers[peer].up;
        match aim {
            To(peer) if self.loss == Loss::GoRound && !waits(peer) => {
                self.counts.handed_back += records;
                State::Gone
            }
            _ => state,
        }
    }

    fn is_open(&self, peer: PeerId) -> bool {
        self.peers[peer].up && !self.peers[peer].shut
    }

    /// Whether a waiting record may go to a peer, credit aside.
    fn may(&self, unit: &Unit, peer: PeerId) -> bool {
        let State::Waiting { gave_back } = unit.state else { return false };
        let others = (0..PEERS).any(|other| other != peer && self.is_open(other));
        self.is_open(peer)
            && (unit.aim == Any || unit.aim == To(peer))
            && !(gave_back == Some(peer) && others && unit.aim == Any)
    }

    fn lowest(&self, of: u64) -> Option<u64> {
        self.units.iter().filter(|unit| unit.of == of && unit.is_here()).map(|unit| unit.record).min()
    }

    fn down(&mut self, peer: PeerId) {
        (self.peers[peer].up, self.peers[peer].credit) = (false, 0);
        self.needs.retain(|&(_, of), _| of != peer);
        for unit in &mut self.units {
            if matches!(unit.state, State::Dealt { peer: to, .. } if to == peer) {
                take_back(self.loss, &mut self.counts, unit, peer, None);
            }
            if self.loss == Loss::GoRound && unit.waits() && unit.aim == To(peer) {
                (unit.state, self.counts.handed_back) = (State::Gone, self.counts.handed_back + 1);
            }
        }
    }

    fn deal(&mut self, most: usize) {
        for _ in 0..most {
            let Some(deal) = self.bench.outbox.next() else {
                self.check_that_nothing_may_go();
                return;
            };
            self.check_deal(&deal);
            let units = self.units_of(&deal);
            for unit in units {
                let unit = &mut self.units[unit];
                unit.state = State::Dealt { peer: deal.peer, tag: deal.tag };
                if self.loss != Loss::Redeal {
                    self.needs.retain(|&(of, peer), need| !unit.is(of, peer, *need));
                }
            }
            self.peers[deal.peer].credit -= deal.piece.bytes() as i64;
            assert!(!self.tags.contains(&(deal.peer, deal.tag)), "a tag is used once");
            self.tags.push((deal.peer, deal.tag));
        }
    }

    /// The waiting records that a piece stands for.
    fn units_of(&self, deal: &Deal<Bit>) -> Vec<usize> {
        let (claim, piece) = self.bench.outbox.with_claim(deal.peer, deal.tag).expect("it was just dealt");
        let within =
            |unit: &Unit| unit.claim == claim.id && unit.part == piece.part && piece.records.contains(&unit.record);
        (0..self.units.len()).filter(|&at| within(&self.units[at])).collect()
    }

    fn check_deal(&self, deal: &Deal<Bit>) {
        let units: Vec<&Unit> = self.units_of(deal).into_iter().map(|at| &self.units[at]).collect();
        let first = units.first().expect("a piece has records");
        assert_eq!(first.of, dealt(deal).1);
        for unit in &units {
            assert!(unit.waits(), "{unit:?} goes with {deal:?} and doesn't wait");
            assert!(self.may(unit, deal.peer), "{unit:?} goes to {}", deal.peer);
        }
        let needed = units.iter().any(|unit| self.is_needed(unit));
        let lowest = self.lowest(first.of) == Some(first.record);
        let credit = self.peers[deal.peer].credit;
        assert!(credit > 0 || needed || lowest, "{deal:?} goes with a credit of {credit}");
        let lower = |unit: &&Unit| unit.of == first.of && unit.record < first.record && self.may(unit, deal.peer);
        assert!(needed || !self.units.iter().any(|unit| lower(&unit)), "{deal:?} goes before what is lower");
    }

    fn check_that_nothing_may_go(&self) {
        for unit in self.units.iter().filter(|unit| unit.waits()) {
            let lowest = self.lowest(unit.of) == Some(unit.record);
            let needed = self.is_needed(unit);
            for peer in 0..PEERS {
                let goes = lowest || needed || self.peers[peer].credit > 0;
                assert!(!(goes && self.may(unit, peer)), "{unit:?} waits and may go to {peer}");
            }
        }
    }

    fn outcome(&mut self, peer: PeerId, tag: u64, records: Range<u64>, outcome: Outcome) {
        let state = State::Dealt { peer, tag };
        if !self.units.iter().any(|unit| unit.state == state) {
            self.counts.late += records.end - records.start;
        }
        for at in 0..self.units.len() {
            let unit = &mut self.units[at];
            if unit.state != state || !records.contains(&unit.record) {
                continue;
            }
            if outcome == Abandoned {
                take_back(self.loss, &mut self.counts, unit, peer, Some(peer));
                continue;
            }
            (unit.state, unit.absorbed) = (State::Settled, outcome == Absorbed);
            let (claim, record) = (unit.claim, unit.record);
            let same: Vec<_> = self.units.iter().filter(|unit| (unit.claim, unit.record) == (claim, record)).collect();
            if same.iter().all(|unit| unit.state == State::Settled) {
                let absorbed = same.iter().any(|unit| unit.absorbed);
                self.told.insert((claim, record), if absorbed { Absorbed } else { outcome });
            }
        }
        self.bench.outbox.outcome(peer, tag, records, outcome);
    }

    fn is_needed(&self, unit: &Unit) -> bool {
        self.needs.iter().any(|(&(of, peer), &need)| unit.is(of, peer, need))
    }

    /// Whether a record is here, on its way to whomever.
    fn has(&self, of: u64, record: u64) -> bool {
        self.units.iter().any(|unit| (unit.of, unit.record) == (of, record) && unit.is_here())
    }

    fn need(&mut self, peer: PeerId, of: u64, record: u64) {
        self.remember(peer, of, record);
        self.bench.outbox.need(peer, &origin(of), record);
    }

    fn remember(&mut self, peer: PeerId, of: u64, record: u64) {
        let dealt = self.units.iter().any(|unit| unit.is(of, peer, record) && unit.is_dealt());
        match self.loss {
            Loss::Redeal => self.needs.insert((of, peer), record),
            _ if dealt => self.needs.remove(&(of, peer)),
            _ => self.needs.insert((of, peer), record),
        };
    }

    /// How many bytes wait: pieces as they came where they go out once, and else records.
    fn waits(&self) -> u64 {
        let waiting = self.units.iter().filter(|unit| unit.waits());
        if !self.loss.hands_back() {
            return RECORD * waiting.count() as u64;
        }
        let pieces: BTreeSet<_> = waiting.map(|unit| (unit.claim, unit.part, unit.of)).collect();
        let records = |&(claim, _, of): &(usize, usize, u64)| {
            let Range { start, end } = self.claims[claim];
            end.min(self.seals[of as usize]) - start
        };
        RECORD * pieces.iter().map(records).sum::<u64>()
    }

    fn make_room(&mut self, peer: PeerId, of: u64, record: u64) {
        let mut handed_back = 0;
        if self.loss.hands_back() {
            self.remember(peer, of, record);
            let here = self.has(of, record);
            while !here && self.waits() >= 100 {
                let Some(piece) = self.highest() else { break };
                for unit in self.units.iter_mut().filter(|unit| (unit.claim, unit.part) == piece && unit.waits()) {
                    unit.state = State::Gone;
                    handed_back += 1;
                }
            }
        }
        self.counts.handed_back += handed_back;
        assert_eq!(self.bench.outbox.make_room(peer, &origin(of), record), handed_back);
    }

    /// The piece that waits and has the highest records, and none that is needed.
    fn highest(&self) -> Option<(usize, usize)> {
        let mut pieces: BTreeMap<_, Vec<&Unit>> = BTreeMap::new();
        for unit in self.units.iter().filter(|unit| unit.waits()) {
            pieces.entry((unit.claim, unit.part)).or_default().push(unit);
        }
        pieces.retain(|_, units| !units.iter().any(|unit| self.is_needed(unit)));
        pieces.into_iter().max_by_key(|(piece, units)| (units[0].record, *piece)).map(|(piece, _)| piece)
    }

    fn check(&mut self) {
        for (claim, records) in self.claims.iter().enumerate() {
            if !self.units.iter().any(|unit| unit.claim == claim && unit.is_here()) {
                records.clone().for_each(|record| {
                    self.told.entry((claim, record)).or_insert(Abandoned);
                });
            }
        }
        assert_eq!(*self.bench.told.borrow(), self.told);
        let outbox = &self.bench.outbox;
        assert_eq!(outbox.is_empty(), !self.units.iter().any(Unit::is_here));
        assert_eq!(outbox.counts(), self.counts);
        for of in 0..ORIGINS {
            assert_eq!(outbox.lowest(&origin(of)), self.lowest(of));
        }
        let missing = outbox.missing().map(|(peer, at, record)| ((at.partition.name().to_owned(), peer), record));
        let expected = self.needs.iter().filter(|&(&(of, _), &record)| !self.has(of, record));
        let expected = expected.map(|(&(of, peer), &record)| ((of.to_string(), peer), record));
        assert_eq!(missing.collect::<BTreeMap<_, _>>(), expected.collect());
        // What is dealt anew of a piece that was cut by key counts for more than the records that it has rows of.
        if !self.cut || self.loss.hands_back() {
            assert_eq!(outbox.has_room(), self.waits() < 100);
        }
    }

    /// All are there, grant and settle: everything settles, and nothing is kept.
    fn finish(mut self) {
        for peer in 0..PEERS {
            self.act(Act::Eligible(peer, true));
            self.act(Act::Up(peer, 0));
        }
        let mut rounds = 0;
        while !self.bench.outbox.is_empty() {
            let from = self.tags.len();
            self.deal(usize::MAX);
            assert!(from < self.tags.len(), "something waits and nothing is dealt");
            for (peer, tag) in self.tags.split_off(from) {
                self.outcome(peer, tag, 0..1000, Delivered);
                self.act(Act::Grant(peer, rounds % 30));
            }
            rounds += 1;
        }
        self.check();
        let claims: u64 = self.claims.iter().map(|records| records.end - records.start).sum();
        assert_eq!(self.told.len() as u64, claims, "each record of each claim was told its outcome");
        let outbox = &self.bench.outbox;
        assert!(outbox.items.is_empty() && outbox.claims.is_empty() && outbox.waiting.all().is_empty());
        assert!(outbox.lowest.by_whom().firsts().next().is_none() && outbox.needs.ready().firsts().next().is_none());
        let awaited: BTreeSet<u64> = outbox.needs.all().map(|(lane, ..)| lane).collect();
        assert_eq!((outbox.waits, outbox.lanes.len()), (0, awaited.len()));
        assert!(outbox.peers.values().all(|peer| peer.tags.is_empty()));
        let met = (0..PEERS).flat_map(|peer| (0..ORIGINS).map(move |of| Act::Met(peer, of)));
        met.for_each(|met| self.act(met));
        let outbox = &self.bench.outbox;
        assert!(outbox.needs.all().next().is_none() && outbox.lanes.is_empty() && outbox.names.is_empty());
    }
}

fn take_back(loss: Loss, counts: &mut Counts, unit: &mut Unit, peer: PeerId, gave_back: Option<PeerId>) {
    unit.state = State::Waiting { gave_back };
    match loss {
        Loss::Redeal => counts.redealt += 1,
        Loss::Keep => {
            (unit.aim, counts.redealt) = (To(peer), counts.redealt + 1);
        }
        Loss::HandBack | Loss::GoRound => {
            (unit.state, counts.handed_back) = (State::Gone, counts.handed_back + 1);
        }
    }
}

/// `cut`: some batches are cut by key.
fn act(cut: bool) -> impl Strategy<Value = Act> {
    let (of, peer) = (0..ORIGINS, 0..PEERS);
    let aim = prop_oneof![2 => Just(None), 1 => peer.clone().prop_map(Some)];
    let outcome = prop_oneof![3 => Just(Delivered), 1 => Just(Disposed), 1 => Just(Absorbed), 2 => Just(Abandoned)];
    let put = (of.clone(), 1..6_u64, aim).prop_map(|(of, len, aim)| Act::Put { of, len, aim });
    let rows = prop::collection::vec(0..8_u8, 1..6);
    let batch = match cut {
        true => prop_oneof![put, (of.clone(), rows).prop_map(|(of, rows)| Act::Cut { of, rows })].boxed(),
        false => put.boxed(),
    };
    prop_oneof![
        8 => batch,
        4 => (peer.clone(), 0..80_u64).prop_map(|(peer, credit)| Act::Up(peer, credit)),
        2 => peer.clone().prop_map(Act::Down),
        1 => (peer.clone(), any::<bool>()).prop_map(|(peer, eligible)| Act::Eligible(peer, eligible)),
        4 => (peer.clone(), 0..80_u64).prop_map(|(peer, bytes)| Act::Grant(peer, bytes)),
        8 => prop_oneof![1..4_usize, Just(usize::MAX)].prop_map(Act::Deal),
        12 => (any::<usize>(), 0..30_u64, 0..20_u64, outcome)
            .prop_map(|(tag, from, len, outcome)| Act::Outcome { tag, from, len, outcome }),
        2 => (peer.clone(), of.clone(), -20..9_i64).prop_map(|(peer, of, ahead)| Act::Need { peer, of, ahead }),
        1 => (peer.clone(), of.clone()).prop_map(|(peer, of)| Act::Met(peer, of)),
        1 => (peer, of.clone(), -9..9_i64).prop_map(|(peer, of, ahead)| Act::MakeRoom { peer, of, ahead }),
        1 => (of.clone(), -20..9_i64).prop_map(|(of, ahead)| Act::Seal { of, ahead }),
        1 => prop_oneof![4 => of.prop_map(Act::DropOrigin), 1 => Just(Act::Clear)],
    ]
}

fn run(loss: Loss, acts: Vec<Act>) {
    let mut model = Model::new(loss);
    for act in acts {
        model.act(act);
        model.check();
    }
    model.finish();
}

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![Just(Loss::Redeal), Just(Loss::Keep), Just(Loss::HandBack), Just(Loss::GoRound)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn each_record_is_at_one_place_and_settles_by_who_has_it(
        loss in loss(),
        acts in prop::collection::vec(act(false), 0..80),
    ) {
        run(loss, acts);
    }

    #[test]
    fn each_record_of_batches_that_are_cut_by_key_settles_with_its_last_piece(
        loss in loss(),
        acts in prop::collection::vec(act(true), 0..80),
    ) {
        run(loss, acts);
    }
}
