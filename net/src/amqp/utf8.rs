//! [`Utf8`]: bytes that are to be a text, made one where they aren't.

/// Follows a text, however it is cut into pieces. What can't be a character becomes `?` where that shows at its first byte,
/// and some character where it shows later. A text that is UTF-8 is left as it is.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// So many bytes of a character are still to come.
    more: u8,
    /// The next of them is one of these.
    low: u8,
    high: u8,
}

impl Utf8 {
    /// These are the next bytes of a text of which so many were left.
    pub(super) fn pass(&mut self, bytes: &mut [u8], left: usize) {
        for (left, byte) in (0..left).rev().zip(bytes) {
            if self.more == 0 {
                self.begin(byte, left);
                continue;
            }
            if !(self.low..=self.high).contains(byte) {
                *byte = self.low;
            }
            *self = Self { more: self.more - 1, low: 0x80, high: 0xbf };
        }
    }

    /// The first byte of a character, with so many behind it.
    fn begin(&mut self, byte: &mut u8, left: usize) {
        let (more, low, high) = match *byte {
            0..=0x7f => return,
            0xc2..=0xdf => (1, 0x80, 0xbf),
            0xe0 => (2, 0xa0, 0xbf),
            0xed => (2, 0x80, 0x9f),
            0xe1..=0xef => (2, 0x80, 0xbf),
            0xf0 => (3, 0x90, 0xbf),
            0xf1..=0xf3 => (3, 0x80, 0xbf),
            0xf4 => (3, 0x80, 0x8f),
            _ => (u8::MAX, 0, 0),
        };
        if usize::from(more) > left {
            *byte = b'?';
        } else {
            *self = Self { more, low, high };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn passed(mut bytes: Vec<u8>, size: usize) -> Vec<u8> {
        let (mut utf8, mut left) = (Utf8::default(), bytes.len());
        for piece in bytes.chunks_mut(size) {
            utf8.pass(piece, left);
            left -= piece.len();
        }
        bytes
    }

    proptest! {
        #[test]
        fn a_text_stays_what_it_is(text in "\\PC{0,30}", size in 1_usize..9) {
            prop_assert_eq!(passed(text.clone().into_bytes(), size), text.into_bytes());
        }

        #[test]
        fn whatever_comes_it_is_a_text(
            pieces in prop::collection::vec(prop_oneof!["\\PC".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..3)], 0..20),
            size in 1_usize..9
        ) {
            let bytes = pieces.concat();
            let text = passed(bytes.clone(), size);
            prop_assert_eq!(text.len(), bytes.len());
            prop_assert!(std::str::from_utf8(&text).is_ok(), "{:?} became {:?}", bytes, text);
            prop_assert_eq!(passed(bytes, usize::MAX), text);
        }
    }
}
