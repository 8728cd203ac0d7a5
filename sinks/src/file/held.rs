//! [`Held`]: the file that stands beside an output and says how much of it belongs to which positions.
//!
//! `OUTPUT.millstream-positions`, numbers little-endian:
//!
//! ```text
//! byte  0   8   "MSPOS\r\n\0"
//!       8   4   version of the format: 1
//!      12   4   length n of the body, at most 256 MiB
//!      16   8   checksum of the body: FNV-1a, 64 bits
//!      24   n   the body, in postcard's encoding
//!
//! body:  pipeline     string   the pipeline's name
//!        form         string   framing and compression of the output
//!        length       varint   how many bytes of the output are committed, without a footer;
//!                              in a compressed one this is where a member ends
//!        footer       varint   how many bytes the footer behind them has; 0 while there is none
//!        ending       varint   FNV-1a, 64 bits, of the last KiB of those length + footer bytes
//!        checkpoints  list of  pipeline string, stage string, partition string,
//!                              position bytes (at most 4,096), label string
//!        input        string   what a state folder knows the input by; nothing stands here while that is not known, as
//!                              in a file of a program that didn't keep it
//! ```
//!
//! It is replaced as a whole (written under another name, synced, renamed, the folder synced) and only after the bytes
//! it tells of are durable. So at any moment the output has at least `length + footer` bytes, and whatever it has more
//! was not committed. It is there, with a length of 0, before the output is.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use millstream_core::contracts::{Cause, Checkpoint, Error, Key, Result};
use millstream_core::data::{Partition, Position};
use serde::{Deserialize, Serialize};

use super::place::{Place, failed};

const MAGIC: &[u8; 8] = b"MSPOS\r\n\0";
const VERSION: u32 = 1;
const HEAD: usize = 24;
const MOST_BODY: usize = 256 << 20;

/// How many bytes at the end of an output tell it from another.
pub(super) const ENDING: u64 = 1024;

/// What is known of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// The pipeline's name.
    pub(super) pipeline: String,
    /// Framing and compression.
    pub(super) form: String,
    /// How many bytes are committed, without a footer.
    pub(super) length: u64,
    /// How many bytes the footer behind them has.
    pub(super) footer: u64,
    /// [`checksum`] of the last [`ENDING`] of these bytes.
    pub(super) ending: u64,
    /// The positions that these bytes belong to.
    pub(super) checkpoints: Vec<Checkpoint>,
    /// What a state folder knows the input by that these bytes were made of, if that is known.
    pub(super) input: Option<String>,
}

/// Why bytes are not what [`Held::to_bytes`] makes.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("it has {0} bytes, and its head alone has {HEAD}")]
    Short(usize),
    #[error("it doesn't begin as such a file does")]
    Magic,
    #[error("its format is version {0}, and this program knows version {VERSION}")]
    Version(u32),
    #[error("it should have {expected} bytes and has {found}")]
    Length { expected: usize, found: usize },
    #[error("its checksum doesn't fit")]
    Checksum,
    #[error("its content can't be read")]
    Content(#[from] postcard::Error),
    #[error("a position in it is too long")]
    Position(#[from] millstream_core::data::PositionTooLarge),
    #[error("its lengths make no sense")]
    Lengths,
    #[error("{0} bytes follow its content")]
    Longer(usize),
}

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    pipeline: &'a str,
    form: &'a str,
    length: u64,
    footer: u64,
    ending: u64,
    #[serde(borrow)]
    checkpoints: Vec<Stored<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    pipeline: &'a str,
    stage: &'a str,
    partition: &'a str,
    position: &'a [u8],
    label: &'a str,
}

impl Held {
    /// What stands beside the output, if anything does.
    pub(super) fn read(place: &Place) -> Result<Option<Self>> {
        let path = place.positions();
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take((HEAD + MOST_BODY + 1) as u64).read_to_end(&mut bytes));
        match read {
            Ok(_) => Self::of_bytes(&bytes).map(Some).map_err(|damage| damaged(&path, place, damage)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path, "read", error)),
        }
    }

    /// Puts it beside the output, in the place of what stands there.
    pub(super) fn write(&self, place: &Place) -> Result<()> {
        let bytes = self.to_bytes()?;
        let (new, path) = (place.new_positions(), place.positions());
        File::create(&new)
            .and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| place.sync_folder())
            .map_err(|error| failed(&path, "written", error))
    }

    fn to_bytes(&self) -> Result<Vec<u8>> {
        let Self { pipeline, form, length, footer, ending, checkpoints, input } = self;
        let checkpoints = checkpoints.iter().map(stored).collect();
        let body = Body { pipeline, form, length: *length, footer: *footer, ending: *ending, checkpoints };
        let mut bytes = postcard::to_extend(&body, vec![0; HEAD])
            .and_then(|bytes| match input {
                Some(input) => postcard::to_extend(input, bytes),
                None => Ok(bytes),
            })
            .map_err(|error| Error::new(Cause::Bug, "positions could not be written as bytes").because(error))?;
        let body = &bytes[HEAD..];
        if body.len() > MOST_BODY {
            return Err(Error::new(Cause::Bug, "there are more than 256 MiB of positions to keep with an output"));
        }
        let (len, sum) = (body.len() as u32, checksum(body));
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&len.to_le_bytes());
        bytes[16..HEAD].copy_from_slice(&sum.to_le_bytes());
        Ok(bytes)
    }

    fn of_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        let (body, rest) = postcard::take_from_bytes(body(bytes)?)?;
        let Body { pipeline, form, length, footer, ending, checkpoints } = body;
        if length.checked_add(footer).is_none_or(|whole| whole > i64::MAX as u64) {
            return Err(Damage::Lengths);
        }
        let checkpoints = checkpoints.into_iter().map(checkpoint).collect::<Result<_, _>>()?;
        let input = input(rest)?;
        Ok(Self { pipeline: pipeline.into(), form: form.into(), length, footer, ending, checkpoints, input })
    }
}

