//! [`Codec`]: how a container's blocks are compressed.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::avro::cursor::{Flaw, Result};

/// How a container's blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Not at all.
    #[default]
    Null,
    /// DEFLATE (RFC 1951), level 6.
    Deflate,
    /// Snappy, with a CRC-32 behind each block.
    Snappy,
    /// Zstandard, level 3.
    Zstandard,
}

impl Codec {
    const ALL: [Self; 4] = [Self::Null, Self::Deflate, Self::Snappy, Self::Zstandard];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Deflate => "deflate",
            Self::Snappy => "snappy",
            Self::Zstandard => "zstandard",
        }
    }

    /// The codec of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name() == name)
    }

    /// Puts what `data` is compressed to behind `out`.
    pub(super) fn compress(self, data: &[u8], out: &mut Vec<u8>) {
        let packed = match self {
            Self::Null => {
                out.extend_from_slice(data);
                Ok(())
            }
            Self::Deflate => {
                let mut encoder = DeflateEncoder::new(&mut *out, Compression::default());
                encoder.write_all(data).and_then(|()| encoder.finish().map(drop))
            }
            Self::Snappy => snap::raw::Encoder::new().compress_vec(data).map_err(Into::into).map(|packed| {
                out.extend_from_slice(&packed);
                out.extend_from_slice(&crc32fast::hash(data).to_be_bytes());
            }),
            Self::Zstandard => zstd::bulk::compress(data, 3).map(|packed| out.extend_from_slice(&packed)),
        };
        // A block that is not whole must never be written: its records would count as delivered.
        packed.expect("writing to memory doesn't fail, and no codec refuses a block of `LARGEST` and one record");
    }

    /// What `data` was before it was compressed, `most` bytes at most.
    pub(super) fn decompress(self, data: &[u8], most: usize) -> Result<Vec<u8>> {
        let too_large =
            || Flaw::new(format!("it unpacks to more than {most} bytes: raise the limit on a block if it is meant"));
        let damaged = |error: &dyn std::fmt::Display| {
            Flaw::new(format!("it is no {} that can be unpacked: {error}", self.name()))
        };
        let limited = |unpacked: &mut dyn std::io::Read| {
            let mut out = Vec::new();
            unpacked.take(most as u64 + 1).read_to_end(&mut out).map_err(|error| damaged(&error))?;
            if out.len() > most { Err(too_large()) } else { Ok(out) }
        };
        match self {
            Self::Null => Ok(data.to_vec()),
            Self::Deflate => limited(&mut DeflateDecoder::new(data)),
            Self::Zstandard => {
                let mut unpacked = zstd::stream::read::Decoder::new(data).map_err(|error| damaged(&error))?;
                limited(&mut unpacked)
            }
            Self::Snappy => {
                let Some((packed, sum)) = data.split_last_chunk::<4>() else {
                    return Err(damaged(&"expected a checksum behind it"));
                };
                if snap::raw::decompress_len(packed).map_err(|error| damaged(&error))? > most {
                    return Err(too_large());
                }
                let out = snap::raw::Decoder::new().decompress_vec(packed).map_err(|error| damaged(&error))?;
                match crc32fast::hash(&out) == u32::from_be_bytes(*sum) {
                    true => Ok(out),
                    false => Err(damaged(&"its checksum doesn't fit")),
                }
            }
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Codec {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        Self::named(name).ok_or_else(|| format!("expected one of {}, found {name}", known()))
    }
}
