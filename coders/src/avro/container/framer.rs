//! [`Reading`]: finds the values of a container's blocks.
//!
//! Its state is empty at the beginning of the file. Otherwise, where a block begins, it is
//!
//! ```text
//! 1  varint, u32    how many of the block's values have been given, and, unless that is 0, their CRC-32
//! |
//! version
//! ```

use std::sync::Arc;

use millstream_core::contracts::{Framer, FramingError, Refused, Scan, Seam, Unpacked};
use millstream_core::data::{Bytes, Range32};

use super::header::{Header, SYNC};
use super::{PREFIX, prefix};
use crate::avro::cursor::{Cursor, Flaw};
use crate::avro::graph::Graph;
use crate::avro::schemas::Schemas;
use crate::avro::{read, write};
use crate::limits::{KEPT, Limits, addressable};

const VERSION: u8 = 1;

/// The most bytes that the two numbers before a block have.
const COUNTS: usize = 20;

/// How many values a block may have that take no bytes.
const EMPTY: usize = 1 << 16;

/// From how many bytes of values on another block is left for the next time.
const ENOUGH: usize = 128 << 10;

pub(super) struct Reading {
    schemas: Schemas,
    most: usize,
    header: Option<Header>,
    /// How many of the block's values have been given, and their CRC-32.
    given: u64,
    sum: u32,
    /// The block that the unconsumed data begin with, if it has been unpacked.
    block: Option<Block>,
    /// The state between two blocks.
    between: Arc<[u8]>,
}

/// A block, unpacked.
struct Block {
    /// How many bytes of the stream it takes.
    stored: usize,
    bytes: Vec<u8>,
    count: u64,
    /// Where in `bytes` the next value stands.
    at: usize,
}

/// What is made of blocks at a time.
#[derive(Default)]
struct Made {
    bytes: Vec<u8>,
    /// How many values of the first block had been given before.
    before: u64,
    seams: Vec<Seam>,
}

/// What the unconsumed data begin with.
enum Next {
    Block(Block),
    /// There has to be more: so many bytes.
    More(usize),
    /// A block that can't be unpacked, of so many bytes and values.
    Damaged(usize, u64, Box<Flaw>),
}

impl Reading {
    pub(super) fn new(
        schemas: Schemas,
        most: usize,
        header: Option<Header>,
        state: &[u8],
    ) -> Result<Self, FramingError> {
        let (given, sum) = given(state).ok_or_else(|| {
            let message = format!(
                "expected a state of a container of version {VERSION}, found {state:02x?}: it was written by another \
                 framing or by a newer version; read with that, or start over with another state folder and another output"
            );
            broken(0, message)
        })?;
        // A file is begun at its header, which is then among the data.
        let header = header.filter(|_| !state.is_empty()).map(|header| meet(&schemas, header)).transpose()?;
        Ok(Self { schemas, most, header, given, sum, block: None, between: Arc::new([VERSION, 0]) })
    }

    /// Values of as many blocks as are there, until they are enough.
    fn look(
        &mut self,
        data: &[u8],
        at_end: bool,
        max: usize,
        found: &mut Scan,
        made: &mut Made,
    ) -> Result<(), FramingError> {
        if self.header.is_none() {
            match Header::read(data, at_end)? {
                Some((header, len)) => {
                    self.header = Some(meet(&self.schemas, header)?);
                    found.consumed = len;
                }
                None => {
                    found.wanted = data.len();
                    return Ok(());
                }
            }
        }
        let wants_more = |found: &Scan, made: &Made| {
            found.records.is_empty()
                || (found.refused.is_empty() && found.records.len() < max && made.bytes.len() < ENOUGH)
        };
        while wants_more(found, made) && max > 0 && found.consumed < data.len() {
            let rest = &data[found.consumed..];
            let mut block = match self.block.take() {
                Some(block) => block,
                None => match self.next(rest, at_end).map_err(|flaw| self.misplaced(&flaw, found.consumed))? {
                    Next::Block(block) => block,
                    Next::More(bytes) => {
                        found.wanted = bytes;
                        return Ok(());
                    }
                    // By itself.
                    Next::Damaged(..) if !found.records.is_empty() => return Ok(()),
                    Next::Damaged(stored, count, flaw) => {
                        self.refuse_all(rest, stored, count, &flaw, found, made);
                        continue;
                    }
                },
            };
            self.begins(found, made);
            if self.give(&mut block, max, found, &mut made.bytes) {
                found.consumed += block.stored;
                (self.given, self.sum) = (0, 0);
            } else {
                self.block = Some(block);
            }
        }
        Ok(())
    }

