//! [`Model`]: what Avro's bytes are read as: generic values or types of one's own.

use std::fmt;
use std::marker::PhantomData;

use apache_avro::types;
use millstream_core::data::{Column, Data};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cursor::{Cursor, Flaw};
use super::plan::Plan;
use super::{Schema, Value, de, format, read, ser, write};

/// What Avro's bytes are read as. There are two: [`Generic`] and [`Specific`].
#[expect(private_interfaces, reason = "only this module makes models")]
pub trait Model: sealed::Sealed + Clone + Send + Sync + 'static {
    /// What the records are.
    type Out: Data;

    #[doc(hidden)]
    fn read(
        &self,
        plan: &Plan,
        schema: &Schema,
        datum: &[u8],
        depth: usize,
        column: &mut <Self::Out as Data>::Column,
    ) -> Result<(), Box<Flaw>>;

    #[doc(hidden)]
    fn write(&self, schema: &Schema, value: &Self::Out, out: &mut Vec<u8>) -> Result<(), Box<Flaw>>;

    /// The schema that a value has with it.
    #[doc(hidden)]
    fn own_schema<'a>(&self, value: &'a Self::Out) -> Option<&'a Schema> {
        let _ = value;
        None
    }

    /// Shows `work` what `value` is as a generic one of this schema, or of its own.
    #[doc(hidden)]
    fn with_value(
        &self,
        schema: Option<&Schema>,
        value: &Self::Out,
        depth: usize,
        work: Work<'_>,
    ) -> Result<(), Box<Flaw>>;
}

/// What is done with a value as a generic one.
pub(super) type Work<'a> = &'a mut dyn FnMut(&Schema, &types::Value) -> Result<(), Box<Flaw>>;

mod sealed {
    /// Nobody else makes models.
    pub trait Sealed {}
}

/// Generic [`Value`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generic;

impl sealed::Sealed for Generic {}

#[expect(private_interfaces, reason = "only this module makes models")]
impl Model for Generic {
    type Out = Value;

    fn own_schema<'a>(&self, value: &'a Value) -> Option<&'a Schema> {
        Some(value.schema())
    }

    fn read(
        &self,
        plan: &Plan,
        schema: &Schema,
        datum: &[u8],
        depth: usize,
        column: &mut <Value as Data>::Column,
    ) -> Result<(), Box<Flaw>> {
        let mut from = Cursor::new(datum, depth);
        let filled = column.next().filled(schema, datum.len(), |value| read::fill(plan, plan.root, &mut from, value));
        filled.and_then(|()| read::ended(&from)).inspect_err(|_| column.undo())
    }

    fn write(&self, schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<(), Box<Flaw>> {
        write::value(schema.graph(), schema.graph().root, value.value(), out)
    }

    fn with_value(&self, schema: Option<&Schema>, value: &Value, _: usize, work: Work<'_>) -> Result<(), Box<Flaw>> {
        work(schema.unwrap_or(value.schema()), value.value())
    }
}

/// A type of one's own, which serde knows.
pub struct Specific<T>(PhantomData<fn() -> T>);

impl<T> Specific<T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Clone for Specific<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Specific<T> {}

impl<T> fmt::Debug for Specific<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Specific")
    }
}

impl<T> sealed::Sealed for Specific<T> {}

#[expect(private_interfaces, reason = "only this module makes models")]
impl<T: Serialize + DeserializeOwned + Data> Model for Specific<T> {
    type Out = T;

    fn read(
        &self,
        plan: &Plan,
        _: &Schema,
        datum: &[u8],
        depth: usize,
        column: &mut T::Column,
    ) -> Result<(), Box<Flaw>> {
        let mut from = Cursor::new(datum, depth);
        column.push(de::read(plan, &mut from)?);
        read::ended(&from)
    }

    fn write(&self, schema: &Schema, value: &T, out: &mut Vec<u8>) -> Result<(), Box<Flaw>> {
        ser::write(schema.graph(), schema.graph().root, value, out)
    }

    fn with_value(&self, schema: Option<&Schema>, value: &T, depth: usize, work: Work<'_>) -> Result<(), Box<Flaw>> {
        let schema = schema.ok_or_else(|| Flaw::new("no schema to write by"))?;
        let mut datum = Vec::new();
        self.write(schema, value, &mut datum)?;
        work(schema, &format::generic(schema, &datum, depth)?)
    }
}
