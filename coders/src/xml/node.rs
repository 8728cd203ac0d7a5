//! [`Node`]: a document read into flat tables.
//!
//! ```text
//! source      <order id="7"><note>a &lt; b</note></order>        the bytes it came from, shared, never copied
//! side        a < b                                              text that had to be put together
//! entries     [order, note]                                      in document order, each knows where its subtree ends
//! attributes  [id]                                               in document order, each entry knows its first
//! ```
//!
//! Texts and values are [`Range32`]s in `source` followed by `side` as if the two were one block.

use std::fmt;

use millstream_core::contracts::CodeError;
use millstream_core::data::{Bytes, Data, Range32, Recycled, Reuse};

use super::decode;
use super::path::{self, Texts};
use crate::limits::Limits;

/// An XML document, such as one record: a root element with what is in it.
///
/// It keeps the bytes it was read from and is written as exactly these, unless it is changed:
/// [`set_text`](Self::set_text), [`set_attribute`](Self::set_attribute) and [`remove`](Self::remove) change the bytes in
/// one place and leave all others as they are. Two nodes are equal if their bytes are.
///
/// A node by `default` holds nothing: its root has no name and no children.
#[derive(Clone, Default)]
pub struct Node {
    pub(super) source: Bytes,
    pub(super) tree: Tree,
    pub(super) limits: Limits,
}

/// What was found in the source.
#[derive(Clone, Default)]
pub(super) struct Tree {
    pub(super) entries: Vec<Entry>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) side: Vec<u8>,
    /// While it is filled: further runs of text of the open elements, the innermost's last.
    pub(super) runs: Vec<Run>,
}

/// An element.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Entry {
    /// In the source; the element begins one byte before.
    pub(super) name: Range32,
    /// Its direct text.
    pub(super) text: Range32,
    /// The index of the element that it is in; its own for the root.
    pub(super) parent: u32,
    /// One past the index of the last element in it.
    pub(super) end: u32,
    /// The index of its first attribute; they end where the next entry's begin.
    pub(super) attributes: u32,
    /// The byte after its start tag.
    pub(super) open: u32,
    /// The byte where its end tag begins; `stop` if there is none.
    pub(super) close: u32,
    /// The byte after it.
    pub(super) stop: u32,
}

/// An attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    /// In the source.
    pub(super) name: Range32,
    pub(super) value: Range32,
    /// The value as it is written in the source.
    pub(super) raw: Range32,
}

/// A run of text of an element that has more than one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) owner: u32,
    pub(super) range: Range32,
}

impl Data for Node {
    const NAME: &'static str = "Node";
    type Column = Recycled<Self>;
}

impl Reuse for Node {
    fn reuse(&mut self) {
        self.clear();
    }
}

impl Node {
    /// Reads a document, within the default [`Limits`].
    pub fn parse(document: impl Into<Bytes>) -> Result<Self, CodeError> {
        Self::parse_within(document, &Limits::default())
    }

    /// Reads a document within these limits.
    pub fn parse_within(document: impl Into<Bytes>, limits: &Limits) -> Result<Self, CodeError> {
        let mut node = Self::default();
        node.read(document.into(), limits)?;
        Ok(node)
    }

    /// Reads another document into this node, which is faster than making a new one. After an error it holds nothing.
    pub fn read(&mut self, document: Bytes, limits: &Limits) -> Result<(), CodeError> {
        decode::read(self, document, limits)
    }

    /// Forgets the document, and keeps the memory for another one (up to 64 KiB a table).
    pub fn clear(&mut self) {
        self.source = Bytes::new();
        self.tree.clear();
    }

    /// The bytes of the document.
    pub fn bytes(&self) -> &Bytes {
        &self.source
    }

    /// The name of the root element, as it is written.
    pub fn name(&self) -> &str {
        self.root().name()
    }

    /// The root element.
    pub fn root(&self) -> Element<'_> {
        Element { node: self, index: 0 }
    }

    /// The first value on a path like `customer/name`, `item/@id`, `@id`, or `.` (the root element itself), relative to
    /// the root element; `None` if there is none, or if it is no path (see [`Path`](super::Path), which says why). An
    /// element's value is its [text](Element::text).
    pub fn text_of(&self, path: impl AsRef<str>) -> Option<&str> {
        self.texts(path).next()
    }

    /// Every value on a path, in the order of the document. See [`text_of`](Self::text_of).
    pub fn texts<P: AsRef<str>>(&self, path: P) -> Texts<'_, P> {
        Texts::new(self, path)
    }

    /// The first element on a path of elements; `None` if there is none, or if it is another path.
    pub fn find(&self, path: impl AsRef<str>) -> Option<Element<'_>> {
        match path::find(self, path.as_ref())? {
            (index, None) => Some(Element { node: self, index }),
            (_, Some(_)) => None,
        }
    }

    pub(super) fn entry(&self, index: usize) -> Entry {
        self.tree.entries.get(index).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn slice(&self, range: Range32) -> &[u8] {
        self.tree.slice(&self.source, range)
    }

    /// All that is kept was checked to be UTF-8 when it was read. The check is repeated because the alternative is
    /// `unsafe`; texts are short, and for ASCII it runs at memory speed.
    #[inline]
    fn str(&self, range: Range32) -> &str {
        std::str::from_utf8(self.slice(range)).unwrap_or_default()
    }
}

