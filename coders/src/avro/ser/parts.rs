//! Items, entries and fields, one after the other. How many there are stands before them: a type that says so and has
//! others is an error, or what lies behind them would be read as something else.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::only::{Byte, Text};
use super::{Ser, write};
use crate::avro::cursor::{Flaw, Result};
use crate::avro::defaults;
use crate::avro::graph::{Field, Id};
use crate::avro::json::Budget;
use crate::avro::write::{bytes, long};

/// How many items a block has: said before them, so many to come, or each has a block of its own.
#[derive(Clone, Copy)]
pub(super) enum Counted {
    Known(usize),
    Each,
}

impl Counted {
    pub(super) fn begin(len: Option<usize>, out: &mut Vec<u8>) -> Self {
        match len {
            Some(len) => {
                if len > 0 {
                    long(len as i64, out);
                }
                Self::Known(len)
            }
            None => Self::Each,
        }
    }

    /// One more comes.
    fn one(&mut self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Known(0) => return Err(Flaw::new("the type has more items than it says")),
            Self::Known(left) => *left -= 1,
            Self::Each => long(1, out),
        }
        Ok(())
    }

    /// There are no more.
    fn end(self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Known(left @ 1..) => Err(Flaw::new(format!("the type has {left} items fewer than it says"))),
            _ => {
                long(0, out);
                Ok(())
            }
        }
    }
}

/// The items of an array; or of a list of numbers that is bytes.
pub(super) enum Items<'g, 'o> {
    Array { to: Ser<'g, 'o>, items: Id, count: Counted, at: usize },
    Raw(Ser<'g, 'o>, Vec<u8>),
}

impl SerializeSeq for Items<'_, '_> {
    type Ok = ();
    type Error = Box<Flaw>;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match self {
            Self::Array { to, items, count, at } => {
                count.one(to.out)?;
                *at += 1;
                write(to.graph, *items, value, to.out).map_err(|flaw| flaw.within(format!("[{}]", *at - 1)))
            }
            Self::Raw(_, raw) => {
                raw.push(value.serialize(Byte)?);
                Ok(())
            }
        }
    }

    fn end(self) -> Result<()> {
        match self {
            Self::Array { to, count, .. } => count.end(to.out),
            Self::Raw(to, raw) => to.raw(&raw),
        }
    }
}

/// A tuple's items.
pub(super) enum Tuple<'g, 'o> {
    Record(Ser<'g, 'o>, &'g [Field], usize),
    Array(Ser<'g, 'o>, Id, Counted),
    One(Ser<'g, 'o>),
    Raw(Ser<'g, 'o>, Vec<u8>),
}

impl Tuple<'_, '_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        match self {
            Self::Record(to, fields, next) => {
                let Some(field) = fields.get(*next) else { return Err(to.unfit("a longer tuple")) };
                *next += 1;
                write(to.graph, field.node, value, to.out).map_err(|flaw| flaw.within(field.name.as_str()))
            }
            Self::Array(to, items, count) => {
                count.one(to.out)?;
                write(to.graph, *items, value, to.out)
            }
            Self::One(to) => write(to.graph, to.id, value, to.out),
            Self::Raw(_, raw) => {
                raw.push(value.serialize(Byte)?);
                Ok(())
            }
        }
    }

    fn ended(self) -> Result<()> {
        match self {
            Self::Array(to, _, count) => count.end(to.out),
            Self::Raw(to, raw) => to.raw(&raw),
            Self::Record(to, fields, next) if next < fields.len() => Err(to.unfit("a shorter tuple")),
            Self::Record(..) | Self::One(_) => Ok(()),
        }
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
    Tuple<'_, '_>:
    SerializeTuple::serialize_element() = item,
    SerializeTupleStruct::serialize_field() = item,
    SerializeTupleVariant::serialize_field() = item,
}

parts! {
    Fields<'_, '_>:
    SerializeStruct::serialize_field(name) = field,
    SerializeStructVariant::serialize_field(name) = field,
}

/// The entries of a map, or of a record that comes as one.
pub(super) enum Entries<'g, 'o> {
    Map { to: Ser<'g, 'o>, values: Id, count: Counted },
    Record(Fields<'g, 'o>, String),
}

impl SerializeMap for Entries<'_, '_> {
    type Ok = ();
    type Error = Box<Flaw>;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        let text = key.serialize(Text)?;
        match self {
            Self::Map { to, count, .. } => {
                count.one(to.out)?;
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
            Self::Map { to, count, .. } => count.end(to.out),
            Self::Record(fields, _) => fields.ended(),
        }
    }
}

/// A record's fields: those that come before their turn are kept until it is theirs.
pub(super) struct Fields<'g, 'o> {
    to: Ser<'g, 'o>,
    fields: &'g [Field],
    next: usize,
    early: Vec<(usize, Vec<u8>)>,
}

impl<'g, 'o> Fields<'g, 'o> {
    pub(super) fn new(to: Ser<'g, 'o>, fields: &'g [Field]) -> Self {
        Self { to, fields, next: 0, early: Vec::new() }
    }

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
            let left = Budget::of(defaults::PLANNED);
            defaults::write(self.to.graph, field.node, default, &left, self.to.out).map_err(within)?;
            self.next += 1;
        }
    }
}
