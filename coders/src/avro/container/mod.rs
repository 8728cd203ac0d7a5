//! [`Container`]: object container files, read and written.
//!
//! ```text
//! file    4F 62 6A 01, metadata (a map of bytes: avro.schema, avro.codec, …), sync marker (16 bytes), blocks
//! block   number of values (long), size in bytes (long), the values (compressed by the codec), sync marker
//! ```
//!
//! A block's values have neither lengths nor their schema with them. So a source of such a file finds where each ends by
//! passing over it by the file's schema, and gives it as a record that says which schema that is:
//!
//! ```text
//! record  C3 FF, the schema's identity (u64, little-endian), the value
//! ```
//!
//! That is the form of single-object encoding, with a marker of our own because the identity covers all of the schema
//! (CRC-64-AVRO of its JSON, keys sorted, no white space): two schemas with the same fingerprint may differ in a
//! decimal's scale. The schemas themselves are held by the [`Container`], which the decoder is given too.
//!
//! A position is the beginning of a block, and how many of its values are done. What can't be read within a block
//! (damaged data, a value that isn't what the schema says) is one refused record that stands for the rest of the block;
//! the next block is found by its place. What breaks between blocks breaks the file.

mod codec;
mod framer;
mod header;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;

use millstream_core::contracts::{CodeError, Framer, Framing, FramingError, Local, Writer};

pub use self::codec::Codec;
use self::framer::Reading;
use self::header::Header;
use self::writer::{Unwritable, Writing};
use super::Schema;
use super::schemas::Schemas;
use super::single::marked;

/// What a record of a container begins with.
pub(crate) const MARKER: [u8; 2] = [0xc3, 0xff];

/// How long what a record begins with is.
pub(crate) const PREFIX: usize = 10;

/// The most bytes of a block, as it is stored and as it is unpacked.
const BLOCK: usize = 64 << 20;

/// The most bytes of a record that is written, and of a block before the record that ends it: no codec refuses the two
/// together, as Snappy does from 4 GiB. And of a block that is read: places in a batch have 32 bits.
const LARGEST: usize = 1 << 30;

/// What a record of a value of this schema begins with.
pub(crate) fn prefix(schema: &Schema) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    prefix[..2].copy_from_slice(&MARKER);
    prefix[2..].copy_from_slice(&schema.identity().to_le_bytes());
    prefix
}

/// Object container files: a framing for sources and sinks, and what their coders know the files' schemas by.
///
/// ```
/// use millstream_coders::avro::{self, Codec, Container, Schema};
/// use millstream_core::contracts::Format;
///
/// // Read: each file says its schema. The same container is given to the source and to the coder.
/// let orders = Container::new();
/// let decoder = avro::values().container(&orders).decoder();
///
/// // Written: with this schema.
/// let order: Schema = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}"#.parse()?;
/// let out = Container::of(&order).codec(Codec::Zstandard);
/// let encoder = avro::values().container(&out).encoder();
/// # assert!(decoder.is_some() && encoder.is_some());
/// # Ok::<(), millstream_core::contracts::CodeError>(())
/// ```
#[derive(Clone)]
pub struct Container {
    schemas: Schemas,
    written: Option<Schema>,
    codec: Codec,
    block: usize,
    most: usize,
}

impl Default for Container {
    fn default() -> Self {
        Self { schemas: Schemas::default(), written: None, codec: Codec::Null, block: 64 << 10, most: BLOCK }
    }
}

impl Container {
    /// Files to be read, each by the schema that it begins with.
    pub fn new() -> Self {
        Self::default()
    }

    /// Files of values of this schema, to be written.
    pub fn of(schema: &Schema) -> Self {
        let container = Self { written: Some(schema.clone()), ..Self::default() };
        container.schemas.keep(schema);
        container
    }

