//! Writes a type that serde knows as a datum, straight into its bytes. Serde's types are Avro's as the library
//! `apache_avro` has them, so that either reads what the other wrote.

use std::fmt;

use apache_avro::Uuid;
use serde::ser::{
    self, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::cursor::{Flaw, Result};
use super::graph::{Field, Graph, Id, Kind, Logical};
use super::write::{bytes, extended, long};
use super::{json, write};

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

impl<'g> Ser<'g, '_> {
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

    fn fields(self, name: &str, fields: usize) -> Result<Fields<'g, Self>> {
        let _ = fields;
        let to = self.into(&format!("the struct {name}"), |kind| matches!(kind, Kind::Record { .. }))?;
        let Kind::Record { fields, .. } = to.kind() else { return Err(to.unfit(name)) };
        Ok(Fields { to, fields, next: 0, early: Vec::new() })
    }

    /// A tuple: a record's fields in order, or an array.
    fn tuple(self, len: usize) -> Result<Tuple<'g, Self>> {
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
                if len > 0 {
                    long(len as i64, to.out);
                }
                let items = *items;
                Tuple::Array(to, items)
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
    type SerializeTuple = Tuple<'g, Self>;
    type SerializeTupleStruct = Tuple<'g, Self>;
    type SerializeTupleVariant = Tuple<'g, Self>;
    type SerializeMap = Entries<'g, 'o>;
    type SerializeStruct = Fields<'g, Self>;
    type SerializeStructVariant = Fields<'g, Self>;

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
        let Kind::Array(items) = to.kind() else {
            return Ok(Items { raw: Some(Vec::new()), items: to.id, to, count: Counted::Known, at: 0 });
        };
        let items = *items;
        let count = Counted::begin(len, to.out);
        Ok(Items { to, items, count, at: 0, raw: None })
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
            _ => Ok(Entries::Record(to.fields("map", 0)?, String::new())),
        }
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct> {
        self.fields(name, len)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant> {
        self.variant(index, variant)?.fields(variant, len)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// How many items a block has: said before them, or each has a block of its own.
#[derive(Clone, Copy, PartialEq)]
enum Counted {
    Known,
    Each,
}

impl Counted {
    fn begin(len: Option<usize>, out: &mut Vec<u8>) -> Self {
        match len {
            Some(0) => Self::Known,
            Some(len) => {
                long(len as i64, out);
                Self::Known
            }
            None => Self::Each,
        }
    }

    fn one(self, out: &mut Vec<u8>) {
        if self == Self::Each {
            long(1, out);
        }
    }
}

/// The items of an array; or of a list of numbers that is bytes.
struct Items<'g, 'o> {
    to: Ser<'g, 'o>,
    items: Id,
    count: Counted,
    at: usize,
    raw: Option<Vec<u8>>,
}

impl SerializeSeq for Items<'_, '_> {
    type Ok = ();
    type Error = Box<Flaw>;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        if let Some(raw) = &mut self.raw {
            raw.push(value.serialize(Byte)?);
            return Ok(());
        }
        self.count.one(self.to.out);
        let at = self.at;
        self.at += 1;
        let within = |flaw: Box<Flaw>| flaw.within(format!("[{at}]"));
        write(self.to.graph, self.items, value, self.to.out).map_err(within)
    }

    fn end(self) -> Result<()> {
        match self.raw {
            Some(raw) => self.to.raw(&raw),
            None => {
                long(0, self.to.out);
                Ok(())
            }
        }
    }
}

/// A tuple's items.
enum Tuple<'g, S> {
    Record(S, &'g [Field], usize),
    Array(S, Id),
    One(S),
    Raw(S, Vec<u8>),
}

impl Tuple<'_, Ser<'_, '_>> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match self {
            Self::Record(to, fields, next) => {
                let Some(field) = fields.get(*next) else { return Err(to.unfit("a longer tuple")) };
                *next += 1;
                write(to.graph, field.node, value, to.out).map_err(|flaw| flaw.within(field.name.as_str()))
            }
            Self::Array(to, items) => write(to.graph, *items, value, to.out),
            Self::One(to) => write(to.graph, to.id, value, to.out),
            Self::Raw(_, raw) => {
                raw.push(value.serialize(Byte)?);
                Ok(())
            }
        }
    }

    fn ended(self) -> Result<()> {
        match self {
            Self::Array(to, _) => long(0, to.out),
            Self::Raw(to, raw) => return to.raw(&raw),
            Self::Record(..) | Self::One(_) => {}
        }
        Ok(())
    }
}