    /// Values of a block follow.
    fn begins(&self, found: &Scan, made: &mut Made) {
        if found.consumed == 0 {
            made.before = self.given;
            return;
        }
        let records = found.records.len() as u32;
        // Of a block without values nothing is to be told.
        made.seams.pop_if(|last| last.records == records);
        made.seams.push(Seam { records, at: found.consumed, state: self.between.clone() });
    }

    /// What stands at the beginning of `rest`.
    fn next(&mut self, rest: &[u8], at_end: bool) -> Result<Next, Box<Flaw>> {
        let Some(header) = &self.header else { return Ok(Next::More(0)) };
        let mut from = Cursor::new(rest, 1);
        let counts = from.long().and_then(|count| Ok((count, from.long()?)));
        let (count, size) = match counts {
            Ok(counts) => counts,
            Err(_) if !at_end && rest.len() < COUNTS => return Ok(Next::More(COUNTS)),
            Err(flaw) => return Err(flaw),
        };
        let (Ok(count), Ok(size)) = (u64::try_from(count), usize::try_from(size)) else {
            return Err(Flaw::new(format!("expected a block's number of values and size, found {count} and {size}")));
        };
        if size > self.most {
            let most = self.most;
            return Err(Flaw::new(format!(
                "expected a block of {most} bytes at most, found {size}: raise the limit on a block if it is meant"
            )));
        }
        let stored = from.at() + size + SYNC;
        if stored > rest.len() {
            return match at_end {
                true => Err(Flaw::new(format!(
                    "the file ends within a block: expected {stored} bytes, found {}",
                    rest.len()
                ))),
                false => Ok(Next::More(stored - rest.len())),
            };
        }
        let packed = from.take(size)?;
        if from.array::<SYNC>()? != header.sync {
            return Err(Flaw::new("expected the file's sync marker behind a block, found other bytes"));
        }
        let unpacked = match header.codec() {
            Some(codec) => codec.decompress(packed, self.most),
            None => {
                let codec = &header.codec;
                return Err(Flaw::new(format!(
                    "its codec is {codec}, and only null, deflate, snappy and zstandard can be read"
                )));
            }
        };
        match unpacked {
            Ok(bytes) => self.placed(Block { stored, bytes, count, at: 0 }),
            Err(flaw) => Ok(Next::Damaged(stored, count, flaw)),
        }
    }

    /// Goes behind what has been given of a block.
    fn placed(&self, mut block: Block) -> Result<Next, Box<Flaw>> {
        let most = (block.bytes.len() + EMPTY) as u64;
        if block.count > most {
            let flaw = Flaw::new(format!("{} values can't lie in {} bytes", block.count, block.bytes.len()));
            return Ok(Next::Damaged(block.stored, block.count, flaw));
        }
        let Some(header) = &self.header else { return Ok(Next::More(0)) };
        for _ in 0..self.given.min(block.count) {
            block.at += value_len(header.schema.graph(), &block.bytes[block.at..])?;
        }
        if self.given > block.count || crc32fast::hash(&block.bytes[..block.at]) != self.sum {
            return Err(Flaw::new("a block that was partly read doesn't begin as it did: the file has changed"));
        }
        Ok(Next::Block(block))
    }

    /// Gives up to `max` values of a block. Returns whether those were the last.
    fn give(&mut self, block: &mut Block, max: usize, found: &mut Scan, bytes: &mut Vec<u8>) -> bool {
        let Some(header) = &self.header else { return true };
        let (prefix, graph) = (prefix(&header.schema), header.schema.graph());
        let left = block.count - self.given;
        let most = usize::try_from(left).unwrap_or(max).min(max - found.records.len());
        let last = found.records.len() + most;
        let rest = block.bytes.len() - block.at;
        // As many as values of the same size would have, and some more.
        let each = rest / usize::try_from(left).unwrap_or(usize::MAX).max(1) + 1;
        let room = rest.min(each.saturating_mul(most).saturating_mul(9) / 8);
        bytes.reserve(room + most.min(rest + EMPTY) * PREFIX);
        let (from, mut ended) = (block.at, left == 0);
        while found.records.len() < last && bytes.len() < u32::MAX as usize / 2 {
            let rest = &block.bytes[block.at..];
            let len = match value_len(graph, rest) {
                Ok(len) => len,
                Err(flaw) => {
                    let lost = block.count - self.given;
                    refuse(rest, lost, &flaw, bytes, found);
                    ended = true;
                    break;
                }
            };
            let start = bytes.len();
            bytes.extend_from_slice(&prefix);
            bytes.extend_from_slice(&rest[..len]);
            found.records.push(Range32 { start: start as u32, end: bytes.len() as u32 });
            block.at += len;
            self.given += 1;
            ended = self.given == block.count;
        }
        if ended && found.refused.is_empty() && block.at < block.bytes.len() {
            let more = block.bytes.len() - block.at;
            let flaw = Flaw::new(format!("{more} bytes are left behind the last of its values"));
            // If there is no room for one more, it comes first next time.
            ended = found.records.len() < max;
            if ended {
                refuse(&block.bytes[block.at..], 0, &flaw, bytes, found);
            }
        }
        if !ended {
            // A position within the block needs it.
            let mut sum = crc32fast::Hasher::new_with_initial_len(self.sum, from as u64);
            sum.update(&block.bytes[from..block.at]);
            self.sum = sum.finalize();
        }
        ended
    }

