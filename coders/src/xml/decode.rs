//! [`XmlDecoder`]: reads a record into a [`Node`]. `quick-xml` finds the tags; all that it leaves open is checked here.

use millstream_core::contracts::{CodeError, Decoder, Local};
use millstream_core::data::{Bytes, Range32, Recycled};
use quick_xml::errors::{Error, IllFormedError};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::chars::{self, BOM, Fault, Item, fault, is_name, is_space, shown, space_len};
use super::node::{Attribute, Entry, Node, Run, Tree};
use crate::limits::Limits;

/// The largest record that can be read whatever the limits say: places in a record are 32 bits wide, and text that has
/// to be put together takes up to twice its size beside it.
const LARGEST: usize = 1 << 30;

/// `XML-DECODER`: bytes to [`Node`].
#[derive(Debug, Clone, Copy, Default)]
pub struct XmlDecoder {
    limits: Limits,
}

impl XmlDecoder {
    /// A decoder with these limits. Records of more than 1 GiB are refused in any case.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl Decoder for XmlDecoder {
    type Out = Node;

    fn name(&self) -> String {
        "XML-DECODER".into()
    }

    fn decode(&self, bytes: Bytes, column: &mut Recycled<Node>) -> Result<(), CodeError> {
        let read = read(column.next(), bytes, &self.limits);
        if read.is_err() {
            column.undo();
        }
        read
    }
}

/// Reads `source` into `node`; after an error it holds nothing.
pub(super) fn read(node: &mut Node, source: Bytes, limits: &Limits) -> Result<(), CodeError> {
    node.tree.clear();
    node.source = source;
    node.limits = *limits;
    let (source, tree) = (&node.source[..], &mut node.tree);
    let read = Reading::new(source, tree, limits).and_then(Reading::read);
    read.map_err(|fault| {
        let error = CodeError::new(fault.message).at(Local::of(&node.source, fault.byte));
        node.clear();
        error
    })
}

/// There is no open element.
const NONE: u32 = u32::MAX;

struct Reading<'a> {
    source: &'a [u8],
    tree: &'a mut Tree,
    limits: &'a Limits,
    survey: Survey,
    /// Where the document begins: after a byte order mark.
    base: usize,
    /// The innermost open element.
    open: u32,
    depth: usize,
    doctype: bool,
}

impl<'a> Reading<'a> {
    fn new(source: &'a [u8], tree: &'a mut Tree, limits: &'a Limits) -> Result<Self, Fault> {
        let most = limits.record.min(LARGEST);
        if source.len() > most {
            let found = source.len();
            return fault(most, format!("the record has {found} bytes, more than the limit of {most}"));
        }
        if let Some(encoding) = chars::foreign(source) {
            return fault(0, chars::refuse_encoding(encoding));
        }
        let base = if source.starts_with(BOM) { BOM.len() } else { 0 };
        if source[base..].starts_with(BOM) {
            return fault(base, "expected the document after its byte order mark, found a second mark");
        }
        let survey = Survey::of(source)?;
        Ok(Self { source, tree, limits, survey, base, open: NONE, depth: 0, doctype: false })
    }

    fn read(mut self) -> Result<(), Fault> {
        let mut reader = Reader::from_reader(&self.source[self.base..]);
        reader.config_mut().check_comments = true;
        loop {
            let from = self.base + reader.buffer_position() as usize;
            let event = reader.read_event();
            let to = self.base + reader.buffer_position() as usize;
            // By reference: moving the event out of its result costs more than all that is done with it.
            match &event {
                Ok(Event::Start(tag)) => self.start(from, to, tag, false)?,
                Ok(Event::Empty(tag)) => self.start(from, to, tag, true)?,
                Ok(Event::End(_)) => self.close(from, to),
                Ok(Event::Text(_)) => self.text(from, to)?,
                Ok(Event::Eof) => return self.end(),
                Ok(other) => self.other(from, to, other)?,
                Err(error) => return self.refuse(error, self.base + reader.error_position() as usize),
            }
        }
    }

    /// The events that are rare.
    fn other(&mut self, from: usize, to: usize, event: &Event<'_>) -> Result<(), Fault> {
        match event {
            Event::GeneralRef(name) => self.reference(from, name),
            Event::CData(_) => self.cdata(from, to),
            Event::Comment(_) => Ok(()),
            Event::PI(content) => self.instruction(from, content.target()),
            Event::Decl(_) => self.declaration(from, to),
            Event::DocType(_) => self.doctype(from),
            _ => Ok(()),
        }
    }

