//! Writes a type that serde knows as a datum, straight into its bytes. Serde's types are Avro's as the library
//! `apache_avro` has them, so that either reads what the other wrote.
//!
//! ```text
//! parts.rs  items, entries and fields, one after the other
//! only.rs   what takes one kind of value: the bytes of a list, the key of a map
//! ```

mod only;
mod parts;

use std::fmt;

use apache_avro::Uuid;
use serde::ser::{self, Serialize, Serializer};

use self::parts::{Counted, Entries, Fields, Items, Tuple};
use super::cursor::{Flaw, Result};
use super::graph::{Graph, Id, Kind, Logical};
use super::write::{bytes, extended, long};

/// Adds what stands for `value`, of the type `id`, to `out`.
pub(crate) fn write<T: Serialize + ?Sized>(graph: &Graph, id: Id, value: &T, out: &mut Vec<u8>) -> Result<()> {
    value.serialize(Ser { graph, id, out })
}

impl ser::Error for Box<Flaw> {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Flaw::new(message.to_string())
    }
}

struct Ser<'g, 'o> {
    graph: &'g Graph,
    id: Id,
    out: &'o mut Vec<u8>,
}

impl<'g, 'o> Ser<'g, 'o> {
    fn kind(&self) -> &'g Kind {
        self.graph.kind(self.id)
    }

    #[cold]
    fn unfit(&self, what: &str) -> Box<Flaw> {
        Flaw::new(format!("expected {}, found {what}", self.graph.shown(self.id)))
    }

    /// Goes into the first branch of a union that is one of these; stays where it is if there is no union.
    fn into(mut self, what: &str, is: impl Fn(&Kind) -> bool) -> Result<Self> {
        if let Kind::Union(branches) = self.kind() {
            let Some(at) = branches.iter().position(|&branch| is(self.graph.kind(branch))) else {
                return Err(self.unfit(what));
            };
            long(at as i64, self.out);
            self.id = branches[at];
        }
        if is(self.kind()) { Ok(self) } else { Err(self.unfit(what)) }
    }

    /// Goes into a branch by its number, as which a variant of an enum stands.
    fn variant(mut self, index: u32, name: &str) -> Result<Self> {
        let Kind::Union(branches) = self.kind() else { return Err(self.unfit(&format!("the variant {name}"))) };
        let Some(&branch) = branches.get(index as usize) else {
            return Err(self.unfit(&format!("the variant {name}, number {index}")));
        };
        long(i64::from(index), self.out);
        self.id = branch;
        Ok(self)
    }

    fn int(self, number: i64) -> Result<()> {
        let narrow = i32::try_from(number).is_ok();
        let to = self.into("an integer", |kind| matches!(kind, Kind::Int if narrow) || matches!(kind, Kind::Long))?;
        long(number, to.out);
        Ok(())
    }

    /// An integer that Avro has no type for that holds all of it: a fixed, or a long if it fits.
    fn wide(self, number: Option<i64>, whole: &[u8]) -> Result<()> {
        let is_whole = |kind: &Kind| matches!(kind, Kind::Fixed { size, .. } if *size == whole.len());
        match (self.kind(), number) {
            (kind, _) if is_whole(kind) => {
                self.out.extend_from_slice(whole);
                Ok(())
            }
            (_, Some(number)) => self.int(number),
            _ => Err(self.unfit("an integer of more than 64 bits")),
        }
    }

    fn fields(self, name: &str) -> Result<Fields<'g, 'o>> {
        let to = self.into(&format!("the struct {name}"), |kind| matches!(kind, Kind::Record { .. }))?;
        match to.kind() {
            Kind::Record { fields, .. } => Ok(Fields::new(to, fields)),
            _ => Err(to.unfit(name)),
        }
    }

    /// A tuple: a record's fields in order, or an array.
    fn tuple(self, len: usize) -> Result<Tuple<'g, 'o>> {
        let is = |kind: &Kind| {
            matches!(kind, Kind::Record { fields, .. } if fields.len() == len) || matches!(kind, Kind::Array(_))
        };
        if matches!(self.kind(), Kind::Fixed { size, .. } if *size == len) {
            return Ok(Tuple::Raw(self, Vec::with_capacity(len)));
        }
        if len == 1 && !is(self.kind()) && !matches!(self.kind(), Kind::Union(_)) {
            return Ok(Tuple::One(self));
        }
        let to = self.into("a tuple", is)?;
        Ok(match to.kind() {
            Kind::Array(items) => {
                let (items, count) = (*items, Counted::begin(Some(len), to.out));
                Tuple::Array(to, items, count)
            }
            Kind::Record { fields, .. } => Tuple::Record(to, fields, 0),
            _ => Tuple::One(to),
        })
    }

    fn raw(self, of: &[u8]) -> Result<()> {
        let decimal = |id: Id| matches!(self.graph.node(id).logical, Logical::Decimal { .. });
        let fits = |id: Id| match self.graph.kind(id) {
            Kind::Bytes => true,
            Kind::Fixed { size, .. } => *size == of.len() || (decimal(id) && extended(of, *size).is_some()),
            Kind::String => self.graph.node(id).logical == Logical::Uuid && of.len() == 16,
            _ => false,
        };
        let mut id = self.id;
        if let Kind::Union(branches) = self.kind() {
            let Some(at) = branches.iter().position(|&branch| fits(branch)) else { return Err(self.unfit("bytes")) };
            long(at as i64, self.out);
            id = branches[at];
        }
        match self.graph.kind(id) {
            _ if !fits(id) => Err(self.unfit(&format!("{} bytes", of.len()))),
            Kind::Fixed { size, .. } if *size != of.len() => {
                self.out.extend_from_slice(&extended(of, *size).unwrap_or_default());
                Ok(())
            }
            Kind::Fixed { .. } => {
                self.out.extend_from_slice(of);
                Ok(())
            }
            Kind::String => {
                let uuid = Uuid::from_slice(of).map_err(|_| self.unfit("bytes"))?;
                bytes(uuid.hyphenated().to_string().as_bytes(), self.out);
                Ok(())
            }
            _ => {
                bytes(of, self.out);
                Ok(())
            }
        }
    }
}

