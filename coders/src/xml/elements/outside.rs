//! Outside records: the structure of the document is followed and checked.

use millstream_core::contracts::FramingError;

use super::super::chars::{self, BOM, is_in_name, is_space, name_len, shown, space_len};
use super::doctype::{Doctype, Skipped};
use super::{Begun, Cutter, Kind, Mode, Open, Place, Tag, after, broken};

/// The most bytes that an XML declaration may have.
const DECLARATION: usize = 1 << 10;
/// The most bytes that a tag's name, or a whole end tag, may have.
const NAME: usize = 1 << 10;

type Result<T> = std::result::Result<T, FramingError>;

impl Cutter {
    /// Looks for the beginning of a record, or for the next piece of markup. Returns whether there may be more in the
    /// data; everything before `self.at` has been looked at.
    pub(super) fn outside(&mut self, data: &[u8]) -> Result<bool> {
        if self.place == Place::Start && !self.begin(data)? {
            return Ok(false);
        }
        match self.mode {
            Mode::Text => self.text(data),
            Mode::Tag(tag) => self.open_tag(data, tag),
            Mode::Doctype(doctype) => self.doctype(data, doctype),
            mode => Ok(self.pass(data, mode)),
        }
    }

    /// The first bytes: a byte order mark, and the declaration that may name an encoding.
    fn begin(&mut self, data: &[u8]) -> Result<bool> {
        if let Some(encoding) = chars::foreign(data) {
            return broken(0, chars::refuse_encoding(encoding));
        }
        let at = if data.starts_with(BOM) { BOM.len() } else { 0 };
        let rest = &data[at..];
        if rest.starts_with(b"<?xml") && rest.get(5).is_some_and(|&next| !is_in_name(next)) {
            return self.declaration(data, at);
        }
        // The shortest document has 4 bytes, and fewer don't always tell an encoding.
        if rest.len() < 4 || b"<?xml".starts_with(rest) {
            return Ok(false);
        }
        (self.place, self.at) = (Place::Prolog, at);
        Ok(true)
    }

    fn declaration(&mut self, data: &[u8], at: usize) -> Result<bool> {
        let start = at + b"<?xml".len();
        let Ok(end) = after(data, start, b"?>") else {
            if data.len() - at > DECLARATION {
                return broken(at, format!("the XML declaration does not end within {DECLARATION} bytes: expected ?>"));
            }
            return Ok(false);
        };
        chars::declaration(&data[start..end - 2]).or_else(|fault| broken(start + fault.byte, fault.message))?;
        (self.place, self.at) = (Place::Prolog, end);
        Ok(true)
    }

    /// Comments, CDATA and processing instructions.
    fn pass(&mut self, data: &[u8], mode: Mode) -> bool {
        let Some(mark) = mode.mark() else { return true };
        match after(data, self.at, mark) {
            Ok(at) => {
                (self.mode, self.at) = (Mode::Text, at);
                true
            }
            Err(at) => {
                self.at = at;
                false
            }
        }
    }

    fn text(&mut self, data: &[u8]) -> Result<bool> {
        let found = memchr::memchr(b'<', &data[self.at..]);
        let end = found.map_or(data.len(), |found| self.at + found);
        if self.open.is_empty() {
            let text = self.at + space_len(&data[self.at..end]);
            if text < end {
                self.at = text;
                return broken(text, format!("expected {}, found text: {}", self.expected(), shown(&data[text..end])));
            }
        }
        self.at = end;
        match data[end..] {
            [] | [_] => Ok(false),
            [_, b'/', ..] => self.end_tag(data),
            [_, b'!', ..] => self.bang(data),
            [_, b'?', ..] => self.instruction(data),
            _ => self.start_tag(data),
        }
    }

