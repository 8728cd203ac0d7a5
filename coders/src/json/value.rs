//! [`Value`]: a JSON value of any shape, as the bytes that it came from.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use millstream_core::contracts::CodeError;
use millstream_core::data::{Bytes, Data, Typed};

use super::check::check;
use super::scan::trim;
use super::{Path, Ref, typed};
use crate::limits::Limits;

/// A JSON value of any shape. It is the bytes that it came from, which have been checked once and are shared with the
/// batch they came in; no tree is built, and looking at a part reads only what lies on the way to it.
///
/// A value that nobody changed is written as exactly those bytes, and [`set`](Self::set) and [`remove`](Self::remove)
/// leave everything beside the changed part as it was. Two values are equal when their bytes are.
///
/// ```
/// use millstream_coders::json::Value;
///
/// let mut order = Value::parse(r#"{ "id": 7, "lines": [{"sku": "A\u002d1"}] }"#).unwrap();
/// assert_eq!(order.get("lines.0.sku").unwrap().as_str().unwrap(), "A-1");
/// order.set("id", 8).unwrap();
/// assert_eq!(order.to_string(), r#"{ "id": 8, "lines": [{"sku": "A\u002d1"}] }"#);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Value {
    bytes: Bytes,
}

impl Value {
    /// The value that these bytes are, within the default [`Limits`]. An error says at which line, column and byte, what
    /// was expected there and what was found.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, CodeError> {
        Self::parse_within(bytes, &Limits::default())
    }

    /// The value that these bytes are, within these limits ([`Limits::record`] and [`Limits::depth`]).
    pub fn parse_within(bytes: impl Into<Bytes>, limits: &Limits) -> Result<Self, CodeError> {
        let bytes = bytes.into();
        check(&bytes, limits)?;
        Ok(Self { bytes })
    }

    /// The value that serde makes of `value`, written compactly. An error says why it has no JSON, such as a map whose
    /// keys are not strings.
    pub fn from_serialize(value: &(impl Serialize + ?Sized)) -> Result<Self, CodeError> {
        typed::write(value).map(Self::checked)
    }

    /// The value of a text that is known to be JSON.
    pub(super) fn checked(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// It as a type that serde knows.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, CodeError> {
        typed::read(&self.bytes)
    }

    /// The bytes that it is, with the white space around it.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A look at all of it.
    pub fn root(&self) -> Ref<'_> {
        Ref::new(&self.bytes[trim(&self.bytes)])
    }

    /// A look at the part that the path leads to, such as `a.b.0`: see [`Path`].
    pub fn get(&self, path: &str) -> Option<Ref<'_>> {
        self.root().get(path)
    }

    /// A look at the part that the path leads to; less work than [`get`](Self::get) when the path is used again and
    /// again.
    pub fn find(&self, path: &Path) -> Option<Ref<'_>> {
        self.root().find(path)
    }
}

impl Data for Value {
    const NAME: &'static str = "Json";
    type Column = Typed<Self>;
}

impl Default for Value {
    /// `null`.
    fn default() -> Self {
        Self { bytes: Bytes::from_static(b"null") }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.bytes).unwrap_or_default())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// As it is, in JSON that `serde_json` writes.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root().serialize(serializer)
    }
}
