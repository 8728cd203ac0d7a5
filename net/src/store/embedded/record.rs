//! How the store's values are written: a byte that names the version of the format, then the value in postcard's
//! encoding (numbers and lengths as varints, strings as length and UTF-8, fields in the order given here).
//!
//! ```text
//! about      1  pipeline: string  fingerprint: string  input: string
//! ended      1  whether the last run saw the input to its end: bool (a byte, 0 or 1)
//! position   1  bytes: length and bytes (at most 4,096)  label: string (at most 1,000 characters)
//! ```

use millstream_core::contracts::Opened;
use millstream_core::data::Position;
use serde::{Deserialize, Serialize};

/// The one version there is.
const VERSION: u8 = 1;

/// Why a value can't be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error("it is empty")]
    Empty,
    #[error("its format is version {0}, and this program knows version {VERSION}")]
    Version(u8),
    #[error("its content can't be read")]
    Content(#[from] postcard::Error),
    #[error("{0} bytes follow its content")]
    Longer(usize),
    #[error("its position is too long")]
    Position(#[from] millstream_core::data::PositionTooLarge),
}

#[derive(Serialize, Deserialize)]
struct About<'a> {
    pipeline: &'a str,
    fingerprint: &'a str,
    input: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    bytes: &'a [u8],
    label: &'a str,
}

/// What the store belongs to, as the bytes that are kept.
pub(super) fn write_about(opened: &Opened) -> Result<Vec<u8>, RecordError> {
    let Opened { pipeline, fingerprint, input } = opened;
    write(&About { pipeline, fingerprint, input })
}

/// What the store belongs to, from the bytes that were kept.
pub(super) fn read_about(bytes: &[u8]) -> Result<Opened, RecordError> {
    let About { pipeline, fingerprint, input } = read(bytes)?;
    Ok(Opened { pipeline: pipeline.into(), fingerprint: fingerprint.into(), input: input.into() })
}

/// Whether the last run saw the input to its end, as the bytes that are kept.
pub(super) fn write_ended(ended: bool) -> Result<Vec<u8>, RecordError> {
    write(&ended)
}

/// Whether the last run saw the input to its end, from the bytes that were kept.
pub(super) fn read_ended(bytes: &[u8]) -> Result<bool, RecordError> {
    read(bytes)
}

/// A position, as the bytes that are kept.
pub(super) fn write_position(position: &Position) -> Result<Vec<u8>, RecordError> {
    write(&Stored { bytes: position.bytes(), label: position.label() })
}

/// A position, from the bytes that were kept.
pub(super) fn read_position(bytes: &[u8]) -> Result<Position, RecordError> {
    let Stored { bytes, label } = read(bytes)?;
    Ok(Position::new(bytes.to_vec(), label)?)
}

fn write(value: &impl Serialize) -> Result<Vec<u8>, RecordError> {
    Ok(postcard::to_extend(value, vec![VERSION])?)
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, RecordError> {
    let (&version, content) = bytes.split_first().ok_or(RecordError::Empty)?;
    if version != VERSION {
        return Err(RecordError::Version(version));
    }
    match postcard::take_from_bytes(content)? {
        (value, []) => Ok(value),
        (_, rest) => Err(RecordError::Longer(rest.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_with_its_bytes_and_label() {
        let position = Position::new(vec![0, 255, 7], "orders.xml:12").unwrap();
        let read = read_position(&write_position(&position).unwrap()).unwrap();
        assert_eq!((read.bytes(), read.label()), (position.bytes(), "orders.xml:12"));
    }

    #[test]
    fn the_bytes_of_version_1_are_these() {
        let position = Position::new(vec![9, 8], "a:2").unwrap();
        assert_eq!(write_position(&position).unwrap(), [1, 2, 9, 8, 3, b'a', b':', b'2']);
        let opened = Opened { pipeline: "p".into(), fingerprint: "ff".into(), input: String::new() };
        assert_eq!(write_about(&opened).unwrap(), [1, 1, b'p', 2, b'f', b'f', 0]);
        assert_eq!([write_ended(false).unwrap(), write_ended(true).unwrap()], [[1, 0], [1, 1]]);
    }

    #[test]
    fn what_is_cut_longer_or_of_another_version_is_refused() {
        let whole = write_position(&Position::new(vec![1, 2, 3], "a:1").unwrap()).unwrap();
        for end in 0..whole.len() {
            assert!(read_position(&whole[..end]).is_err(), "cut at {end}");
        }
        let mut longer = whole.clone();
        longer.push(0);
        assert!(matches!(read_position(&longer), Err(RecordError::Longer(1))));
        let mut newer = whole;
        newer[0] = 2;
        assert!(matches!(read_position(&newer), Err(RecordError::Version(2))));
    }

    #[test]
    fn an_end_is_one_of_two_bytes_and_nothing_else() {
        assert!(!read_ended(&[1, 0]).unwrap() && read_ended(&[1, 1]).unwrap());
        assert!(matches!(read_ended(&[]), Err(RecordError::Empty)));
        assert!(matches!(read_ended(&[2, 1]), Err(RecordError::Version(2))));
        assert!(matches!(read_ended(&[1, 1, 0]), Err(RecordError::Longer(1))));
        for content in [&[1][..], &[1, 2]] {
            assert!(matches!(read_ended(content), Err(RecordError::Content(_))), "{content:?}");
        }
    }

    #[test]
    fn a_position_of_more_than_4_kib_is_refused() {
        let bytes = write(&Stored { bytes: &[0; 4097], label: "big" }).unwrap();
        assert!(matches!(read_position(&bytes), Err(RecordError::Position(_))));
    }
}
