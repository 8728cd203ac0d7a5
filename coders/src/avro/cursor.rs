//! [`Cursor`]: reads the pieces that Avro's binary encoding is made of, and trusts none of them.

use std::fmt;

use millstream_core::contracts::{CodeError, Local};

/// Why bytes are not what their schema says, with the way to the part of the value that it was found in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    message: String,
    /// From the inside out.
    way: Vec<String>,
    at: Option<usize>,
}

pub(crate) type Result<T, E = Box<Flaw>> = std::result::Result<T, E>;

impl Flaw {
    #[cold]
    pub(crate) fn new(message: impl Into<String>) -> Box<Self> {
        Box::new(Self { message: message.into(), way: Vec::new(), at: None })
    }

    /// Found at this byte of the datum.
    #[cold]
    pub(crate) fn at(mut self: Box<Self>, byte: usize) -> Box<Self> {
        self.at.get_or_insert(byte);
        self
    }

    /// Found in this field, item or branch.
    #[cold]
    pub(crate) fn within(mut self: Box<Self>, part: impl Into<String>) -> Box<Self> {
        self.way.push(part.into());
        self
    }

    /// As the failure of a record that begins with `before` bytes that are no part of the datum.
    #[cold]
    pub(crate) fn in_record(&self, record: &[u8], before: usize) -> CodeError {
        let error = CodeError::new(self.to_string());
        match self.at {
            Some(at) => error.at(Local::of(record, before + at)),
            None => error,
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.way.iter().rev().peekable();
        if parts.peek().is_some() {
            f.write_str("in `")?;
            let mut first = true;
            for part in parts {
                if !first && !part.starts_with('[') {
                    f.write_str(".")?;
                }
                f.write_str(part)?;
                first = false;
            }
            f.write_str("`: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Flaw {}

/// How many values that take no bytes a datum may have, beyond one for each of its bytes: items of its arrays and fields
/// of its records, wherever they lie. A schema of a few kilobytes can ask for more of them than memory holds.
const EMPTY: usize = 1 << 12;

/// How many bytes of names (of fields, and symbols of enums) generic values may have for each byte of a datum, and beyond
/// that. Each value has its own, and a schema from outside names them as it likes.
const NAMES: usize = 64;
const SOME_NAMES: usize = 1 << 20;

/// A place in a datum, and what may still come of it.
#[derive(Clone)]
pub(crate) struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
    /// How much deeper values may lie within values.
    depth: usize,
    most_depth: usize,
    /// How many more items arrays and maps may have, and records fields that take no byte. An item takes a byte, unless
    /// it is of a type that takes none.
    parts: usize,
    /// How many more bytes their names may have.
    names: usize,
}

impl<'a> Cursor<'a> {
    /// At the beginning of these bytes, which may nest `depth` deep.
    pub(crate) fn new(data: &'a [u8], depth: usize) -> Self {
        let names = data.len().saturating_mul(NAMES).saturating_add(SOME_NAMES);
        Self { data, at: 0, depth, most_depth: depth, parts: data.len().saturating_add(EMPTY), names }
    }

    /// How many bytes have been read.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.data.len() - self.at
    }

    /// Back to where it was before.
    pub(crate) fn back_to(&mut self, at: usize) {
        self.at = self.at.min(at);
    }

    /// One level deeper, until [`leave`](Self::leave).
    #[inline]
    pub(crate) fn enter(&mut self) -> Result<()> {
        match self.depth.checked_sub(1) {
            Some(depth) => {
                self.depth = depth;
                Ok(())
            }
            None => Err(self.too_deep()),
        }
    }

    #[cold]
    #[inline(never)]
    fn too_deep(&self) -> Box<Flaw> {
        let most = self.most_depth;
        self.flaw(format!("it is nested deeper than {most}; raise the limit on depth if that is meant"))
    }

    #[inline]
    pub(crate) fn leave(&mut self) {
        self.depth += 1;
    }

    #[cold]
    pub(crate) fn flaw(&self, message: impl Into<String>) -> Box<Flaw> {
        Flaw::new(message).at(self.at)
    }

    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        match self.data.get(self.at..self.at.saturating_add(len)) {
            Some(taken) => {
                self.at += len;
                Ok(taken)
            }
            None => Err(self.cut_off(len)),
        }
    }

    #[cold]
    #[inline(never)]
    fn cut_off(&self, len: usize) -> Box<Flaw> {
        self.flaw(format!("expected {len} more bytes, found {}: it is cut off", self.left()))
    }

    /// What was found at this byte in place of what was expected.
    #[cold]
    #[inline(never)]
    fn found(at: usize, expected: fmt::Arguments<'_>, found: i64) -> Box<Flaw> {
        Flaw::new(format!("expected {expected}, found {found}")).at(at)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// A variable-length number of up to ten bytes, zigzag.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64> {
        // Most numbers have one byte.
        if let Some(&first) = self.data.get(self.at)
            && first < 0x80
        {
            self.at += 1;
            return Ok(zigzag(u64::from(first)));
        }
        match self.several() {
            Some((len, bits)) => {
                self.at += len;
                Ok(zigzag(together(bits)))
            }
            None => self.long_of_many(),
        }
    }

    /// Goes behind a variable-length number.
    #[inline]
    pub(crate) fn pass_long(&mut self) -> Result<()> {
        match self.several() {
            Some((len, _)) => {
                self.at += len;
                Ok(())
            }
            None => self.long_of_many().map(drop),
        }
    }

    /// Goes behind so many variable-length numbers.
    #[inline]
    pub(crate) fn pass_longs(&mut self, mut count: usize) -> Result<()> {
        while count > 0 {
            let Some(&word) = self.data.get(self.at..).and_then(|left| left.first_chunk()) else {
                self.pass_long()?;
                count -= 1;
                continue;
            };
            // Where numbers end within the word.
            let mut ends = !u64::from_le_bytes(word) & 0x8080_8080_8080_8080;
            let here = ((ends >> 7).wrapping_mul(0x0101_0101_0101_0101) >> 56) as usize;
            if here == 0 {
                self.long_of_many()?;
                count -= 1;
            } else if here <= count {
                self.at += 8 - ends.leading_zeros() as usize / 8;
                count -= here;
            } else {
                for _ in 1..count {
                    ends &= ends - 1;
                }
                self.at += ends.trailing_zeros() as usize / 8 + 1;
                return Ok(());
            }
        }
        Ok(())
    }

    /// The length of a number of up to eight bytes that has as many behind its beginning, and its bytes.
    #[inline]
    fn several(&self) -> Option<(usize, u64)> {
        let word = u64::from_le_bytes(*self.data.get(self.at..)?.first_chunk()?);
        let last = !word & 0x8080_8080_8080_8080;
        // Up to the first byte without the bit that says that more follow.
        (last != 0).then(|| (last.trailing_zeros() as usize / 8 + 1, word & (last ^ (last - 1))))
    }

    fn long_of_many(&mut self) -> Result<i64> {
        let (mut number, mut shift) = (0_u64, 0);
        for (read, &byte) in self.data[self.at..].iter().take(10).enumerate() {
            if shift == 63 && byte > 1 {
                break;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                self.at += read + 1;
                return Ok(zigzag(number));
            }
            shift += 7;
        }
        let cut = self.left() < 10;
        Err(self.flaw(if cut { "expected a number, found its beginning: it is cut off" } else { NUMBER }))
    }

    /// A number that fits 32 bits.
    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32> {
        let at = self.at;
        let long = self.long()?;
        i32::try_from(long).map_err(|_| Self::found(at, format_args!("an int of 32 bits"), long))
    }

    #[inline]
    pub(crate) fn boolean(&mut self) -> Result<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            other => Err(self.no_boolean(other)),
        }
    }