    fn expected(&self) -> &'static str {
        match self.place {
            Place::Epilog => "nothing after the root element",
            _ => "a root element",
        }
    }

    fn start_tag(&mut self, data: &[u8]) -> Result<bool> {
        let Some(name) = self.name_at(data, self.at + 1)? else { return Ok(false) };
        if self.place == Place::Epilog {
            let message = "expected nothing after the root element, found a second one";
            return broken(self.at, format!("{message}: <{}>", shown(name)));
        }
        if *name == *self.name {
            self.record = Some(Begun { depth: 0, skipped: false });
            self.start = self.at;
            return Ok(true);
        }
        let most = self.limits.depth.min(Open::DEPTH);
        if self.open.depth() >= most {
            return broken(self.at, format!("elements are nested deeper than the limit of {most} outside records"));
        }
        if self.open.push(name).is_none() {
            let most = Open::NAMES;
            return broken(self.at, format!("the names of the elements outside records have more than {most} bytes"));
        }
        self.place = Place::Root;
        self.at += 1 + name.len();
        self.mode = Mode::Tag(Tag::new(Kind::Open));
        Ok(true)
    }

    /// The name that begins at `at`; `None` if its end is not in the data.
    fn name_at<'d>(&self, data: &'d [u8], at: usize) -> Result<Option<&'d [u8]>> {
        let rest = &data[at..];
        let len = name_len(rest);
        match rest.get(len) {
            None if len > NAME => broken(self.at, format!("a name has more than {NAME} bytes: {}", shown(rest))),
            None => Ok(None),
            Some(_) if len == 0 => broken(self.at, format!("expected a name, found {}", shown(rest))),
            Some(&next) if is_space(next) || next == b'/' || next == b'>' => Ok(Some(&rest[..len])),
            Some(_) => {
                broken(self.at, format!("expected white space or > after a name, found {}", shown(&rest[len..])))
            }
        }
    }

    /// In a tag that opens an element.
    fn open_tag(&mut self, data: &[u8], mut tag: Tag) -> Result<bool> {
        let end = tag.end(data, self.at);
        let seen = end.unwrap_or(data.len());
        if let Some(found) = memchr::memchr(b'<', &data[self.at..seen]) {
            return broken(self.at + found, "expected > at the end of a tag, found <");
        }
        self.at = seen;
        if end.is_none() {
            self.mode = Mode::Tag(tag);
            return Ok(false);
        }
        self.mode = Mode::Text;
        if tag.slash {
            self.close();
        }
        Ok(true)
    }

    fn end_tag(&mut self, data: &[u8]) -> Result<bool> {
        let rest = &data[self.at..];
        let Some(end) = memchr::memchr(b'>', &rest[..rest.len().min(NAME)]) else {
            return match rest.len() < NAME {
                true => Ok(false),
                false => broken(self.at, format!("expected > within {NAME} bytes after </, found {}", shown(rest))),
            };
        };
        let inner = &rest[2..end];
        let found = &inner[..inner.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1)];
        match self.open.last() {
            Some(expected) if *expected == *found => {}
            Some(expected) => {
                return broken(self.at, format!("expected </{}>, found </{}>", shown(expected), shown(found)));
            }
            None => return broken(self.at, format!("found </{}>, but no element is open", shown(found))),
        }
        self.close();
        self.at += end + 1;
        Ok(true)
    }

    /// The innermost open element ends.
    fn close(&mut self) {
        self.open.pop();
        if self.open.is_empty() {
            self.place = Place::Epilog;
        }
    }

    fn bang(&mut self, data: &[u8]) -> Result<bool> {
        const CDATA: &[u8] = b"<![CDATA[";
        const DOCTYPE: &[u8] = b"<!DOCTYPE";
        let rest = &data[self.at..];
        let (mode, len) = if rest.starts_with(b"<!--") {
            (Mode::Comment, 4)
        } else if rest.starts_with(CDATA) && !self.open.is_empty() {
            (Mode::Cdata, CDATA.len())
        } else if rest.starts_with(DOCTYPE) && self.place == Place::Prolog {
            (Mode::Doctype(Doctype::new()), DOCTYPE.len())
        } else if rest.starts_with(CDATA) {
            return broken(self.at, format!("expected {}, found CDATA", self.expected()));
        } else if rest.starts_with(DOCTYPE) {
            return broken(self.at, "a DOCTYPE can only stand once, and before the root element");
        } else if [b"<!--", CDATA, DOCTYPE].iter().any(|known| known.starts_with(rest)) {
            return Ok(false);
        } else {
            return broken(self.at, format!("expected a comment or CDATA, found {}", shown(rest)));
        };
        (self.mode, self.at) = (mode, self.at + len);
        Ok(true)
    }

    fn instruction(&mut self, data: &[u8]) -> Result<bool> {
        let rest = &data[self.at..];
        if b"<?xml ".starts_with(rest) {
            return Ok(false);
        }
        if rest.starts_with(b"<?xml") && !is_in_name(rest[5]) {
            return broken(self.at, "an XML declaration can only stand at the very beginning of a document");
        }
        (self.mode, self.at) = (Mode::Instruction, self.at + 2);
        Ok(true)
    }

    fn doctype(&mut self, data: &[u8], mut doctype: Doctype) -> Result<bool> {
        match doctype.skip(data, self.at) {
            Skipped::Ended(at) => {
                (self.mode, self.place, self.at) = (Mode::Text, Place::AfterDoctype, at);
                Ok(true)
            }
            Skipped::GoesOn(at) => {
                (self.mode, self.at) = (Mode::Doctype(doctype), at);
                Ok(false)
            }
            Skipped::Broken(at, message) => broken(at, message),
        }
    }
}
