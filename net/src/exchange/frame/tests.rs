use std::fs;
use std::path::Path;

use millstream_core::data::{Batch, Bytes, Shared};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::exchange::message::{Message, Run, WireCheckpoint, WireHold, WireOutcome, WirePosition};
use crate::exchange::origin::Load;
use crate::exchange::piece::tests::{Given, Row, given, seen, spot};
use crate::exchange::piece::{Piece, Reached};

fn whole(tag: u64, piece: &Piece) -> Vec<u8> {
    encode(tag, piece).unwrap().concat()
}

fn read(frame: &[u8]) -> Result<(u64, Piece), FrameError> {
    decode(Bytes::copy_from_slice(frame))
}

/// Two records, the first with two rows.
fn small() -> Given {
    let row = |record, value: &str| Row { record, key: vec![b'k'], value: value.into(), gap: 0 };
    Given {
        first: 0x1234,
        len: 3,
        part: 0..2,
        rows: vec![row(0, "ab"), row(0, ""), row(1, "c")],
        dense: false,
        pairs: true,
        times: None,
        ingested: true,
        late: true,
        positions: true,
        turns: None,
    }
}

#[test]
fn the_bytes_of_protocol_1_are_these() {
    let expected: &[&[u8]] = &[
        &[9, 0, 0, 0, 0, 0, 0, 0],
        &[77, 0, 0, 0, 0, 0, 0, 0],
        &[0x34, 0x12, 0, 0, 0, 0, 0, 0],
        &[3, 0, 0, 0],
        &[0, 0, 0, 0, 2, 0, 0, 0],
        &[3, 0],
        &[0x7d, 0],
        &[6, 0],
        b"ORDERS",
        &[8, 0],
        "größte".as_bytes(),
        &1_700_000_000_000_000_i64.to_le_bytes(),
        &[2, 0, 0, 0],
        &[2, 0, 5, 2],
        &[3, 0],
        b"o:2",
        &[3, 0, 0, 0],
        &[0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0],
        &[3, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0],
        b"kkk",
        b"abc",
    ];
    assert_eq!(whole(9, &small().piece(true)), expected.concat());
    assert_eq!(PROTOCOL, 1);
}

#[test]
fn rows_that_lie_close_are_not_copied() {
    let line = |record| Row { record, key: Vec::new(), value: vec![b'x'; 100], gap: 1 };
    let lines = Given { len: 9, part: 0..9, rows: (0..9).map(line).collect(), dense: true, pairs: false, ..small() };
    let piece = lines.piece(false);
    let frame = encode(1, &piece).unwrap();
    let column = piece.rows().columns().next().unwrap().clone();
    assert_eq!(frame[1].len(), 9 * 101 - 1, "with the line ends between them");
    assert_eq!(frame[1].as_ptr(), column.get(0).as_ptr());
    let frame = Bytes::from(frame.concat());
    let (_, read) = decode(frame.clone()).unwrap();
    let row = read.rows().columns().next().unwrap().share(8);
    assert!(frame.as_ptr_range().contains(&row.as_ptr()), "nor when they are read");
    assert_eq!(seen(&read), seen(&piece));
}

#[test]
fn rows_that_lie_far_apart_are_put_together() {
    let far = |record| Row { record, key: Vec::new(), value: vec![b'x'; 70], gap: 12 };
    let given = Given { len: 9, part: 0..9, rows: (0..9).map(far).collect(), dense: true, pairs: false, ..small() };
    assert_eq!(encode(1, &given.piece(false)).unwrap()[1].len(), 630);
}

#[test]
fn rows_need_not_lie_evenly() {
    let near = |record| Row { record, key: Vec::new(), value: vec![record as u8; 70], gap: record as usize % 3 };
    let given = Given { len: 9, part: 0..9, rows: (0..9).map(near).collect(), dense: true, pairs: false, ..small() };
    let piece = given.piece(false);
    let frame = encode(1, &piece).unwrap();
    assert_eq!(frame[1].len(), 9 * 70 + 9, "what lies between them is sent along");
    assert_eq!(seen(&read(&frame.concat()).unwrap().1), seen(&piece));
}

