use std::collections::BTreeMap;

use millstream_core::data::{AnyColumn, EventTime, KvColumn, Partition, Range32, Stamp, Typed};
use proptest::collection::vec;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::*;

/// What a batch is made of, written out.
#[derive(Debug, Clone)]
pub(in crate::exchange) struct Given {
    pub(in crate::exchange) first: u64,
    pub(in crate::exchange) len: u32,
    pub(in crate::exchange) part: Range<u32>,
    pub(in crate::exchange) rows: Vec<Row>,
    /// There is a row a record, and no index.
    pub(in crate::exchange) dense: bool,
    pub(in crate::exchange) pairs: bool,
    pub(in crate::exchange) times: Option<Vec<i64>>,
    pub(in crate::exchange) ingested: bool,
    pub(in crate::exchange) late: bool,
    /// The source has positions: those of [`spot`].
    pub(in crate::exchange) positions: bool,
    /// One a record of the span.
    pub(in crate::exchange) turns: Option<Vec<i64>>,
}

#[derive(Debug, Clone)]
pub(in crate::exchange) struct Row {
    pub(in crate::exchange) record: u32,
    pub(in crate::exchange) key: Vec<u8>,
    pub(in crate::exchange) value: Vec<u8>,
    /// How many bytes lie before it in the block.
    pub(in crate::exchange) gap: usize,
}

/// The position after so many records of a span.
pub(in crate::exchange) fn spot(count: u32) -> Position {
    Position::new(vec![5, count as u8], format!("o:{count}")).unwrap()
}

struct Spots(bool);

impl Marks for Spots {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        Ok(self.0.then(|| spot(count)))
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("spot {index}")
    }
}

impl Given {
    pub(in crate::exchange) fn batch(&self) -> Batch {
        let time = EventTime { micros: 1_700_000_000_000_000, ingested: self.ingested };
        let shared = Shared {
            stage: "ORDERS".into(),
            partition: Partition::new("größte"),
            instance: 3,
            epoch: 77,
            first: self.first,
            len: self.len,
            times: self.times.as_ref().map_or(Times::Uniform(time), |times| Times::Each(times.as_slice().into())),
            marks: Arc::new(Spots(self.positions)),
            raw: None,
            late: self.late,
            turns: self.turns.as_ref().map(|turns| turns.as_slice().into()),
            dealt: None,
        };
        let index = (!self.dense).then(|| self.rows.iter().map(|row| row.record).collect());
        let values = self.packed(|row| &row.value);
        let column: Box<dyn AnyColumn> = match self.pairs {
            true => Box::new(KvColumn::<Bytes, Bytes> { keys: self.packed(|row| &row.key), values }),
            false => Box::new(values),
        };
        Batch::with_rows(Arc::new(shared), self.part.clone(), index, column)
    }

    pub(in crate::exchange) fn piece(&self, with_position: bool) -> Piece {
        Piece::of(self.batch(), with_position).unwrap()
    }

    fn packed(&self, of: impl Fn(&Row) -> &[u8]) -> Packed<Bytes> {
        let (mut block, mut ranges) = (Vec::new(), Vec::new());
        for row in &self.rows {
            block.resize(block.len() + row.gap, b'\n');
            let start = block.len() as u32;
            block.extend_from_slice(of(row));
            ranges.push(Range32 { start, end: block.len() as u32 });
        }
        block.push(b'\n');
        Packed::new(block.into(), ranges)
    }
}