/// What serde calls by several names, and is the same to us.
macro_rules! parts {
    ($parts:ty: $($trait:ident::$method:ident($($name:ident)?) = $one:ident,)+) => {$(
        impl $trait for $parts {
            type Ok = ();
            type Error = Box<Flaw>;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Result<()> {
                self.$one($($name,)? value)
            }

            fn end(self) -> Result<()> {
                self.ended()
            }
        }
    )+};
}

parts! {
    Tuple<'_, Ser<'_, '_>>:
    SerializeTuple::serialize_element() = item,
    SerializeTupleStruct::serialize_field() = item,
    SerializeTupleVariant::serialize_field() = item,
}

parts! {
    Fields<'_, Ser<'_, '_>>:
    SerializeStruct::serialize_field(name) = field,
    SerializeStructVariant::serialize_field(name) = field,
}

/// The entries of a map, or of a record that comes as one.
enum Entries<'g, 'o> {
    Map { to: Ser<'g, 'o>, values: Id, count: Counted },
    Record(Fields<'g, Ser<'g, 'o>>, String),
}

impl SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Box<Flaw>;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        let text = key.serialize(Text)?;
        match self {
            Self::Map { to, count, .. } => {
                count.one(to.out);
                bytes(text.as_bytes(), to.out);
            }
            Self::Record(_, name) => *name = text,
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match self {
            Self::Map { to, values, .. } => write(to.graph, *values, value, to.out),
            Self::Record(fields, name) => fields.field(name, value),
        }
    }

    fn end(self) -> Result<()> {
        match self {
            Self::Map { to, .. } => {
                long(0, to.out);
                Ok(())
            }
            Self::Record(fields, _) => fields.ended(),
        }
    }
}

/// A record's fields: those that come before their turn are kept until it is theirs.
struct Fields<'g, S> {
    to: S,
    fields: &'g [Field],
    next: usize,
    early: Vec<(usize, Vec<u8>)>,
}

impl Fields<'_, Ser<'_, '_>> {
    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<()> {
        let within = |flaw: Box<Flaw>| flaw.within(name);
        let graph = self.to.graph;
        if let Some(field) = self.fields.get(self.next).filter(|field| field.name == name) {
            write(graph, field.node, value, self.to.out).map_err(within)?;
            self.next += 1;
            return Ok(());
        }
        self.put_early();
        let Some(at) = self.fields.iter().position(|field| field.name == name) else {
            return Err(Flaw::new("the schema has no such field").within(name));
        };
        if at < self.next {
            return Err(Flaw::new("the field comes twice").within(name));
        }
        let mut kept = Vec::new();
        write(graph, self.fields[at].node, value, &mut kept).map_err(within)?;
        self.early.push((at, kept));
        self.put_early();
        Ok(())
    }

    /// Puts those whose turn it is.
    fn put_early(&mut self) {
        while let Some(found) = self.early.iter().position(|(at, _)| *at == self.next) {
            let (_, kept) = self.early.swap_remove(found);
            self.to.out.extend_from_slice(&kept);
            self.next += 1;
        }
    }

    fn ended(mut self) -> Result<()> {
        loop {
            self.put_early();
            let Some(field) = self.fields.get(self.next) else { return Ok(()) };
            let within = |flaw: Box<Flaw>| flaw.within(field.name.as_str());
            let Some(default) = &field.default else {
                return Err(within(Flaw::new("the type doesn't have it, and it has no default")));
            };
            let graph = self.to.graph;
            let value = json::default(graph, field.node, default).map_err(within)?;
            write::value(graph, field.node, &value, self.to.out).map_err(within)?;
            self.next += 1;
        }
    }
}