#[test]
fn an_empty_batch_still_stands_for_its_records() {
    let empty = Given { rows: Vec::new(), pairs: false, ..small() };
    let (tag, piece) = read(&whole(7, &empty.piece(true))).unwrap();
    assert_eq!((tag, piece.records(), piece.rows().len()), (7, 0x1234..0x1236, 0));
}

#[test]
fn what_is_too_long_is_not_sent() {
    let given = small();
    let (shared, part, index, column) = given.batch().into_parts();
    let shared = Shared {
        stage: "S".repeat(MAX_NAME + 1).into(),
        partition: shared.partition.clone(),
        times: shared.times.clone(),
        marks: shared.marks.clone(),
        raw: None,
        turns: None,
        dealt: None,
        ..*shared
    };
    let batch = Batch::with_rows(shared.into(), part, index, column);
    let error = encode(1, &Piece::of(batch, false).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "the name of a stage: 1025 bytes, where at most 1024 can cross a link");
}

/// The frame of [`small`] with these bytes at a place, and why it is refused.
fn refused(at: usize, bytes: &[u8]) -> String {
    let mut frame = whole(9, &small().piece(true));
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    read(&frame).unwrap_err().to_string()
}

#[test]
fn refusals_say_what_was_expected_and_what_was_found() {
    assert_eq!(
        refused(16, &[0xff; 8]),
        format!("a span of 3 sequence numbers was expected to fit behind {}", u64::MAX)
    );
    assert_eq!(refused(28, &[3]), "a part within a span of 3 records was expected, found 3 to 2");
    assert_eq!(refused(32, &[4]), "a part within a span of 3 records was expected, found 0 to 4");
    assert_eq!(refused(38, &[0x80]), "the flags 0x0080 are unknown here, or contradict each other");
    assert_eq!(refused(38, &[0x7f]), "the flags 0x007f are unknown here, or contradict each other");
    assert_eq!(refused(38, &[0x5d]), "the flags 0x005d are unknown here, or contradict each other");
    assert_eq!(refused(42, &[0xff]), "the name of a stage is not UTF-8");
    assert_eq!(refused(40, &[1, 4]), "the name of a stage: 1025 bytes, where at most 1024 can cross a link");
    assert_eq!(refused(66, &[4]), "a position within a span of 3 records was expected, found one behind 4");
    assert_eq!(refused(70, &[1, 16]), "a position: 4097 bytes, where at most 4096 can cross a link");
    assert_eq!(refused(83, &[0xff]), "row 0 was expected to be of a record from 0 to before 2, found 255");
    assert_eq!(refused(87, &[1, 0, 0, 0, 0]), "row 2 was expected to be of a record from 1 to before 2, found 0");
    assert_eq!(refused(38, &[0x7c]), "2 rows were expected, one a record, found 3");
    assert_eq!(refused(123, &[3]), "row 1 was expected within the bytes 3 to 3, found 3 to 2");
    assert_eq!(refused(131, &[4]), "row 2 was expected within the bytes 2 to 3, found 2 to 4");
    assert_eq!(refused(115, &[4]), "rows were expected to fill the 4 bytes of their stretch, found 3");
    assert_eq!(refused(119, &[1]), "row 1 was expected within the bytes 2 to 3, found 3 to 2");
}

#[test]
fn a_frame_that_says_more_than_it_has_is_refused_before_anything_is_allocated() {
    let cut = |expected: usize, what: &str, left: usize| {
        format!("a frame ends within {what}: {expected} bytes were expected there, {left} are left")
    };
    let most = u32::MAX as usize;
    assert_eq!(refused(79, &[0xff; 4]), cut(4 * most, "the rows' records", 58));
    assert_eq!(refused(70, &[0, 16]), cut(4096, "a position", 69));
    // The length of the span, and event times of their own for as many records.
    let mut each = whole(9, &small().piece(true));
    each[24..28].fill(0xff);
    each[38] = 0x7b;
    assert_eq!(read(&each).unwrap_err().to_string(), cut(8 * most, "the event times", 83));
    let dense = Given { dense: true, part: 0..3, rows: small().rows, ..small() };
    let mut dense = whole(9, &dense.piece(true));
    dense[24..28].fill(0xff);
    dense[32..36].fill(0xff);
    dense[79..83].fill(0xff);
    assert_eq!(read(&dense).unwrap_err().to_string(), cut(4 * most, "where the rows end", 38));
}