/// The body, once the head fits it.
fn body(bytes: &[u8]) -> Result<&[u8], Damage> {
    let Some((head, body)) = bytes.split_first_chunk::<HEAD>() else { return Err(Damage::Short(bytes.len())) };
    let [version, len, sum_low, sum_high] =
        [8, 12, 16, 20].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    if &head[..8] != MAGIC {
        return Err(Damage::Magic);
    }
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    if len as usize != body.len() || body.len() > MOST_BODY {
        return Err(Damage::Length { expected: HEAD + len as usize, found: bytes.len() });
    }
    if checksum(body) != u64::from(sum_high) << 32 | u64::from(sum_low) {
        return Err(Damage::Checksum);
    }
    Ok(body)
}

/// The input, from what stands behind the checkpoints.
fn input(bytes: &[u8]) -> Result<Option<String>, Damage> {
    match bytes {
        [] => Ok(None),
        _ => match postcard::take_from_bytes::<&str>(bytes)? {
            (input, []) => Ok(Some(input.to_owned())),
            (_, rest) => Err(Damage::Longer(rest.len())),
        },
    }
}

/// FNV-1a, 64 bits.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn stored(checkpoint: &Checkpoint) -> Stored<'_> {
    let Key { pipeline, stage, partition } = &checkpoint.key;
    let position = &checkpoint.position;
    Stored { pipeline, stage, partition: partition.name(), position: position.bytes(), label: position.label() }
}

fn checkpoint(stored: Stored<'_>) -> Result<Checkpoint, Damage> {
    let key = Key {
        pipeline: stored.pipeline.into(),
        stage: stored.stage.into(),
        partition: Partition::new(stored.partition),
    };
    Ok(Checkpoint { key, position: Position::new(stored.position.to_vec(), stored.label)? })
}

fn damaged(path: &Path, place: &Place, damage: Damage) -> Error {
    let (path, output) = (path.display(), place.output().display());
    let message = match damage {
        Damage::Version(_) => {
            format!("{path} was written by another version of this program: run that version, or finish there first")
        }
        _ => format!(
            "{path} is damaged, so nothing tells how much of {output} is committed: bring it back together with the \
             output, or remove both and the state folder to begin anew (and set back what a server keeps, as a \
             consumer group's offsets)"
        ),
    };
    Error::new(Cause::State, message).because(damage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(length: u64, labels: &[String]) -> Held {
        let checkpoints = labels
            .iter()
            .map(|label| Checkpoint {
                key: Key { pipeline: "p".into(), stage: "FILE".into(), partition: Partition::new(label) },
                position: Position::new(label.clone().into_bytes(), label).unwrap(),
            })
            .collect();
        Held { pipeline: "p".into(), form: "lines".into(), length, footer: 2, ending: 7, checkpoints, input: None }
    }

    #[test]
    fn the_bytes_of_version_1_are_these() {
        let bytes = held(300, &["a".into()]).to_bytes().unwrap();
        let body = b"\x01p\x05lines\xac\x02\x02\x07\x01\x01p\x04FILE\x01a\x01a\x01a";
        assert_eq!(&bytes[..16], [&MAGIC[..], &[1, 0, 0, 0], &[body.len() as u8, 0, 0, 0]].concat());
        assert_eq!(bytes[16..24], 0xaba7_0a4b_2823_f5d1_u64.to_le_bytes());
        assert_eq!(&bytes[24..], body);
        let with_input = Held { input: Some("a b".into()), ..held(300, &["a".into()]) };
        assert_eq!(with_input.to_bytes().unwrap()[24..], [&body[..], b"\x03a b"].concat());
    }

    #[test]
    fn what_stands_behind_the_input_is_damage() {
        assert!(matches!(input(b"\x01ab"), Err(Damage::Longer(1))));
        assert!(matches!(input(b"\x02a"), Err(Damage::Content(_))));
        assert!(matches!(input(b"\x01\xff"), Err(Damage::Content(_))));
    }

    #[test]
    fn the_checksum_is_fnv_1a() {
        assert_eq!(checksum(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(checksum(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = held(300, &["a".into(), "b".into()]).to_bytes().unwrap();
        for at in 0..bytes.len() {
            assert!(Held::of_bytes(&bytes[..at]).is_err(), "cut to {at}");
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(Held::of_bytes(&flipped).is_err(), "byte {at}, bit {bit}");
            }
        }
        assert!(Held::of_bytes(&[bytes, vec![0]].concat()).is_err());
    }

    #[test]
    fn lengths_that_no_file_has_are_damage() {
        let bytes = held(u64::MAX, &[]).to_bytes().unwrap();
        assert!(matches!(Held::of_bytes(&bytes), Err(Damage::Lengths)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            length in 0u64..1 << 62,
            labels in prop::collection::vec(".{0,20}", 0..6),
            input in prop::option::of(".{0,200}"),
        ) {
            let held = Held { input, ..held(length, &labels) };
            prop_assert_eq!(Held::of_bytes(&held.to_bytes().unwrap()).unwrap(), held);
        }

        /// With a head that fits, so that the body's content is what is looked at.
        #[test]
        fn any_body_is_an_error_or_a_value(body in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend(VERSION.to_le_bytes());
            bytes.extend((body.len() as u32).to_le_bytes());
            bytes.extend(checksum(&body).to_le_bytes());
            bytes.extend(&body);
            let _ = Held::of_bytes(&bytes);
        }
    }
}