    /// Makes this schema known by itself. Records go to other instances without the beginning of their file: where
    /// several instances share the work, each has to know the schemas that come.
    #[must_use]
    pub fn knowing(self, schema: &Schema) -> Self {
        self.schemas.keep(schema);
        self
    }

    /// How blocks are compressed when they are written; not at all by default.
    #[must_use]
    pub fn codec(self, codec: Codec) -> Self {
        Self { codec, ..self }
    }

    /// About how many bytes a block has when it is written, before it is compressed; 64 KiB by default. A commit ends a
    /// block early. Larger ones compress better; whoever reads holds one in memory. 1 GiB at most.
    #[must_use]
    pub fn block_bytes(self, bytes: usize) -> Self {
        Self { block: bytes.min(LARGEST), ..self }
    }

    /// The most bytes of a block that is read, as it is stored and as it is unpacked; 64 MiB by default, 1 GiB at most. A
    /// larger one is an error.
    #[must_use]
    pub fn most_block_bytes(self, bytes: usize) -> Self {
        Self { most: bytes.min(LARGEST), ..self }
    }

    pub(crate) fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    pub(crate) fn written(&self) -> Option<&Schema> {
        self.written.as_ref()
    }
}

impl Framing for Container {
    fn name(&self) -> String {
        let mut name = "avro container".to_owned();
        if let Some(schema) = &self.written {
            let (identity, codec, block) = (schema.identity(), self.codec.name(), self.block);
            name.push_str(&format!(" (schema {identity:016x}, {codec}, blocks of {block} bytes)"));
        }
        if self.most != BLOCK {
            name.push_str(&format!(" up to {} bytes a block", self.most));
        }
        name
    }

    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        Ok(Box::new(Reading::new(self.schemas.clone(), self.most, None, state.unwrap_or_default())?))
    }

    fn writer(&self) -> Box<dyn Writer> {
        match &self.written {
            Some(schema) => Box::new(Writing::new(schema, Header::new(schema, self.codec), self.block)),
            None => Box::new(Unwritable),
        }
    }

    fn head(&self, beginning: &[u8], at_end: bool) -> Result<Option<usize>, FramingError> {
        Ok(Header::read(beginning, at_end)?.map(|(_, len)| len))
    }

    fn framer_behind(&self, head: &[u8], state: &[u8]) -> Result<Box<dyn Framer>, FramingError> {
        let header = Header::read(head, true)?.map(|(header, _)| header);
        Ok(Box::new(Reading::new(self.schemas.clone(), self.most, header, state)?))
    }

    fn writer_behind(&self, head: &[u8]) -> Result<Box<dyn Writer>, FramingError> {
        let (Some(schema), Some((header, _))) = (&self.written, Header::read(head, true)?) else {
            return Ok(Box::new(Unwritable));
        };
        let codec = header.codec();
        if header.schema != *schema || codec != Some(self.codec) {
            let (found, codec) = (header.schema.shown(), &header.codec);
            let (expected, own) = (schema.shown(), self.codec.name());
            let message = format!(
                "expected a container of {expected} with the codec {own}, found one of {found} with {codec}: its schema \
                 or its codec is another"
            );
            return Err(FramingError { message, offset: 0 });
        }
        Ok(Box::new(Writing::new(schema, header, self.block)))
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Which schema a container's record says that it is of.
pub(crate) fn identity(record: &[u8]) -> Result<u64, CodeError> {
    marked(record, MARKER).ok_or_else(|| {
        let found = format!("{:02x?}", &record[..record.len().min(2)]);
        CodeError::new(format!(
            "expected a container's record, which begins with {MARKER:02x?}, found {found}: read the file with the \
             container that the coder was given"
        ))
        .at(Local::of(record, 0))
    })
}

#[cold]
pub(crate) fn unknown(identity: u64) -> CodeError {
    CodeError::new(format!(
        "the schema {identity:016x} that this record was written by is not known here: give the source and the coder \
         the same container, and, where several instances share the work, name the schema by `Container::knowing`"
    ))
}