#[test]
fn a_part_that_was_cut_from_its_span_carries_its_own_position() {
    let line = |record| Row { record, key: Vec::new(), value: vec![b'x'; 100], gap: 1 };
    let lines = Given { len: 9, part: 0..9, rows: (0..9).map(line).collect(), dense: true, pairs: false, ..small() };
    let mut batch = lines.batch();
    let rest = batch.split_at(4);
    for (batch, count, other) in [(batch, 4, 9), (rest, 9, 4)] {
        let piece = read(&whole(1, &Piece::of(batch, true).unwrap())).unwrap().1;
        assert_eq!((piece.part().end, &piece.span().reached), (count, &Reached::At(count, spot(count))));
        let batch = piece.into_batch();
        let marks = &batch.shared().marks;
        assert!(marks.knows(count) && !marks.knows(other));
        assert_eq!(marks.position(count), Ok(Some(spot(count))));
    }
}

#[test]
fn a_position_behind_the_span_is_refused() {
    let mut frame = whole(9, &small().piece(true));
    for (count, expected) in [(0, Ok(0)), (3, Ok(3)), (4, Err(4)), (u32::MAX, Err(u32::MAX))] {
        frame[66..70].copy_from_slice(&count.to_le_bytes());
        let found = match read(&frame) {
            Ok((_, piece)) => match &piece.span().reached {
                Reached::At(count, _) => Ok(*count),
                other => panic!("{other:?}"),
            },
            Err(FrameError::Before { len: 3, found }) => Err(found),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(found, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_piece_comes_back_as_it_was(given in given(), tag: u64, said: bool, cut in 0..9_u64, late: bool) {
        let mut piece = given.piece(said).slice(given.first.saturating_add(cut / 3)..given.first.saturating_add(cut));
        if late {
            piece = piece.into_late();
        }
        let frame = whole(tag, &piece);
        let (read_tag, read) = read(&frame).unwrap();
        prop_assert_eq!(read_tag, tag);
        prop_assert_eq!(seen(&read), seen(&piece));
        prop_assert_eq!(&read.span().reached, &piece.span().reached);
        prop_assert_eq!(read.origin(), piece.origin());
        prop_assert!(read.shared().is_none());
        prop_assert_eq!(whole(tag, &read), frame, "sent on it is the same frame");
    }

    #[test]
    fn shares_by_key_come_back_as_they_were(given in given(), peers in 1..4_usize) {
        let given = Given { pairs: true, ..given };
        for share in given.piece(false).split_by_key(peers).unwrap() {
            prop_assert_eq!(seen(&read(&whole(1, &share)).unwrap().1), seen(&share));
        }
    }

    #[test]
    fn a_cut_frame_is_refused(given in given()) {
        let frame = whole(1, &given.piece(true));
        for end in 0..frame.len() {
            prop_assert!(read(&frame[..end]).is_err(), "cut at {}", end);
        }
        let longer = [frame.as_slice(), &[0]].concat();
        prop_assert!(matches!(read(&longer), Err(FrameError::Longer(1))));
    }

    #[test]
    fn a_changed_frame_is_refused_or_another_piece(
        given in given(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut frame = whole(1, &given.piece(true));
        for (at, byte) in changes {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        if let Ok((tag, piece)) = read(&frame) {
            prop_assert!(piece.rows().len() * 4 <= frame.len(), "each row takes four bytes at least");
            let again = whole(tag, &piece);
            prop_assert!(again.len() <= frame.len());
            prop_assert_eq!(seen(&read(&again).unwrap().1), seen(&piece));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(frame in vec(any::<u8>(), 0..200)) {
        let _ = read(&frame);
        let _ = decode_messages(&frame);
    }
}

fn outcome(tag: u64) -> Message {
    let holds = vec![WireHold { holder: 1, epoch: 2, id: tag, record: 4 }];
    Message::Outcome { hop: 1, tag, from: 3, to: 300, outcome: WireOutcome::Absorbed, holds }
}

fn opened(bytes: usize) -> Message {
    let position = WirePosition { bytes: vec![7; bytes], label: "a:1".into() };
    let held = WireCheckpoint { pipeline: "p".into(), stage: "S".into(), partition: "a".into(), position };
    Message::Opened { epoch: 5, hop: 1, held: Some(vec![held]), more: true }
}

#[test]
fn the_bytes_of_a_message_are_these() {
    let messages =
        [Message::Welcome { run: Some(Run { id: 300, last_joined: 2 }) }, Message::Reach { peers: vec![0, 2] }];
    let frames = encode_messages(&messages).unwrap();
    assert_eq!(frames, [[0, 1, 0xac, 2, 2, 2, 2, 0, 2].as_slice()]);
}

#[test]
fn messages_come_back_in_order_in_as_few_frames_as_hold_them() {
    assert!(encode_messages(&[]).unwrap().is_empty());
    let messages: Vec<Message> = (0..9).map(outcome).chain([opened(3), Message::Done]).collect();
    let frames = encode_messages(&messages).unwrap();
    assert_eq!(frames.len(), 1);
    assert_eq!(decode_messages(&frames[0]).unwrap(), messages);
}

#[test]
fn messages_that_do_not_fit_one_frame_go_in_several() {
    let large: Vec<Message> = (0..5).map(|_| opened(300_000)).collect();
    let many = vec![Message::Done; MAX_MESSAGES + 5];
    for (messages, frames_expected) in [(large, 2), (many, 2)] {
        let frames = encode_messages(&messages).unwrap();
        assert_eq!(frames.len(), frames_expected);
        let read: Vec<Message> = frames.iter().flat_map(|frame| decode_messages(frame).unwrap()).collect();
        assert!(read == messages);
    }
}

#[test]
fn messages_beyond_the_bounds_are_refused() {
    let error = encode_messages(&[opened(MAX_MESSAGES_FRAME)]).unwrap_err();
    assert!(matches!(error, FrameError::TooLong { most: MAX_MESSAGES_FRAME, .. }), "{error}");
    assert!(matches!(decode_messages(&vec![0; MAX_MESSAGES_FRAME + 1]), Err(FrameError::TooLong { .. })));
    let done = encode_messages(&[Message::Done]).unwrap().concat();
    assert_eq!(done.len(), 1);
    assert!(matches!(decode_messages(&done.repeat(MAX_MESSAGES + 1)), Err(FrameError::Messages)));
    assert!(size_of::<Message>() <= 128, "the bound on their number is for messages of this size");
}

#[test]
fn a_cut_message_is_refused_with_its_number() {
    let frame = encode_messages(&[Message::Done, outcome(300)]).unwrap().remove(0);
    for end in 2..frame.len() {
        let error = decode_messages(&frame[..end]).unwrap_err();
        assert_eq!(error.to_string(), "message 1 of a frame can't be read");
    }
}

#[test]
fn the_seeds_of_the_fuzz_target_are_taken() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/wire");
    for seed in fs::read_dir(seeds).unwrap() {
        let path = seed.unwrap().path();
        let seed = fs::read(&path).unwrap();
        match seed.split_first().unwrap() {
            (0, frame) => drop(read(frame).unwrap_or_else(|error| panic!("{}: {error}", path.display()))),
            (_, frame) => assert!(decode_messages(frame).unwrap().len() > 1, "{}", path.display()),
        }
    }
}

#[test]
fn the_page_on_the_wire_format_has_every_message() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(package.join("../docs/wire-format.md")).unwrap();
    let source = fs::read_to_string(package.join("src/exchange/message.rs")).unwrap();
    let (_, body) = source.split_once("enum Message {").unwrap();
    let (body, _) = body.split_once("\n}").unwrap();
    let names: Vec<&str> = body
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.split([' ', ',']).next().unwrap())
        .collect();
    assert!(names.len() > 10, "only {} messages were found: this test no longer reads them", names.len());
    for (number, name) in names.iter().enumerate() {
        assert!(page.contains(&format!("| {number} | `{name}` |")), "message {number}, {name}, is not in the table");
    }
}
