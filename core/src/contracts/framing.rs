//! [`Framing`]: where records begin and end in a stream of bytes.

use std::sync::Arc;

use crate::data::{Bytes, Range32};

/// How records are found in a stream of bytes, and how a stream is made of records. Plain logic: who uses it does the
/// reading and writing.
pub trait Framing: Send + Sync + 'static {
    /// What plans and identities show, e.g. `lines` or `elements <order>`. Two framings of the same name read the same
    /// bytes as the same records.
    fn name(&self) -> String;

    /// A framer at the beginning of a stream, or where one was whose [`Framer::state`] is given.
    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError>;

    /// A writer of a stream.
    fn writer(&self) -> Box<dyn Writer>;

    /// How many bytes at the beginning of a stream say how all of it is to be read, such as a schema and a codec; `None`
    /// if more of it has to be seen for that. `at_end` says that the stream has no more. Whoever goes on in the middle of
    /// such a stream shows them again, by [`framer_behind`](Self::framer_behind) and
    /// [`writer_behind`](Self::writer_behind). By default there are none.
    fn head(&self, beginning: &[u8], at_end: bool) -> Result<Option<usize>, FramingError> {
        let _ = (beginning, at_end);
        Ok(Some(0))
    }

    /// A framer where one was whose [`Framer::state`] is given, in a stream with this head.
    fn framer_behind(&self, head: &[u8], state: &[u8]) -> Result<Box<dyn Framer>, FramingError> {
        let _ = head;
        self.framer(Some(state))
    }

    /// A writer that goes on with a stream with this head.
    fn writer_behind(&self, head: &[u8]) -> Result<Box<dyn Writer>, FramingError> {
        let _ = head;
        Ok(self.writer())
    }
}

impl<F: Framing + ?Sized> Framing for std::sync::Arc<F> {
    fn name(&self) -> String {
        (**self).name()
    }

    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        (**self).framer(state)
    }

    fn writer(&self) -> Box<dyn Writer> {
        (**self).writer()
    }

    fn head(&self, beginning: &[u8], at_end: bool) -> Result<Option<usize>, FramingError> {
        (**self).head(beginning, at_end)
    }

    fn framer_behind(&self, head: &[u8], state: &[u8]) -> Result<Box<dyn Framer>, FramingError> {
        (**self).framer_behind(head, state)
    }

    fn writer_behind(&self, head: &[u8]) -> Result<Box<dyn Writer>, FramingError> {
        (**self).writer_behind(head)
    }
}

/// Finds records in one stream. It is given what has been read and not yet consumed.
pub trait Framer: Send {
    /// Looks for records in `data`, the unconsumed part of the stream; `at_end` says that nothing comes after it. At
    /// most `max` records are found in a call.
    ///
    /// Whatever it has consumed is not shown again; the rest is, with more behind it, once there is more. It remembers
    /// how far it has looked, so that a long record is not searched anew each time. After `at_end`, what is left is an
    /// error or the last record.
    fn scan(&mut self, data: &[u8], at_end: bool, max: usize, found: &mut Scan) -> Result<(), FramingError>;

    /// What has to be known to go on after the records found so far, besides where in the stream that is; at most
    /// 2 KiB. Asked only between scans.
    fn state(&self) -> Vec<u8>;
}

/// What a [`Framer`] found in one call.
#[derive(Debug, Default)]
pub struct Scan {
    /// The records, ascending, as places in the data that was given.
    pub records: Vec<Range32>,
    /// How many bytes of the data are dealt with.
    pub consumed: usize,
    /// Records that were found and can't be given, by their index in `records` (where their range is what is left of
    /// them, such as their beginning): they meet the source's error policy.
    pub refused: Vec<(u32, Refused)>,
    /// How many more bytes the framer would like to see at once, when it knows: the size of the next read. 0 otherwise.
    pub wanted: usize,
    /// The records as they were made of the data, for framings in whose streams they don't stand as they are, because
    /// the stream compresses them by itself. `None`: they stand in the data.
    pub unpacked: Option<Unpacked>,
}

/// Records that a [`Framer`] made of a stretch of the data, or of several that follow each other. A framer may give some of a
/// stretch and consume nothing of it: it is then shown the same stretch again, and its [`Framer::state`] says how many of it
/// have been given.
#[derive(Debug, Clone, Default)]
pub struct Unpacked {
    /// What the records that were found are places in.
    pub bytes: Bytes,
    /// How many records of the first stretch came before these.
    pub before: u64,
    /// Where stretches begin that don't begin with the data, ascending.
    pub seams: Vec<Seam>,
}

/// Where a stretch begins: behind another, or behind what is no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seam {
    /// How many of the records that were found come before it.
    pub records: u32,
    /// Where it is in the data.
    pub at: usize,
    /// What [`Framer::state`] says there.
    pub state: Arc<[u8]>,
}

impl Scan {
    /// Forgets what was found.
    pub fn clear(&mut self) {
        self.records.clear();
        self.refused.clear();
        self.consumed = 0;
        self.wanted = 0;
        self.unpacked = None;
    }
}

/// Why a record that was found can't be given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The stream can't be read on: its structure is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FramingError {
    /// What was expected and what was found.
    pub message: String,
    /// Where in the data that was given, in bytes.
    pub offset: usize,
}

/// Makes a stream of records.
pub trait Writer: Send {
    /// Appends what stands before the first record.
    fn header(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Appends a record and what separates it from the next.
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>);

    /// Whether this record can stand in the stream. Asked for each before it is given to [`record`](Self::record), unless
    /// there is a [`terminator`](Self::terminator). By default every record can.
    fn check(&self, record: &[u8]) -> Result<(), Refused> {
        let _ = record;
        Ok(())
    }

    /// Appends what has been held back of the records so far: what is written up to here can be read by itself, and the
    /// stream may be cut here or gone on with. By default nothing is held back.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// The bytes that follow each record, when that is all a record needs: whole stretches of a block that already
    /// look like that are then written as they are.
    fn terminator(&self) -> Option<&[u8]> {
        None
    }

    /// Appends what stands after the last record.
    fn footer(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }
}
