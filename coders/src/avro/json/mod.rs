//! Avro's JSON encoding, both ways. The defaults of schemas are JSON too.
//!
//! ```text
//! null, boolean, int, long, string    as JSON has them
//! float, double                       numbers; "NaN", "Infinity", "-Infinity"
//! bytes, fixed                        a string with a character from U+0000 to U+00FF for each byte
//! enum                                the symbol, a string
//! array                               an array
//! map, record                         an object
//! union                               null as null; any other branch as {"its name": value}
//! ```
//!
//! A logical type is encoded as what it is of: a date as a number of days, a decimal as the string of its bytes. In a
//! schema's default a value of a union stands without its branch's name.
//!
//! Plain JSON is only written: a value of a union stands without its branch's name there, and a decimal is a string of its
//! digits.

mod decode;
mod encode;

pub(super) use self::decode::{Budget, Decode, decode};
pub(super) use self::encode::{Style, encode};
