//! Reads a datum as a type that serde knows, straight from its bytes.

use std::fmt;

use apache_avro::Uuid;
use serde::de::value::{StrDeserializer, U32Deserializer};
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::cursor::{Cursor, Flaw, Result};
use super::graph::Logical;
use super::read::{skip_field, symbol};
use super::resolve::{Give, Plan, Read, Record, Step, StepId, Take};

/// How deep a default may lie within itself: it was checked when the schema was.
const DEFAULT_DEPTH: usize = 1024;

/// The value that stands at the cursor.
///
/// Where a record has exactly the fields of a type, in its order, the type is given them in order and without their
/// names. Few types, not derived, can't take them so. So what fails is tried once more with names, and what succeeds then
/// is always read with them.
pub(crate) fn read<T: DeserializeOwned>(plan: &Plan, from: &mut Cursor<'_>) -> Result<T> {
    if plan.gives_names() {
        return T::deserialize(De::new(plan, from));
    }
    let before = from.clone();
    T::deserialize(De::new(plan, from)).or_else(|_| {
        *from = before;
        plan.give_names(true);
        let read = T::deserialize(De::new(plan, from));
        plan.give_names(read.is_ok());
        read
    })
}

impl de::Error for Box<Flaw> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Flaw::new(message.to_string())
    }
}

struct De<'p, 'c, 'd> {
    plan: &'p Plan,
    step: &'p Step,
    from: &'c mut Cursor<'d>,
}

/// What serde is to be given bytes or texts as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    Whatever,
    Text,
    Bytes,
}

impl<'p, 'c, 'd> De<'p, 'c, 'd> {
    fn new(plan: &'p Plan, from: &'c mut Cursor<'d>) -> Self {
        De { plan, step: plan.step(plan.root), from }
    }

    /// Goes on with what a union holds, down to what is no union. Returns whether it is null.
    fn branch(&mut self) -> Result<Option<bool>> {
        let mut null = None;
        loop {
            match self.step {
                Step::Branches(branches) => {
                    let index = self.from.index(branches.len(), "a branch of a union")?;
                    self.step = self.plan.step(branches[index]);
                }
                Step::Branch { null: is_null, inner, .. } => {
                    null = Some(*is_null);
                    self.step = self.plan.step(*inner);
                }
                _ => return Ok(null),
            }
        }
    }

