//! Texts, octets and numbers of messages between instances, written and read. Numbers are little-endian; texts and octets
//! have their length before them, 32 bits.

use millstream_core::contracts::CodeError;
use millstream_core::data::Bytes;

pub(crate) fn text(text: &str, out: &mut Vec<u8>) {
    octets(text.as_bytes(), out);
}

pub(crate) fn octets(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// What is left to be read.
pub(crate) struct Rest(pub(crate) Bytes);

impl Rest {
    pub(crate) fn take(&mut self, count: usize) -> Result<Bytes, CodeError> {
        if count > self.0.len() {
            return Err(broken());
        }
        Ok(self.0.split_to(count))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], CodeError> {
        self.take(N)?[..].try_into().map_err(|_| broken())
    }

    pub(crate) fn u8(&mut self) -> Result<u8, CodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn count(&mut self) -> Result<usize, CodeError> {
        usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| broken())
    }

    pub(crate) fn octets(&mut self) -> Result<Bytes, CodeError> {
        let count = self.count()?;
        self.take(count)
    }

    pub(crate) fn text(&mut self) -> Result<String, CodeError> {
        String::from_utf8(self.octets()?.to_vec()).map_err(|_| broken())
    }
}

pub(crate) fn broken() -> CodeError {
    CodeError::new("these bytes are no message that another instance sent; run the same program everywhere")
}
