//! What the tests of framings share: a reader that reads as sources do.

use millstream_core::contracts::{Framing, FramingError, Scan};

/// A record, and whether it was refused.
pub(crate) type Read = (Vec<u8>, bool);

/// Reads all of `data`, which comes in pieces of these sizes (again and again), at most `max` records a scan. With
/// `resume` every scan is made by a framer that is made from the state of the one before.
pub(crate) fn read(
    framing: &dyn Framing,
    data: &[u8],
    pieces: &[usize],
    max: usize,
    resume: bool,
) -> Result<Vec<Read>, FramingError> {
    let (mut framer, mut found, mut records) = (framing.framer(None)?, Scan::default(), Vec::new());
    let (mut at, mut filled) = (0, 0);
    let mut pieces = pieces.iter().cycle();
    loop {
        if resume {
            let head = framing.head(data, true)?.unwrap_or_default();
            framer = framing.framer_behind(&data[..head], &framer.state())?;
        }
        let at_end = filled == data.len();
        framer.scan(&data[at..filled], at_end, max, &mut found)?;
        for (index, range) in found.records.iter().enumerate() {
            let whole = found.unpacked.as_ref().map_or(&data[at..filled], |unpacked| &unpacked.bytes);
            let record = whole[range.start as usize..range.end as usize].to_vec();
            records.push((record, found.refused.iter().any(|refused| refused.0 == index as u32)));
        }
        at += found.consumed;
        if found.records.is_empty() && at_end {
            assert_eq!(at, data.len(), "nothing is left at the end");
            return Ok(records);
        }
        if found.records.is_empty() {
            filled = (filled + pieces.next().copied().unwrap_or(1).max(1)).min(data.len());
        }
    }
}

/// What a framing's writer makes of these records.
pub(crate) fn written(framing: &dyn Framing, records: &[&[u8]]) -> Vec<u8> {
    let (mut writer, mut out) = (framing.writer(), Vec::new());
    writer.header(&mut out);
    records.iter().for_each(|record| writer.record(record, &mut out));
    writer.flush(&mut out);
    writer.footer(&mut out);
    out
}