    fn inner(&mut self, step: StepId) -> De<'p, '_, 'd> {
        De { plan: self.plan, step: self.plan.step(step), from: &mut *self.from }
    }

    fn give<'de, V: Visitor<'de>>(mut self, visitor: V, wanted: As) -> Result<V::Value> {
        if let Step::Branches(_) | Step::Branch { .. } = self.step {
            self.branch()?;
        }
        match self.step {
            Step::Plain(read, give) => self.plain(*read, *give, visitor, wanted),
            Step::Fixed(size, give) => {
                let bytes = self.from.take(*size)?;
                match give {
                    Give::Logical(Logical::Uuid) if wanted == As::Text => as_uuid_text(bytes, visitor),
                    _ => visitor.visit_bytes(bytes),
                }
            }
            Step::Enum(symbols) => {
                let (_, symbol) = symbol(symbols, self.from)?;
                visitor.visit_str(symbol)
            }
            Step::Array(_) => self.items(visitor),
            Step::Map(_) | Step::Record(_) => self.entries(visitor),
            Step::Mismatch(why) => Err(self.from.flaw(why.clone())),
            // Gone through above.
            Step::Branches(_) | Step::Branch { .. } => Err(self.from.flaw("a union within a union")),
        }
    }

    fn plain<'de, V: Visitor<'de>>(self, read: Read, give: Give, visitor: V, wanted: As) -> Result<V::Value> {
        match (read, give) {
            (Read::Null, _) => visitor.visit_unit(),
            (Read::Boolean, _) => visitor.visit_bool(self.from.boolean()?),
            (Read::Int, Give::Float) => visitor.visit_f32(self.from.int()? as f32),
            (Read::Int, Give::Double) => visitor.visit_f64(f64::from(self.from.int()?)),
            (Read::Int, Give::Int | Give::Logical(Logical::Date | Logical::TimeMillis)) => {
                visitor.visit_i32(self.from.int()?)
            }
            (Read::Int, _) => visitor.visit_i64(i64::from(self.from.int()?)),
            (Read::Long, Give::Float) => visitor.visit_f32(self.from.long()? as f32),
            (Read::Long, Give::Double) => visitor.visit_f64(self.from.long()? as f64),
            (Read::Long, _) => visitor.visit_i64(self.from.long()?),
            (Read::Float, Give::Double) => visitor.visit_f64(f64::from(f32::from_le_bytes(self.from.array()?))),
            (Read::Float, _) => visitor.visit_f32(f32::from_le_bytes(self.from.array()?)),
            (Read::Double, _) => visitor.visit_f64(f64::from_le_bytes(self.from.array()?)),
            (Read::String, Give::Logical(Logical::Uuid)) if wanted == As::Bytes => {
                let text = self.from.text()?;
                match Uuid::parse_str(text) {
                    Ok(uuid) => visitor.visit_bytes(uuid.as_bytes()),
                    Err(_) => Err(self.from.flaw("expected a UUID, found another string")),
                }
            }
            (Read::String, Give::String | Give::Logical(Logical::Uuid)) => visitor.visit_str(self.from.text()?),
            (Read::Bytes, Give::String) => {
                let bytes = self.from.bytes()?;
                match std::str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_str(text),
                    Err(_) => Err(self.from.flaw("expected bytes that are UTF-8, to be read as a string")),
                }
            }
            (Read::Bytes, Give::Logical(Logical::Uuid)) if wanted == As::Text => {
                as_uuid_text(self.from.bytes()?, visitor)
            }
            (Read::Bytes | Read::String, _) => visitor.visit_bytes(self.from.bytes()?),
        }
    }

    /// An array, item by item.
    fn items<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let Self { plan, step, from } = self;
        let Step::Array(items) = step else { return Err(from.flaw("expected an array")) };
        from.enter()?;
        let mut blocks = Blocks { plan, step: plan.step(*items), from, left: 0, at: 0, ended: false };
        // How many there are is known before the first is asked for.
        blocks.has_next()?;
        let value = visitor.visit_seq(&mut blocks)?;
        blocks.all_taken()?;
        blocks.from.leave();
        Ok(value)
    }

    /// A map or a record, entry by entry.
    fn entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let Self { plan, step, from } = self;
        from.enter()?;
        let value = match step {
            Step::Map(values) => {
                let mut blocks =
                    Blocks { plan, step: plan.step(*values), from: &mut *from, left: 0, at: 0, ended: false };
                let value = visitor.visit_map(&mut blocks)?;
                blocks.all_taken()?;
                value
            }
            Step::Record(record) => {
                let mut fields = Fields { plan, record, from: &mut *from, next: 0, value: None };
                let value = visitor.visit_map(&mut fields)?;
                fields.all_taken()?;
                value
            }
            _ => return Err(from.flaw("expected a map or a record")),
        };
        from.leave();
        Ok(value)
    }

    /// A record as its fields in order, for tuples.
    fn fields<'de, V: Visitor<'de>>(self, record: &'p Record, visitor: V) -> Result<V::Value> {
        let Self { plan, from, .. } = self;
        if !record.in_order {
            return Err(from.flaw("a tuple is read of a record with exactly its fields, in order"));
        }
        from.enter()?;
        let mut fields = InOrder { plan, record, from, next: 0 };
        let value = visitor.visit_seq(&mut fields)?;
        if fields.next < record.takes.len() {
            return Err(fields.from.flaw(FEWER));
        }
        fields.from.leave();
        Ok(value)
    }

    fn fixed<const N: usize>(&mut self) -> Result<Option<[u8; N]>> {
        self.branch()?;
        match self.step {
            Step::Fixed(size, _) if *size == N => self.from.array().map(Some),
            _ => Ok(None),
        }
    }
}

fn as_uuid_text<'de, V: Visitor<'de>>(bytes: &[u8], visitor: V) -> Result<V::Value> {
    match Uuid::from_slice(bytes) {
        Ok(uuid) => visitor.visit_str(uuid.hyphenated().encode_lower(&mut [0; 36])),
        Err(_) => Err(Flaw::new(format!("expected a UUID of 16 bytes, found {}", bytes.len()))),
    }
}

macro_rules! whatever {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            self.give(visitor, As::Whatever)
        })+
    };
}

