//! Pieces as frames.

use millstream_core::data::{Bytes, Packed, Position, Range32, Times};

use super::{FIXED, FrameError, MAX_LABEL, MAX_NAME, UNEVEN, flags};
use crate::exchange::piece::{Piece, Reached, Rows};

/// The frame of a piece, to be sent as it is, one part after the other: rows that lie close together are not copied. An
/// error if a name is too long.
pub(crate) fn encode(tag: u64, piece: &Piece) -> Result<Vec<Bytes>, FrameError> {
    let mut head = Vec::with_capacity(head_bytes(piece));
    put_fixed(&mut head, tag, piece);
    let origin = &piece.span().origin;
    put_bytes(&mut head, origin.stage.as_bytes(), "the name of a stage", MAX_NAME)?;
    put_bytes(&mut head, origin.partition.name().as_bytes(), "the name of a partition", MAX_NAME)?;
    put_times(&mut head, &piece.span().times);
    if let Some(turns) = &piece.span().turns {
        put_each(&mut head, turns);
    }
    if let Reached::At(count, position) = &piece.span().reached {
        put_u32(&mut head, *count);
        put_bytes(&mut head, position.bytes(), "a position", Position::MAX_BYTES)?;
        put_bytes(&mut head, position.label().as_bytes(), "the label of a position", MAX_LABEL)?;
    }
    put_u32(&mut head, piece.rows().len() as u32);
    piece.index().iter().copied().flatten().for_each(|&record| put_u32(&mut head, record));
    piece.subs().iter().copied().flatten().for_each(|&sub| put_u32(&mut head, sub));
    let mut frame = vec![Bytes::new()];
    for column in piece.rows().columns() {
        frame.push(put_table(&mut head, column));
    }
    frame[0] = head.into();
    Ok(frame)
}

/// About how long the part before the stretches gets.
fn head_bytes(piece: &Piece) -> usize {
    let times = if let Times::Each(times) = &piece.span().times { times.len() } else { 1 };
    let turns = piece.span().turns.as_ref().map_or(0, |turns| turns.len());
    FIXED + 128 + 8 * (times + turns) + 16 * piece.rows().len()
}

fn put_fixed(head: &mut Vec<u8>, tag: u64, piece: &Piece) {
    let (span, part) = (piece.span(), piece.part());
    for number in [tag, span.origin.epoch, span.first] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    for number in [span.len, part.start, part.end] {
        put_u32(head, number);
    }
    head.extend_from_slice(&span.origin.instance.to_le_bytes());
    head.extend_from_slice(&flags_of(piece).to_le_bytes());
}

fn flags_of(piece: &Piece) -> u16 {
    let times = match &piece.span().times {
        Times::Each(_) => flags::EACH,
        Times::Uniform(time) if time.ingested => flags::INGESTED,
        Times::Uniform(_) => 0,
    };
    let position = match &piece.span().reached {
        Reached::Unsaid => 0,
        Reached::Nowhere => flags::SAID,
        Reached::At(..) => flags::SAID | flags::POSITION,
    };
    let index = if piece.index().is_some() { flags::INDEX } else { 0 };
    let pairs = if matches!(piece.rows(), Rows::Pairs(..)) { flags::PAIRS } else { 0 };
    let late = if piece.is_late() { flags::LATE } else { 0 };
    let subs = if piece.subs().is_some() { flags::SUBS } else { 0 };
    let turns = if piece.span().turns.is_some() { flags::TURNS } else { 0 };
    times | position | index | pairs | late | subs | turns
}

fn put_times(head: &mut Vec<u8>, times: &Times) {
    match times {
        Times::Uniform(time) => head.extend_from_slice(&time.micros.to_le_bytes()),
        Times::Each(times) => put_each(head, times),
    }
}

fn put_each(head: &mut Vec<u8>, numbers: &[i64]) {
    numbers.iter().for_each(|number| head.extend_from_slice(&number.to_le_bytes()));
}

/// Writes the table of a column, and returns its stretch.
fn put_table(head: &mut Vec<u8>, column: &Packed<Bytes>) -> Bytes {
    let rows = column.ranges();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        put_u32(head, 0);
        put_u32(head, 0);
        return Bytes::new();
    };
    let stretch = (last.end - first.start) as usize;
    let bytes: usize = rows.iter().map(|row| row.len()).sum();
    if (stretch - bytes) * 8 > stretch {
        return put_gathered(head, column, bytes);
    }
    put_u32(head, last.end - first.start);
    match even_gap(rows) {
        Some(gap) => {
            put_u32(head, gap);
            rows.iter().for_each(|row| put_u32(head, row.end - first.start));
        }
        None => {
            put_u32(head, UNEVEN);
            for row in rows {
                put_u32(head, row.start - first.start);
                put_u32(head, row.end - first.start);
            }
        }
    }
    column.share_block().slice(first.start as usize..last.end as usize)
}

/// The same where too much lies between the rows: they are put together.
fn put_gathered(head: &mut Vec<u8>, column: &Packed<Bytes>, bytes: usize) -> Bytes {
    // The rows are in one block, and its places have 32 bits.
    put_u32(head, bytes as u32);
    put_u32(head, 0);
    let mut stretch = Vec::with_capacity(bytes);
    for row in 0..column.len() {
        stretch.extend_from_slice(column.get(row));
        put_u32(head, stretch.len() as u32);
    }
    stretch.into()
}

/// What lies between each row and the next, if it is the same everywhere.
fn even_gap(rows: &[Range32]) -> Option<u32> {
    let mut gaps = rows.windows(2).map(|pair| pair[1].start - pair[0].end);
    let gap = gaps.next().unwrap_or(0);
    (gap != UNEVEN && gaps.all(|other| other == gap)).then_some(gap)
}

fn put_u32(head: &mut Vec<u8>, number: u32) {
    head.extend_from_slice(&number.to_le_bytes());
}

fn put_bytes(head: &mut Vec<u8>, bytes: &[u8], what: &'static str, most: usize) -> Result<(), FrameError> {
    if bytes.len() > most {
        return Err(FrameError::TooLong { what, found: bytes.len(), most });
    }
    // All that are put this way have at most 4,096 bytes.
    head.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
    head.extend_from_slice(bytes);
    Ok(())
}
