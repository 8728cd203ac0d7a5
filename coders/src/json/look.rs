//! [`Ref`]: a look at a part of a value.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use millstream_core::contracts::CodeError;

use super::path::Wanted;
use super::scan::{spaces, string_end, value_end};
use super::{Path, typed};

/// What kind of value something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// A look at a value or a part of one: a slice of its source text, read only as far as one asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ref<'a> {
    /// Exactly one value, without white space around it.
    text: &'a [u8],
}

impl<'a> Ref<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text }
    }

    /// The kind of value.
    pub fn kind(&self) -> Kind {
        match self.text.first() {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The source text.
    pub fn raw(&self) -> &'a str {
        // It was checked as a whole, and begins and ends with characters of ASCII.
        std::str::from_utf8(self.text).unwrap_or_default()
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// The truth value, if it is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self.text {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// The number, if it is one that is written without fraction and exponent and fits.
    pub fn as_u64(&self) -> Option<u64> {
        self.number()?.parse().ok()
    }

    /// The number, if it is one that is written without fraction and exponent and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.number()?.parse().ok()
    }

    /// The nearest floating-point number, if it is a number and not beyond all of them.
    pub fn as_f64(&self) -> Option<f64> {
        self.number()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn number(&self) -> Option<&'a str> {
        (self.kind() == Kind::Number).then(|| self.raw())
    }

    /// The decoded string, if it is one; borrowed when nothing in it is escaped.
    pub fn as_str(&self) -> Option<Cow<'a, str>> {
        (self.kind() == Kind::String).then(|| unescape(inside(self.text)))
    }

    /// What a scalar is compared by: the decoded string, or the source text of anything else. `None` for objects and
    /// arrays.
    pub fn scalar_text(&self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::String => self.as_str(),
            Kind::Object | Kind::Array => None,
            _ => Some(Cow::Borrowed(self.raw())),
        }
    }

    /// The part that the path leads to, such as `a.b.0`: see [`Path`].
    pub fn get(&self, path: &str) -> Option<Ref<'a>> {
        if path.is_empty() {
            return Some(*self);
        }
        if path.contains('\\') {
            return self.find(&Path::parse(path));
        }
        path.split('.').try_fold(*self, |part, key| part.step(Wanted::once(key)))
    }

    /// The part that the path leads to; less work than [`get`](Self::get) when the path is used again and again.
    pub fn find(&self, path: &Path) -> Option<Ref<'a>> {
        path.steps().try_fold(*self, |part, step| part.step(step))
    }

    /// The items of an array, in order; none for anything else.
    pub fn items(&self) -> Items<'a> {
        Items(Parts::new(self.text, b'['))
    }

    /// The members of an object, in order, all of those that have the same name; none for anything else.
    pub fn members(&self) -> Members<'a> {
        Members(Parts::new(self.text, b'{'))
    }

    /// It as a type that serde knows. An error names the place within this part.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, CodeError> {
        typed::read(self.text)
    }

    fn step(self, step: Wanted<'_>) -> Option<Self> {
        Some(Self { text: &self.text[self.locate(step)?] })
    }

    /// Where in its text the step leads to.
    pub(super) fn locate(&self, step: Wanted<'_>) -> Option<Range<usize>> {
        match self.kind() {
            Kind::Object => self.last_member(step),
            Kind::Array => Parts::new(self.text, b'[').nth(step.index()?).map(|part| part.value),
            _ => None,
        }
    }

    fn last_member(&self, step: Wanted<'_>) -> Option<Range<usize>> {
        let mut parts = Parts::new(self.text, b'{');
        if !step.may_be_in(&self.text[parts.at..]) {
            return None;
        }
        let named = |part: &Part| part.is_named(self.text, step.key());
        let first = parts.find(named)?;
        // Asked once more, and not after each: many escaped names that are the same would each cost a search.
        if !step.may_be_in(&self.text[parts.at..]) {
            return Some(first.value);
        }
        Some(parts.filter(named).last().unwrap_or(first).value)
    }

    pub(super) fn parts(&self) -> Parts<'a> {
        Parts::new(self.text, self.text.first().copied().unwrap_or_default())
    }
}

impl fmt::Display for Ref<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw())
    }
}

