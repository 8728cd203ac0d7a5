//! [`Frames`]: cuts a stream that comes in blocks into records. Plain logic: who uses it does the reading.
//!
//! A block, and where it stands in the stream:
//!
//! ```text
//! base                          base + at        base + filled
//!  |  lead: read and dealt with  |  not looked at yet  |  free  |
//! ```
//!
//! Once what has not been looked at holds no whole record, the next block begins: with the end of what has been dealt
//! with (positions are told by it, see `file::identity`), then the piece of a record, then what is read. A block is as
//! large as it takes to hold the longest record twice.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::contracts::{Cause, Error, Framer, FramingError, Refused, Result, Scan, Seam, Unpacked};
use millstream_core::data::{Packed, Range32};

use crate::blocks::Blocks;

/// The most bytes that are held for one record, should its framing accept so many.
const LONGEST: usize = 1 << 30;

/// The most bytes that a framer's wish for more is followed for at once.
const WISH: usize = 16 << 20;

/// Where a stream is gone on with.
#[derive(Default)]
pub(crate) struct Start {
    /// The byte of the stream.
    pub(crate) offset: u64,
    /// The bytes before it, as many as are kept of them.
    pub(crate) lead: Vec<u8>,
    /// How many lines end before `lead`, if lines are counted along.
    pub(crate) line: Option<u64>,
}

/// A stream cut into records.
pub(crate) struct Frames {
    framer: Box<dyn Framer>,
    blocks: Blocks,
    lead: usize,
    block: Bytes,
    base: u64,
    at: usize,
    filled: usize,
    line: Option<u64>,
    state: Arc<[u8]>,
    ended: bool,
    hungry: bool,
    wanted: usize,
    expected: usize,
    idle: bool,
    broken: Option<Broken>,
}

/// What [`Frames::step`] comes to.
pub(crate) enum Step {
    /// Records.
    Found(Found),
    /// More has to be read.
    Hungry,
    /// There is nothing more.
    End,
}

/// Records that were found together.
pub(crate) struct Found {
    /// The records, over their part of the block.
    pub(crate) records: Packed<Bytes>,
    /// Records that can't be given.
    pub(crate) refused: Vec<(u32, Refused)>,
    /// Where they stand.
    pub(crate) site: Site,
}

/// Where records that were found together stand. It shares their block.
pub(crate) struct Site {
    /// The whole block.
    pub(crate) block: Bytes,
    /// Where in the stream the block begins.
    pub(crate) base: u64,
    /// How many lines end before the block, if lines are counted along.
    pub(crate) line: Option<u64>,
    /// Where in the block they were looked for: their ranges count from here.
    pub(crate) at: usize,
    /// The framer's state there.
    pub(crate) before: Arc<[u8]>,
    /// Where in the block the next ones are looked for, and the framer's state there; `None` when the stream is broken
    /// behind the last of them.
    pub(crate) after: Option<(usize, Arc<[u8]>)>,
    /// For records that were unpacked, and don't stand in the block themselves: how many of the stretch that begins at
    /// `at` came before them, and where other stretches begin, counted from `at`.
    pub(crate) unpacked: Option<(u64, Vec<Seam>)>,
}

/// What some of the records of a site were made of: all of them, unless they were unpacked.
pub(crate) struct Stretch<'s> {
    /// The first of the site's records that is of it.
    pub(crate) first: u32,
    /// How many records of it came before that.
    pub(crate) before: u64,
    /// Where in the block it begins.
    pub(crate) at: usize,
    /// The framer's state there.
    pub(crate) state: &'s [u8],
}

