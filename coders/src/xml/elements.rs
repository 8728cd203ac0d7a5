//! [`Elements`]: cuts every element of one name out of one large document, byte for byte.
//!
//! ```text
//! <?xml version="1.0"?><orders>        outside: open elements are kept and checked
//!   <order id="1"><order/></order>     a record, from its < to its >; only the end of the outermost one ends it
//!   <order id="2"/>                    a record
//! </orders>
//! ```
//!
//! Outside records the document's structure is checked: end tags, one root element, no text outside it. Within a record
//! it only looks for the record's end, past comments, CDATA, processing instructions and quoted values; whether the
//! record is well-formed is the decoder's business.
//!
//! Nothing is copied, and nothing but a record has to be seen whole: comments, tags and refused records of any size pass
//! in pieces. When the document's structure is broken, what was found before stays found: [`Scan`] holds it beside the
//! error, and the same error comes again if the scan goes on there.

mod doctype;
mod near;
mod open;
mod outside;
mod state;
mod within;

use millstream_core::contracts::{CodeError, Framer, Framing, FramingError, Local, Refused, Scan, Writer};
use millstream_core::data::Range32;

use self::doctype::Doctype;
use self::open::Open;
use super::chars::{is_name, shown};
use crate::limits::Limits;

/// How much of a record that is too large is kept, as what it is known by.
const KEPT: usize = 4 << 10;

/// The most bytes that a scan looks at: places in them are 32 bits wide.
const MOST: usize = u32::MAX as usize;

/// Cuts every element of one name out of one large document, byte for byte: the outermost ones where they are nested.
///
/// ```
/// use millstream_coders::xml::Elements;
/// use millstream_core::contracts::{Framing, Scan};
///
/// let mut found = Scan::default();
/// let document = b"<orders> <order id='1'/> <order><id>2</id></order> </orders>";
/// Elements::named("order").framer(None)?.scan(document, true, 100, &mut found)?;
/// assert_eq!(found.records.len(), 2);
/// # Ok::<(), millstream_core::contracts::FramingError>(())
/// ```
///
/// What comes in has to be UTF-8: another encoding that the document declares, or that its first bytes betray, is an
/// error that names it. A DOCTYPE is skipped (up to 1 MiB of it). Between records elements may be nested 128 deep, less
/// if their names have more than 1,600 bytes together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elements {
    name: String,
    root: Option<String>,
    limits: Limits,
}

impl Elements {
    /// Elements of this name, as it is written: prefix included. A name that XML can't have is an error when the framing
    /// is first used.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), root: None, limits: Limits::default() }
    }

    /// With other limits than the default ones. A record that is larger is refused, and the next ones are read on.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What is written becomes one document: the records stand in a root element of this name. Without it they stand
    /// below each other, each followed by a line end, and make no document together.
    #[must_use]
    pub fn within(mut self, root: impl Into<String>) -> Self {
        self.root = Some(root.into());
        self
    }
}

impl Framing for Elements {
    fn name(&self) -> String {
        // Whatever changes what is read or written is in it: positions and outputs are told apart by it.
        let mut name = format!("elements <{}>", self.name);
        if let Some(root) = &self.root {
            name.push_str(&format!(" within <{root}>"));
        }
        if self.limits != Limits::default() {
            let Limits { record, depth, attributes } = self.limits;
            name.push_str(&format!(" (at most {record} bytes, {depth} deep, {attributes} attributes)"));
        }
        name
    }

    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        if !is_name(self.name.as_bytes()) {
            return broken(0, format!("{:?} is not a name that an XML element can have", shown(self.name.as_bytes())));
        }
        let mut framer = Cutter::new(&self.name, self.limits);
        if let Some(state) = state {
            framer.restore(state).or_else(|message| broken(0, message))?;
        }
        Ok(Box::new(framer))
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(Written { root: self.root.clone() })
    }
}