/// Makes a serializer that takes one kind of value, and nothing else.
macro_rules! only {
    ($name:ident -> $ok:ty, $what:literal, { $($own:item)+ } $($method:ident($of:ty))+) => {
        /// Takes
        #[doc = $what]
        /// and nothing else.
        struct $name;

        impl Serializer for $name {
            type Ok = $ok;
            type Error = Box<Flaw>;
            type SerializeSeq = ser::Impossible<$ok, Box<Flaw>>;
            type SerializeTuple = ser::Impossible<$ok, Box<Flaw>>;
            type SerializeTupleStruct = ser::Impossible<$ok, Box<Flaw>>;
            type SerializeTupleVariant = ser::Impossible<$ok, Box<Flaw>>;
            type SerializeMap = ser::Impossible<$ok, Box<Flaw>>;
            type SerializeStruct = ser::Impossible<$ok, Box<Flaw>>;
            type SerializeStructVariant = ser::Impossible<$ok, Box<Flaw>>;

            $($own)+

            $(fn $method(self, _: $of) -> Result<$ok> { Err(Flaw::new(concat!("expected ", $what))) })+

            fn serialize_none(self) -> Result<$ok> { Err(Flaw::new(concat!("expected ", $what))) }
            fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<$ok> { value.serialize(self) }
            fn serialize_unit(self) -> Result<$ok> { Err(Flaw::new(concat!("expected ", $what))) }
            fn serialize_unit_struct(self, _: &'static str) -> Result<$ok> { Err(Flaw::new(concat!("expected ", $what))) }
            fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<$ok> {
                value.serialize(self)
            }
            fn serialize_newtype_variant<T: Serialize + ?Sized>(
                self, _: &'static str, _: u32, _: &'static str, _: &T,
            ) -> Result<$ok> {
                Err(Flaw::new(concat!("expected ", $what)))
            }
            fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq> {
                Err(Flaw::new(concat!("expected ", $what)))
            }
            fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple> {
                Err(Flaw::new(concat!("expected ", $what)))
            }
            fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct> {
                Err(Flaw::new(concat!("expected ", $what)))
            }
            fn serialize_tuple_variant(
                self, _: &'static str, _: u32, _: &'static str, _: usize,
            ) -> Result<Self::SerializeTupleVariant> {
                Err(Flaw::new(concat!("expected ", $what)))
            }
            fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap> {
                Err(Flaw::new(concat!("expected ", $what)))
            }
            fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct> {
                Err(Flaw::new(concat!("expected ", $what)))
            }
            fn serialize_struct_variant(
                self, _: &'static str, _: u32, _: &'static str, _: usize,
            ) -> Result<Self::SerializeStructVariant> {
                Err(Flaw::new(concat!("expected ", $what)))
            }
        }
    };
}

only! {
    Byte -> u8, "a number of 8 bits", {
    fn serialize_u8(self, of: u8) -> Result<u8> { Ok(of) }
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<u8> {
        Err(Flaw::new("expected a number of 8 bits"))
    }
    }
    serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_u16(u16)
    serialize_u32(u32) serialize_u64(u64) serialize_f32(f32) serialize_f64(f64) serialize_char(char) serialize_str(&str)
    serialize_bytes(&[u8])
}

only! {
    Text -> String, "a text, as the key of a map", {
    fn serialize_str(self, of: &str) -> Result<String> { Ok(of.to_owned()) }
    fn serialize_char(self, of: char) -> Result<String> { Ok(of.to_string()) }
    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<String> {
        Ok(variant.to_owned())
    }
    }
    serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_u8(u8)
    serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_f32(f32) serialize_f64(f64)
    serialize_bytes(&[u8])
}
