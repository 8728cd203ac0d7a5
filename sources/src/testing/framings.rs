//! Framings that are small enough to be seen to be right.

use millstream_core::contracts::{Framer, Framing, FramingError, Refused, Result, Scan, Writer};
use millstream_core::data::Range32;

/// Lines. One that begins with `!` is refused, one of more than `longest` bytes breaks the stream, and so does a last
/// line that goes on after it has been given.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    pub(crate) longest: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self { longest: usize::MAX }
    }
}

struct LineFramer {
    longest: usize,
    searched: usize,
    ended: bool,
}

struct NoWriter;

impl Writer for NoWriter {
    fn record(&mut self, record: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(record);
    }
}

impl Framing for Lines {
    fn name(&self) -> String {
        "lines".to_owned()
    }

    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        Ok(Box::new(LineFramer { longest: self.longest, searched: 0, ended: state == Some(&[1]) }))
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(NoWriter)
    }
}

impl LineFramer {
    fn add(
        &mut self,
        data: &[u8],
        start: usize,
        end: usize,
        next: usize,
        found: &mut Scan,
    ) -> Result<(), FramingError> {
        if end - start > self.longest {
            let message = format!("a line of more than {} bytes", self.longest);
            return Err(FramingError { message, offset: start });
        }
        if data.get(start) == Some(&b'!') {
            found.refused.push((found.records.len() as u32, Refused("begins with !".to_owned())));
        }
        found.records.push(Range32 { start: start as u32, end: end as u32 });
        found.consumed = next;
        Ok(())
    }
}

impl Framer for LineFramer {
    fn scan(&mut self, data: &[u8], at_end: bool, max: usize, found: &mut Scan) -> Result<(), FramingError> {
        if self.ended && !data.is_empty() {
            return Err(FramingError { message: "the last line goes on".to_owned(), offset: 0 });
        }
        while found.records.len() < max {
            let start = found.consumed;
            let from = self.searched.max(start);
            let Some(end) = data[from..].iter().position(|byte| *byte == b'\n').map(|end| from + end) else { break };
            self.add(data, start, end, end + 1, found)?;
        }
        let (start, len) = (found.consumed, data.len());
        let full = found.records.len() == max;
        let last = at_end && start < len && !full;
        self.searched = if full || last { 0 } else { len - start };
        if last || (!full && len - start > self.longest) {
            self.ended = last;
            return self.add(data, start, len, len, found);
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        if self.ended { vec![1] } else { Vec::new() }
    }
}

/// Records that end with the byte that the stream begins with: what they end with has to be remembered.
#[derive(Clone, Copy)]
pub(crate) struct Marked;

struct MarkedFramer(Option<u8>);

impl Framing for Marked {
    fn name(&self) -> String {
        "marked".to_owned()
    }

    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        Ok(Box::new(MarkedFramer(state.and_then(|state| state.first().copied()))))
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(NoWriter)
    }
}

impl Framer for MarkedFramer {
    fn scan(&mut self, data: &[u8], at_end: bool, max: usize, found: &mut Scan) -> Result<(), FramingError> {
        if self.0.is_none() && !data.is_empty() {
            self.0 = Some(data[0]);
            found.consumed = 1;
        }
        while let Some(mark) = self.0.filter(|_| found.records.len() < max) {
            let start = found.consumed;
            let Some(len) = data[start..].iter().position(|byte| *byte == mark) else { break };
            found.records.push(Range32 { start: start as u32, end: (start + len) as u32 });
            found.consumed += len + 1;
        }
        if at_end && found.records.len() < max && found.consumed < data.len() {
            return Err(FramingError { message: "the last record doesn't end".to_owned(), offset: found.consumed });
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        self.0.into_iter().collect()
    }
}

/// The whole stream as one record.
#[derive(Clone, Copy)]
pub(crate) struct Whole;

struct WholeFramer(bool);

impl Framing for Whole {
    fn name(&self) -> String {
        "whole".to_owned()
    }

    fn framer(&self, state: Option<&[u8]>) -> Result<Box<dyn Framer>, FramingError> {
        Ok(Box::new(WholeFramer(state == Some(&[1]))))
    }

    fn writer(&self) -> Box<dyn Writer> {
        Box::new(NoWriter)
    }
}

impl Framer for WholeFramer {
    fn scan(&mut self, data: &[u8], at_end: bool, _: usize, found: &mut Scan) -> Result<(), FramingError> {
        if at_end && !self.0 {
            found.records.push(Range32 { start: 0, end: data.len() as u32 });
            found.consumed = data.len();
            self.0 = true;
        }
        Ok(())
    }

    fn state(&self) -> Vec<u8> {
        vec![u8::from(self.0)]
    }
}