/// Where in the document the scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing has been looked at yet.
    Start,
    /// Before the root element.
    Prolog,
    /// Before the root element, after a DOCTYPE.
    AfterDoctype,
    /// In the root element.
    Root,
    /// After the root element.
    Epilog,
}

/// What the scan stands in. Everything here is small, so that it can be kept as a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Text: the next `<` matters.
    Text,
    /// A comment, after its `<!--`.
    Comment,
    /// CDATA, after its `<![CDATA[`.
    Cdata,
    /// A processing instruction, after its `<?`.
    Instruction,
    /// A tag, after its name.
    Tag(Tag),
    /// A DOCTYPE, after its `<!DOCTYPE`.
    Doctype(Doctype),
}

/// A tag whose end is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag {
    kind: Kind,
    /// The quote that the scan is within, or 0.
    quote: u8,
    /// Whether the last byte was a `/`.
    slash: bool,
}

/// Which tag it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One that opens an element outside records.
    Open,
    /// Within a record, one that opens an element of the record's name.
    Same,
    /// Within a record, one that closes an element of the record's name.
    End,
    /// Within a record, one that opens any other element.
    Other,
}

impl Tag {
    fn new(kind: Kind) -> Self {
        Self { kind, quote: 0, slash: false }
    }
}

/// A record that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Begun {
    /// How many elements of its name are open, itself included.
    depth: u32,
    /// It is too large, has been refused, and is not kept.
    skipped: bool,
}

/// The framer.
struct Cutter {
    name: Box<[u8]>,
    limits: Limits,
    place: Place,
    open: Open,
    mode: Mode,
    record: Option<Begun>,
    /// Where the record that has begun begins in the data.
    start: usize,
    /// How far the data has been looked at.
    at: usize,
}

impl Cutter {
    fn new(name: &str, limits: Limits) -> Self {
        Self {
            name: name.as_bytes().into(),
            limits,
            place: Place::Start,
            open: Open::default(),
            mode: Mode::Text,
            record: None,
            start: 0,
            at: 0,
        }
    }

