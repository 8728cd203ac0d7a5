//! [`of`]: JSON as a type of one's own.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millstream_core::contracts::{CodeError, Coder, Decoder, Encoder, Format, Local};
use millstream_core::data::{Bytes, Column, Data};

use super::check::{check, too_large};
use crate::limits::Limits;

/// How deep `serde_json` goes by itself.
const SERDE_DEPTH: usize = 127;

/// JSON as `T`, a type that serde knows: `JSON-DECODER` and `JSON-ENCODER`, which writes compactly. With the default
/// limits, except that `serde_json` nests 127 deep.
///
/// ```
/// use millstream_coders::json;
/// use millstream_core::contracts::Format;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Order { id: u64 }
/// millstream_core::data!(Order);
///
/// assert_eq!(json::of::<Order>().decoder().unwrap().to.name(), "Order");
/// ```
pub fn of<T: Serialize + DeserializeOwned + Data>() -> Typed<T> {
    Typed { limits: Limits::default(), of: PhantomData }
}

/// JSON as a type of one's own: see [`of`].
pub struct Typed<T> {
    limits: Limits,
    of: PhantomData<fn() -> T>,
}

impl<T> Typed<T> {
    /// With other limits than the default ones; [`Limits::record`] and [`Limits::depth`] act here, the latter up to 127.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl<T: Serialize + DeserializeOwned + Data> Format for Typed<T> {
    type Value = T;

    fn decoder(&self) -> Option<Coder> {
        Some(millstream_core::contracts::decoder(ToTyped { limits: self.limits, of: self.of }))
    }

    fn encoder(&self) -> Option<Coder> {
        Some(millstream_core::contracts::encoder(FromTyped { of: self.of }))
    }
}

struct ToTyped<T> {
    limits: Limits,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Data> Decoder for ToTyped<T> {
    type Out = T;

    fn name(&self) -> String {
        "JSON-DECODER".to_owned()
    }

    fn decode(&self, bytes: Bytes, column: &mut T::Column) -> Result<(), CodeError> {
        if bytes.len() > self.limits.record {
            return Err(too_large(bytes.len(), &self.limits));
        }
        if self.limits.depth < SERDE_DEPTH {
            check(&bytes, &self.limits)?;
        }
        column.push(read(&bytes)?);
        Ok(())
    }
}

struct FromTyped<T> {
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + Data> Encoder for FromTyped<T> {
    type In = T;

    fn name(&self) -> String {
        "JSON-ENCODER".to_owned()
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodeError> {
        serde_json::to_writer(out, value).map_err(|error| unwritable(&error))
    }
}

/// What serde reads from a text.
pub(super) fn read<T: DeserializeOwned>(text: &[u8]) -> Result<T, CodeError> {
    serde_json::from_slice(text).map_err(|error| unreadable(text, &error))
}

/// What serde writes of a value, compactly.
pub(super) fn write(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, CodeError> {
    serde_json::to_vec(value).map_err(|error| unwritable(&error))
}

fn unwritable(error: &serde_json::Error) -> CodeError {
    CodeError::new(format!("this value can't be written as JSON: {error}"))
}

/// The error with its place as a [`Local`] and not in its text.
fn unreadable(text: &[u8], error: &serde_json::Error) -> CodeError {
    let (line, column) = (error.line(), error.column());
    let message = error.to_string();
    let place = format!(" at line {line} column {column}");
    let error = CodeError::new(message.strip_suffix(&place).unwrap_or(&message));
    if line == 0 {
        return error;
    }
    let start = text.split_inclusive(|&byte| byte == b'\n').take(line - 1).map(<[u8]>::len).sum::<usize>();
    error.at(Local::of(text, (start + column.saturating_sub(1)).min(text.len())))
}
