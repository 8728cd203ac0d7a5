//! Reading postcard that somebody else wrote. Its deserializer takes any depth, by which a few bytes can exhaust the
//! stack, and any number of values that have no bytes, such as `()`. [`Bounded`] stands around it and counts: it passes on
//! each call and each visit, one level deeper where values lie within values.
//!
//! All else is bounded by the record: a value that has bytes takes them from it, and serde sets aside 1 MiB at most for a
//! sequence before it has seen its values.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

/// How many values without bytes a record may have, over all its sequences.
const EMPTY: usize = 1 << 16;

/// Why bytes are not the value's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("{0}; run the same program everywhere")]
    Postcard(postcard::Error),
    #[error(
        "the type asks what comes, as by `untagged` or `flatten`, and these bytes don't say; register a format for it"
    )]
    AsksWhatComes,
    #[error("it is nested deeper than {0}; raise `Limits::depth` of `wire::of` if that is meant")]
    TooDeep(usize),
    #[error("it has more than {EMPTY} values that have no bytes; run the same program everywhere")]
    TooMany,
    #[error("{0} of them are left over; run the same program everywhere")]
    Rest(usize),
}

/// The value that all of `bytes` stands for, nested `depth` deep at most.
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8], depth: usize) -> Result<T, Unreadable> {
    // Each value of a sequence takes a byte, unless it has none.
    let left = Cell::new(bytes.len().saturating_add(EMPTY));
    let trouble = Cell::new(None);
    let mut postcard = postcard::Deserializer::from_bytes(bytes);
    let bound = Bound { depth, most: depth, left: &left, trouble: &trouble };
    let value = T::deserialize(Bounded { inner: &mut postcard, bound });
    let value = value.map_err(|error| match (trouble.take(), error) {
        (Some(why), _) => why,
        (None, postcard::Error::WontImplement) => Unreadable::AsksWhatComes,
        (None, error) => Unreadable::Postcard(error),
    })?;
    match postcard.finalize() {
        Ok([]) => Ok(value),
        Ok(rest) => Err(Unreadable::Rest(rest.len())),
        Err(error) => Err(Unreadable::Postcard(error)),
    }
}

/// How much deeper and longer it may get.
#[derive(Clone, Copy)]
struct Bound<'a> {
    depth: usize,
    /// What `depth` was at first.
    most: usize,
    left: &'a Cell<usize>,
    /// Postcard's errors have no text of ours: it is kept here.
    trouble: &'a Cell<Option<Unreadable>>,
}

impl Bound<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => self.fail(Unreadable::TooDeep(self.most)),
        }
    }

    fn longer<E: Error>(self) -> Result<(), E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => self.fail(Unreadable::TooMany),
        }
    }

    fn fail<T, E: Error>(self, why: Unreadable) -> Result<T, E> {
        let error = E::custom(&why);
        self.trouble.set(Some(why));
        Err(error)
    }
}

/// What serde is given in place of something of postcard's, or of the type's own: a deserializer, a visitor, a seed, an
/// access.
struct Bounded<'a, X> {
    inner: X,
    bound: Bound<'a>,
}

/// A visitor of several values, or the access to them.
struct Several<'a, X> {
    inner: X,
    bound: Bound<'a>,
    /// Whether the record says how many there are, and not the type.
    counted: bool,
}

impl<'a, D> Bounded<'a, D> {
    fn one<V, E: Error>(&self, visitor: V) -> Result<Bounded<'a, V>, E> {
        Ok(Bounded { inner: visitor, bound: self.bound.deeper()? })
    }

    fn several<V, E: Error>(&self, visitor: V, counted: bool) -> Result<Several<'a, V>, E> {
        Ok(Several { inner: visitor, bound: self.bound.deeper()?, counted })
    }
}

macro_rules! pass_on {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        })+
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    pass_on! {
        deserialize_any deserialize_ignored_any deserialize_identifier deserialize_unit deserialize_bool deserialize_char
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_f32 deserialize_f64 deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.one(visitor)?;
        self.inner.deserialize_option(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.one(visitor)?;
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.several(visitor, true)?;
        self.inner.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.several(visitor, true)?;
        self.inner.deserialize_map(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, D::Error> {
        let visitor = self.several(visitor, false)?;
        self.inner.deserialize_tuple(len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.several(visitor, false)?;
        self.inner.deserialize_tuple_struct(name, len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.several(visitor, false)?;
        self.inner.deserialize_struct(name, fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        let visitor = self.one(visitor)?;
        self.inner.deserialize_enum(name, variants, visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Of an option, a new type or an enum.
impl<'de, V: Visitor<'de>> Visitor<'de> for Bounded<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Bounded { inner, bound: self.bound })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Bounded { inner, bound: self.bound })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(Bounded { inner, bound: self.bound })
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Several<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Several { inner, bound: self.bound, counted: self.counted })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Several { inner, bound: self.bound, counted: self.counted })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Bounded<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Bounded { inner, bound: self.bound })
    }
}

impl<X> Several<'_, X> {
    /// Counts what has come.
    fn count<T, E: Error>(&self, came: Option<T>) -> Result<Option<T>, E> {
        if self.counted && came.is_some() {
            self.bound.longer()?;
        }
        Ok(came)
    }

    /// No more than could come.
    fn most(&self, said: Option<usize>) -> Option<usize> {
        said.map(|said| said.min(self.bound.left.get()))
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Several<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let came = self.inner.next_element_seed(Bounded { inner: seed, bound: self.bound })?;
        self.count(came)
    }

    fn size_hint(&self) -> Option<usize> {
        self.most(self.inner.size_hint())
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Several<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        let came = self.inner.next_key_seed(Bounded { inner: seed, bound: self.bound })?;
        self.count(came)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Bounded { inner: seed, bound: self.bound })
    }

    fn size_hint(&self) -> Option<usize> {
        self.most(self.inner.size_hint())
    }
}

impl<'de, 'a, A: EnumAccess<'de>> EnumAccess<'de> for Bounded<'a, A> {
    type Error = A::Error;
    type Variant = Bounded<'a, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let (value, inner) = self.inner.variant_seed(seed)?;
        Ok((value, Bounded { inner, bound: self.bound }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Bounded<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.newtype_variant_seed(Bounded { inner: seed, bound: self.bound })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        self.inner.tuple_variant(len, Several { inner: visitor, bound: self.bound, counted: false })
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.inner.struct_variant(fields, Several { inner: visitor, bound: self.bound, counted: false })
    }
}
