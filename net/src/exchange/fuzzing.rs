//! The door that the fuzz targets have to the frames: there is none in any other build.

use millstream_core::data::Bytes;

use super::frame::{decode, decode_messages, encode, encode_messages};
use super::origin::Load;

/// Reads a frame of records, does with the piece what is done with pieces, and gives its frame again; `None` if it is
/// refused. Panics if the piece is not what its frame said.
pub fn records(frame: &[u8]) -> Option<Vec<u8>> {
    let (tag, piece) = decode(Bytes::copy_from_slice(frame)).ok()?;
    let rows = piece.rows().len();
    assert!(rows <= frame.len() / 4, "{rows} rows of {} bytes", frame.len());
    let (all, batch) = (piece.records(), piece.clone().into_batch());
    assert_eq!(batch.stamps().filter(|stamp| all.contains(&stamp.sequence)).count(), rows);
    let middle = all.start + (all.end - all.start) / 2;
    let halves = [all.start..middle, middle..all.end].map(|half| piece.slice(half));
    assert_eq!(halves.iter().map(|half| half.rows().len()).sum::<usize>(), rows);
    if let Ok(shares) = piece.split_by_key(3) {
        assert_eq!(shares.iter().map(|share| share.rows().len()).sum::<usize>(), rows);
    }
    let again = encode(tag, &piece).expect("what was taken can be sent").concat();
    assert!(again.len() <= frame.len(), "it never grows");
    Some(again)
}

/// Reads a frame of messages and gives their frames again; `None` if it is refused.
pub fn messages(frame: &[u8]) -> Option<Vec<u8>> {
    let messages = decode_messages(frame).ok()?;
    Some(encode_messages(&messages).expect("what was taken can be sent").concat())
}
