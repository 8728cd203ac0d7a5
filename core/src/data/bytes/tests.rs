use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::*;
use crate::data::column::tests::{Act, Pair, act, acts, agree};

/// Records of 0 to 6 bytes; as text, of several bytes a character.
fn bytes(seed: u8) -> Bytes {
    vec![seed; seed as usize % 7].into()
}

fn text(seed: u8) -> String {
    "aé€🦀".chars().cycle().skip(seed as usize % 4).take(seed as usize % 5).collect()
}

#[derive(Debug, Clone)]
enum Packing {
    Any(Act),
    Freeze,
    /// A clone is kept, and must be what it is now in the end.
    Clone,
    /// Shared slices are kept, and must be what they are now in the end.
    Share,
    Fill(u8),
    FailToFill(u8),
    PanicInFill(u8),
}

fn packing() -> impl Strategy<Value = Packing> {
    prop_oneof![
        12 => act().prop_map(Packing::Any),
        2 => Just(Packing::Freeze),
        2 => Just(Packing::Clone),
        1 => Just(Packing::Share),
        3 => any::<u8>().prop_map(Packing::Fill),
        2 => any::<u8>().prop_map(Packing::FailToFill),
        1 => any::<u8>().prop_map(Packing::PanicInFill),
    ]
}

#[derive(Default)]
struct Kept {
    clones: Vec<(Packed<Bytes>, Vec<Bytes>)>,
    slices: Vec<(Bytes, Vec<u8>)>,
}

impl Kept {
    fn check(&self) {
        for (clone, model) in &self.clones {
            let found: Vec<&[u8]> = (0..clone.len()).map(|row| clone.get(row)).collect();
            assert_eq!(found, *model);
        }
        for (slice, model) in &self.slices {
            assert_eq!(slice, model);
        }
    }
}

fn pack(pair: &mut Pair<Packed<Bytes>>, kept: &mut Kept, packing: Packing) {
    let Pair { column, model } = pair;
    match packing {
        Packing::Any(act) => pair.act(act, bytes),
        Packing::Freeze => column.freeze(),
        Packing::Clone => kept.clones.push((column.clone(), model.clone())),
        Packing::Share => {
            kept.slices.extend((0..model.len()).map(|row| (column.share(row), model[row].to_vec())));
        }
        Packing::Fill(seed) => {
            let filled: Result<(), ()> = column.try_fill(|block| {
                block.extend_from_slice(&bytes(seed));
                Ok(())
            });
            assert_eq!(filled, Ok(()));
            model.push(bytes(seed));
        }
        Packing::FailToFill(seed) => {
            let filled = column.try_fill(|block| {
                block.extend_from_slice(&bytes(seed));
                Err(seed)
            });
            assert_eq!(filled, Err(seed));
        }
        Packing::PanicInFill(seed) => {
            let fill = |block: &mut Vec<u8>| -> Result<(), ()> {
                block.extend_from_slice(&bytes(seed));
                std::panic::resume_unwind(Box::new("a stage's own code"))
            };
            assert!(catch_unwind(AssertUnwindSafe(|| column.try_fill(fill))).is_err());
        }
    }
    pair.check();
}

proptest! {
    #[test]
    fn packed_bytes_are_like_a_vector_and_what_was_shared_stays(
        packings in prop::collection::vec(packing(), 0..60),
    ) {
        let (mut pair, mut kept) = (Pair::new(), Kept::default());
        for packing in packings {
            pack(&mut pair, &mut kept, packing);
        }
        kept.check();
        let ranges = pair.column.ranges();
        prop_assert!(ranges.windows(2).all(|two| two[0].end <= two[1].start));
    }

    #[test]
    fn packed_text_is_like_a_vector(acts in acts()) {
        agree::<Packed<String>>(acts, text);
    }
}

/// A piece of a block: its bytes, and whether it is a record or lies between two.
type Piece = (Vec<u8>, bool);

/// Text, a character that two pieces share, or rubbish.
fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let is_record = || prop::bool::weighted(0.7);
    let text = ("[a-zé€🦀]{0,5}", is_record()).prop_map(|(text, is_record)| vec![(text.into_bytes(), is_record)]);
    let torn = (is_record(), is_record()).prop_map(|(one, other)| vec![(vec![b'x', 0xc3], one), (vec![0xa9], other)]);
    let rubbish = is_record().prop_map(|is_record| vec![(vec![0xff], is_record)]);
    let piece = prop_oneof![20 => text, 3 => torn, 1 => rubbish];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn packed(pieces: &[Piece]) -> (Packed<Bytes>, Vec<&[u8]>) {
    let (mut block, mut ranges) = (Vec::new(), Vec::new());
    for (bytes, is_record) in pieces {
        let start = block.len() as u32;
        block.extend_from_slice(bytes);
        if *is_record {
            ranges.push(Range32 { start, end: block.len() as u32 });
        }
    }
    let records = pieces.iter().filter(|piece| piece.1).map(|piece| &piece.0[..]).collect();
    (Packed::new(block.into(), ranges), records)
}