pub(in crate::exchange) fn given() -> impl Strategy<Value = Given> {
    let bytes = || vec(any::<u8>(), 0..12);
    let gap = prop_oneof![Just(None), (0..3_usize).prop_map(Some)];
    let shape = (any::<u64>(), 0..9_u32, any::<[u32; 2]>(), gap);
    let bits = any::<[bool; 7]>();
    let rows = vec((any::<u32>(), bytes(), bytes(), 0..20_usize), 0..12);
    (shape, bits, rows, vec(any::<i64>(), 9)).prop_map(|((first, len, ends, gap), bits, rows, times)| {
        let [dense, pairs, each, ingested, late, positions, in_turn] = bits;
        let [a, b] = ends.map(|end| end % (len + 1));
        let part = a.min(b)..a.max(b);
        let mut rows: Vec<Row> = rows
            .into_iter()
            .map(|(record, key, value, own)| Row {
                record: part.start + record % part.len().max(1) as u32,
                key,
                value,
                gap: gap.unwrap_or(own),
            })
            .collect();
        rows.sort_by_key(|row| row.record);
        if part.is_empty() {
            rows.clear();
        }
        if dense {
            let row = |record| Row { record, key: vec![1; 2], value: vec![7; record as usize], gap: gap.unwrap_or(9) };
            rows = part.clone().map(row).collect();
        }
        Given {
            first: first.min(u64::MAX - u64::from(len)),
            len,
            part,
            rows,
            dense,
            pairs,
            times: each.then(|| times[..len as usize].to_vec()),
            ingested,
            late,
            positions,
            turns: in_turn.then(|| times[..len as usize].iter().rev().copied().collect()),
        }
    })
}

/// All that can be seen of a piece at the end of its way.
#[derive(Debug, PartialEq)]
pub(in crate::exchange) struct Seen {
    records: Range<u64>,
    first: u64,
    len: u32,
    part: Range<u32>,
    stamps: Vec<Stamp>,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: u64,
    places: [i64; 2],
    runs: [(u64, i64); 2],
}

pub(in crate::exchange) fn seen(piece: &Piece) -> Seen {
    let batch = piece.clone().into_batch();
    let stamps: Vec<Stamp> = batch.stamps().collect();
    let (shared, part, index, column) = batch.into_parts();
    assert!(index.is_none_or(|index| index.is_sorted()));
    let rows = match column.cast::<KvColumn<Bytes, Bytes>>() {
        Some(pairs) => {
            (0..column.rows()).map(|row| (pairs.keys.get(row).into(), pairs.values.get(row).into())).collect()
        }
        None => {
            let values = column.cast::<Packed<Bytes>>().unwrap();
            (0..column.rows()).map(|row| (Vec::new(), values.get(row).into())).collect()
        }
    };
    let (first, len) = (shared.first, shared.len);
    let by = [By::EventTime, By::Turn];
    let (places, runs) = (by.map(|by| piece.place(by)), by.map(|by| piece.run(by, -5..=5)));
    Seen { records: piece.records(), first, len, part, stamps, rows, bytes: piece.bytes(), places, runs }
}

fn three() -> Given {
    let row = |record, key: &str| Row { record, key: key.into(), value: b"v".to_vec(), gap: 1 };
    Given {
        first: 100,
        len: 5,
        part: 1..4,
        rows: vec![row(1, "a"), row(1, "b"), row(3, "a")],
        dense: false,
        pairs: true,
        times: Some(vec![1, 50, 40, 60, 2]),
        ingested: false,
        late: false,
        positions: false,
        turns: None,
    }
}

#[test]
fn a_piece_says_what_it_stands_for() {
    let piece = three().piece(false);
    assert_eq!(piece.records(), 101..104);
    assert_eq!((piece.place(By::EventTime), piece.bytes()), (50, 256 + 6 + 3 * 16));
    assert_eq!(
        [39, 40, 49, 50, 60].map(|most| piece.run(By::EventTime, i64::MIN..=most)),
        [(102, 50), (103, 50), (103, 50), (103, 50), (104, 60)]
    );
    assert_eq!((piece.place(By::Turn), piece.run(By::Turn, 0..=0)), (i64::MIN, (104, i64::MIN)), "it has no turns");
    assert_eq!(piece.origin().to_string(), "ORDERS/größte/3");
    assert_eq!(format!("{piece:?}"), "Piece(ORDERS/größte/3 101..104, 3 rows)");
}

