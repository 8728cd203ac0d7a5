//! Items, entries and fields, one after the other.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess};

use super::De;
use crate::avro::cursor::{Cursor, Flaw, Result};
use crate::avro::plan::{Plan, Record, Step, StepId, Take};
use crate::avro::read::{DEFAULT_DEPTH, skip_field};

/// The one item of a tuple of one.
pub(super) struct One<'p, 'c, 'd>(pub(super) Option<De<'p, 'c, 'd>>);

impl<'de> SeqAccess<'de> for One<'_, '_, '_> {
    type Error = Box<Flaw>;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.0.take().map(|item| seed.deserialize(item)).transpose()
    }
}

/// The items of an array, or the entries of a map.
pub(super) struct Blocks<'p, 'c, 'd> {
    plan: &'p Plan,
    step: &'p Step,
    from: &'c mut Cursor<'d>,
    /// How many are left of the block.
    left: usize,
    at: usize,
    ended: bool,
}

impl<'p, 'c, 'd> Blocks<'p, 'c, 'd> {
    pub(super) fn new(plan: &'p Plan, items: StepId, from: &'c mut Cursor<'d>) -> Self {
        Self { plan, step: plan.step(items), from, left: 0, at: 0, ended: false }
    }

    #[inline]
    pub(super) fn has_next(&mut self) -> Result<bool> {
        if self.left > 0 { Ok(true) } else { self.next_block() }
    }

    fn next_block(&mut self) -> Result<bool> {
        if !self.ended {
            (self.left, _) = self.from.block()?;
            self.ended = self.left == 0;
        }
        Ok(!self.ended)
    }

    #[inline]
    pub(super) fn all_taken(&mut self) -> Result<()> {
        match self.has_next()? {
            false => Ok(()),
            true => Err(self.from.flaw(format!("the type has room for {} items, and there are more", self.at))),
        }
    }

    #[inline]
    fn item<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        self.left -= 1;
        self.at += 1;
        let at = self.at - 1;
        let item = De { plan: self.plan, step: self.step, from: &mut *self.from };
        seed.deserialize(item).map_err(|flaw| flaw.within(format!("[{at}]")))
    }
}

impl<'de> SeqAccess<'de> for &mut Blocks<'_, '_, '_> {
    type Error = Box<Flaw>;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.has_next()? { self.item(seed).map(Some) } else { Ok(None) }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.min(1024))
    }
}

impl<'de> MapAccess<'de> for &mut Blocks<'_, '_, '_> {
    type Error = Box<Flaw>;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if !self.has_next()? {
            return Ok(None);
        }
        let key: StrDeserializer<'_, Box<Flaw>> = self.from.text()?.into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        self.item(seed)
    }
}

/// The fields of a record: those in the bytes, in their order, then those that are missing.
pub(super) struct Fields<'p, 'c, 'd> {
    plan: &'p Plan,
    record: &'p Record,
    from: &'c mut Cursor<'d>,
    /// How many of the record's takes, and then of its defaults, have been given.
    next: usize,
    /// The field whose name has been given and whose value has not.
    value: Option<Field<'p>>,
}

#[derive(Clone, Copy)]
enum Field<'p> {
    There(usize, StepId),
    Missing(usize, StepId, &'p [u8]),
}

impl<'p, 'c, 'd> Fields<'p, 'c, 'd> {
    pub(super) fn new(plan: &'p Plan, record: &'p Record, from: &'c mut Cursor<'d>) -> Self {
        Self { plan, record, from, next: 0, value: None }
    }

    fn field(&mut self) -> Result<Option<Field<'p>>> {
        let record = self.record;
        while let Some(take) = record.takes.get(self.next) {
            self.next += 1;
            match take {
                Take::Field(at, step) => return Ok(Some(Field::There(*at, *step))),
                Take::Skip(node) => skip_field(&self.plan.writer, *node, self.from)?,
            }
        }
        let missing = record.defaults.get(self.next - record.takes.len());
        self.next += usize::from(missing.is_some());
        Ok(missing.map(|missing| Field::Missing(missing.field, missing.step, &missing.datum)))
    }

    pub(super) fn all_taken(&mut self) -> Result<()> {
        match self.field()? {
            None => Ok(()),
            Some(_) => Err(self.from.flaw(FEWER)),
        }
    }

    fn value<'de, S: DeserializeSeed<'de>>(&mut self, field: Field<'p>, seed: S) -> Result<S::Value> {
        let plan = self.plan;
        let (at, value) = match field {
            Field::There(at, step) => {
                let before = self.from.at();
                let value = seed.deserialize(De { plan, step: plan.step(step), from: &mut *self.from });
                (at, value.and_then(|value| self.from.field(before).map(|()| value)))
            }
            Field::Missing(at, step, datum) => {
                let from = &mut Cursor::new(datum, DEFAULT_DEPTH);
                (at, seed.deserialize(De { plan, step: plan.step(step), from }))
            }
        };
        value.map_err(|flaw| flaw.within(self.record.names[at].as_str()))
    }
}

impl<'de> MapAccess<'de> for &mut Fields<'_, '_, '_> {
    type Error = Box<Flaw>;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.value = self.field()?;
        let Some(Field::There(at, _) | Field::Missing(at, ..)) = self.value else { return Ok(None) };
        let name: StrDeserializer<'_, Box<Flaw>> = self.record.names[at].as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value> {
        match self.value.take() {
            Some(field) => self.value(field, seed),
            None => Err(self.from.flaw("a value was asked for before its name")),
        }
    }
}

const FEWER: &str = "the type took fewer fields than the record has";

/// The fields of a record that is read as it was written, without their names.
pub(super) struct InOrder<'p, 'c, 'd> {
    plan: &'p Plan,
    record: &'p Record,
    from: &'c mut Cursor<'d>,
    next: usize,
}

impl<'p, 'c, 'd> InOrder<'p, 'c, 'd> {
    pub(super) fn new(plan: &'p Plan, record: &'p Record, from: &'c mut Cursor<'d>) -> Self {
        Self { plan, record, from, next: 0 }
    }

    #[inline]
    pub(super) fn all_taken(&self) -> Result<()> {
        if self.next < self.record.takes.len() { Err(self.from.flaw(FEWER)) } else { Ok(()) }
    }
}

impl<'de> SeqAccess<'de> for &mut InOrder<'_, '_, '_> {
    type Error = Box<Flaw>;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        let Some(Take::Field(at, step)) = self.record.takes.get(self.next) else { return Ok(None) };
        self.next += 1;
        let before = self.from.at();
        let value = seed.deserialize(De { plan: self.plan, step: self.plan.step(*step), from: &mut *self.from });
        let value = value.and_then(|value| self.from.field(before).map(|()| Some(value)));
        value.map_err(|flaw| flaw.within(self.record.names[*at].as_str()))
    }
}
