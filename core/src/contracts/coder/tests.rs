use proptest::prelude::*;

use super::*;

/// One byte after the other.
fn naive(text: &[u8], byte: usize) -> Local {
    let mut local = Local { line: 1, column: 1, byte: 0 };
    for &b in text.iter().take(byte) {
        local.byte += 1;
        local.column += 1;
        if b == b'\n' {
            local = Local { line: local.line + 1, column: 1, ..local };
        }
    }
    local
}

proptest! {
    #[test]
    fn a_place_is_counted_out(text in "[ab\n]{0,30}", byte in 0..40usize) {
        prop_assert_eq!(Local::of(text.as_bytes(), byte), naive(text.as_bytes(), byte));
    }
}

#[test]
fn a_newline_belongs_to_the_line_it_ends() {
    let text = b"ab\ncd";
    assert_eq!(Local::of(text, 2), Local { line: 1, column: 3, byte: 2 });
    assert_eq!(Local::of(text, 3), Local { line: 2, column: 1, byte: 3 });
    assert_eq!(Local::of(text, 99), Local { line: 2, column: 3, byte: 5 });
}

#[test]
fn a_message_says_the_place_within_the_record() {
    let error = CodeError::new("expected a digit, found `x`");
    assert_eq!(error.to_string(), "expected a digit, found `x`");
    let error = error.at(Local::of(b"ab\nx", 3));
    assert_eq!(error.to_string(), "expected a digit, found `x` (in the record: line 2, column 1, byte 3)");
    assert_eq!((error.message(), error.local().unwrap().line), ("expected a digit, found `x`", 2));
}

/// Decimal digits, of at most three.
struct Digits;

impl Decoder for Digits {
    type Out = u64;

    fn name(&self) -> String {
        "DIGITS-DECODER".into()
    }

    fn decode(&self, bytes: Bytes, column: &mut <u64 as Data>::Column) -> Result<(), CodeError> {
        let text = std::str::from_utf8(&bytes).map_err(|error| CodeError::new(error.to_string()))?;
        column.push(text.parse().map_err(|_| CodeError::new(format!("not a number: {text}")))?);
        Ok(())
    }
}

impl Encoder for Digits {
    type In = u64;

    fn name(&self) -> String {
        "DIGITS-ENCODER".into()
    }

    fn encode(&self, value: &u64, out: &mut Vec<u8>) -> Result<(), CodeError> {
        out.extend_from_slice(value.to_string().as_bytes());
        if *value > 999 { Err(CodeError::new("too long")) } else { Ok(()) }
    }
}

fn code(coder: &Coder, from: &dyn AnyColumn) -> (Box<dyn AnyColumn>, Vec<(u32, String)>) {
    let (mut to, mut faults) = (coder.to.empty(), Faults::new());
    (coder.make)().code(from, &mut *to, &mut faults);
    (to, faults.into_iter().map(|(row, error)| (row, error.to_string())).collect())
}

#[test]
fn rows_that_can_not_be_decoded_are_left_out_and_named() {
    let mut from = Packed::<Bytes>::default();
    for record in ["7", "x", "", "42"] {
        from.append_bytes(record.as_bytes());
    }
    let (to, faults) = code(&decoder(Digits), &from);
    assert_eq!(to.cast::<<u64 as Data>::Column>().unwrap().as_slice(), [7, 42]);
    assert_eq!(faults, [(1, "not a number: x".to_owned()), (2, "not a number: ".to_owned())]);
}

#[test]
fn rows_that_can_not_be_encoded_leave_nothing_behind() {
    let from = <u64 as Data>::Column::from(vec![1, 1_000, 23]);
    let (to, faults) = code(&encoder(Digits), &from);
    let to = to.cast::<Packed<Bytes>>().unwrap();
    assert_eq!((to.block(), to.len()), (&b"123"[..], 2));
    assert_eq!(faults, [(1, "too long".to_owned())]);
}

#[test]
fn a_column_of_another_type_faults_every_row() {
    let from = <u32 as Data>::Column::from(vec![1, 2]);
    let (to, faults) = code(&encoder(Digits), &from);
    assert_eq!(to.rows(), 0);
    assert_eq!(faults.iter().map(|fault| fault.0).collect::<Vec<_>>(), [0, 1]);
    assert!(faults[0].1.contains("another type"));
}
