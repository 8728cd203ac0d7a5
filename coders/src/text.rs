//! Bytes as text and text as bytes: the same bytes under another type, nothing is copied.

use std::str::Utf8Error;
use std::sync::Arc;

use millstream_core::contracts::{Code, CodeError, Coder, Faults, Kind, Local};
use millstream_core::data::{AnyColumn, Bytes, Data, Packed};

/// The coders between bytes and text: `TEXT-DECODER`, which refuses what is not UTF-8, and `TEXT-ENCODER`.
pub fn coders() -> Vec<Coder> {
    vec![
        recast::<Bytes, String>("TEXT-DECODER", || Box::new(ToText)),
        recast::<String, Bytes>("TEXT-ENCODER", || Box::new(ToBytes)),
    ]
}

fn recast<A: Data, B: Data>(name: &str, make: fn() -> Box<dyn Code>) -> Coder {
    let (from, to) = (A::form(), B::form());
    Coder {
        name: name.to_owned(),
        from,
        to,
        kind: Kind::Recast,
        cost: 1,
        heavy: false,
        waits: false,
        make: Arc::new(make),
    }
}

struct ToText;

impl Code for ToText {
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let (Some(from), Some(to)) = (from.cast::<Packed<Bytes>>(), to.cast_mut::<Packed<String>>()) else {
            return mistyped(from, faults);
        };
        let texts = from.texts(|row, error| faults.push((row as u32, not_text(from.get(row), error).into())));
        if to.is_empty() {
            *to = texts;
        } else {
            (0..texts.len()).for_each(|row| to.append_text(texts.text(row)));
        }
    }
}

struct ToBytes;

impl Code for ToBytes {
    fn code(&mut self, from: &dyn AnyColumn, to: &mut dyn AnyColumn, faults: &mut Faults) {
        let (Some(from), Some(to)) = (from.cast::<Packed<String>>(), to.cast_mut::<Packed<Bytes>>()) else {
            return mistyped(from, faults);
        };
        if to.is_empty() {
            *to = from.clone().into_bytes();
        } else {
            (0..from.len()).for_each(|row| to.append_bytes(from.get(row)));
        }
    }
}

/// What is said of bytes that are not UTF-8.
pub(crate) fn not_text(bytes: &[u8], error: Utf8Error) -> CodeError {
    let at = error.valid_up_to();
    let found = match (error.error_len(), bytes.get(at)) {
        (None, _) => "a character that breaks off at the end of the record".to_owned(),
        (Some(_), Some(byte)) => format!("the byte 0x{byte:02x}"),
        (Some(_), None) => "a byte".to_owned(),
    };
    CodeError::new(format!("expected UTF-8 text, found {found}, which is no part of any; convert it to UTF-8 first"))
        .at(Local::of(bytes, at))
}

fn mistyped(from: &dyn AnyColumn, faults: &mut Faults) {
    let message = "this coder was given a column of another type: the graph does not fit its operators";
    faults.extend((0..from.rows()).map(|row| (row as u32, CodeError::new(message).into())));
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_core::data::Column;
    use proptest::prelude::*;

    fn packed(records: &[Vec<u8>]) -> Packed<Bytes> {
        let mut packed = Packed::default();
        records.iter().for_each(|record| packed.append_bytes(record));
        packed.freeze();
        packed
    }

    fn decode(from: &Packed<Bytes>, to: &mut Packed<String>) -> Vec<(u32, String)> {
        let mut faults = Faults::new();
        (coders()[0].make)().code(from, to, &mut faults);
        faults.into_iter().map(|(row, error)| (row, error.to_string())).collect()
    }

    #[test]
    fn text_shares_the_block_of_its_bytes_and_back() {
        let from = packed(&[b"a".to_vec(), "ä".into(), b"".to_vec()]);
        let mut texts = Packed::default();
        assert!(decode(&from, &mut texts).is_empty());
        assert_eq!(texts.block().as_ptr(), from.block().as_ptr());

        let mut back = Packed::<Bytes>::default();
        (coders()[1].make)().code(&texts, &mut back, &mut Faults::new());
        assert_eq!(back.block().as_ptr(), from.block().as_ptr());
        assert_eq!(back.ranges(), from.ranges());
    }

    #[test]
    fn a_record_that_is_not_utf8_is_refused_with_its_offset_and_others_pass() {
        let from = packed(&[b"one".to_vec(), b"t\nw\xffo".to_vec(), b"three".to_vec(), b"f\xc3".to_vec()]);
        let mut to = Packed::default();
        let faults = decode(&from, &mut to);
        assert_eq!((to.text(0), to.text(1), to.len()), ("one", "three", 2));
        assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [1, 3]);
        assert!(faults[0].1.contains("found the byte 0xff"), "{}", faults[0].1);
        assert!(faults[0].1.ends_with("(in the record: line 2, column 2, byte 3)"), "{}", faults[0].1);
        assert!(faults[1].1.contains("breaks off at the end"), "{}", faults[1].1);
    }

    #[test]
    fn a_character_cut_in_two_by_record_ends_is_refused_on_both_sides() {
        let from = packed(&["aä".as_bytes()[..2].to_vec(), "aä".as_bytes()[2..].to_vec()]);
        assert_eq!(decode(&from, &mut Packed::default()).len(), 2);
    }

    #[test]
    fn a_column_of_another_type_is_refused_row_by_row() {
        let mut faults = Faults::new();
        let texts: Packed<String> = packed(&[b"a".to_vec()]).texts(|_, _| ());
        (coders()[0].make)().code(&texts, &mut Packed::<String>::default(), &mut faults);
        assert_eq!(faults.len(), 1);
    }

    proptest! {
        #[test]
        fn text_is_what_the_standard_library_takes(
            records in prop::collection::vec(prop_oneof!["\\PC{0,6}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..4)], 0..8),
            before in 0usize..2,
            every_other in any::<bool>(),
        ) {
            let mut from = packed(&records);
            let rows: Vec<u32> = (0..records.len() as u32).filter(|row| !every_other || row % 2 == 0).collect();
            from.select(&rows);
            let mut to = Packed::default();
            (0..before).for_each(|_| to.append_text("before"));
            let faults = decode(&from, &mut to);

            let mut texts = vec!["before"; before];
            let mut refused = Vec::new();
            for (at, &row) in rows.iter().enumerate() {
                match std::str::from_utf8(&records[row as usize]) {
                    Ok(text) => texts.push(text),
                    Err(_) => refused.push(at as u32),
                }
            }
            prop_assert_eq!((0..to.len()).map(|row| to.text(row)).collect::<Vec<_>>(), texts);
            prop_assert_eq!(faults.into_iter().map(|fault| fault.0).collect::<Vec<_>>(), refused);
        }
    }
}