impl Tree {
    /// What is kept of each table when a node is cleared, in bytes: one huge record must not hold its memory for ever.
    const KEPT: usize = 64 << 10;

    pub(super) fn clear(&mut self) {
        empty(&mut self.entries);
        empty(&mut self.attributes);
        empty(&mut self.side);
        empty(&mut self.runs);
    }

    #[inline]
    pub(super) fn slice<'a>(&'a self, source: &'a [u8], range: Range32) -> &'a [u8] {
        let (start, end) = (range.start as usize, range.end as usize);
        match start.checked_sub(source.len()) {
            Some(start) => self.side.get(start..end - source.len()).unwrap_or_default(),
            None => source.get(start..end).unwrap_or_default(),
        }
    }

    pub(super) fn attributes_of(&self, index: usize) -> &[Attribute] {
        let Some(entry) = self.entries.get(index) else { return &[] };
        let end = self.entries.get(index + 1).map_or(self.attributes.len(), |next| next.attributes as usize);
        self.attributes.get(entry.attributes as usize..end).unwrap_or_default()
    }
}

#[inline]
fn empty<T>(table: &mut Vec<T>) {
    table.clear();
    if table.capacity() * size_of::<T>() > Tree::KEPT {
        table.shrink_to(Tree::KEPT / size_of::<T>());
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Node {}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({})", String::from_utf8_lossy(&self.source))
    }
}

/// An element of a [`Node`].
#[derive(Clone, Copy)]
pub struct Element<'n> {
    node: &'n Node,
    index: usize,
}

impl<'n> Element<'n> {
    pub(super) fn new(node: &'n Node, index: usize) -> Self {
        Self { node, index }
    }

    /// The name, as it is written.
    pub fn name(self) -> &'n str {
        self.node.str(self.node.entry(self.index).name)
    }

    /// The element's direct text: what stands between its tags but not in elements within it. Entities and CDATA are
    /// decoded, line ends are `\n` as XML wants it, and nothing is trimmed.
    pub fn text(self) -> &'n str {
        self.node.str(self.node.entry(self.index).text)
    }

    /// The value of an attribute: entities are decoded, and tabs and line ends are spaces, as XML wants it.
    pub fn attribute(self, name: &str) -> Option<&'n str> {
        let attributes = self.node.tree.attributes_of(self.index);
        let found = attributes.iter().find(|attribute| self.node.slice(attribute.name) == name.as_bytes())?;
        Some(self.node.str(found.value))
    }

    /// The names and values of its attributes, as they stand.
    pub fn attributes(self) -> impl Iterator<Item = (&'n str, &'n str)> + use<'n> {
        let attributes = self.node.tree.attributes_of(self.index).iter();
        attributes.map(move |attribute| (self.node.str(attribute.name), self.node.str(attribute.value)))
    }

    /// The elements directly in it.
    pub fn children(self) -> Children<'n> {
        Children { node: self.node, next: self.index + 1, end: self.node.entry(self.index).end as usize }
    }

    /// The elements of this name directly in it.
    pub fn children_named(self, name: &str) -> impl Iterator<Item = Element<'n>> + use<'n, '_> {
        self.children().filter(move |child| child.is(name))
    }

    /// The bytes from its start tag to its end tag.
    pub fn bytes(self) -> &'n [u8] {
        let entry = self.node.entry(self.index);
        let start = (entry.name.start as usize).saturating_sub(1);
        self.node.source.get(start..entry.stop as usize).unwrap_or_default()
    }

    #[inline]
    fn is(self, name: &str) -> bool {
        self.node.slice(self.node.entry(self.index).name) == name.as_bytes()
    }
}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({})", String::from_utf8_lossy(self.bytes()))
    }
}

/// The elements directly in an element.
#[derive(Debug, Clone)]
pub struct Children<'n> {
    node: &'n Node,
    next: usize,
    end: usize,
}

impl<'n> Iterator for Children<'n> {
    type Item = Element<'n>;

    fn next(&mut self) -> Option<Element<'n>> {
        let index = self.next;
        if index >= self.end {
            return None;
        }
        self.next = self.node.entry(index).end as usize;
        Some(Element { node: self.node, index })
    }
}

#[cfg(test)]
mod tests;