#[test]
fn what_never_left_the_instance_has_its_original() {
    let given = three();
    let batch = given.batch();
    let shared = batch.shared().clone();
    let piece = Piece::of(batch, false).unwrap();
    assert!(Arc::ptr_eq(piece.shared().unwrap(), &shared));
    assert!(Arc::ptr_eq(piece.slice(101..102).into_batch().shared(), &shared));
    let late = piece.into_late().slice(0..200).into_batch();
    assert!(late.shared().late && late.shared().place(2) == "spot 2");
}

#[test]
fn what_came_from_elsewhere_knows_what_travelled_and_what_it_was_told() {
    let there = Position::new(vec![9], "there").unwrap();
    let here = Position::new(vec![1], "here").unwrap();
    for (reached, known) in
        [(Reached::Unsaid, None), (Reached::Nowhere, Some(None)), (Reached::At(4, there.clone()), Some(Some(there)))]
    {
        let piece = three().piece(false);
        let Span { origin, first, len, times, .. } = piece.span();
        let span = Span {
            origin: origin.clone(),
            first: *first,
            len: *len,
            times: times.clone(),
            turns: None,
            reached: reached.clone(),
            shared: None,
        };
        let piece = Piece::new(Arc::new(span), 1..4, piece.index.clone(), piece.rows.clone(), false);
        let batch = piece.into_batch();
        let marks = batch.shared().marks.clone();
        assert_eq!((marks.knows(4), marks.position(4).ok()), (known.is_some(), known.clone()));
        if reached == Reached::Nowhere {
            assert_eq!((marks.knows(2), marks.position(2)), (true, Ok(None)), "then there is none anywhere");
        } else {
            assert!(!marks.knows(2));
            let why = marks.position(2).unwrap_err();
            assert_eq!(why, "the position before record 102 of ORDERS/größte/3 is not known here: ask its origin");
            marks.learn(2, Some(here.clone()));
            assert_eq!((marks.knows(2), marks.position(2)), (true, Ok(Some(here.clone()))));
        }
        assert_eq!(batch.shared().place(3), "record 104 of größte, read on instance 4");
        let on = Piece::of(batch, true).unwrap();
        assert_eq!(on.span.reached, reached, "a relay passes on what it knows, and asks nobody");
    }
}

#[test]
fn parts_of_a_span_have_positions_of_their_own() {
    let mut batch = Given { positions: true, ..three() }.batch();
    let rest = batch.split_at(2);
    let reached = |batch, said| Piece::of(batch, said).unwrap().span.reached.clone();
    assert_eq!(reached(batch, true), Reached::At(2, spot(2)));
    assert_eq!(reached(rest, true), Reached::At(4, spot(4)));
    assert_eq!(reached(three().batch(), true), Reached::Nowhere);
    assert_eq!(reached(Given { positions: true, ..three() }.batch(), false), Reached::Unsaid, "no sink wants it");
}

#[test]
fn other_rows_than_bytes_are_refused() {
    let (shared, ..) = three().batch().into_parts();
    let numbers = Batch::with_rows(shared, 1..4, Some(vec![1]), Box::new(Typed::from(vec![7_u64])));
    assert!(Piece::of(numbers, false).unwrap_err().contains("neither bytes nor pairs"));
    let values = Given { pairs: false, ..three() }.piece(false);
    assert!(values.split_by_key(3).unwrap_err().contains("not pairs"));
}

