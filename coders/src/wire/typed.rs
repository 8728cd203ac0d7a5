//! [`of`]: a type of one's own, by serde, as postcard.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use millstream_core::contracts::{self, CodeError, Coder, Decoder, Encoder, Format, Kind};
use millstream_core::data::{Bytes, Column, Data};

use super::bounded;
use crate::limits::Limits;

/// What it costs to the wire, and back: more than a recast, less than a format.
pub(super) const COST: u32 = 2;

/// A type that serde knows, for network stages: `WIRE-ENCODER(postcard)` and `WIRE-DECODER(postcard)`. Given to `with`; it
/// is used nowhere else, so a sink of bytes still needs a format.
///
/// The bytes say nothing about the type: types that serde reads by asking what comes (`untagged`, `flatten`, a
/// `serde_json::Value` in a field) are refused record by record. Use a format such as `json::of` for those.
///
/// ```
/// use millstream_coders::wire;
/// use millstream_core::contracts::Format;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Reading { celsius: f64 }
/// millstream_core::data!(Reading);
///
/// let encoder = wire::of::<Reading>().encoder().unwrap();
/// assert_eq!(encoder.name, "WIRE-ENCODER(postcard)");
/// assert!(encoder.kind.is_wire());
/// ```
pub fn of<T: Serialize + DeserializeOwned + Data>() -> Typed<T> {
    Typed { version: 1, limits: Limits::default(), of: PhantomData }
}

/// A type of one's own for network stages: see [`of`].
pub struct Typed<T> {
    version: u32,
    limits: Limits,
    of: PhantomData<fn() -> T>,
}

impl<T> Typed<T> {
    /// Which version of the type's fields this is; 1 by default. Raise it when they change: an instance with the older
    /// fields is then refused when it joins, in place of records that it would read as something else.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// With other limits than the default ones; [`Limits::record`] acts on both ways, [`Limits::depth`] on what
    /// comes in.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    fn name(&self, coder: &str) -> String {
        match self.version {
            1 => format!("{coder}(postcard)"),
            version => format!("{coder}(postcard, version {version})"),
        }
    }
}

impl<T: Serialize + DeserializeOwned + Data> Format for Typed<T> {
    type Value = T;

    fn decoder(&self) -> Option<Coder> {
        let decoder = FromWire { name: self.name("WIRE-DECODER"), limits: self.limits, of: self.of };
        Some(Coder { kind: Kind::WireDecode, cost: COST, ..contracts::decoder(decoder) })
    }

    fn encoder(&self) -> Option<Coder> {
        let encoder = ToWire { name: self.name("WIRE-ENCODER"), limits: self.limits, of: self.of };
        Some(Coder { kind: Kind::WireEncode, cost: COST, ..contracts::encoder(encoder) })
    }
}

struct FromWire<T> {
    name: String,
    limits: Limits,
    of: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned + Data> Decoder for FromWire<T> {
    type Out = T;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn decode(&self, bytes: Bytes, column: &mut T::Column) -> Result<(), CodeError> {
        bounded_by(&self.limits, bytes.len())?;
        column.push(bounded::read(&bytes, self.limits.depth).map_err(|error| {
            CodeError::new(format!("expected {} bytes of a [{}] from another instance: {error}", bytes.len(), T::NAME))
        })?);
        Ok(())
    }
}

struct ToWire<T> {
    name: String,
    limits: Limits,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + Data> Encoder for ToWire<T> {
    type In = T;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodeError> {
        postcard::to_io(value, &mut *out).map_err(|error| {
            let advice = "register a format for it, such as `json::of`, or change its fields";
            CodeError::new(format!("a [{}] can't cross to another instance as postcard: {error}; {advice}", T::NAME))
        })?;
        bounded_by(&self.limits, out.len())
    }
}

fn bounded_by(limits: &Limits, found: usize) -> Result<(), CodeError> {
    if found <= limits.record {
        return Ok(());
    }
    let most = limits.record;
    Err(CodeError::new(format!(
        "a record of {found} bytes is larger than the {most} that cross to another instance; make it smaller, or raise \
         `Limits::record` of `wire::of`"
    )))
}
