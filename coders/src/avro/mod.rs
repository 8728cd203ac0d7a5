//! Avro: object container files, single objects, bare values and JSON, as generic values or types of one's own, read by
//! the schema that they were written by or as another one says.
//!
//! ```text
//! schema.rs     schemas as users have them                 on apache_avro's parser
//! raw.rs        their JSON, whole and bounded before the parser gets it
//! defaults.rs   the defaults of their fields
//! graph.rs      a schema as numbered nodes
//! canonical.rs  the canonical form of schemas
//! plan.rs       how bytes of one schema are read as another: a plan of steps
//! resolve.rs    makes such plans
//! cursor.rs     the pieces of the binary encoding, bounded
//! value.rs      generic values, with their schema
//! model.rs      what bytes are read as: generic values, or types of one's own
//! read.rs       a plan and bytes -> a generic value; passing over
//! de/           a plan and bytes -> a type that serde knows
//! write.rs      a generic value -> bytes
//! ser/          a type that serde knows -> bytes
//! json/         Avro's JSON encoding, both ways
//! single.rs     single-object encoding
//! container/    object container files                     a framing
//! registry/     records that name a schema of a registry   (feature registry)
//! format.rs     all of these as coders
//! schemas.rs    the schemas that a pipeline has met
//! kept.rs       what is made once for many records, found without a lock
//! wire.rs       generic values between instances           coders for network stages alone
//! ```
//!
//! Schemas, their fingerprints and the generic values are those of the library `apache_avro`.
//! Bytes are read by code of our own: the library's reads a value by its writer's schema alone, knows no aliases, takes
//! data that are cut off for nulls, and goes as deep as they say. They are written by code of our own too, which resolves
//! a schema once and not for each record.

mod canonical;
mod container;
mod cursor;
mod de;
mod defaults;
mod format;
mod graph;
mod json;
mod kept;
mod model;
mod plan;
mod raw;
mod read;
#[cfg(feature = "registry")]
mod registry;
mod resolve;
mod schema;
mod schemas;
mod ser;
mod single;
mod value;
mod wire;
mod write;

#[cfg(test)]
mod tests;

/// The coders that every pipeline has: those of generic values for network stages. In which form Avro comes and goes is
/// always said.
pub(crate) fn coders() -> Vec<millstream_core::contracts::Coder> {
    wire::coders()
}

pub use apache_avro::types;

pub use self::container::{Codec, Container};
pub use self::format::{Avro, Choice, Writes, of, values};
pub use self::model::{Generic, Model, Specific};
#[cfg(feature = "registry")]
pub use self::registry::{Registered, Registry, Subject};
pub use self::schema::Schema;
pub use self::value::Value;