impl<'de> Deserializer<'de> for De<'_, '_, '_> {
    type Error = Box<Flaw>;

    whatever! {
        deserialize_any deserialize_i8 deserialize_i16 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_f32
        deserialize_unit deserialize_seq deserialize_map deserialize_ignored_any
    }

    // What most fields are is not looked for among all that it could be.

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Boolean, _) => visitor.visit_bool(self.from.boolean()?),
            _ => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Int, Give::Int) => visitor.visit_i32(self.from.int()?),
            _ => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Long, Give::Long | Give::Logical(_)) => visitor.visit_i64(self.from.long()?),
            _ => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Double, _) => visitor.visit_f64(f64::from_le_bytes(self.from.array()?)),
            _ => self.give(visitor, As::Whatever),
        }
    }

    /// The library writes it as a fixed of 8 bytes, since no number of Avro's holds all of them.
    fn deserialize_u64<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.fixed()? {
            Some(bytes) => visitor.visit_u64(u64::from_le_bytes(bytes)),
            None => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_u128<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.fixed()? {
            Some(bytes) => visitor.visit_u128(u128::from_le_bytes(bytes)),
            None => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_i128<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        match self.fixed()? {
            Some(bytes) => visitor.visit_i128(i128::from_le_bytes(bytes)),
            None => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.give(visitor, As::Text)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::String, Give::String) => visitor.visit_str(self.from.text()?),
            _ => self.give(visitor, As::Text),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::String, Give::String) => visitor.visit_str(self.from.text()?),
            _ => self.give(visitor, As::Text),
        }
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.give(visitor, As::Text)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.give(visitor, As::Bytes)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Bytes, Give::Bytes) => visitor.visit_bytes(self.from.bytes()?),
            _ => self.give(visitor, As::Bytes),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value> {
        // An option of an enum may stand for a union of null and its variants: those are still to be told apart.
        let null = match self.step {
            Step::Branches(branches) => {
                let index = self.from.index(branches.len(), "a branch of a union")?;
                self.step = self.plan.step(branches[index]);
                matches!(self.step, Step::Branch { null: true, .. } | Step::Plain(Read::Null, _))
            }
            step => matches!(step, Step::Branch { null: true, .. } | Step::Plain(Read::Null, _)),
        };
        if null { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(mut self, _: &'static str, visitor: V) -> Result<V::Value> {
        self.branch()?;
        match self.step {
            Step::Record(record) if record.names.is_empty() => {
                for take in &record.takes {
                    if let Take::Skip(node) = take {
                        skip_field(&self.plan.writer, *node, self.from)?;
                    }
                }
                visitor.visit_unit()
            }
            _ => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(mut self, name: &'static str, visitor: V) -> Result<V::Value> {
        self.branch()?;
        match self.step {
            Step::Record(record) if record.name == name && record.in_order && record.takes.len() == 1 => {
                match record.takes.first() {
                    Some(Take::Field(_, step)) => visitor.visit_newtype_struct(self.inner(*step)),
                    _ => visitor.visit_newtype_struct(self),
                }
            }
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value> {
        self.branch()?;
        match self.step {
            Step::Record(record) if record.names.len() == len => self.fields(record, visitor),
            Step::Array(_) => self.items(visitor),
            Step::Plain(Read::Null, _) if len == 0 => visitor.visit_unit(),
            Step::Plain(Read::Bytes | Read::String, _) | Step::Fixed(..) => self.give(visitor, As::Bytes),
            _ if len == 1 => visitor.visit_seq(One(Some(self))),
            _ => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(self, _: &'static str, len: usize, visitor: V) -> Result<V::Value> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        self.branch()?;
        match self.step {
            Step::Record(record) if record.is_like(fields) && !self.plan.gives_names() => self.fields(record, visitor),
            _ => self.give(visitor, As::Whatever),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if let Step::Branches(branches) = self.step {
            let index = self.from.index(branches.len(), "a branch of a union")?;
            self.step = self.plan.step(branches[index]);
        }
        match self.step {
            Step::Branch { inner, .. } if matches!(self.plan.step(*inner), Step::Enum(_)) => {
                self.step = self.plan.step(*inner);
                visitor.visit_enum(Symbol(self))
            }
            Step::Branch { .. } => visitor.visit_enum(Variant(self)),
            _ => visitor.visit_enum(Symbol(self)),
        }
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The one item of a tuple of one.
struct One<'p, 'c, 'd>(Option<De<'p, 'c, 'd>>);

impl<'de> SeqAccess<'de> for One<'_, '_, '_> {
    type Error = Box<Flaw>;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        self.0.take().map(|item| seed.deserialize(item)).transpose()
    }
}

/// The items of an array, or the entries of a map.
struct Blocks<'p, 'c, 'd> {
    plan: &'p Plan,
    step: &'p Step,
    from: &'c mut Cursor<'d>,
    /// How many are left of the block.
    left: usize,
    at: usize,
    ended: bool,
}

impl Blocks<'_, '_, '_> {
    #[inline]
    fn has_next(&mut self) -> Result<bool> {
        if self.left > 0 { Ok(true) } else { self.next_block() }
    }

    fn next_block(&mut self) -> Result<bool> {
        if !self.ended {
            (self.left, _) = self.from.block()?;
            self.ended = self.left == 0;
        }
        Ok(!self.ended)
    }

    fn all_taken(&mut self) -> Result<()> {
        match self.has_next()? {
            false => Ok(()),
            true => Err(self.from.flaw(format!("the type has room for {} items, and there are more", self.at))),
        }
    }

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

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>> {
        if self.has_next()? { self.item(seed).map(Some) } else { Ok(None) }
    }

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
struct Fields<'p, 'c, 'd> {
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

impl<'p> Fields<'p, '_, '_> {
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

    fn all_taken(&mut self) -> Result<()> {
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
struct InOrder<'p, 'c, 'd> {
    plan: &'p Plan,
    record: &'p Record,
    from: &'c mut Cursor<'d>,
    next: usize,
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

/// An enum's symbol as a variant without fields.
struct Symbol<'p, 'c, 'd>(De<'p, 'c, 'd>);

impl<'de> EnumAccess<'de> for Symbol<'_, '_, '_> {
    type Error = Box<Flaw>;
    type Variant = Self;

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
struct Variant<'p, 'c, 'd>(De<'p, 'c, 'd>);

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