impl Site {
    /// What the record of this number was made of.
    pub(crate) fn stretch(&self, index: u32) -> Stretch<'_> {
        let (before, seams) = self.unpacked.as_ref().map_or((0, &[][..]), |(before, seams)| (*before, seams));
        match seams[..seams.partition_point(|seam| seam.records <= index)].last() {
            Some(seam) => Stretch { first: seam.records, before: 0, at: self.at + seam.at, state: &seam.state },
            None => Stretch { first: 0, before, at: self.at, state: &self.before },
        }
    }

    /// The how-manyth of its stretch a record is, from 1.
    pub(crate) fn number(&self, index: u32) -> u64 {
        let stretch = self.stretch(index);
        stretch.before + u64::from(index - stretch.first) + 1
    }

    /// Where in the block a record begins that stands here; for one that was unpacked, where its stretch does.
    pub(crate) fn start(&self, index: u32, record: &Range32) -> usize {
        if self.unpacked.is_some() { self.stretch(index).at } else { self.at + record.start as usize }
    }

    /// Where in the block a record ends that stands here; for one that was unpacked, where its stretch begins.
    pub(crate) fn end(&self, index: u32, record: &Range32) -> usize {
        if self.unpacked.is_some() { self.stretch(index).at } else { self.at + record.end as usize }
    }
}

/// The stream can't be read on.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    /// Who has to do something about it.
    pub(crate) cause: Cause,
    /// Why.
    pub(crate) message: String,
    /// Where in the stream.
    pub(crate) offset: u64,
    /// How many lines end before it, if lines are counted along.
    pub(crate) line: Option<u64>,
}

impl Frames {
    /// A stream from `start`, where `framer` goes on. The last `lead` bytes of what has been dealt with are kept.
    pub(crate) fn new(framer: Box<dyn Framer>, blocks: Blocks, lead: usize, start: Start) -> Self {
        let at = start.lead.len();
        Self {
            state: framer.state().into(),
            framer,
            blocks,
            lead,
            block: Bytes::from(start.lead),
            base: start.offset - at as u64,
            at,
            filled: at,
            line: start.line,
            ended: false,
            hungry: true,
            wanted: 0,
            expected: 16,
            idle: false,
            broken: None,
        }
    }

    /// The memory, for another stream.
    pub(crate) fn into_blocks(self) -> Blocks {
        self.blocks
    }

    /// Where in the stream it stands.
    pub(crate) fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// The bytes before where it stands, at least as many as are kept.
    pub(crate) fn dealt_with(&self) -> &[u8] {
        &self.block[..self.at]
    }