    /// Looks for records until there is no more data or enough of them. Returns whether there is no more data.
    fn look(&mut self, data: &[u8], max: usize, found: &mut Scan) -> Result<bool, FramingError> {
        while found.records.len() < max {
            let Some(record) = self.record else {
                if self.outside(data)? {
                    continue;
                }
                return Ok(true);
            };
            match self.within(data, record) {
                Some(end) => self.finish(record, end, data, found),
                None => {
                    self.check_size(data, found);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// A record ends before `end`.
    #[inline]
    fn finish(&mut self, record: Begun, end: usize, data: &[u8], found: &mut Scan) {
        self.at = end;
        self.record = None;
        self.place = if self.open.is_empty() { Place::Epilog } else { Place::Root };
        match end - self.start > self.limits.record {
            _ if record.skipped => {}
            true => self.refuse(data, found),
            false => found.records.push(Range32 { start: self.start as u32, end: end as u32 }),
        }
    }

    /// Refuses a record once it is known to be too large, whose end is not in sight.
    fn check_size(&mut self, data: &[u8], found: &mut Scan) {
        if let Some(record) = self.record.filter(|record| !record.skipped)
            && data.len() - self.start > self.limits.record
            && self.at > self.start
        {
            self.record = Some(Begun { skipped: true, ..record });
            self.refuse(data, found);
        }
    }

    fn refuse(&self, data: &[u8], found: &mut Scan) {
        // What is kept is dealt with: it is never shown again.
        let end = self.at.min(self.start + self.limits.record.min(KEPT));
        let message = format!(
            "the record <{}> is larger than the limit of {} bytes: raise the limit on a record's size if it is \
             what it should be",
            shown(&self.name),
            self.limits.record
        );
        let over = Local::of(&data[self.start..], self.limits.record);
        let refused = Refused(CodeError::new(message).at(over).to_string());
        found.refused.push((found.records.len() as u32, refused));
        found.records.push(Range32 { start: self.start as u32, end: end as u32 });
    }

    /// Where what is still needed begins: a record that is not refused has to be seen whole.
    fn needed(&self) -> usize {
        match self.record {
            Some(record) if !record.skipped => self.start,
            _ => self.at,
        }
    }

    /// The document ends with `data`: whether it may.
    fn end(&self, data: &[u8]) -> Result<(), FramingError> {
        let name = shown(&self.name);
        match (self.record, self.open.last()) {
            (Some(record), _) => {
                let from = if record.skipped { data.len() } else { self.start };
                broken(from, format!("the document ends within a record: expected </{name}>"))
            }
            _ if self.place == Place::Start && data.len() > b"<?xml".len() => {
                broken(0, "the document ends within its XML declaration: expected ?>")
            }
            _ if self.place != Place::Start && (self.mode != Mode::Text || self.at < data.len()) => {
                broken(self.at, format!("the document ends within {}", self.mode.shown()))
            }
            (None, Some(last)) => {
                broken(data.len(), format!("the document ends within <{0}>: expected </{0}>", shown(last)))
            }
            (None, None) if self.place != Place::Epilog => {
                broken(data.len(), "expected a document, found no root element before the end of the input")
            }
            (None, None) => Ok(()),
        }
    }
}

impl Framer for Cutter {
    fn scan(&mut self, data: &[u8], at_end: bool, max: usize, found: &mut Scan) -> Result<(), FramingError> {
        found.clear();
        let (data, at_end) = (&data[..data.len().min(MOST)], at_end && data.len() <= MOST);
        let looked = self.look(data, max, found);
        let ended = match looked {
            Ok(true) if at_end => self.end(data),
            looked => looked.map(|_| ()),
        };
        let consumed = self.needed();
        found.consumed = consumed;
        if self.record.is_some_and(|record| !record.skipped) && max > 0 {
            found.wanted = (data.len() - consumed).min(self.limits.record);
        }
        (self.start, self.at) = (0, self.at - consumed);
        ended
    }

    fn state(&self) -> Vec<u8> {
        self.save()
    }
}

impl Mode {
    fn shown(self) -> &'static str {
        match self {
            Self::Text | Self::Tag(_) => "a tag",
            Self::Comment => "a comment: expected -->",
            Self::Cdata => "CDATA: expected ]]>",
            Self::Instruction => "a processing instruction: expected ?>",
            Self::Doctype(_) => "a DOCTYPE: expected >",
        }
    }

    /// What ends it, if it is a comment or the like.
    fn mark(self) -> Option<&'static [u8]> {
        match self {
            Self::Comment => Some(b"-->"),
            Self::Cdata => Some(b"]]>"),
            Self::Instruction => Some(b"?>"),
            Self::Text | Self::Tag(_) | Self::Doctype(_) => None,
        }
    }
}

/// Where to go on after `mark`, if it is there; otherwise where to look for it once there is more.
fn after(data: &[u8], at: usize, mark: &[u8]) -> Result<usize, usize> {
    match memchr::memmem::find(&data[at..], mark) {
        Some(found) => Ok(at + found + mark.len()),
        None => Err(at.max((data.len() + 1).saturating_sub(mark.len()))),
    }
}

#[cold]
fn broken<T>(offset: usize, message: impl Into<String>) -> Result<T, FramingError> {
    Err(FramingError { message: message.into(), offset })
}

/// Writes records below each other, in a root element if there is to be one.
struct Written {
    root: Option<String>,
}

impl Writer for Written {
    fn header(&mut self, out: &mut Vec<u8>) {
        if let Some(root) = &self.root {
            out.extend_from_slice(format!("<{root}>\n").as_bytes());
        }
    }

    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(record);
        out.push(b'\n');
    }

    fn terminator(&self) -> Option<&[u8]> {
        Some(b"\n")
    }

    fn footer(&mut self, out: &mut Vec<u8>) {
        if let Some(root) = &self.root {
            out.extend_from_slice(format!("</{root}>\n").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
