//! [`Whole`]: the whole stream is one record.
//!
//! An empty stream is one empty record. What is written is the records one after the other, with nothing between them.
//!
//! The state of a framer is empty at the beginning of the stream. Otherwise it is two bytes:
//!
//! ```text
//! 1  1    after a stream that was refused because of its size: the rest of it is skipped
//! 1  2    after the record: nothing may follow it
//! |  what
//! version
//! ```

use millstream_core::contracts::{CodeError, Framer, Framing, FramingError, Local, Refused, Scan, Writer};
use millstream_core::data::Range32;

use crate::limits::{KEPT, Limits, addressable};

const VERSION: u8 = 1;
const SKIPPING: u8 = 1;
const GIVEN: u8 = 2;

/// The whole stream is one record, such as a document that fills its file.
#[derive(Debug, Clone, Default)]
pub struct Whole {
    limits: Limits,
}

impl Whole {
    /// With other limits than the default ones; only [`Limits::record`] acts here. A larger stream is refused, with its
    /// first 64 KiB as its row.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl Framing for Whole {
    fn name(&self) -> String {
        if self.limits.record == Limits::default().record {
            "whole".to_owned()
        } else {
            format!("whole up to {} bytes", self.limits.record)
        }
    }

    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        let at = match state.unwrap_or_default() {
            [] => At::Start,
            [VERSION, SKIPPING] => At::Skipping,
            [VERSION, GIVEN] => At::Given,
            other => return Err(foreign(other)),
        };
        Ok(Box::new(WholeFramer { limit: self.limits.framed(), at }))
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(WholeWriter)
    }
}

fn foreign(state: &[u8]) -> FramingError {
    let message = format!(
        "expected a state of whole streams of version {VERSION}, found {state:02x?}: it was written by another framing \
         or by a newer version; read with that, or start over with another state folder and another output"
    );
    FramingError { message, offset: 0 }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Skipping,
    Given,
}

struct WholeFramer {
    limit: usize,
    at: At,
}

impl Framer for WholeFramer {
    fn scan(&mut self, data: &[u8], at_end: bool, max: usize, found: &mut Scan) -> Result<(), FramingError> {
        found.clear();
        let (data, at_end) = addressable(data, at_end);
        match self.at {
            At::Start if max == 0 => {}
            At::Start if data.len() > self.limit => self.refuse(data, found),
            At::Start if at_end => self.give(data, found),
            At::Start => {}
            At::Skipping => found.consumed = data.len(),
            At::Given if data.is_empty() => {}
            At::Given => return Err(continued()),
        }
        if at_end && self.at == At::Skipping {
            self.at = At::Given;
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        match self.at {
            At::Start => Vec::new(),
            At::Skipping => vec![VERSION, SKIPPING],
            At::Given => vec![VERSION, GIVEN],
        }
    }
}

impl WholeFramer {
    fn give(&mut self, data: &[u8], found: &mut Scan) {
        found.records.push(Range32 { start: 0, end: data.len() as u32 });
        (self.at, found.consumed) = (At::Given, data.len());
    }

    fn refuse(&mut self, data: &[u8], found: &mut Scan) {
        let message = format!(
            "expected a stream of at most {} bytes, which is to be one record, found a longer one; frame it, by lines \
             for example, or raise the limit on a record's size",
            self.limit
        );
        let refused = Refused(CodeError::new(message).at(Local::of(data, self.limit)).to_string());
        found.refused.push((0, refused));
        found.records.push(Range32 { start: 0, end: self.limit.min(KEPT) as u32 });
        (self.at, found.consumed) = (At::Skipping, data.len());
    }
}

fn continued() -> FramingError {
    let message = "expected no more after a stream that was read whole, found more: it was continued after it was read, \
                   and what was read of it has been passed on as a record; start over with another state folder and another output";
    FramingError { message: message.to_owned(), offset: 0 }
}

struct WholeWriter;

impl Writer for WholeWriter {
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(record);
    }
}

#[cfg(test)]
mod tests;