    /// Looks for at most `max` records in what has been read.
    pub(crate) fn step(&mut self, max: usize) -> Result<Step, Broken> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        while self.ended || !self.hungry {
            let mut found = Scan { records: Vec::with_capacity(self.expected.min(max)), ..Scan::default() };
            let data = &self.block[self.at..self.filled];
            let whole = data.len();
            let result = self.framer.scan(data, self.ended, max, &mut found);
            self.judge(&found, whole, result);
            // What was found before the stream broke is good.
            match &self.broken {
                Some(broken) if found.records.is_empty() || broken.cause == Cause::Bug => return Err(broken.clone()),
                _ if found.records.is_empty() => {}
                _ => return Ok(Step::Found(self.give(found))),
            }
            self.pass(found.consumed, found.wanted, true);
            if self.ended && self.at == self.filled {
                return Ok(Step::End);
            }
        }
        Ok(Step::Hungry)
    }

    /// Reads into the next block: `read` fills the beginning of what it is given and says how many bytes it put there,
    /// and whether the stream ends behind them.
    pub(crate) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> Result<(usize, bool)>) -> Result<()> {
        let from = self.at.saturating_sub(self.lead);
        let (kept, unread) = (self.filled - from, self.filled - self.at);
        let room = self.room(unread)?;
        let mut next = self.blocks.take(self.lead + room);
        next[..kept].copy_from_slice(&self.block[from..self.filled]);
        let (new, ended) = match read(&mut next[kept..kept + room - unread]) {
            Ok(done) => done,
            Err(error) => {
                self.blocks.put(next);
                return Err(error);
            }
        };
        self.line = self.line.map(|line| line + lines(&self.block[..from]));
        self.ended = ended;
        self.hungry = new == 0;
        (self.base, self.at, self.filled) = (self.base + from as u64, self.at - from, kept + new);
        // A block that is mostly free is not worth holding on to with its records.
        if self.filled < next.len() / 2 {
            self.block = Bytes::copy_from_slice(&next[..self.filled]);
            self.blocks.put(next);
        } else {
            self.block = self.blocks.share(next);
        }
        Ok(())
    }

    /// How much room there has to be for what is unread and what will be read, which gets half of it at least.
    fn room(&self, unread: usize) -> Result<usize> {
        if unread > LONGEST {
            let text = format!("a record of more than {LONGEST} bytes: its framing should have refused it");
            return Err(Error::new(Cause::Record, text));
        }
        let mut size = self.blocks.size() - self.lead;
        while unread > size / 2 {
            size *= 2;
        }
        if self.wanted > size - unread {
            size = unread + self.wanted.min(WISH).max(size - unread);
        }
        Ok(size)
    }

    /// Sees whether what the framer says can be.
    fn judge(&mut self, found: &Scan, whole: usize, result: Result<(), FramingError>) {
        let end = found.records.last().map_or(0, |last| last.end as usize);
        let holds = found.unpacked.as_ref().map_or(whole, |unpacked| unpacked.bytes.len());
        let unpacks = found.unpacked.is_some();
        let progress = found.consumed > 0 || !found.records.is_empty();
        let wrong = if let Err(FramingError { message, offset }) = result {
            Some((Cause::Record, message, offset))
        } else if found.consumed > whole || end > holds || !found.unpacked.as_ref().is_none_or(|it| fits(it, found)) {
            Some((Cause::Bug, format!("the framing found something at byte {end} of {holds}"), 0))
        } else if found.consumed == 0 && !found.records.is_empty() && (whole > 0 || self.idle) && !unpacks {
            Some((Cause::Bug, "the framing found records and consumed none".to_owned(), 0))
        } else if self.ended && !progress && whole > 0 {
            Some((Cause::Bug, format!("the framing left {whole} bytes at the end"), 0))
        } else {
            None
        };
        self.idle = found.consumed == 0 && !found.records.is_empty();
        self.broken = wrong.map(|(cause, message, offset)| {
            let at = (self.at + offset).min(self.filled);
            let line = self.line.map(|line| line + lines(&self.block[..at]));
            Broken { cause, message, offset: self.base + at as u64, line }
        });
    }

    /// Hands out what was found, and moves on behind it.
    fn give(&mut self, found: Scan) -> Found {
        let Scan { records, consumed, refused, wanted, unpacked } = found;
        let broken = self.broken.is_some();
        let (at, before) = (self.at, self.state.clone());
        let last = records.last().filter(|_| unpacked.is_none());
        let end = last.map_or(0, |last: &Range32| last.end as usize).max(consumed).min(self.filled - at);
        let (part, unpacked) = match unpacked {
            Some(Unpacked { bytes, before, seams }) => (bytes, Some((before, seams))),
            None => (self.block.slice(at..at + end), None),
        };
        self.expected = records.len() + records.len() / 8 + 1;
        // What would make a chunk much smaller than this one is left for the next block.
        let hungry = (self.filled - at - end) < end / 4;
        self.pass(end, wanted, hungry);
        Found {
            records: Packed::new(part, records),
            refused,
            site: Site {
                block: self.block.clone(),
                base: self.base,
                line: self.line,
                at,
                before,
                after: (!broken).then(|| (self.at, self.state.clone())),
                unpacked,
            },
        }
    }

    fn pass(&mut self, consumed: usize, wanted: usize, hungry: bool) {
        self.at += consumed;
        self.wanted = wanted;
        self.hungry = hungry;
        if consumed > 0 || self.idle {
            let state = self.framer.state();
            if *state != *self.state {
                self.state = state.into();
            }
        }
    }
}

/// Whether stretches follow each other in what was consumed, but for the last.
fn fits(unpacked: &Unpacked, found: &Scan) -> bool {
    let ends = (found.records.len() as u32, found.consumed);
    let seams = unpacked.seams.iter().map(|seam| (seam.records, seam.at)).chain([ends]);
    seams.clone().zip(seams.skip(1)).all(|(one, next)| one.0 <= next.0 && one.1 <= next.1)
}

/// How many line ends there are.
pub(crate) fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests;
