//! What the messages of all servers have in common: how they travel between instances, and what their dead letters say.
//! Between instances numbers are little-endian; texts and octets have their length before them, 32 bits.

use millstream_core::contracts::{CodeError, Coder, Decoder, Encoder, Kind, Letter, decoder, encoder};
use millstream_core::data::Bytes;

/// These as the coders of messages for network stages: to the wire, and back.
pub(crate) fn wire_coders<E: Encoder, D: Decoder>(to_wire: E, of_wire: D) -> [Coder; 2] {
    [
        Coder { kind: Kind::WireEncode, cost: 2, ..encoder(to_wire) },
        Coder { kind: Kind::WireDecode, cost: 2, heavy: false, ..decoder(of_wire) },
    ]
}

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

/// How headers begin that say why a message is a dead letter.
pub(crate) const ERROR: &str = "millstream.error.";

/// The most bytes of such a header: all headers of a message have to fit in one frame, or in what a topic takes.
const MOST: usize = 4_096;

/// The headers that say why, by name.
pub(crate) fn reasons(letter: &Letter) -> impl Iterator<Item = (String, &str)> {
    let Letter { source, position, stage, reason, .. } = letter;
    let all = [("source", source), ("position", position), ("stage", stage), ("reason", reason)];
    all.into_iter().map(|(name, why)| (format!("{ERROR}{name}"), &why[..why.floor_char_boundary(MOST)]))
}