impl<'g, 'o> Serializer for Ser<'g, 'o> {
    type Ok = ();
    type Error = Box<Flaw>;
    type SerializeSeq = Items<'g, 'o>;
    type SerializeTuple = Tuple<'g, 'o>;
    type SerializeTupleStruct = Tuple<'g, 'o>;
    type SerializeTupleVariant = Tuple<'g, 'o>;
    type SerializeMap = Entries<'g, 'o>;
    type SerializeStruct = Fields<'g, 'o>;
    type SerializeStructVariant = Fields<'g, 'o>;

    fn serialize_bool(self, of: bool) -> Result<()> {
        let to = self.into("a boolean", |kind| matches!(kind, Kind::Boolean))?;
        to.out.push(u8::from(of));
        Ok(())
    }

    fn serialize_i8(self, of: i8) -> Result<()> {
        self.int(of.into())
    }

    fn serialize_i16(self, of: i16) -> Result<()> {
        self.int(of.into())
    }

    fn serialize_i32(self, of: i32) -> Result<()> {
        self.int(of.into())
    }

    fn serialize_i64(self, of: i64) -> Result<()> {
        let to = self.into("an integer of 64 bits", |kind| matches!(kind, Kind::Long))?;
        long(of, to.out);
        Ok(())
    }

    fn serialize_u8(self, of: u8) -> Result<()> {
        self.int(of.into())
    }

    fn serialize_u16(self, of: u16) -> Result<()> {
        self.int(of.into())
    }

    fn serialize_u32(self, of: u32) -> Result<()> {
        self.serialize_i64(of.into())
    }

    fn serialize_u64(self, of: u64) -> Result<()> {
        self.wide(i64::try_from(of).ok(), &of.to_le_bytes())
    }

    fn serialize_i128(self, of: i128) -> Result<()> {
        self.wide(i64::try_from(of).ok(), &of.to_le_bytes())
    }

    fn serialize_u128(self, of: u128) -> Result<()> {
        self.wide(i64::try_from(of).ok(), &of.to_le_bytes())
    }

    fn serialize_f32(self, of: f32) -> Result<()> {
        let to = self.into("a float", |kind| matches!(kind, Kind::Float))?;
        to.out.extend_from_slice(&of.to_le_bytes());
        Ok(())
    }