    /// A block that can't be unpacked is one refused record.
    fn refuse_all(&mut self, rest: &[u8], stored: usize, count: u64, flaw: &Flaw, found: &mut Scan, made: &mut Made) {
        self.begins(found, made);
        refuse(&rest[..stored], count.saturating_sub(self.given), flaw, &mut made.bytes, found);
        found.consumed += stored;
        (self.given, self.sum) = (0, 0);
    }

    fn misplaced(&self, flaw: &Flaw, offset: usize) -> FramingError {
        broken(offset, format!("the container can't be read on: {flaw}"))
    }
}

/// How many bytes the value has that stands at the beginning of these.
#[inline]
fn value_len(graph: &Graph, bytes: &[u8]) -> Result<usize, Box<Flaw>> {
    let mut from = Cursor::new(bytes, Limits::default().depth);
    read::skip(graph, graph.root, &mut from)?;
    from.ends()?;
    Ok(from.at())
}

/// One record in place of the rest of a block, which can't be read.
fn refuse(rest: &[u8], lost: u64, flaw: &Flaw, bytes: &mut Vec<u8>, found: &mut Scan) {
    let start = bytes.len();
    bytes.extend_from_slice(&rest[..rest.len().min(KEPT)]);
    let message = format!("the rest of this block ({lost} values) can't be read: {flaw}");
    found.refused.push((found.records.len() as u32, Refused(message)));
    found.records.push(Range32 { start: start as u32, end: bytes.len() as u32 });
}

fn meet(schemas: &Schemas, header: Header) -> Result<Header, FramingError> {
    let Header { schema, codec, sync } = header;
    let shown = (schema.shown(), schema.identity());
    match schemas.meet(schema) {
        Some(schema) => Ok(Header { schema, codec, sync }),
        None => Err(broken(
            0,
            format!(
                "the file's schema ({}) has the identity {:016x} of another that was read before: read the file in a run of \
                 its own, with another container",
                shown.0, shown.1
            ),
        )),
    }
}

/// How many values of a block have been given, and their checksum, as a state says.
fn given(state: &[u8]) -> Option<(u64, u32)> {
    match state.split_first() {
        None => Some((0, 0)),
        Some((&VERSION, rest)) => {
            let mut from = Cursor::new(rest, 1);
            let given = u64::try_from(from.long().ok()?).ok()?;
            let sum = if given > 0 { u32::from_le_bytes(from.array().ok()?) } else { 0 };
            (from.left() == 0).then_some((given, sum))
        }
        Some(_) => None,
    }
}

#[cold]
fn broken(offset: usize, message: impl Into<String>) -> FramingError {
    FramingError { message: message.into(), offset }
}

impl Framer for Reading {
    fn scan(&mut self, data: &[u8], at_end: bool, max: usize, found: &mut Scan) -> Result<(), FramingError> {
        found.clear();
        let (data, at_end) = addressable(data, at_end);
        let mut made = Made::default();
        let looked = self.look(data, at_end, max, found, &mut made);
        if !found.records.is_empty() {
            let Made { bytes, before, seams } = made;
            found.unpacked = Some(Unpacked { bytes: Bytes::from(bytes), before, seams });
        }
        looked
    }

    fn state(&self) -> Vec<u8> {
        if self.header.is_none() {
            return Vec::new();
        }
        let mut state = vec![VERSION];
        write::long(i64::try_from(self.given).unwrap_or(i64::MAX), &mut state);
        if self.given > 0 {
            state.extend_from_slice(&self.sum.to_le_bytes());
        }
        state
    }
}
