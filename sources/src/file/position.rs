//! How far the files have been read: the format of their positions.
//!
//! ```text
//! byte 0      version, 1
//! then, in postcard (https://postcard.jamesmunns.com/wire-format), where numbers are varints:
//!   file      number of the file in the list, from 0
//!   path      its path as given, for messages (the last 256 bytes of a longer one)
//!   paths     u64, XXH3 chained over the paths up to this one
//!   reading   names of framing and compression (the first 256 bytes)
//!   head      length u16 and XXH3 u64 of the first KiB of the file as stored, or of all of a shorter one
//!   offset    byte (uncompressed) at which records are looked for next
//!   state     the framing's state there, up to 2 KiB
//!   skip      how many records from there on are done
//!   ahead     how many bytes from `offset` to the end of the last of them
//!   tail      length u16 and XXH3 u64 of the KiB before `offset + ahead`, or of all there is
//! ```
//!
//! A position within a batch is the one at the batch's beginning and `skip`: exact to the record, whatever the framing.

use millstream_core::data::Position;
use serde::{Deserialize, Serialize};

use super::identity::{KIB, Print};

const VERSION: u8 = 1;

/// The most bytes of a path or a name that are kept.
const TEXT: usize = 256;

/// The most bytes of a framing's state.
const STATE: usize = 2_048;

/// How far the files have been read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) file: u32,
    pub(super) path: String,
    pub(super) paths: u64,
    pub(super) reading: String,
    pub(super) head: Print,
    pub(super) offset: u64,
    pub(super) state: Vec<u8>,
    pub(super) skip: u32,
    pub(super) ahead: u64,
    pub(super) tail: Print,
}

impl Place {
    /// The end of the last record that is done, in bytes.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.ahead)
    }

    /// As a position. Its label is `path:byte`.
    pub(super) fn to_position(&self) -> Result<Position, String> {
        if self.state.len() > STATE {
            let found = self.state.len();
            return Err(format!("the framing's state is {found} bytes: expected {STATE} at most"));
        }
        let label = format!("{}:{}", self.path, self.end());
        let bytes = postcard::to_extend(self, vec![VERSION]).map_err(|error| error.to_string())?;
        Position::new(bytes, label).map_err(|error| error.to_string())
    }

    /// Reads a position. What is wrong with it is said as half a sentence.
    pub(super) fn from_position(position: &Position) -> Result<Self, String> {
        let (version, body) = position.bytes().split_first().ok_or("it is empty")?;
        if *version != VERSION {
            return Err(format!("its format is version {version}, expected {VERSION}"));
        }
        let (place, rest) = postcard::take_from_bytes::<Self>(body).map_err(|error| error.to_string())?;
        if rest.is_empty() && place.is_sound() {
            return Ok(place);
        }
        Err("its parts contradict each other".to_owned())
    }

    fn is_sound(&self) -> bool {
        let Some(end) = self.offset.checked_add(self.ahead) else { return false };
        usize::from(self.head.len) <= KIB
            && u64::from(self.tail.len) == end.min(KIB as u64)
            && self.state.len() <= STATE
            && (self.skip > 0 || self.ahead == 0)
    }
}

/// The end of a path that is kept in a position.
pub(super) fn path_text(path: &std::path::Path) -> String {
    let path = path.display().to_string();
    path[path.ceil_char_boundary(path.len().saturating_sub(TEXT))..].to_owned()
}

/// The beginning of a name that is kept in a position.
pub(super) fn name_text(name: &str) -> String {
    name[..name.floor_char_boundary(TEXT)].to_owned()
}