impl fmt::Debug for Ref<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw())
    }
}

/// As it is, in JSON that `serde_json` writes.
impl Serialize for Ref<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &serde_json::value::RawValue = serde_json::from_str(self.raw()).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The items of an array: see [`Ref::items`].
#[derive(Clone)]
pub struct Items<'a>(Parts<'a>);

impl<'a> Iterator for Items<'a> {
    type Item = Ref<'a>;

    fn next(&mut self) -> Option<Ref<'a>> {
        self.0.next().map(|part| Ref { text: &self.0.text[part.value] })
    }
}

/// The members of an object, names decoded: see [`Ref::members`].
#[derive(Clone)]
pub struct Members<'a>(Parts<'a>);

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Ref<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.0.next()?;
        let text = self.0.text;
        Some((unescape(inside(&text[part.key])), Ref { text: &text[part.value] }))
    }
}

/// The parts of one container.
#[derive(Clone)]
pub(super) struct Parts<'a> {
    text: &'a [u8],
    /// Where the next part, the white space before it, or the container's end is.
    at: usize,
    object: bool,
}

/// An item of an array, or a member of an object.
pub(super) struct Part {
    /// The member's name, in quotes; empty for an item.
    pub(super) key: Range<usize>,
    pub(super) value: Range<usize>,
    escaped: bool,
}

impl<'a> Parts<'a> {
    /// The parts of `text` if it opens with this bracket; otherwise none.
    fn new(text: &'a [u8], bracket: u8) -> Self {
        let container = matches!(bracket, b'{' | b'[') && text.first() == Some(&bracket);
        Self { text, at: if container { 1 } else { text.len() }, object: bracket == b'{' }
    }
}

impl Iterator for Parts<'_> {
    type Item = Part;

    #[inline]
    fn next(&mut self) -> Option<Part> {
        let start = spaces(self.text, self.at);
        if matches!(self.text.get(start), None | Some(b'}' | b']')) {
            self.at = self.text.len();
            return None;
        }
        let (mut key, mut escaped, mut value) = (start..start, false, start);
        if self.object {
            (key.end, escaped) = string_end(self.text, start);
            value = spaces(self.text, spaces(self.text, key.end) + 1);
        }
        let end = value_end(self.text, value);
        let after = spaces(self.text, end);
        self.at = if self.text.get(after) == Some(&b',') { after + 1 } else { after };
        Some(Part { key, value: value..end, escaped })
    }
}

impl Part {
    #[inline]
    pub(super) fn is_named(&self, text: &[u8], name: &str) -> bool {
        let key = inside(&text[self.key.clone()]);
        if self.escaped { unescape(key) == name } else { key == name.as_bytes() }
    }
}

/// A string without its quotes.
fn inside(string: &[u8]) -> &[u8] {
    string.get(1..string.len().saturating_sub(1)).unwrap_or_default()
}

/// What the inside of a string stands for.
fn unescape(inside: &[u8]) -> Cow<'_, str> {
    // Checked as a whole, and cut at quotes and escapes, which are ASCII.
    let text = std::str::from_utf8(inside).unwrap_or_default();
    let Some(first) = text.find('\\') else { return Cow::Borrowed(text) };
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    let mut next = Some(first);
    while let Some(at) = next {
        decoded.push_str(&rest[..at]);
        let (char, taken) = escape(&rest[at + 1..]);
        decoded.push(char);
        rest = rest.get(at + 1 + taken..).unwrap_or_default();
        next = rest.find('\\');
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// The character that an escape stands for, and how long the escape is without its backslash.
fn escape(rest: &str) -> (char, usize) {
    let char = match rest.as_bytes().first() {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(rest),
        Some(&other) => char::from(other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (char, 1)
}

/// `rest` begins with `u` and four digits; the second half of a pair may follow. A half alone is a replacement character.
fn unicode(rest: &str) -> (char, usize) {
    let unit = |at: usize| rest.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let first = unit(1).unwrap_or(0xd800);
    if let (0xd800..=0xdbff, Some("\\u"), Some(second @ 0xdc00..=0xdfff)) = (first, rest.get(5..7), unit(7)) {
        let char = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(char).unwrap_or(char::REPLACEMENT_CHARACTER), 11);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5)
}
