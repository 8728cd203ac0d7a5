//! What crosses a link: records and messages as bytes.
//!
//! ```text
//! lane        a frame is
//! control     messages, one after the other until it ends
//! outcomes    messages, one after the other until it ends
//! records     the rows of one piece
//! ```
//!
//! A link carries frames whole, says how long each is, and bounds that. Messages are in
//! [postcard](https://postcard.jamesmunns.com). A frame of records is laid out by hand, so that the rows are neither
//! copied when it is made nor when it is read. All numbers are little-endian; times are microseconds since the Unix
//! epoch, and a text is its length in two bytes and as many bytes of UTF-8.
//!
//! ```text
//! offset  bytes
//!      0  8      tag: names the piece on this link
//!      8  8      epoch of the origin
//!     16  8      first sequence number of the span
//!     24  4      len: how many sequence numbers the span has
//!     28  4      start of the part of the span that this is
//!     32  4      end of the part, one past its last record: start <= end <= len
//!     36  2      instance that the origin is on
//!     38  2      flags, see below
//!     40  2 + n  stage of the origin, a text of at most 1,024 bytes
//!         2 + n  partition of the origin, a text of at most 1,024 bytes
//!         8      event time: of all records; with EACH 8 * len, one a record of the span
//!         8 * l  with TURNS, the turn of each of the span's `len` records among what the folds of all instances emit
//!                with POSITION, a position within the span, at first that after the part's last record:
//!         4      how many records of the span are before it: at most len
//!         2 + n  its bytes: length, at most 4,096, and as many
//!         2 + n  its label, a text of at most 4,000 bytes
//!         4      rows: how many there are
//!         4 * r  with INDEX, each row's record of the span: ascending, from the part; without, there is a row a record
//!         4 * r  with SUBS, each row's place among all rows of its record, those included that went elsewhere
//!                once, or with PAIRS twice, for the keys and for the values: the table of a stretch of bytes
//!         4      length of the stretch
//!         4      gap: how many bytes lie between a row and the next, or FFFFFFFF where that differs
//!         4 * r  where each row ends within the stretch; of gap FFFFFFFF 8 * r: where it starts, and where it ends
//!                the stretches, in the order of their tables: each from its first row's first byte to its last row's
//!                last, with what lies between the rows
//!
//! flags     1  INDEX     not every record has exactly one row
//!           2  EACH      each record has its own event time
//!           4  INGESTED  the event time is when the records were read; not with EACH
//!           8  PAIRS     rows are keys and values
//!          10  LATE      a merge by event time had given up waiting for it
//!          20  SAID      it is said what positions there are: without POSITION, that the source has none
//!          40  POSITION  there is one; only with SAID
//!          80  SUBS      records may have rows elsewhere; only with INDEX
//!         100  TURNS     a fold of one of several instances emitted it
//! ```
//!
//! The stretch is a piece of the block that the rows are in where at most an eighth of it lies between them (line ends,
//! say); else the rows are put together first.

use millstream_core::data::PositionTooLarge;

mod decode;
mod encode;
mod messages;

pub(crate) use decode::decode;
pub(crate) use encode::encode;
pub(crate) use messages::{decode_messages, encode_messages};

/// The version of all that crosses a link: record frames, messages, and how keys are dealt. Instances tell each other
/// theirs before anything else, and work with none of another: every change here makes it another, from the first release
/// on.
pub(crate) const PROTOCOL: u16 = 1;

/// The most bytes of a frame of messages, 1 MiB: the largest is one with the positions of all partitions. A link takes
/// frames of at least as many. How many one of records may have is a setting of the link, which sees to it itself.
pub(crate) const MAX_MESSAGES_FRAME: usize = 1 << 20;

/// The most messages in a frame: the shortest is a byte long, and takes a hundred in memory.
const MAX_MESSAGES: usize = 1 << 16;

/// The most bytes of a stage's or a partition's name.
const MAX_NAME: usize = 1024;

/// The most bytes of a position's label: 1,000 characters.
const MAX_LABEL: usize = 4000;

/// The gap that stands for gaps that differ.
const UNEVEN: u32 = u32::MAX;

/// How long the part of a frame of records is that has always the same length.
const FIXED: usize = 40;

/// What a frame of records says of itself in bits.
mod flags {
    pub(super) const INDEX: u16 = 0x01;
    pub(super) const EACH: u16 = 0x02;
    pub(super) const INGESTED: u16 = 0x04;
    pub(super) const PAIRS: u16 = 0x08;
    pub(super) const LATE: u16 = 0x10;
    pub(super) const SAID: u16 = 0x20;
    pub(super) const POSITION: u16 = 0x40;
    pub(super) const SUBS: u16 = 0x80;
    pub(super) const TURNS: u16 = 0x100;
    /// All there are.
    pub(super) const ALL: u16 = 0x1ff;
}

/// Why a frame can't be made or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("{what}: {found} bytes, where at most {most} can cross a link")]
    TooLong { what: &'static str, found: usize, most: usize },
    #[error("a frame ends within {what}: {expected} bytes were expected there, {found} are left")]
    Cut { what: &'static str, expected: usize, found: usize },
    #[error("a frame goes on for {0} bytes after its end")]
    Longer(usize),
    #[error("{what} is not UTF-8")]
    NotText {
        what: &'static str,
        #[source]
        source: std::str::Utf8Error,
    },
    #[error("the flags {0:#06x} are unknown here, or contradict each other")]
    Flags(u16),
    #[error("a span of {len} sequence numbers was expected to fit behind {first}")]
    Span { first: u64, len: u32 },
    #[error("a part within a span of {len} records was expected, found {start} to {end}")]
    Part { start: u32, end: u32, len: u32 },
    #[error("a position within a span of {len} records was expected, found one behind {found}")]
    Before { len: u32, found: u32 },
    #[error("{expected} rows were expected, one a record, found {found}")]
    Rows { expected: u32, found: u32 },
    #[error("row {row} was expected to be of a record from {from} to before {to}, found {found}")]
    Record { row: usize, from: u32, to: u32, found: u32 },
    #[error("row {row} was expected within the bytes {from} to {to}, found {start} to {end}")]
    Row { row: usize, from: u32, to: u32, start: u32, end: u32 },
    #[error("rows were expected to fill the {expected} bytes of their stretch, found {found}")]
    Stretch { expected: u32, found: u32 },
    #[error("a position")]
    Position(#[from] PositionTooLarge),
    #[error("message {number} of a frame can't be read")]
    Message {
        number: usize,
        #[source]
        source: postcard::Error,
    },
    #[error("a frame has more than {MAX_MESSAGES} messages")]
    Messages,
}

#[cfg(test)]
mod tests;