    #[inline]
    fn start(&mut self, from: usize, to: usize, tag: &BytesStart<'_>, empty: bool) -> Result<(), Fault> {
        let index = self.tree.entries.len() as u32;
        let name = from + 1..from + 1 + tag.name().as_ref().len();
        if !is_name(&self.source[name.clone()]) {
            return fault(name.start, format!("expected a name after <, found {}", shown(&self.source[name])));
        }
        if self.depth >= self.limits.depth {
            return fault(from, format!("elements are nested deeper than the limit of {}", self.limits.depth));
        }
        if self.open == NONE && index > 0 {
            let message =
                format!("expected the end of the record, found a second root element <{}>", tag.name().as_ref());
            return fault(from, message);
        }
        let (rest, stop) = (name.end, to as u32);
        self.tree.entries.push(Entry {
            name: range(name.start, name.end),
            text: Range32::default(),
            parent: if self.open == NONE { index } else { self.open },
            end: index + 1,
            attributes: self.tree.attributes.len() as u32,
            open: stop,
            close: stop,
            stop,
        });
        let end = to - if empty { 2 } else { 1 };
        if rest < end {
            self.attributes(rest, end)?;
        }
        if !empty {
            (self.open, self.depth) = (index, self.depth + 1);
        }
        Ok(())
    }

    /// `quick-xml` has checked that the names are the same.
    #[inline]
    fn close(&mut self, from: usize, to: usize) {
        let index = self.open;
        self.gather(index);
        let end = self.tree.entries.len() as u32;
        let entry = &mut self.tree.entries[index as usize];
        (entry.close, entry.stop, entry.end) = (from as u32, to as u32, end);
        self.open = if entry.parent == index { NONE } else { entry.parent };
        self.depth -= 1;
    }

    #[inline]
    fn text(&mut self, from: usize, to: usize) -> Result<(), Fault> {
        if self.open == NONE {
            return self.outside(from, to);
        }
        if self.survey.bracket
            && let Some(found) = memchr::memmem::find(&self.source[from..to], b"]]>")
        {
            return fault(from + found, "]]> can't stand in text: write ]]&gt;");
        }
        self.run(from, to);
        Ok(())
    }

    /// Only white space may stand outside the root element.
    fn outside(&self, from: usize, to: usize) -> Result<(), Fault> {
        let found = from + space_len(&self.source[from..to]);
        if found == to {
            return Ok(());
        }
        fault(found, format!("expected an element, found text: {}", shown(&self.source[found..to])))
    }

    fn cdata(&mut self, from: usize, to: usize) -> Result<(), Fault> {
        if self.open == NONE {
            return fault(from, "expected an element, found CDATA");
        }
        self.run(from + b"<![CDATA[".len(), to - b"]]>".len());
        Ok(())
    }

    fn reference(&mut self, from: usize, name: &str) -> Result<(), Fault> {
        if self.open == NONE {
            return fault(from, format!("expected an element, found &{};", shown(name.as_bytes())));
        }
        let character = chars::reference(name).or_else(|message| fault(from, message))?;
        let start = self.tree.side.len();
        self.tree.side.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        self.add(self.side_from(start));
        Ok(())
    }

    /// Adds a run of characters of the source to the open element's text.
    #[inline]
    fn run(&mut self, from: usize, to: usize) {
        if from == to {
            return;
        }
        if self.survey.carriage {
            let start = self.tree.side.len();
            with_line_ends(&self.source[from..to], &mut self.tree.side);
            return self.add(self.side_from(start));
        }
        self.add(range(from, to));
    }

    #[inline]
    fn add(&mut self, run: Range32) {
        let entry = &mut self.tree.entries[self.open as usize];
        if entry.text.is_empty() {
            entry.text = run;
        } else {
            self.tree.runs.push(Run { owner: self.open, range: run });
        }
    }

    /// Puts the text of an element that is closed together, if there are several runs of it. Those of the elements
    /// within it are gone by now, so its own are the last.
    #[inline]
    fn gather(&mut self, index: u32) {
        if self.tree.runs.last().is_none_or(|run| run.owner != index) {
            return;
        }
        let start = self.tree.side.len();
        self.copy(self.tree.entries[index as usize].text);
        let others = self.tree.runs.iter().rposition(|run| run.owner != index);
        let first = others.map_or(0, |other| other + 1);
        for run in first..self.tree.runs.len() {
            self.copy(self.tree.runs[run].range);
        }
        self.tree.runs.truncate(first);
        self.tree.entries[index as usize].text = self.side_from(start);
    }

