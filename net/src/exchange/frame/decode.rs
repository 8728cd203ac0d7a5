//! Frames as pieces. Nothing is allocated before the frame is seen to be long enough for it, and the rows stay where
//! they are: in the frame.

use std::ops::Range;
use std::sync::Arc;

use millstream_core::data::{Bytes, EventTime, Packed, Partition, Position, Range32, Times};

use super::{FrameError, MAX_LABEL, MAX_NAME, UNEVEN, flags};
use crate::exchange::origin::Origin;
use crate::exchange::piece::{Piece, Reached, Rows, Span};

/// The tag and the piece that a frame was made of. The rows share the frame; the rest is copied, so that what outlives
/// them doesn't keep it.
pub(crate) fn decode(frame: Bytes) -> Result<(u64, Piece), FrameError> {
    let mut reader = Reader { rest: &frame };
    let fixed = Fixed::read(&mut reader)?;
    let span = fixed.span(&mut reader)?;
    let rows = reader.u32("the number of rows")?;
    let index = fixed.index(&mut reader, rows)?;
    let subs = fixed.subs(&mut reader, rows)?;
    let keys = if fixed.has(flags::PAIRS) { Some(Table::read(&mut reader, rows)?) } else { None };
    let values = Table::read(&mut reader, rows)?;
    let keys = keys.map(|table| table.take(&frame, &mut reader)).transpose()?;
    let values = values.take(&frame, &mut reader)?;
    if !reader.rest.is_empty() {
        return Err(FrameError::Longer(reader.rest.len()));
    }
    let rows = match keys {
        Some(keys) => Rows::Pairs(keys, values),
        None => Rows::Bytes(values),
    };
    let late = fixed.has(flags::LATE);
    Ok((fixed.tag, Piece::new(Arc::new(span), fixed.part, index, rows, late).with_subs(subs)))
}

/// What has always the same length.
struct Fixed {
    tag: u64,
    epoch: u64,
    first: u64,
    len: u32,
    part: Range<u32>,
    instance: u16,
    flags: u16,
}

impl Fixed {
    fn read(reader: &mut Reader) -> Result<Self, FrameError> {
        let fixed = Self {
            tag: reader.u64("the tag")?,
            epoch: reader.u64("the epoch")?,
            first: reader.u64("the first sequence number")?,
            len: reader.u32("the length of the span")?,
            part: reader.u32("the part")?..reader.u32("the part")?,
            instance: reader.u16("the instance")?,
            flags: reader.u16("the flags")?,
        };
        fixed.check()?;
        Ok(fixed)
    }

    fn check(&self) -> Result<(), FrameError> {
        let Self { first, len, part: Range { start, end }, flags, .. } = *self;
        let contradict = self.has(flags::EACH) && self.has(flags::INGESTED)
            || self.has(flags::POSITION) && !self.has(flags::SAID)
            || self.has(flags::SUBS) && !self.has(flags::INDEX);
        if flags & !flags::ALL != 0 || contradict {
            return Err(FrameError::Flags(flags));
        }
        if first.checked_add(u64::from(len)).is_none() {
            return Err(FrameError::Span { first, len });
        }
        if start > end || end > len {
            return Err(FrameError::Part { start, end, len });
        }
        Ok(())
    }

    fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Reads what the pieces of its span share.
    fn span(&self, reader: &mut Reader) -> Result<Span, FrameError> {
        let origin = Origin {
            instance: self.instance,
            stage: reader.text("the name of a stage", MAX_NAME)?.into(),
            partition: Partition::new(reader.text("the name of a partition", MAX_NAME)?),
            epoch: self.epoch,
        };
        let times = self.times(reader)?;
        let turns = self.turns(reader)?;
        let reached = self.reached(reader)?;
        Ok(Span { origin: Arc::new(origin), first: self.first, len: self.len, times, turns, reached, shared: None })
    }

    fn turns(&self, reader: &mut Reader) -> Result<Option<Arc<[i64]>>, FrameError> {
        if !self.has(flags::TURNS) {
            return Ok(None);
        }
        let turns = reader.arrays(self.len, "the turns")?;
        Ok(Some(turns.iter().map(|turn| i64::from_le_bytes(*turn)).collect()))
    }

    /// Reads each row's place within its record.
    fn subs(&self, reader: &mut Reader, rows: u32) -> Result<Option<Arc<[u32]>>, FrameError> {
        if !self.has(flags::SUBS) {
            return Ok(None);
        }
        let subs = reader.arrays(rows, "the rows' places")?;
        Ok(Some(subs.iter().map(|sub| u32::from_le_bytes(*sub)).collect()))
    }

    fn times(&self, reader: &mut Reader) -> Result<Times, FrameError> {
        if !self.has(flags::EACH) {
            let micros = i64::from_le_bytes(reader.array("an event time")?);
            return Ok(Times::Uniform(EventTime { micros, ingested: self.has(flags::INGESTED) }));
        }
        let times = reader.arrays(self.len, "the event times")?;
        Ok(Times::Each(times.iter().map(|time| i64::from_le_bytes(*time)).collect()))
    }

