//! [`Header`]: what an object container file begins with.

use std::hash::{BuildHasher, RandomState};

use millstream_core::contracts::FramingError;

use super::Codec;
use crate::avro::cursor::{Cursor, Flaw};
use crate::avro::raw::MOST;
use crate::avro::{Schema, write};

const MAGIC: &[u8; 4] = b"Obj\x01";

/// How long a sync marker is.
pub(super) const SYNC: usize = 16;

/// How many entries the metadata may have.
const ENTRIES: usize = 1024;

/// What an object container file begins with.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) schema: Schema,
    /// The codec's name, one that is known or not.
    pub(super) codec: String,
    pub(super) sync: [u8; SYNC],
}

/// What the beginning of a file comes to.
enum Beginning {
    Whole(Header, usize),
    /// There has to be more of it.
    Cut(Box<Flaw>),
}

impl Header {
    /// Of a new file.
    pub(super) fn new(schema: &Schema, codec: Codec) -> Self {
        let mut sync = [0; SYNC];
        sync[..8].copy_from_slice(&RandomState::new().hash_one(1).to_le_bytes());
        sync[8..].copy_from_slice(&RandomState::new().hash_one(2).to_le_bytes());
        Self { schema: schema.clone(), codec: codec.name().to_owned(), sync }
    }

    /// The codec, if it is one that is known here.
    pub(super) fn codec(&self) -> Option<Codec> {
        Codec::named(&self.codec)
    }

    /// Adds it to `out`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        write::long(2, out);
        for (key, value) in [("avro.schema", self.schema.text()), ("avro.codec", &self.codec)] {
            write::bytes(key.as_bytes(), out);
            write::bytes(value.as_bytes(), out);
        }
        write::long(0, out);
        out.extend_from_slice(&self.sync);
    }

    /// The header that a file begins with, and its length; `None` if more of the file has to be seen.
    pub(super) fn read(data: &[u8], at_end: bool) -> Result<Option<(Self, usize)>, FramingError> {
        match beginning(data).map_err(|flaw| broken(&flaw))? {
            Beginning::Whole(header, len) => Ok(Some((header, len))),
            Beginning::Cut(_) if !at_end && data.len() <= 2 * MOST => Ok(None),
            Beginning::Cut(_) if !at_end => {
                Err(broken(&Flaw::new(format!("expected a header of {} bytes at most, found a longer one", 2 * MOST))))
            }
            Beginning::Cut(flaw) => Err(broken(&flaw)),
        }
    }
}

fn broken(flaw: &Flaw) -> FramingError {
    FramingError { message: format!("expected an Avro object container file: {flaw}"), offset: 0 }
}

fn beginning(data: &[u8]) -> Result<Beginning, Box<Flaw>> {
    let seen = data.len().min(MAGIC.len());
    if data[..seen] != MAGIC[..seen] {
        let found = format!("{:02x?}", &data[..seen]);
        return Err(Flaw::new(format!("expected it to begin with {MAGIC:02x?}, found {found}")));
    }
    let mut from = Cursor::new(data, 1);
    let (mut schema, mut codec, mut entries) = (None, None, 0);
    // What can't be read may be cut off; what is read and wrong is wrong.
    macro_rules! or_cut {
        ($read:expr) => {
            match $read {
                Ok(read) => read,
                Err(flaw) => return Ok(Beginning::Cut(flaw)),
            }
        };
    }
    or_cut!(from.take(MAGIC.len()));
    loop {
        let (count, _) = or_cut!(from.block());
        if count == 0 {
            break;
        }
        for _ in 0..count {
            let key = or_cut!(from.bytes());
            let value = or_cut!(from.bytes());
            match key {
                b"avro.schema" => schema = Some(value),
                b"avro.codec" => codec = Some(value),
                _ => {}
            }
            entries += 1;
            if entries > ENTRIES {
                return Err(Flaw::new(format!("expected {ENTRIES} entries of metadata at most, found more")));
            }
        }
    }
    let sync = or_cut!(from.array());
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Flaw::new(TEXT));
    let Some(schema) = schema else { return Err(Flaw::new("expected metadata with `avro.schema`, found none")) };
    let schema = Schema::parse(&text(schema)?).map_err(|error| Flaw::new(error.to_string()))?;
    let codec = codec.map_or(Ok("null".to_owned()), text)?;
    Ok(Beginning::Whole(Header { schema, codec, sync }, from.at()))
}

const TEXT: &str = "expected metadata in UTF-8, found other bytes";
