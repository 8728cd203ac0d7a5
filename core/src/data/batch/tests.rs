use proptest::prelude::*;

use super::*;
use crate::data::{EventTime, Position, Range32, Typed};

/// Says where a record stands by what it is asked with.
struct Asked;

impl Marks for Asked {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        Position::new(vec![], format!("{count}")).map(Some).map_err(|error| error.to_string())
    }

    fn place(&self, index: u32, block: &[u8], offset: usize) -> String {
        format!("record {index} at {offset} of {}", block.len())
    }
}

const FIRST: u64 = 1_000;

fn shared(len: u32, raw: Option<Packed<Bytes>>) -> Arc<Shared> {
    Arc::new(Shared {
        stage: "file".into(),
        partition: Partition::new("a.txt"),
        instance: 2,
        epoch: 3,
        first: FIRST,
        len,
        times: Times::Each((0..i64::from(len)).map(|record| record * 10).collect()),
        marks: Arc::new(Asked),
        raw,
        late: false,
        turns: None,
        dealt: None,
    })
}

/// A row as it should be, written out: its record, its place among the record's rows, its value.
type Row = (u32, u32, u64);

fn rows(counts: &[u8]) -> Vec<Row> {
    let of = counts.iter().enumerate();
    let rows = of.flat_map(|(record, &rows)| (0..u32::from(rows)).map(move |sub| (record as u32, sub)));
    rows.enumerate().map(|(row, (record, sub))| (record, sub, row as u64)).collect()
}

/// A batch of records that became this many rows each; without an index where each became one and `plain` is set.
fn batch(counts: &[u8], plain: bool) -> Batch {
    let (shared, rows) = (shared(counts.len() as u32, None), rows(counts));
    let column = Box::new(Typed::from(rows.iter().map(|row| row.2).collect::<Vec<_>>()));
    if plain && counts.iter().all(|&rows| rows == 1) {
        return Batch::new(shared, column);
    }
    let part = 0..shared.len;
    Batch::with_rows(shared, part, Some(rows.iter().map(|row| row.0).collect()), column)
}

fn check(batch: &Batch, part: Range<u32>, rows: &[Row]) {
    assert_eq!(batch.part(), part);
    assert_eq!((batch.len(), batch.is_empty()), (rows.len(), rows.is_empty()));
    let records = Records::<Typed<u64>>::of(batch).unwrap();
    for (row, &(record, sub, value)) in rows.iter().enumerate() {
        assert_eq!(records.record(row), record);
        assert_eq!(records.column().as_slice()[row], value);
        let stamp = records.stamp(row);
        assert_eq!((stamp.sequence, stamp.sub), (FIRST + u64::from(record), sub));
        assert_eq!(stamp.time, EventTime { micros: i64::from(record) * 10, ingested: false });
        assert_eq!((&*stamp.stage, stamp.partition.name(), stamp.epoch), ("file", "a.txt", 3));
    }
    for record in part.start..=part.end {
        assert_eq!(batch.row_of(record), rows.iter().filter(|row| row.0 < record).count(), "rows before {record}");
    }
}

fn counts() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => (0..20usize).prop_map(|len| vec![1; len]),
        2 => prop::collection::vec(0..4u8, 0..20),
    ]
}

proptest! {
    #[test]
    fn parts_have_the_rows_of_their_records(
        counts in counts(),
        plain in any::<bool>(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..24u32), 0..6),
    ) {
        let mut parts = vec![batch(&counts, plain)];
        for (which, record) in cuts {
            let at = which.index(parts.len());
            let rest = parts[at].split_at(record);
            parts.insert(at + 1, rest);
        }
        let (all, mut next) = (rows(&counts), 0);
        for part in &parts {
            let records = part.part();
            prop_assert_eq!(records.start, next, "the parts make up the whole");
            next = records.end;
            let rows: Vec<Row> = all.iter().filter(|row| records.contains(&row.0)).copied().collect();
            check(part, records, &rows);
        }
        prop_assert_eq!(next, counts.len() as u32);
    }
}

#[test]
fn an_emptied_batch_still_stands_for_its_records() {
    let mut batch = batch(&[0, 0, 0, 0], false);
    let rest = batch.split_at(3);
    check(&batch, 0..3, &[]);
    check(&rest, 3..4, &[]);
}

#[test]
fn rows_behind_dropped_ones_keep_their_places_within_their_record() {
    // Three rows of record 0, two of record 1.
    let mut batch = batch(&[3, 2], true);
    let subs = |batch: &Batch| -> Vec<(u64, u32)> {
        let all: Vec<_> = batch.stamps().map(|stamp| (stamp.sequence, stamp.sub)).collect();
        let each = (0..batch.len()).map(|row| (batch.stamp(row).sequence, batch.stamp(row).sub));
        assert!(each.eq(all.iter().copied()), "both ways agree");
        all
    };
    let first = batch.shared().first;
    batch.drop_rows(1);
    assert_eq!(subs(&batch), [(first, 1), (first, 2), (first + 1, 0), (first + 1, 1)]);
    batch.drop_rows(1);
    assert_eq!(subs(&batch), [(first, 2), (first + 1, 0), (first + 1, 1)]);
    let rest = batch.split_at(1);
    assert_eq!((subs(&batch), subs(&rest)), (vec![(first, 2)], vec![(first + 1, 0), (first + 1, 1)]));
    batch.drop_rows(1);
    assert_eq!(subs(&batch), []);
}

#[test]
fn a_batch_of_another_type_is_none_of_this() {
    assert!(Records::<Typed<u32>>::of(&batch(&[1], true)).is_none());
}

#[test]
fn a_place_is_asked_for_with_the_original_bytes_where_there_are_any() {
    let ranges = vec![Range32 { start: 0, end: 2 }, Range32 { start: 3, end: 5 }];
    let raw = Packed::new(Bytes::from_static(b"ab\ncd\n"), ranges);
    assert_eq!(shared(2, Some(raw)).place(1), "record 1 at 3 of 6");
    assert_eq!(shared(2, None).place(1), "record 1 at 0 of 0");
}

#[test]
fn the_earliest_time_is_the_lowest() {
    assert_eq!(Times::Each(vec![5, -3, 7].into()).low(), -3);
    assert_eq!(Times::Uniform(EventTime { micros: 9, ingested: true }).low(), 9);
    assert_eq!(Times::Each(vec![].into()).low(), i64::MAX);
}