    fn reached(&self, reader: &mut Reader) -> Result<Reached, FrameError> {
        if !self.has(flags::POSITION) {
            return Ok(if self.has(flags::SAID) { Reached::Nowhere } else { Reached::Unsaid });
        }
        let count = u32::from_le_bytes(reader.array("how many records are before a position")?);
        if count > self.len {
            return Err(FrameError::Before { len: self.len, found: count });
        }
        let bytes = reader.short("a position", Position::MAX_BYTES)?;
        let label = reader.text("the label of a position", MAX_LABEL)?;
        Ok(Reached::At(count, Position::new(Bytes::copy_from_slice(bytes), label)?))
    }

    /// Reads each row's record.
    fn index(&self, reader: &mut Reader, rows: u32) -> Result<Option<Arc<[u32]>>, FrameError> {
        let Range { mut start, end } = self.part;
        if !self.has(flags::INDEX) {
            let expected = end - start;
            return if rows == expected { Ok(None) } else { Err(FrameError::Rows { expected, found: rows }) };
        }
        let index = reader.arrays(rows, "the rows' records")?;
        let index: Arc<[u32]> = index.iter().map(|record| u32::from_le_bytes(*record)).collect();
        for (row, &found) in index.iter().enumerate() {
            if !(start..end).contains(&found) {
                return Err(FrameError::Record { row, from: start, to: end, found });
            }
            start = found;
        }
        Ok(Some(index))
    }
}

/// The table of a stretch.
struct Table {
    stretch: u32,
    rows: Vec<Range32>,
}

impl Table {
    fn read(reader: &mut Reader, rows: u32) -> Result<Self, FrameError> {
        let (stretch, gap) = (reader.u32("the length of a stretch")?, reader.u32("a gap")?);
        let rows = match gap {
            UNEVEN => uneven(reader.arrays(rows, "where the rows are")?),
            _ => even(reader.arrays(rows, "where the rows end")?, gap),
        };
        let table = Self { stretch, rows };
        table.check()?;
        Ok(table)
    }

    /// The rows are in order, don't overlap, and fill the stretch.
    fn check(&self) -> Result<(), FrameError> {
        let (mut from, to) = (0, self.stretch);
        for (row, &Range32 { start, end }) in self.rows.iter().enumerate() {
            if start < from || end < start || to < end {
                return Err(FrameError::Row { row, from, to, start, end });
            }
            from = end;
        }
        let start = self.rows.first().map_or(0, |row| row.start);
        match from - start == to {
            true => Ok(()),
            false => Err(FrameError::Stretch { expected: to, found: from - start }),
        }
    }

    /// Its rows, with the stretch that comes next in the frame.
    fn take(self, frame: &Bytes, reader: &mut Reader) -> Result<Packed<Bytes>, FrameError> {
        let stretch = reader.take(self.stretch as usize, "the rows")?;
        Ok(Packed::new(frame.slice_ref(stretch), self.rows))
    }
}

fn uneven(rows: &[[u8; 8]]) -> Vec<Range32> {
    let number = |bytes: [u8; 4]| u32::from_le_bytes(bytes);
    rows.iter()
        .map(|&[a, b, c, d, e, f, g, h]| Range32 { start: number([a, b, c, d]), end: number([e, f, g, h]) })
        .collect()
}

fn even(ends: &[[u8; 4]], gap: u32) -> Vec<Range32> {
    let mut start = 0;
    let mut rows = Vec::with_capacity(ends.len());
    for end in ends {
        let end = u32::from_le_bytes(*end);
        rows.push(Range32 { start, end });
        // What would start beyond 4 GiB is outside any stretch there as well.
        start = end.saturating_add(gap);
    }
    rows
}

/// What is left of a frame.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, expected: usize, what: &'static str) -> Result<&'a [u8], FrameError> {
        let cut = FrameError::Cut { what, expected, found: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(expected).ok_or(cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FrameError> {
        let cut = FrameError::Cut { what, expected: N, found: self.rest.len() };
        let (&taken, rest) = self.rest.split_first_chunk().ok_or(cut)?;
        self.rest = rest;
        Ok(taken)
    }

    fn arrays<const N: usize>(&mut self, count: u32, what: &'static str) -> Result<&'a [[u8; N]], FrameError> {
        // On a machine of 32 bits it may not fit; nor does any frame that has it.
        let bytes = (count as usize).saturating_mul(N);
        Ok(self.take(bytes, what)?.as_chunks().0)
    }

    fn u16(&mut self, what: &'static str) -> Result<u16, FrameError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, FrameError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, FrameError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// Bytes behind their length.
    fn short(&mut self, what: &'static str, most: usize) -> Result<&'a [u8], FrameError> {
        let found = usize::from(self.u16(what)?);
        match found <= most {
            true => self.take(found, what),
            false => Err(FrameError::TooLong { what, found, most }),
        }
    }

    fn text(&mut self, what: &'static str, most: usize) -> Result<&'a str, FrameError> {
        std::str::from_utf8(self.short(what, most)?).map_err(|source| FrameError::NotText { what, source })
    }
}
