//! What takes one kind of value and nothing else.

use serde::ser::{self, Serialize, Serializer};

use crate::avro::cursor::{Flaw, Result};

/// Makes a serializer that takes one kind of value, and nothing else.
macro_rules! only {
    ($name:ident -> $ok:ty, $what:literal, { $($own:item)+ } $($method:ident($of:ty))+) => {
        /// Takes
        #[doc = $what]
        /// and nothing else.
        pub(super) struct $name;

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
