//! How far a partition has been read, as bytes.
//!
//! ```text
//! version u8 = 1 | offset i64, little-endian
//! ```
//!
//! The offset is that of the next record, as Kafka commits it. Offsets may have gaps (transactions end with a record of
//! their own, compaction takes records out); what a position says is only that everything before it has been read.

use millstream_core::contracts::{Cause, Error, Result};
use millstream_core::data::{Partition, Position};

const VERSION: u8 = 1;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

/// The stable name under which positions of this partition are kept: `orders/3`.
pub fn partition_name(topic: &str, partition: i32) -> Partition {
    Partition::new(format!("{topic}/{partition}"))
}

/// What [`partition_name`] named; `None` if it is no such name.
pub fn split_name(partition: &Partition) -> Option<Place> {
    let (topic, number) = partition.name().rsplit_once('/')?;
    Some(Place { topic: topic.to_owned(), partition: number.parse().ok()? })
}

/// The position before the record at `offset` of this partition.
pub fn encode(partition: &str, offset: i64) -> std::result::Result<Position, String> {
    let mut bytes = Vec::with_capacity(9);
    bytes.push(VERSION);
    bytes.extend_from_slice(&offset.to_le_bytes());
    Position::new(bytes, format!("{partition}@{offset}")).map_err(|error| error.to_string())
}

/// The offset that a position names. One of another version, or of another source, is an error.
pub fn decode(position: &Position) -> Result<i64> {
    let wrong = |found: String| {
        let message = format!(
            "the position {} is not one of a Kafka partition: expected version {VERSION} and an offset, found {found}; use \
             the state or the output of this pipeline, or give the group another name to begin anew",
            position.label()
        );
        Error::new(Cause::State, message)
    };
    match **position.bytes() {
        [VERSION, ref offset @ ..] => {
            let bytes = offset.try_into().map_err(|_| wrong(format!("{} bytes", offset.len() + 1)))?;
            let offset = i64::from_le_bytes(bytes);
            if offset < 0 { Err(wrong(format!("offset {offset}"))) } else { Ok(offset) }
        }
        [version, ..] => Err(wrong(format!("version {version}"))),
        [] => Err(wrong("nothing".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read_and_nothing_else_is(offset in 0..i64::MAX, other in any::<Vec<u8>>()) {
            let position = encode("orders/3", offset).unwrap();
            prop_assert_eq!(decode(&position).unwrap(), offset);
            prop_assert_eq!(position.label(), format!("orders/3@{offset}"));
            let strange = Position::new(other.clone(), "x").unwrap();
            if let Ok(found) = decode(&strange) {
                let again = encode("", found).unwrap();
                prop_assert_eq!(again.bytes(), strange.bytes());
            }
        }
    }

    #[test]
    fn names_are_topic_and_number() {
        let name = partition_name("orders.eu/1", 12);
        assert_eq!(name.name(), "orders.eu/1/12");
        assert_eq!(split_name(&name), Some(Place { topic: "orders.eu/1".into(), partition: 12 }));
        assert_eq!(split_name(&Partition::new("files")), None);
    }

    #[test]
    fn a_strange_position_names_the_way_out() {
        for bytes in [&[][..], &[2, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 2], &[1, 255, 255, 255, 255, 255, 255, 255, 255]] {
            let error = decode(&Position::new(bytes.to_vec(), "strange").unwrap()).unwrap_err();
            assert_eq!(error.cause(), Cause::State);
            assert!(error.message().contains("begin anew"), "{error}");
        }
    }
}