#[test]
fn rows_that_are_dealt_by_key_keep_their_places_within_their_records() {
    let row = |record, key: &str| Row { record, key: key.into(), value: b"v".to_vec(), gap: 1 };
    let rows = ["a", "b", "a", "c", "b"].map(|key| row(1, key)).into_iter().chain([row(3, "c"), row(3, "a")]).collect();
    let piece = Given { rows, ..three() }.piece(false);
    let mut all: Vec<(u64, u32, Vec<u8>)> = Vec::new();
    for share in piece.split_by_key(3).unwrap() {
        for part in [share.slice(101..102), share.slice(102..104)] {
            let Seen { stamps, rows, .. } = seen(&part);
            all.extend(stamps.iter().zip(rows).map(|(stamp, (key, _))| (stamp.sequence, stamp.sub, key)));
        }
    }
    all.sort();
    let keys: Vec<_> = all.iter().map(|(sequence, sub, key)| (*sequence, *sub, key[0])).collect();
    assert_eq!(keys[..5], [(101, 0, b'a'), (101, 1, b'b'), (101, 2, b'a'), (101, 3, b'c'), (101, 4, b'b')]);
    assert_eq!(keys[5..], [(103, 0, b'c'), (103, 1, b'a')]);
}

#[test]
fn as_many_event_times_as_records_are_expected() {
    let short = Given { times: Some(vec![1, 2]), ..three() };
    assert_eq!(Piece::of(short.batch(), false).unwrap_err(), "a span of 5 records came with 2 event times");
    let short = Given { turns: Some(vec![1]), ..three() };
    assert_eq!(Piece::of(short.batch(), false).unwrap_err(), "a span of 5 records came with 1 turns");
}

#[test]
fn the_hash_of_keys_is_the_one_that_the_protocol_names() {
    // From the reference implementation's own test vectors.
    assert_eq!(xxh3_64(b""), 0x2d06_8005_38d3_94c2);
    let peers: Vec<usize> = ["", "a", "order-17"].map(|key| by_key::peer_of(key.as_bytes(), 5)).into();
    assert_eq!(peers, [0x2d06_8005_38d3_94c2_u64 % 5, xxh3_64(b"a") % 5, xxh3_64(b"order-17") % 5].map(|n| n as usize));
}

#[test]
fn each_share_stands_for_all_records_with_rows_or_without() {
    let shares = three().piece(false).split_by_key(4).unwrap();
    assert_eq!(shares.len(), 4);
    assert!(shares.iter().all(|share| share.records() == (101..104)));
    assert!(shares.iter().any(|share| share.rows().len() == 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_slice_has_the_rows_of_its_records(given in given(), from in 0..12_u64, to in 0..12_u64) {
        let piece = given.piece(true);
        let (from, to) = (given.first.saturating_add(from), given.first.saturating_add(to));
        let slice = piece.slice(from..to);
        let start = from.clamp(piece.records().start, piece.records().end);
        prop_assert_eq!(slice.records(), start..to.clamp(start, piece.records().end));
        let (all, cut) = (seen(&piece), seen(&slice));
        let kept = |stamp: &Stamp| slice.records().contains(&stamp.sequence);
        let expected: Vec<_> = all.stamps.iter().zip(&all.rows).filter(|(stamp, _)| kept(stamp)).collect();
        prop_assert_eq!(cut.stamps.iter().zip(&cut.rows).collect::<Vec<_>>(), expected);
        prop_assert_eq!((cut.first, cut.len), (all.first, all.len));
    }

    #[test]
    fn each_row_is_in_the_share_of_its_key(given in given(), peers in 1..5_usize) {
        let given = Given { pairs: true, ..given };
        let piece = given.piece(false);
        let mut left: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for (row, at) in seen(&piece).rows.into_iter().zip(given.rows.iter()) {
            left.entry(xxh3_64(&row.0) as usize % peers).or_default().push((at.record, row));
        }
        for (peer, share) in piece.split_by_key(peers).unwrap().into_iter().enumerate() {
            prop_assert_eq!(share.records(), piece.records());
            let shown = seen(&share);
            let records = shown.stamps.iter().map(|stamp| (stamp.sequence - given.first) as u32);
            let rows: Vec<_> = records.zip(shown.rows).collect();
            prop_assert_eq!(rows, left.remove(&peer).unwrap_or_default());
        }
        prop_assert!(left.is_empty());
    }
}
