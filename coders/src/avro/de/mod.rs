//! Reads a datum as a type that serde knows, straight from its bytes.
//!
//! ```text
//! parts.rs     items, entries and fields, one after the other
//! variants.rs  symbols and branches of unions as variants
//! ```

mod parts;
mod variants;

use std::fmt;

use apache_avro::Uuid;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};

use self::parts::{Blocks, Fields, InOrder, One};
use self::variants::{Symbol, Variant};
use super::cursor::{Cursor, Flaw, Result};
use super::graph::Logical;
use super::plan::{Give, Plan, Read, Record, Step, StepId, Take};
use super::read::{skip_field, symbol};

/// The value that stands at the cursor.
///
/// Where a record has exactly the fields of a type, in its order, the type is given them in order and without their
/// names. Few types, not derived, can't take them so. So what fails is tried once more with names, and what succeeds then
/// is always read with them.
#[inline]
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
    #[inline]
    fn items<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let Self { plan, step, from } = self;
        let Step::Array(items) = step else { return Err(from.flaw("expected an array")) };
        from.enter()?;
        let mut blocks = Blocks::new(plan, *items, &mut *from);
        // How many there are is known before the first is asked for.
        blocks.has_next()?;
        let value = visitor.visit_seq(&mut blocks)?;
        blocks.all_taken()?;
        from.leave();
        Ok(value)
    }

    /// A map or a record, entry by entry.
    fn entries<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let Self { plan, step, from } = self;
        from.enter()?;
        let value = match step {
            Step::Map(values) => {
                let mut blocks = Blocks::new(plan, *values, &mut *from);
                let value = visitor.visit_map(&mut blocks)?;
                blocks.all_taken()?;
                value
            }
            Step::Record(record) => {
                let mut fields = Fields::new(plan, record, &mut *from);
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
    #[inline]
    fn fields<'de, V: Visitor<'de>>(self, record: &'p Record, visitor: V) -> Result<V::Value> {
        let Self { plan, from, .. } = self;
        if !record.in_order {
            return Err(from.flaw("a tuple is read of a record with exactly its fields, in order"));
        }
        from.enter()?;
        let mut fields = InOrder::new(plan, record, &mut *from);
        let value = visitor.visit_seq(&mut fields)?;
        fields.all_taken()?;
        from.leave();
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
        deserialize_unit deserialize_map deserialize_ignored_any
    }

    // What most fields are is not looked for among all that it could be.

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Boolean, _) => visitor.visit_bool(self.from.boolean()?),
            _ => self.give(visitor, As::Whatever),
        }
    }

    #[inline]
    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Int, Give::Int) => visitor.visit_i32(self.from.int()?),
            _ => self.give(visitor, As::Whatever),
        }
    }

    #[inline]
    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Long, Give::Long | Give::Logical(_)) => visitor.visit_i64(self.from.long()?),
            _ => self.give(visitor, As::Whatever),
        }
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Double, _) => visitor.visit_f64(f64::from_le_bytes(self.from.array()?)),
            _ => self.give(visitor, As::Whatever),
        }
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Array(_) => self.items(visitor),
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

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::String, Give::String) => visitor.visit_str(self.from.text()?),
            _ => self.give(visitor, As::Text),
        }
    }

    #[inline]
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

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.step {
            Step::Plain(Read::Bytes, Give::Bytes) => visitor.visit_bytes(self.from.bytes()?),
            _ => self.give(visitor, As::Bytes),
        }
    }

    #[inline]
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
                let Some(Take::Field(_, step)) = record.takes.first() else {
                    return visitor.visit_newtype_struct(self);
                };
                self.from.enter()?;
                let value = visitor.visit_newtype_struct(self.inner(*step))?;
                self.from.leave();
                Ok(value)
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

    #[inline]
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

    #[inline]
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
