//! Symbols of enums, and branches of unions, as variants.

use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess, Visitor};

use super::De;
use crate::avro::cursor::{Flaw, Result};
use crate::avro::plan::{Read, Step};
use crate::avro::read::symbol;

/// An enum's symbol as a variant without fields.
pub(super) struct Symbol<'p, 'c, 'd>(pub(super) De<'p, 'c, 'd>);

impl<'de> EnumAccess<'de> for Symbol<'_, '_, '_> {
    type Error = Box<Flaw>;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self)> {
        let De { plan, step, from } = self.0;
        let name = match step {
            Step::Enum(symbols) => symbol(symbols, from)?.1,
            Step::Plain(Read::String, _) => from.text()?,
            Step::Mismatch(why) => return Err(from.flaw(why.clone())),
            _ => return Err(from.flaw("an enum is read of an enum, a union or a string")),
        };
        let name: StrDeserializer<'_, Box<Flaw>> = name.into_deserializer();
        Ok((seed.deserialize(name)?, Self(De { plan, step, from })))
    }
}

impl<'de> VariantAccess<'de> for Symbol<'_, '_, '_> {
    type Error = Box<Flaw>;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value> {
        Err(self.0.from.flaw("a symbol has no value, and the variant has"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value> {
        Err(self.0.from.flaw("a symbol has no fields, and the variant has"))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value> {
        Err(self.0.from.flaw("a symbol has no fields, and the variant has"))
    }
}

/// A union's branch as the variant of its number.
pub(super) struct Variant<'p, 'c, 'd>(pub(super) De<'p, 'c, 'd>);

impl<'de> EnumAccess<'de> for Variant<'_, '_, '_> {
    type Error = Box<Flaw>;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<(S::Value, Self)> {
        let Step::Branch { index, inner, .. } = self.0.step else {
            return Err(self.0.from.flaw("expected a union"));
        };
        self.0.step = self.0.plan.step(*inner);
        let number: U32Deserializer<Box<Flaw>> = index.into_deserializer();
        Ok((seed.deserialize(number)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, '_, '_> {
    type Error = Box<Flaw>;

    fn unit_variant(self) -> Result<()> {
        serde::Deserialize::deserialize(self.0).map(|_: de::IgnoredAny| ())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        self.0.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value> {
        self.0.deserialize_struct("", fields, visitor)
    }
}
