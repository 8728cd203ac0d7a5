use proptest::prelude::*;

use super::*;
use crate::testing::{read, written};

fn short(record: usize) -> Whole {
    Whole::default().limits(Limits { record, ..Limits::default() })
}

#[test]
fn an_empty_stream_is_one_empty_record_and_only_one() {
    for resume in [false, true] {
        assert_eq!(read(&Whole::default(), b"", &[1], 5, resume).unwrap(), [(Vec::new(), false)]);
    }
}

#[test]
fn a_stream_that_is_too_large_is_refused_and_not_held() {
    let (mut framer, mut found) = (short(4).framer(None).unwrap(), Scan::default());
    framer.scan(b"abcd", false, 1, &mut found).unwrap();
    assert_eq!((found.consumed, found.records.len()), (0, 0));
    framer.scan(b"abcde", false, 1, &mut found).unwrap();
    assert_eq!((found.consumed, found.records.len(), found.refused.len()), (5, 1, 1));
    assert_eq!(framer.state(), [1, 1]);
    framer.scan(b"fgh", true, 1, &mut found).unwrap();
    assert_eq!((found.consumed, found.records.len()), (3, 0));
    assert_eq!(framer.state(), [1, 2]);
}

#[test]
fn a_stream_that_goes_on_after_it_was_read_is_an_error() {
    let (mut framer, mut found) = (Whole::default().framer(None).unwrap(), Scan::default());
    framer.scan(b"abc", true, 1, &mut found).unwrap();
    let mut resumed = Whole::default().framer(Some(&framer.state())).unwrap();
    resumed.scan(b"", true, 1, &mut found).unwrap();
    assert!(found.records.is_empty());
    let error = resumed.scan(b"d", true, 1, &mut found).unwrap_err();
    assert!(error.message.contains("it was continued after it was read"), "{error}");
}

#[test]
fn a_foreign_state_is_an_error() {
    assert!(Whole::default().framer(Some(&[7])).err().unwrap().message.contains("found [07]"));
}

#[test]
fn records_are_written_one_after_the_other() {
    assert_eq!(written(&Whole::default(), &[b"a", b"", b"b"]), b"ab");
    assert_eq!(short(5).name(), "whole up to 5 bytes");
}

proptest! {
    #[test]
    fn the_record_is_the_same_in_any_pieces(
        data in prop::collection::vec(any::<u8>(), 0..40),
        pieces in prop::collection::vec(1usize..20, 1..5),
        limit in 0usize..50,
        resume in any::<bool>(),
    ) {
        let records = read(&short(limit), &data, &pieces, 1, resume).unwrap();
        prop_assert_eq!(records, [(data[..data.len().min(limit)].to_vec(), data.len() > limit)]);
    }
}
