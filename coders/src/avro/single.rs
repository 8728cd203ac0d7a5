//! Single-object encoding.
//!
//! ```text
//! C3 01, the schema's CRC-64-AVRO fingerprint (u64, little-endian), the value
//! ```

use millstream_core::contracts::{CodeError, Local};

use super::Schema;

const MARKER: [u8; 2] = [0xc3, 0x01];

/// How long what stands before the value is.
pub(super) const PREFIX: usize = 10;

pub(super) fn prefix(schema: &Schema) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    prefix[..2].copy_from_slice(&MARKER);
    prefix[2..].copy_from_slice(&schema.fingerprint().to_le_bytes());
    prefix
}

/// The fingerprint that a single object says.
pub(super) fn fingerprint(record: &[u8]) -> Result<u64, CodeError> {
    marked(record, MARKER).ok_or_else(|| {
        let found = format!("{:02x?}", &record[..record.len().min(2)]);
        CodeError::new(format!("expected a single object, which begins with {MARKER:02x?}, found {found}"))
            .at(Local::of(record, 0))
    })
}

/// The number behind this marker.
pub(super) fn marked(record: &[u8], marker: [u8; 2]) -> Option<u64> {
    let (begins, rest) = record.split_first_chunk::<2>()?;
    let (number, _) = rest.split_first_chunk::<8>()?;
    (*begins == marker).then_some(u64::from_le_bytes(*number))
}

#[cold]
pub(super) fn unknown(fingerprint: u64) -> CodeError {
    CodeError::new(format!(
        "expected a single object of a known schema, found one of fingerprint {fingerprint:016x}: make the schema that it \
         was written by known with `knowing`"
    ))
}
