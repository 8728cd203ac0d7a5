use proptest::prelude::*;

use super::*;
use crate::testing::{read, written};

fn short(record: usize) -> Lines {
    Lines::default().limits(Limits { record, ..Limits::default() })
}

fn whole(framing: &Lines, data: &[u8]) -> Vec<(Vec<u8>, bool)> {
    read(framing, data, &[1 << 20], 1000, false).unwrap()
}

/// The model: lines by the standard library.
fn model(data: &[u8], limit: usize) -> Vec<(Vec<u8>, bool)> {
    let mut lines: Vec<&[u8]> = data.split(|&byte| byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    lines.iter().map(|line| (line[..line.len().min(limit)].to_vec(), line.len() > limit)).collect()
}

#[test]
fn a_carriage_return_stays_unless_it_is_to_be_trimmed() {
    assert_eq!(whole(&Lines::default(), b"a\r\n\r\nb\r"), model(b"a\r\n\r\nb\r", 9));
    assert_eq!(whole(&Lines::default().trim_cr(), b"a\r\n\r\nb\r\r\nc\r\n"), model(b"a\n\nb\r\nc\n", 9));
}

#[test]
fn names_tell_apart_what_reads_differently() {
    assert_eq!(Lines::default().name(), "lines");
    assert_eq!(short(100).trim_cr().name(), "lines without \\r up to 100 bytes");
}

#[test]
fn a_line_that_is_too_long_is_refused_before_its_end_has_been_read() {
    let (mut framer, mut found) = (short(3).framer(None).unwrap(), Scan::default());
    framer.scan(b"ok\nabcd", false, 10, &mut found).unwrap();
    assert_eq!((found.records.len(), found.consumed, found.refused.len()), (2, 7, 1));
    assert!(found.refused[0].1.to_string().contains("a line of at most 3 bytes"));
    assert_eq!(framer.state(), [1, 1]);
    framer.scan(b"efgh", false, 10, &mut found).unwrap();
    assert_eq!((found.records.len(), found.consumed), (0, 4), "the rest isn't held");
    framer.scan(b"ij\nok\n", false, 10, &mut found).unwrap();
    assert_eq!((found.records.as_slice(), found.consumed), ([Range32 { start: 3, end: 5 }].as_slice(), 6));
    assert_eq!(framer.state(), b"");
}

#[test]
fn what_is_kept_of_a_refused_line_is_bounded() {
    let data = vec![b'x'; KEPT + 10];
    let lines = whole(&short(KEPT + 5), &data);
    assert_eq!((lines.len(), lines[0].0.len(), lines[0].1), (1, KEPT, true));
}

#[test]
fn a_last_line_without_end_that_goes_on_later_is_an_error() {
    for data in [b"a\nb".as_slice(), b"a\nbcdef"] {
        let (mut framer, mut found) = (short(3).framer(None).unwrap(), Scan::default());
        framer.scan(data, true, 10, &mut found).unwrap();
        assert_eq!((found.records.len(), found.consumed), (2, data.len()));
        let state = framer.state();
        assert_eq!(state, [1, 2]);
        let mut resumed = short(3).framer(Some(&state)).unwrap();
        resumed.scan(b"", true, 10, &mut found).unwrap();
        assert!(found.records.is_empty());
        let error = resumed.scan(b"more", false, 10, &mut found).unwrap_err();
        assert!(error.message.contains("the last line was continued after it was read"), "{error}");
        assert_eq!(resumed.state(), state);
    }
}

#[test]
fn a_line_is_not_searched_again_when_more_of_it_comes() {
    let (mut framer, mut found) = (Lines::default().framer(None).unwrap(), Scan::default());
    framer.scan(b"abc", false, 10, &mut found).unwrap();
    // A line end that wasn't there before shows that the beginning isn't looked at again.
    framer.scan(b"a\nc\nd", false, 10, &mut found).unwrap();
    assert_eq!(found.records, [Range32 { start: 0, end: 3 }]);
}

#[test]
fn a_foreign_state_is_an_error() {
    for state in [&[1][..], &[2, 1], &[1, 3], &[1, 1, 1]] {
        let error = Lines::default().framer(Some(state)).err().unwrap();
        assert!(error.message.contains("expected a state of lines of version 1"), "{error}");
    }
}

#[test]
fn each_record_is_written_with_its_line_end() {
    assert_eq!(written(&Lines::default(), &[b"a", b"", b"b\r"]), b"a\n\nb\r\n");
    assert_eq!(Lines::default().writer().terminator(), Some(b"\n".as_slice()));
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![3 => Just(b'\n'), 1 => Just(b'\r'), 6 => any::<u8>()], 0..80)
}

proptest! {
    #[test]
    fn lines_are_the_same_in_any_pieces_and_after_any_resume(
        data in text(),
        pieces in prop::collection::vec(1usize..20, 1..5),
        max in 1usize..5,
        limit in 0usize..12,
        resume in any::<bool>(),
    ) {
        prop_assert_eq!(read(&short(limit), &data, &pieces, max, resume).unwrap(), model(&data, limit));
    }

    #[test]
    fn what_is_read_and_written_is_the_same(mut data in text()) {
        data.push(b'\n');
        let lines = whole(&Lines::default(), &data);
        let records: Vec<&[u8]> = lines.iter().map(|line| line.0.as_slice()).collect();
        prop_assert_eq!(written(&Lines::default(), &records), data);
    }

    #[test]
    fn any_state_is_taken_or_refused(state in prop::collection::vec(any::<u8>(), 0..4), data in text()) {
        if let Ok(mut framer) = Lines::default().framer(Some(&state)) {
            prop_assert_eq!(framer.state(), state);
            let _ = framer.scan(&data, true, 3, &mut Scan::default());
        }
    }
}