proptest! {
    /// A character may be torn by a record's end and whole in the block, and the other way round.
    #[test]
    fn records_that_are_not_text_are_left_out_and_named(pieces in pieces()) {
        let (packed, records) = packed(&pieces);
        let mut faults = Vec::new();
        let texts = packed.texts(|row, error| faults.push((row, error)));
        let found: Vec<&str> = (0..texts.len()).map(|row| texts.text(row)).collect();
        let expected: Vec<_> = records.iter().map(|record| std::str::from_utf8(record)).collect();
        prop_assert_eq!(found, expected.iter().flatten().copied().collect::<Vec<_>>());
        let rows = expected.iter().enumerate().filter_map(|(row, text)| text.err().map(|error| (row, error)));
        prop_assert_eq!(faults, rows.collect::<Vec<_>>());
        prop_assert_eq!(texts.block().as_ptr(), packed.block().as_ptr(), "nothing is copied");
    }

    #[test]
    fn bytes_are_text_or_the_first_row_that_is_not_is_named(pieces in pieces()) {
        let (packed, records) = packed(&pieces);
        let bad = records.iter().enumerate().find_map(|(row, record)| Some((row, std::str::from_utf8(record).err()?)));
        match packed.checked_as_text() {
            Ok(text) => {
                prop_assert_eq!(bad, None);
                prop_assert!(records.iter().enumerate().all(|(row, record)| text.text(row).as_bytes() == *record));
            }
            Err(found) => prop_assert_eq!(Some(found), bad),
        }
    }
}

fn lines() -> Packed<Bytes> {
    let ranges = [(0, 2), (3, 3), (4, 7)].map(|(start, end)| Range32 { start, end });
    Packed::new(Bytes::from_static(b"ab\n\ncde\n"), ranges.to_vec())
}

#[test]
fn what_lies_between_records_stays_in_the_block() {
    let lines = lines();
    assert_eq!((lines.get(0), lines.get(1), lines.get(2)), (&b"ab"[..], &b""[..], &b"cde"[..]));
    assert_eq!(lines.block(), b"ab\n\ncde\n");
    assert_eq!(lines.ranges().iter().map(|range| range.len()).collect::<Vec<_>>(), [2, 0, 3]);
    assert!(lines.ranges()[1].is_empty());
}

#[test]
fn shares_and_halves_of_a_frozen_block_copy_nothing() {
    let mut lines = lines();
    let at = lines.block().as_ptr();
    let rest = lines.split_off(1);
    assert_eq!(rest.block().as_ptr(), at);
    assert_eq!(rest.share(1).as_ptr(), at.wrapping_add(4));
    assert_eq!(lines.clone().block().as_ptr(), at);
}

#[test]
fn a_block_that_nobody_else_has_is_filled_again() {
    let mut column = Packed::<Bytes>::default();
    column.append_bytes(&[1; 1_000]);
    let at = column.block().as_ptr();
    column.freeze();
    column.append_bytes(&[2; 0]);
    assert_eq!(column.block().as_ptr(), at, "to append after a freeze copies nothing");
    column.freeze();
    column.clear();
    assert!(matches!(&column.block, Block::Building(kept) if kept.capacity() >= 1_000));
}

#[test]
fn what_a_panic_left_behind_is_not_part_of_the_block() {
    let mut column = Packed::<Bytes>::default();
    column.append_bytes(b"one");
    let fill = |block: &mut Vec<u8>| -> Result<(), ()> {
        block.extend_from_slice(b"rubbish");
        std::panic::resume_unwind(Box::new("a stage's own code"))
    };
    assert!(catch_unwind(AssertUnwindSafe(|| column.try_fill(fill))).is_err());
    column.append_bytes(b"two");
    assert_eq!(column.block(), b"onetwo");
}

#[test]
#[should_panic(expected = "may only append")]
fn a_writer_that_cuts_off_what_is_there_is_found_out() {
    let mut column = Packed::<Bytes>::default();
    column.append_bytes(b"one");
    let _ = column.try_fill(|block| -> Result<(), ()> {
        block.clear();
        Ok(())
    });
}

#[test]
fn text_becomes_bytes_without_a_copy() {
    let mut column = Packed::<String>::default();
    column.append_text("aé");
    column.append_text("");
    let at = column.block().as_ptr();
    let bytes = column.into_bytes();
    assert_eq!((bytes.get(0), bytes.get(1)), ("aé".as_bytes(), &b""[..]));
    assert_eq!(bytes.block().as_ptr(), at);
}
