//! What of a [`Cutter`] has to be known to go on, as bytes that are part of a position.
//!
//! ```text
//! byte  0      version, 1
//!       1      place: 0 start, 1 prolog, 2 after a DOCTYPE, 3 in the root element, 4 after it
//!       2      mode: 0 text, 1 comment, 2 CDATA, 3 processing instruction, 4 tag, 5 DOCTYPE
//!       3      of a tag: 0 open, 1 same, 2 end, 3 other; of a DOCTYPE: its part
//!       4      of a tag: the quote that it stands within, or 0
//!       5      of a tag: 1 after a slash
//!       6      1 within a record that is skipped
//!       7..11  how many elements of its name are open in that record
//!      11..15  how many bytes of a DOCTYPE have been skipped
//!      15..19  hash of the records' name
//!      19..    the names of the open elements, outermost first: two bytes of length each, then the name
//!      last 4  hash of all before
//! ```
//!
//! Numbers are little-endian, hashes 32-bit FNV-1a.

use super::doctype::{Doctype, Part};
use super::open::Open;
use super::{Begun, Cutter, Kind, Mode, Place, Tag};

const VERSION: u8 = 1;
const HEAD: usize = 19;
const HASH: usize = 4;

const PLACES: [Place; 5] = [Place::Start, Place::Prolog, Place::AfterDoctype, Place::Root, Place::Epilog];
const KINDS: [Kind; 4] = [Kind::Open, Kind::Same, Kind::End, Kind::Other];

impl Cutter {
    /// The state before whatever is still needed: a record that has begun is not part of it unless it is skipped.
    pub(super) fn save(&self) -> Vec<u8> {
        let skipped = self.record.filter(|record| record.skipped);
        let mode = if self.record.is_some() && skipped.is_none() { Mode::Text } else { self.mode };
        let (mode, kind, quote, slash, seen) = match mode {
            Mode::Text => (0, 0, 0, false, 0),
            Mode::Comment => (1, 0, 0, false, 0),
            Mode::Cdata => (2, 0, 0, false, 0),
            Mode::Instruction => (3, 0, 0, false, 0),
            Mode::Tag(tag) => (4, number(&KINDS, tag.kind), tag.quote, tag.slash, 0),
            Mode::Doctype(doctype) => (5, doctype.part as u8, 0, false, doctype.seen),
        };
        let mut state = vec![VERSION, number(&PLACES, self.place), mode, kind, quote];
        state.extend([u8::from(slash), u8::from(skipped.is_some())]);
        state.extend(skipped.map_or(0, |record| record.depth).to_le_bytes());
        state.extend(seen.to_le_bytes());
        state.extend(hash(&self.name).to_le_bytes());
        for name in self.open.iter() {
            state.extend((name.len() as u16).to_le_bytes());
            state.extend(name);
        }
        state.extend(hash(&state).to_le_bytes());
        state
    }

    /// Goes on from a state. What is wrong with it is said in the error.
    pub(super) fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        match state.first() {
            None => return Err("the position says nothing about XML elements: it belongs to another framing".into()),
            Some(&VERSION) => {}
            Some(version) => {
                return Err(format!(
                    "the position is of version {version} of the framing by XML elements, this program reads version \
                     {VERSION}: go on with the program that wrote it, or start anew"
                ));
            }
        }
        let damaged = || "the position's part about XML elements is damaged: start anew from the beginning".to_owned();
        let (body, check) = state.split_last_chunk::<HASH>().ok_or_else(damaged)?;
        if hash(body) != u32::from_le_bytes(*check) || body.len() < HEAD {
            return Err(damaged());
        }
        if number_at(body, 15) != Some(hash(&self.name)) {
            let name = String::from_utf8_lossy(&self.name);
            return Err(format!("the position was made while cutting out other elements than <{name}>: start anew"));
        }
        self.take(body).ok_or_else(damaged)
    }

    fn take(&mut self, body: &[u8]) -> Option<()> {
        self.place = *PLACES.get(usize::from(body[1]))?;
        self.mode = match body[2] {
            0 => Mode::Text,
            1 => Mode::Comment,
            2 => Mode::Cdata,
            3 => Mode::Instruction,
            4 => {
                Mode::Tag(Tag { kind: *KINDS.get(usize::from(body[3]))?, quote: quote(body[4])?, slash: body[5] == 1 })
            }
            5 => Mode::Doctype(Doctype { part: Part::from_number(body[3])?, seen: number_at(body, 11)? }),
            _ => return None,
        };
        let depth = number_at(body, 7)?;
        self.record = (body[6] == 1).then_some(Begun { depth, skipped: true });
        self.open = names(&body[HEAD..])?;
        self.is_possible().then_some(())
    }

    /// Whether the parts of a state fit each other.
    fn is_possible(&self) -> bool {
        let mode = match self.mode {
            Mode::Text | Mode::Comment | Mode::Instruction => true,
            Mode::Cdata => self.record.is_some() || !self.open.is_empty(),
            Mode::Tag(tag) => (tag.kind == Kind::Open) == self.record.is_none(),
            Mode::Doctype(_) => self.record.is_none() && self.place == Place::Prolog,
        };
        let start = self.place != Place::Start || (self.mode == Mode::Text && self.record.is_none());
        let record = self.record.is_none() || self.place != Place::Epilog;
        mode && start && record && self.open.is_empty() == (self.place != Place::Root)
    }
}

fn names(mut rest: &[u8]) -> Option<Open> {
    let mut open = Open::default();
    while let Some((len, names)) = rest.split_first_chunk::<2>() {
        let (name, others) = names.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
        open.push(name)?;
        rest = others;
    }
    rest.is_empty().then_some(open)
}

fn quote(byte: u8) -> Option<u8> {
    matches!(byte, 0 | b'"' | b'\'').then_some(byte)
}

fn number_at(body: &[u8], at: usize) -> Option<u32> {
    body.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn number<T: PartialEq>(all: &[T], one: T) -> u8 {
    all.iter().position(|other| *other == one).unwrap_or_default() as u8
}

fn hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811C_9DC5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
