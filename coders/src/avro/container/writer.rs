//! [`Writing`]: puts values into a container's blocks.

use millstream_core::contracts::{Refused, Writer};

use super::header::Header;
use super::{Codec, LARGEST, MARKER, PREFIX, prefix};
use crate::avro::{Schema, write};

pub(super) struct Writing {
    header: Header,
    prefix: [u8; PREFIX],
    codec: Codec,
    /// How many bytes make a block.
    full: usize,
    /// The values of the block that has begun.
    block: Vec<u8>,
    count: i64,
    packed: Vec<u8>,
}

impl Writing {
    pub(super) fn new(schema: &Schema, header: Header, full: usize) -> Self {
        let codec = header.codec().unwrap_or_default();
        Self { header, prefix: prefix(schema), codec, full, block: Vec::new(), count: 0, packed: Vec::new() }
    }

    fn end_block(&mut self, out: &mut Vec<u8>) {
        if self.count == 0 {
            return;
        }
        self.packed.clear();
        self.codec.compress(&self.block, &mut self.packed);
        write::long(self.count, out);
        write::bytes(&self.packed, out);
        out.extend_from_slice(&self.header.sync);
        self.block.clear();
        self.count = 0;
    }
}

impl Writer for Writing {
    fn header(&mut self, out: &mut Vec<u8>) {
        self.header.write(out);
    }

    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        self.block.extend_from_slice(record.get(PREFIX..).unwrap_or_default());
        self.count += 1;
        if self.block.len() >= self.full {
            self.end_block(out);
        }
    }

    fn check(&self, record: &[u8]) -> Result<(), Refused> {
        if record.len() > LARGEST {
            let found = record.len();
            return Err(Refused(format!("expected a value of {LARGEST} bytes at most, found one of {found}")));
        }
        if record.starts_with(&self.prefix) {
            return Ok(());
        }
        let found = match record.starts_with(&MARKER) {
            true => "a value of another schema",
            false => "bytes that no container's coder made",
        };
        Err(Refused(format!(
            "expected a value of the container's schema ({}), found {found}: encode what goes into the file by \
             `container`, with the container that the sink is given",
            self.header.schema.shown()
        )))
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        self.end_block(out);
    }
}

/// What a container that was declared for reading alone writes: nothing.
pub(super) struct Unwritable;

impl Writer for Unwritable {
    fn record(&mut self, _: &[u8], _: &mut Vec<u8>) {}

    fn check(&self, _: &[u8]) -> Result<(), Refused> {
        Err(Refused("this container has no schema to write by: make it by `Container::of`".to_owned()))
    }
}