    #[cold]
    #[inline(never)]
    fn no_boolean(&self, found: &[u8]) -> Box<Flaw> {
        let found = i64::from(found.first().copied().unwrap_or_default());
        Self::found(self.at - 1, format_args!("a boolean, 0 or 1"), found)
    }

    /// Bytes behind their length.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8]> {
        let at = self.at;
        let len = self.long()?;
        match usize::try_from(len) {
            Ok(known) => self.take(known),
            Err(_) => Err(Self::found(at, format_args!("a length"), len)),
        }
    }

    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| self.no_text(bytes.len() - error.valid_up_to()))
    }

    /// Before as many bytes as these.
    #[cold]
    #[inline(never)]
    fn no_text(&self, before: usize) -> Box<Flaw> {
        Flaw::new("expected a string in UTF-8, found other bytes").at(self.at - before)
    }

    /// The number of items of the next block of an array or a map, and how many bytes they have if that is said; 0 is
    /// the end.
    #[inline]
    pub(crate) fn block(&mut self) -> Result<(usize, Option<usize>)> {
        let at = self.at;
        match self.long()? {
            0 => Ok((0, None)),
            count => self.block_of(count, at),
        }
    }

    fn block_of(&mut self, count: i64, at: usize) -> Result<(usize, Option<usize>)> {
        let wrong = |what: &str, found: i64| Flaw::new(format!("expected {what} of a block, found {found}")).at(at);
        let bytes = if count < 0 {
            let bytes = self.long()?;
            Some(usize::try_from(bytes).map_err(|_| wrong("the size in bytes", bytes))?)
        } else {
            None
        };
        let items = usize::try_from(count.unsigned_abs()).map_err(|_| wrong("the number of items", count))?;
        match self.parts.checked_sub(items) {
            Some(left) => self.parts = left,
            None => return Err(wrong("a number of items that the bytes can hold", count)),
        }
        Ok((items, bytes))
    }

    /// A field was read that began at byte `before`. What takes bytes is bounded by them; what takes none is counted.
    #[inline]
    pub(crate) fn field(&mut self, before: usize) -> Result<()> {
        if self.at > before { Ok(()) } else { self.empty_field() }
    }

    fn empty_field(&mut self) -> Result<()> {
        match self.parts.checked_sub(1) {
            Some(left) => {
                self.parts = left;
                Ok(())
            }
            None => Err(self.too_many()),
        }
    }

    /// A value is about to get names of so many bytes.
    #[inline]
    pub(crate) fn names(&mut self, bytes: usize) -> Result<()> {
        match self.names.checked_sub(bytes) {
            Some(left) => {
                self.names = left;
                Ok(())
            }
            None => Err(self.too_long_names()),
        }
    }

    #[cold]
    #[inline(never)]
    fn too_long_names(&self) -> Box<Flaw> {
        Flaw::new(format!(
            "expected the names of fields and symbols to come to at most {NAMES} bytes for each byte of the datum, beyond \
             {SOME_NAMES}, found more: such a schema is not followed; read it as a serde type, which has no names in its values"
        ))
        .at(self.at)
    }

    /// A datum ends here, and what lies behind it is of others: it can't account for what this one has.
    #[inline]
    pub(crate) fn ends(&self) -> Result<()> {
        if self.parts >= self.left() { Ok(()) } else { Err(self.too_many()) }
    }

    #[cold]
    #[inline(never)]
    fn too_many(&self) -> Box<Flaw> {
        self.flaw(format!(
            "expected at most {EMPTY} values that take no bytes, beyond one for each byte, found more: such a schema is \
             not read"
        ))
    }

    /// The index of a branch of a union of `branches`, or of a symbol.
    #[inline]
    pub(crate) fn index(&mut self, of: usize, what: &str) -> Result<usize> {
        let at = self.at;
        let index = self.long()?;
        match usize::try_from(index) {
            Ok(known) if known < of => Ok(known),
            _ => Err(Self::found(at, format_args!("{what} from 0 to {}", of.saturating_sub(1)), index)),
        }
    }
}