    fn copy(&mut self, from: Range32) {
        let (start, end, len) = (from.start as usize, from.end as usize, self.source.len());
        match start.checked_sub(len) {
            Some(start) => self.tree.side.extend_from_within(start..end - len),
            None => self.tree.side.extend_from_slice(&self.source[start..end]),
        }
    }

    fn side_from(&self, start: usize) -> Range32 {
        range(self.source.len() + start, self.source.len() + self.tree.side.len())
    }

    fn attributes(&mut self, from: usize, end: usize) -> Result<(), Fault> {
        let first = self.tree.attributes.len();
        let source = &self.source[..end];
        let mut at = from;
        loop {
            let space = space_len(&source[at..]);
            at += space;
            if at == end {
                return self.distinct(first);
            }
            let item = Item::at(source, at)?;
            if space == 0 {
                return fault(at, format!("expected white space before the attribute {}", shown(&source[item.name])));
            }
            if self.tree.attributes.len() - first == self.limits.attributes {
                return fault(
                    at,
                    format!("the element has more attributes than the limit of {}", self.limits.attributes),
                );
            }
            let (name, raw) = (range(item.name.start, item.name.end), range(item.value.start, item.value.end));
            let value = self.value(raw)?;
            self.tree.attributes.push(Attribute { name, value, raw });
            at = item.end;
        }
    }

    /// The value of an attribute: the characters of the source unless there is something to decode.
    fn value(&mut self, raw: Range32) -> Result<Range32, Fault> {
        let (from, to) = (raw.start as usize, raw.end as usize);
        let value = &self.source[from..to];
        match value.iter().position(|byte| matches!(byte, b'<' | b'&' | b'\t' | b'\n' | b'\r')) {
            None => return Ok(raw),
            Some(found) if value[found] == b'<' => {
                return fault(from + found, "< can't stand in the value of an attribute: write &lt;");
            }
            Some(_) => {}
        }
        let start = self.tree.side.len();
        let mut at = from;
        while at < to {
            at = self.decode(at, to)?;
        }
        Ok(self.side_from(start))
    }

    /// Decodes what stands at `at` of an attribute's value, and returns where to go on.
    fn decode(&mut self, at: usize, to: usize) -> Result<usize, Fault> {
        match &self.source[at..to] {
            [b'&', rest @ ..] => {
                let Some(len) = memchr::memchr(b';', rest) else {
                    return fault(at, "expected a reference like &amp; after &, found no ;");
                };
                let name = String::from_utf8_lossy(&rest[..len]);
                let character = chars::reference(&name).or_else(|message| fault(at, message))?;
                self.tree.side.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                Ok(at + len + 2)
            }
            [b'<', ..] => fault(at, "< can't stand in the value of an attribute: write &lt;"),
            [b'\r', b'\n', ..] => {
                self.tree.side.push(b' ');
                Ok(at + 2)
            }
            [byte, ..] => {
                self.tree.side.push(if is_space(*byte) { b' ' } else { *byte });
                Ok(at + 1)
            }
            [] => Ok(to),
        }
    }

    /// Refuses a name that comes twice among the attributes from `first`.
    #[inline]
    fn distinct(&self, first: usize) -> Result<(), Fault> {
        const FEW: usize = 16;
        let attributes = &self.tree.attributes[first..];
        let name = |attribute: &Attribute| &self.source[attribute.name.start as usize..attribute.name.end as usize];
        let twice = if attributes.len() <= FEW {
            (1..attributes.len()).find(|&last| {
                let (before, last) = (&attributes[..last], name(&attributes[last]));
                before.iter().any(|attribute| name(attribute) == last)
            })
        } else {
            let mut order: Vec<usize> = (0..attributes.len()).collect();
            order.sort_by_key(|&index| (name(&attributes[index]), index));
            let twins = order.windows(2).filter(|pair| name(&attributes[pair[0]]) == name(&attributes[pair[1]]));
            twins.map(|pair| pair[1]).min()
        };
        match twice {
            None => Ok(()),
            Some(index) => {
                let (attribute, found) = (&attributes[index], name(&attributes[index]));
                fault(attribute.name.start as usize, format!("the attribute {} comes twice", shown(found)))
            }
        }
    }