    fn serialize_f64(self, of: f64) -> Result<()> {
        let to = self.into("a double", |kind| matches!(kind, Kind::Double))?;
        to.out.extend_from_slice(&of.to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, of: char) -> Result<()> {
        self.serialize_str(of.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, of: &str) -> Result<()> {
        let symbol =
            |kind: &Kind| matches!(kind, Kind::Enum { symbols, .. } if symbols.iter().any(|other| other == of));
        let to = self.into("a text", |kind| matches!(kind, Kind::String) || symbol(kind))?;
        match to.kind() {
            Kind::Enum { symbols, .. } => {
                long(symbols.iter().position(|other| other == of).unwrap_or_default() as i64, to.out);
            }
            _ => bytes(of.as_bytes(), to.out),
        }
        Ok(())
    }

    fn serialize_bytes(self, of: &[u8]) -> Result<()> {
        self.raw(of)
    }

    fn serialize_none(self) -> Result<()> {
        self.into("no value", |kind| matches!(kind, Kind::Null)).map(drop)
    }

    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<()> {
        if let Kind::Union(branches) = self.kind()
            && let [one, other] = branches[..]
        {
            // The one that isn't null, whatever the value is: what lies in it may be a union's variant itself.
            let at = usize::from(matches!(self.graph.kind(one), Kind::Null));
            if at == 1 || matches!(self.graph.kind(other), Kind::Null) {
                long(at as i64, self.out);
                self.id = branches[at];
            }
        }
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<()> {
        self.serialize_none()
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<()> {
        let empty = |kind: &Kind| matches!(kind, Kind::Record { fields, .. } if fields.is_empty());
        self.into(name, |kind| empty(kind) || matches!(kind, Kind::Null)).map(drop)
    }

    fn serialize_unit_variant(self, _: &'static str, index: u32, variant: &'static str) -> Result<()> {
        let symbol = |kind: &Kind| match kind {
            Kind::Enum { symbols, .. } => symbols.iter().position(|other| other == variant),
            _ => None,
        };
        if let Kind::Union(branches) = self.kind()
            && !branches.iter().any(|&branch| symbol(self.graph.kind(branch)).is_some())
        {
            let to = self.variant(index, variant)?;
            return match to.kind() {
                Kind::Null => Ok(()),
                Kind::Record { fields, .. } if fields.is_empty() => Ok(()),
                _ => Err(to.unfit(&format!("the variant {variant}"))),
            };
        }
        if matches!(self.kind(), Kind::String) {
            return self.serialize_str(variant);
        }
        let to = self.into(&format!("the symbol {variant}"), |kind| symbol(kind).is_some())?;
        long(symbol(to.kind()).unwrap_or_default() as i64, to.out);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(mut self, name: &'static str, value: &T) -> Result<()> {
        if let Kind::Record { name: called, fields } = self.kind()
            && let [field] = &fields[..]
            && called.short() == name
        {
            self.id = field.node;
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<()> {
        value.serialize(self.variant(index, variant)?)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Items<'g, 'o>> {
        let to = self.into("a list", |kind| matches!(kind, Kind::Array(_) | Kind::Bytes | Kind::Fixed { .. }))?;
        let Kind::Array(items) = to.kind() else { return Ok(Items::Raw(to, Vec::new())) };
        let (items, count) = (*items, Counted::begin(len, to.out));
        Ok(Items::Array { to, items, count, at: 0 })
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple> {
        self.tuple(len)
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Self::SerializeTupleStruct> {
        self.tuple(len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant> {
        self.variant(index, variant)?.tuple(len)
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Entries<'g, 'o>> {
        let to = self.into("a map", |kind| matches!(kind, Kind::Map(_) | Kind::Record { .. }))?;
        match to.kind() {
            Kind::Map(values) => {
                let values = *values;
                let count = Counted::begin(len, to.out);
                Ok(Entries::Map { to, values, count })
            }
            // What is flattened comes as a map.
            _ => Ok(Entries::Record(to.fields("map")?, String::new())),
        }
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self::SerializeStruct> {
        self.fields(name)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant> {
        self.variant(index, variant)?.fields(variant)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
