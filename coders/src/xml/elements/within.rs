//! Within a record: only its end is looked for. This is where nearly all bytes of a document are, so it is the hot path.

use super::super::chars::is_in_name;
use super::{Begun, Cutter, Kind, Mode, Tag, after, near};

/// What a piece of markup came to.
enum Markup {
    /// Go on at this byte.
    On(usize),
    /// It closes the record, which ends before this byte.
    End(usize),
    /// More data is needed to say.
    More,
}

impl Cutter {
    /// Looks for the end of the record that has begun. `None`: it is not in the data; everything before `self.at` has
    /// been looked at.
    pub(super) fn within(&mut self, data: &[u8], mut record: Begun) -> Option<usize> {
        if self.mode != Mode::Text {
            let resumed = self.resume(data, &mut record);
            self.record = Some(record);
            match resumed {
                Markup::On(at) => self.at = at,
                Markup::End(end) => return Some(end),
                Markup::More => return None,
            }
        }
        let mut at = self.at;
        let end = loop {
            let Some(found) = near::find(data, at, b'<') else {
                at = data.len();
                break None;
            };
            at = found;
            match self.markup(data, at, &mut record) {
                Markup::On(next) => at = next,
                Markup::End(end) => break Some(end),
                Markup::More => {
                    // What is half seen and has a mode of its own is not looked at again.
                    at = if self.mode == Mode::Text { at } else { self.at };
                    break None;
                }
            }
        };
        self.at = at;
        self.record = Some(record);
        end
    }

    /// Goes on in what the data ended in the last time.
    fn resume(&mut self, data: &[u8], record: &mut Begun) -> Markup {
        match self.mode {
            Mode::Tag(tag) => self.tag(data, self.at, tag, record),
            mode => match mode.mark() {
                Some(mark) => self.skip(data, self.at, mode, mark),
                None => Markup::On(self.at),
            },
        }
    }

    /// Looks at what begins with the `<` at `at`.
    #[inline]
    fn markup(&mut self, data: &[u8], at: usize, record: &mut Begun) -> Markup {
        let rest = &data[at..];
        let (name, len) = (&*self.name, self.name.len());
        if rest.len() < len + 3 {
            // No record can end in so few bytes.
            return Markup::More;
        }
        match rest[1] {
            b'/' if rest[2] == name[0] && rest[2..].starts_with(name) && !is_in_name(rest[2 + len]) => {
                self.tag(data, at + 2 + len, Tag::new(Kind::End), record)
            }
            b'/' => Markup::On(at + 2),
            b'!' => self.literal(data, at),
            b'?' => self.skip(data, at + 2, Mode::Instruction, b"?>"),
            first if first == name[0] && rest[1..].starts_with(name) && !is_in_name(rest[1 + len]) => {
                self.tag(data, at + 1 + len, Tag::new(Kind::Same), record)
            }
            _ => self.tag(data, at + 1, Tag::new(Kind::Other), record),
        }
    }

    /// A comment, CDATA, or something that the decoder will refuse.
    fn literal(&mut self, data: &[u8], at: usize) -> Markup {
        let rest = &data[at..];
        if rest.starts_with(b"<!--") {
            self.skip(data, at + 4, Mode::Comment, b"-->")
        } else if rest.starts_with(b"<![CDATA[") {
            self.skip(data, at + 9, Mode::Cdata, b"]]>")
        } else if b"<![CDATA[".starts_with(rest) || b"<!--".starts_with(rest) {
            Markup::More
        } else {
            Markup::On(at + 2)
        }
    }

    fn skip(&mut self, data: &[u8], at: usize, mode: Mode, mark: &[u8]) -> Markup {
        match after(data, at, mark) {
            Ok(at) => {
                self.mode = Mode::Text;
                Markup::On(at)
            }
            Err(at) => {
                (self.mode, self.at) = (mode, at);
                Markup::More
            }
        }
    }

    /// Looks for the end of a tag, and counts it.
    #[inline]
    fn tag(&mut self, data: &[u8], at: usize, mut tag: Tag, record: &mut Begun) -> Markup {
        let Some(end) = tag.end(data, at) else {
            (self.mode, self.at) = (Mode::Tag(tag), data.len());
            return Markup::More;
        };
        self.mode = Mode::Text;
        match tag.kind {
            // A state that someone else wrote may say any depth.
            Kind::Same if !tag.slash => record.depth = record.depth.saturating_add(1),
            Kind::Same if record.depth == 0 => return Markup::End(end),
            Kind::End if record.depth <= 1 => return Markup::End(end),
            Kind::End => record.depth -= 1,
            Kind::Same | Kind::Other | Kind::Open => {}
        }
        Markup::On(end)
    }
}

impl Tag {
    /// The byte after the tag's `>`. `None`: it is not in the data, and the tag knows where it stands at the data's end.
    #[inline]
    pub(super) fn end(&mut self, data: &[u8], from: usize) -> Option<usize> {
        let mut at = from;
        loop {
            let found = match self.quote {
                0 => near::find3(data, at, [b'>', b'"', b'\'']),
                quote => near::find(data, at, quote),
            };
            let Some(found) = found else {
                self.slash = data[at..].last().map_or(self.slash, |&last| last == b'/');
                return None;
            };
            match (self.quote, data[found]) {
                (0, b'>') => {
                    self.slash = if found > at { data[found - 1] == b'/' } else { self.slash };
                    return Some(found + 1);
                }
                (0, quote) => self.quote = quote,
                _ => (self.quote, self.slash) = (0, false),
            }
            at = found + 1;
        }
    }
}