#[inline]
fn zigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Eight groups of seven bits, each in a byte, put together: in pairs, in fours, in eights.
#[inline]
fn together(word: u64) -> u64 {
    let pairs = (word & 0x007f_007f_007f_007f) | ((word & 0x7f00_7f00_7f00_7f00) >> 1);
    let fours = (pairs & 0x0000_3fff_0000_3fff) | ((pairs & 0x3fff_0000_3fff_0000) >> 2);
    (fours & 0x0fff_ffff) | ((fours & 0x0fff_ffff_0000_0000) >> 4)
}

const NUMBER: &str = "expected a number of 64 bits at most, found a longer one";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Cursor;
    use crate::avro::write;

    proptest! {
        #[test]
        fn numbers_of_every_length_are_what_was_written(
            number in any::<i64>(), shift in 0_u32..64, behind in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            write::long(number, &mut bytes);
            let len = bytes.len();
            bytes.extend_from_slice(&behind);
            let (mut reads, mut passes) = (Cursor::new(&bytes, 1), Cursor::new(&bytes, 1));
            prop_assert_eq!(reads.long().unwrap(), number);
            passes.pass_long().unwrap();
            prop_assert_eq!((reads.at(), passes.at()), (len, len));
            // Cut off anywhere it is no number.
            for cut in 0..len {
                let mut cursor = Cursor::new(&bytes[..cut], 1);
                prop_assert!(cursor.long().unwrap_err().to_string().contains("cut off"));
                prop_assert!(cursor.pass_long().is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn numbers_are_passed_over_together_as_each_by_itself(
            numbers in prop::collection::vec((any::<i64>(), 0_u32..64), 0..40), behind in prop::collection::vec(any::<u8>(), 0..12),
        ) {
            let mut bytes = Vec::new();
            numbers.iter().for_each(|(number, shift)| write::long(number >> shift, &mut bytes));
            let len = bytes.len();
            let mut cut = Cursor::new(&bytes[..len.saturating_sub(1)], 1);
            prop_assert_eq!(cut.pass_longs(numbers.len()).is_ok(), numbers.is_empty());
            bytes.extend_from_slice(&behind);
            let mut passes = Cursor::new(&bytes, 1);
            passes.pass_longs(numbers.len()).unwrap();
            prop_assert_eq!(passes.at(), len);
        }
    }

    #[test]
    fn a_number_of_more_than_64_bits_is_none() {
        for bytes in [[0xff; 12], [0x80; 12]] {
            assert!(Cursor::new(&bytes, 1).long().unwrap_err().to_string().contains("a longer one"));
            assert!(Cursor::new(&bytes, 1).pass_long().is_err());
        }
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x02];
        assert_eq!(Cursor::new(&most, 1).long().unwrap(), i64::MIN);
    }
}
