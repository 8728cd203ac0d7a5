//! [`Lines`]: records are lines.
//!
//! ```text
//! first record \n second record \n … last record \n     the last \n may be missing
//! ```
//!
//! Only `\n` ends a record, and it isn't part of it. A `\r` before it stays part of the record, so that what is copied is
//! byte for byte the same; [`Lines::trim_cr`] takes it off. An empty line is an empty record.
//!
//! The state of a framer is empty at the beginning of a line. Otherwise it is two bytes:
//!
//! ```text
//! 1  1    within a line that was refused because of its length: the rest of it is skipped
//! 1  2    after a last line that had no \n: nothing may follow it
//! |  what
//! version
//! ```

use memchr::{memchr, memchr_iter};
use millstream_core::contracts::{CodeError, Framer, Framing, FramingError, Local, Refused, Scan, Writer};
use millstream_core::data::Range32;

use crate::limits::{KEPT, Limits, addressable};

const VERSION: u8 = 1;
const SKIPPING: u8 = 1;
const ENDED: u8 = 2;

/// Records are lines.
///
/// ```
/// use millstream_coders::lines::Lines;
/// use millstream_core::contracts::{Framing, Scan};
///
/// let (mut framer, mut found) = (Lines::default().framer(None).unwrap(), Scan::default());
/// framer.scan(b"one\ntwo\nthr", false, 100, &mut found).unwrap();
/// assert_eq!((found.records.len(), found.consumed), (2, 8));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Lines {
    limits: Limits,
    trim_cr: bool,
}

impl Lines {
    /// With other limits than the default ones; only [`Limits::record`] acts here. A longer line is refused, with its
    /// first 64 KiB as its row, and skipped to its end without being held in memory.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Takes one `\r` off the end of each line, for text made on Windows. What is written then ends with `\n` alone.
    #[must_use]
    pub fn trim_cr(mut self) -> Self {
        self.trim_cr = true;
        self
    }
}

impl Framing for Lines {
    fn name(&self) -> String {
        let trimmed = if self.trim_cr { " without \\r" } else { "" };
        if self.limits.record == Limits::default().record {
            format!("lines{trimmed}")
        } else {
            format!("lines{trimmed} up to {} bytes", self.limits.record)
        }
    }

    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        let at = match state.unwrap_or_default() {
            [] => At::Line,
            [VERSION, SKIPPING] => At::Skipping,
            [VERSION, ENDED] => At::Ended,
            other => return Err(foreign(other)),
        };
        Ok(Box::new(LineFramer { limit: self.limits.framed(), trim_cr: self.trim_cr, at, looked: 0 }))
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(LineWriter)
    }
}

fn foreign(state: &[u8]) -> FramingError {
    let message = format!(
        "expected a state of lines of version {VERSION}, found {state:02x?}: it was written by another framing or by a \
         newer version; read with that, or start over with another state folder and another output"
    );
    FramingError { message, offset: 0 }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Line,
    Skipping,
    Ended,
}

struct LineFramer {
    limit: usize,
    trim_cr: bool,
    at: At,
    /// How much of what is not consumed is known to hold no line end.
    looked: usize,
}

impl Framer for LineFramer {
    fn scan(&mut self, data: &[u8], at_end: bool, max: usize, found: &mut Scan) -> Result<(), FramingError> {
        found.clear();
        let (data, at_end) = addressable(data, at_end);
        self.check_continued(data)?;
        let start = self.skip(data);
        if self.at == At::Line {
            self.lines(data, start, max, found);
            self.rest(data, at_end, max, found);
        } else {
            found.consumed = start;
        }
        if at_end && self.at == At::Skipping {
            self.at = At::Ended;
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        match self.at {
            At::Line => Vec::new(),
            At::Skipping => vec![VERSION, SKIPPING],
            At::Ended => vec![VERSION, ENDED],
        }
    }
}

impl LineFramer {
    fn check_continued(&self, data: &[u8]) -> Result<(), FramingError> {
        if self.at != At::Ended || data.is_empty() {
            return Ok(());
        }
        let message = "expected no more after a last line that had no line end, found more: the last line was continued \
                       after it was read, and what was read of it has been passed on as a record; start over with \
                       another state folder and another output, and read such a file only once its last line is complete";
        Err(FramingError { message: message.to_owned(), offset: 0 })
    }

    /// Goes to the end of a line that was refused; returns where the next one begins.
    fn skip(&mut self, data: &[u8]) -> usize {
        if self.at != At::Skipping {
            return 0;
        }
        match memchr(b'\n', data) {
            Some(newline) => {
                self.at = At::Line;
                newline + 1
            }
            None => data.len(),
        }
    }

    /// Finds the lines from `start` on that have an end.
    fn lines(&mut self, data: &[u8], start: usize, max: usize, found: &mut Scan) {
        let mut line = start;
        let from = start.max(self.looked.min(data.len()));
        if max > 0 {
            for newline in memchr_iter(b'\n', &data[from..]) {
                let end = from + newline;
                if end - line > self.limit {
                    self.refuse(line, found);
                } else {
                    let trimmed = self.trim_cr && end > line && data[end - 1] == b'\r';
                    found.records.push(Range32 { start: line as u32, end: (end - usize::from(trimmed)) as u32 });
                }
                line = end + 1;
                if found.records.len() >= max {
                    break;
                }
            }
        }
        found.consumed = line;
        self.looked = 0;
    }

    /// Deals with a line that has no end yet.
    fn rest(&mut self, data: &[u8], at_end: bool, max: usize, found: &mut Scan) {
        if found.records.len() >= max {
            return;
        }
        let line = found.consumed;
        let len = data.len() - line;
        if len > self.limit {
            self.refuse(line, found);
            (self.at, found.consumed) = (At::Skipping, data.len());
        } else if at_end && len > 0 {
            found.records.push(Range32 { start: line as u32, end: data.len() as u32 });
            (self.at, found.consumed) = (At::Ended, data.len());
        } else {
            self.looked = len;
        }
    }

    fn refuse(&self, line: usize, found: &mut Scan) {
        let message = format!(
            "expected a line of at most {} bytes, found a longer one; raise the limit on a record's size if it is meant \
             to be one",
            self.limit
        );
        let over = Local { line: 1, column: self.limit as u64 + 1, byte: self.limit as u64 };
        let refused = Refused(CodeError::new(message).at(over).to_string());
        found.refused.push((found.records.len() as u32, refused));
        found.records.push(Range32 { start: line as u32, end: (line + self.limit.min(KEPT)) as u32 });
    }
}

struct LineWriter;

impl Writer for LineWriter {
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(record);
        out.push(b'\n');
    }

    fn terminator(&self) -> Option<&[u8]> {
        Some(b"\n")
    }
}

#[cfg(test)]
mod tests;
