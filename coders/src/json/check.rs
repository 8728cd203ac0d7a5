//! Whether a text is JSON (RFC 8259) and within the limits, in one pass that builds nothing.

use millstream_core::contracts::{CodeError, Local};

use super::scan::{is_space, spaces, special};
use crate::limits::Limits;
use crate::text::not_text;

/// Whether `text` is one JSON value, with nothing but white space around it.
pub(super) fn check(text: &[u8], limits: &Limits) -> Result<(), CodeError> {
    if text.len() > limits.record {
        return Err(too_large(text.len(), limits));
    }
    let mut checker = Checker { text, at: 0, high: 0, open: Nesting::default(), limit: limits.depth };
    checker.document().map_err(|fault| fault.describe(text, limits))?;
    if checker.high & HIGH_BITS != 0 {
        std::str::from_utf8(text).map_err(|error| not_text(text, error))?;
    }
    Ok(())
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

pub(super) fn too_large(found: usize, limits: &Limits) -> CodeError {
    CodeError::new(format!(
        "expected a record of at most {} bytes, found {found}; raise the limit on a record's size if it is meant to be one",
        limits.record
    ))
}

/// Which kinds of container are open, innermost last: a bit each, so that the usual depths need no memory.
#[derive(Default)]
struct Nesting {
    depth: usize,
    /// The innermost 64 or fewer; the lowest bit is the innermost, set for an object.
    bits: u64,
    /// The ones around those, 64 each.
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.bits >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    fn in_object(&self) -> bool {
        self.bits & 1 == 1
    }
}

enum Fault {
    /// Something else was expected at this byte.
    Expected(&'static str, usize),
    /// The container that begins at this byte is one too many.
    Deep(usize),
}

impl Fault {
    #[cold]
    fn describe(self, text: &[u8], limits: &Limits) -> CodeError {
        match self {
            Self::Expected(what, at) => {
                CodeError::new(format!("expected {what}, found {}", found(text, at))).at(Local::of(text, at))
            }
            Self::Deep(at) => CodeError::new(format!(
                "expected at most {} objects and arrays inside each other, found one more; raise the limit on depth if \
                 that is meant",
                limits.depth
            ))
            .at(Local::of(text, at)),
        }
    }
}

fn found(text: &[u8], at: usize) -> String {
    match text.get(at) {
        None => "the end of the record".to_owned(),
        Some(byte @ 0x21..=0x7e) => format!("`{}`", char::from(*byte)),
        Some(byte) => format!("the byte 0x{byte:02x}"),
    }
}

struct Checker<'a> {
    text: &'a [u8],
    at: usize,
    /// The bytes of strings, put together by `or`: whether any is beyond ASCII.
    high: u64,
    open: Nesting,
    limit: usize,
}

type Check = Result<(), Fault>;

impl Checker<'_> {
    fn document(&mut self) -> Check {
        loop {
            let opened = self.value()?;
            if !opened && !self.after_value()? {
                break;
            }
        }
        self.spaces();
        if self.at == self.text.len() { Ok(()) } else { self.expected("the end of the record after the value") }
    }

    /// Takes a scalar, an empty container, or the beginning of one up to its first value. Returns whether a value has to
    /// follow.
    #[inline]
    fn value(&mut self) -> Result<bool, Fault> {
        self.spaces();
        match self.peek() {
            Some(b'"') => self.string()?,
            Some(b'{') => return self.open(true),
            Some(b'[') => return self.open(false),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b't') => self.literal(b"true", "`true`")?,
            Some(b'f') => self.literal(b"false", "`false`")?,
            Some(b'n') => self.literal(b"null", "`null`")?,
            _ => self.expected("a value")?,
        }
        Ok(false)
    }

    fn open(&mut self, object: bool) -> Result<bool, Fault> {
        if self.open.depth >= self.limit {
            return Err(Fault::Deep(self.at));
        }
        self.at += 1;
        self.spaces();
        if self.peek() == Some(if object { b'}' } else { b']' }) {
            self.at += 1;
            return Ok(false);
        }
        self.open.push(object);
        if object {
            self.key("a member's name in quotes or `}`")?;
        }
        Ok(true)
    }

    /// Takes what follows a value: the ends of containers, and a comma with what comes before the next value. Returns
    /// whether a value has to follow.
    #[inline]
    fn after_value(&mut self) -> Result<bool, Fault> {
        while self.open.depth > 0 {
            self.spaces();
            match (self.peek(), self.open.in_object()) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.spaces();
                    self.key("a member's name in quotes")?;
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(true);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    self.open.pop();
                }
                (_, true) => self.expected("`,` or `}` after a member")?,
                (_, false) => self.expected("`,` or `]` after an item")?,
            }
        }
        Ok(false)
    }

    #[inline]
    fn key(&mut self, what: &'static str) -> Check {
        if self.peek() != Some(b'"') {
            return self.expected(what);
        }
        self.string()?;
        self.spaces();
        if self.peek() != Some(b':') {
            return self.expected("`:` after a member's name");
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a string; `at` is at its opening quote.
    #[inline]
    fn string(&mut self) -> Check {
        self.at += 1;
        loop {
            match special(self.text, &mut self.at, &mut self.high) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.expected("no control character in a string (it has to be escaped)"),
                None => return self.expected("`\"` at the end of a string"),
            }
        }
    }

    fn escape(&mut self) -> Check {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.expected("four hexadecimal digits after `\\u`");
                    }
                    self.at += 1;
                }
            }
            _ => return self.expected("one of `\"\\/bfnrtu` after `\\`"),
        }
        Ok(())
    }

    fn number(&mut self) -> Check {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    #[inline]
    fn digits(&mut self) -> Check {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.expected("a digit") } else { Ok(()) }
    }

    #[inline]
    fn literal(&mut self, literal: &[u8], what: &'static str) -> Check {
        if !self.text[self.at..].starts_with(literal) {
            return self.expected(what);
        }
        self.at += literal.len();
        Ok(())
    }

    #[inline]
    fn spaces(&mut self) {
        if self.peek().is_some_and(is_space) {
            self.at = spaces(self.text, self.at);
        }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[cold]
    fn expected(&self, what: &'static str) -> Check {
        Err(Fault::Expected(what, self.at))
    }
}
