//! The header of a member, a byte at a time: it may arrive in any number of pieces.

use flate2::Crc;

/// What a member begins with: the two bytes of gzip, and DEFLATE, the only method there is.
pub(super) const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

const CHECKSUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;

/// A header in the making.
#[derive(Default)]
pub(super) struct Header {
    at: At,
    flags: u8,
    crc: Crc,
}

/// What the next byte is part of.
#[derive(Clone, Copy)]
enum At {
    /// The ten bytes that are always there, of which so many have been taken.
    Fixed(u8),
    /// The length of the extra field, whose first byte may have been taken.
    ExtraLen(Option<u8>),
    /// The extra field, of which so many bytes are to come.
    Extra(u16),
    Name,
    Comment,
    /// The checksum, whose first byte may have been taken.
    Checksum(Option<u8>),
    Done,
}

impl Default for At {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

impl Header {
    /// Whether no byte has been taken.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.at, At::Fixed(0))
    }

    /// Whether the body comes next.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Takes one byte. An error says what was expected, and what was found if it is this byte.
    pub(super) fn take(&mut self, byte: u8) -> Result<(), String> {
        if !matches!(self.at, At::Checksum(_)) {
            self.crc.update(&[byte]);
        }
        self.at = match self.at {
            At::Fixed(count) => self.fixed(count, byte)?,
            At::ExtraLen(None) => At::ExtraLen(Some(byte)),
            At::ExtraLen(Some(low)) => self.extra(u16::from_le_bytes([low, byte])),
            At::Extra(left) => self.extra(left - 1),
            At::Name if byte == 0 => self.then(&[COMMENT, CHECKSUM]),
            At::Comment if byte == 0 => self.then(&[CHECKSUM]),
            At::Checksum(None) => At::Checksum(Some(byte)),
            At::Checksum(Some(low)) => self.checksum(u16::from_le_bytes([low, byte]))?,
            other => other,
        };
        Ok(())
    }

    fn fixed(&mut self, count: u8, byte: u8) -> Result<At, String> {
        match (count, MAGIC.get(usize::from(count))) {
            (_, Some(&magic)) if byte != magic => {
                return Err(format!("expected a gzip member, which begins with 1f 8b 08, found the byte {byte:02x}"));
            }
            (3, _) if byte & RESERVED != 0 => {
                return Err(format!("expected flags of gzip, found {byte:02x}, which has reserved ones"));
            }
            (3, _) => self.flags = byte,
            _ => {}
        }
        Ok(if count == 9 { self.then(&[EXTRA, NAME, COMMENT, CHECKSUM]) } else { At::Fixed(count + 1) })
    }

    fn extra(&self, left: u16) -> At {
        if left > 0 { At::Extra(left) } else { self.then(&[NAME, COMMENT, CHECKSUM]) }
    }

    fn checksum(&self, found: u16) -> Result<At, String> {
        let expected = self.crc.sum() as u16;
        if found == expected {
            return Ok(At::Done);
        }
        Err(format!("expected the header's checksum {expected:04x}, found {found:04x}: the stream is damaged"))
    }

    /// The first of these fields that the flags say is there.
    fn then(&self, fields: &[u8]) -> At {
        match fields.iter().find(|&&field| self.flags & field != 0) {
            Some(&EXTRA) => At::ExtraLen(None),
            Some(&NAME) => At::Name,
            Some(&COMMENT) => At::Comment,
            Some(_) => At::Checksum(None),
            None => At::Done,
        }
    }
}