    fn instruction(&self, from: usize, target: &str) -> Result<(), Fault> {
        if !is_name(target.as_bytes()) {
            return fault(from, format!("expected a name after <?, found {}", shown(target.as_bytes())));
        }
        if target.eq_ignore_ascii_case("xml") {
            return fault(from, format!("the name {target} after <? is reserved for XML's own declaration"));
        }
        Ok(())
    }

    fn declaration(&self, from: usize, to: usize) -> Result<(), Fault> {
        if from != self.base {
            return fault(from, "an XML declaration can only stand at the very beginning");
        }
        let start = from + b"<?xml".len();
        chars::declaration(&self.source[start..to - b"?>".len()])
            .map_err(|found| Fault { byte: found.byte + start, ..found })
    }

    fn doctype(&mut self, from: usize) -> Result<(), Fault> {
        if !self.source[from..].starts_with(b"<!DOCTYPE") {
            return fault(from, "expected <!DOCTYPE in capitals");
        }
        if self.doctype || !self.tree.entries.is_empty() {
            return fault(from, "a DOCTYPE can only stand once, and before the root element");
        }
        self.doctype = true;
        Ok(())
    }

    fn end(&self) -> Result<(), Fault> {
        let end = self.source.len();
        if self.open != NONE {
            let name = self.tree.slice(self.source, self.tree.entries[self.open as usize].name);
            return fault(end, format!("expected </{}>, found the end of the record", shown(name)));
        }
        if self.tree.entries.is_empty() {
            return fault(end, "expected a root element, found the end of the record");
        }
        Ok(())
    }

    /// What `quick-xml` found wrong, in our words where they say more.
    fn refuse(&self, error: &Error, at: usize) -> Result<(), Fault> {
        match error {
            Error::Encoding(_) => match std::str::from_utf8(self.source) {
                Err(error) => fault(error.valid_up_to(), "expected UTF-8, found a byte that is not"),
                Ok(_) => fault(at, error.to_string()),
            },
            Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
                let (expected, found) = (shown(expected.as_bytes()), shown(found.as_bytes()));
                fault(at, format!("expected </{expected}>, found </{found}>"))
            }
            Error::IllFormed(IllFormedError::UnmatchedEndTag(found)) => {
                fault(at, format!("found </{}>, but no element is open", shown(found.as_bytes())))
            }
            Error::IllFormed(IllFormedError::DoubleHyphenInComment) => fault(at, "-- can't stand in a comment"),
            Error::IllFormed(IllFormedError::UnclosedReference) => {
                fault(at, "expected a reference like &amp; after &, found no ;")
            }
            Error::IllFormed(other) => fault(at, other.to_string()),
            Error::Syntax(other) => fault(at, other.to_string()),
            other => fault(at, other.to_string()),
        }
    }
}

/// What one look over the whole record tells, so that most records need no further one for it.
struct Survey {
    /// There is a `\r`: line ends have to be made `\n`.
    carriage: bool,
    /// There is a `]`: text has to be searched for `]]>`.
    bracket: bool,
}

impl Survey {
    fn of(source: &[u8]) -> Result<Self, Fault> {
        let (mut control, mut carriage, mut bracket) = (false, false, false);
        for &byte in source {
            control |= is_control(byte);
            carriage |= byte == b'\r';
            bracket |= byte == b']';
        }
        if control {
            let at = source.iter().position(|&byte| is_control(byte)).unwrap_or_default();
            return fault(at, format!("expected text, found the control character U+{:04X}", source[at]));
        }
        Ok(Self { carriage, bracket })
    }
}

/// Whether it is a character that XML has no place for.
#[inline]
fn is_control(byte: u8) -> bool {
    (byte < 0x20) & (byte != b'\t') & (byte != b'\n') & (byte != b'\r')
}

/// Copies text with `\r\n` and `\r` as `\n`, as XML wants it.
fn with_line_ends(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    for carriage in memchr::memchr_iter(b'\r', text) {
        out.extend_from_slice(&text[at..carriage]);
        if text.get(carriage + 1) != Some(&b'\n') {
            out.push(b'\n');
        }
        at = carriage + 1;
    }
    out.extend_from_slice(&text[at..]);
}

#[inline]
fn range(start: usize, end: usize) -> Range32 {
    Range32 { start: start as u32, end: end as u32 }
}

#[cfg(test)]
mod tests;
