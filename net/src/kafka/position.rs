//! How far a partition has been read, as bytes.
//!
//! ```text
//! version u8 = 2 | offset i64, little-endian | the cluster's id: u8 length, text
//! ```
//!
//! The id is empty where the cluster says none. The offset is that of the next record, as Kafka commits it. Offsets may
//! have gaps (transactions end with a record of their own, compaction takes records out); what a position says is only that
//! everything before it has been read. Version 1 had no cluster's id: it was never released, and is refused.

use millstream_core::contracts::{Cause, Error, Result};
use millstream_core::data::{Partition, Position};
use rdkafka::{Offset, TopicPartitionList};

const VERSION: u8 = 2;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

impl Place {
    /// This partition of a topic.
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
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

/// These partitions with an offset each, as the client takes them.
pub fn listed<'a>(places: impl IntoIterator<Item = (&'a Place, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (place, offset) in places {
        // It fails only for offsets that can't be written as a number, and those are none of ours.
        let _ = list.add_partition_offset(&place.topic, place.partition, offset);
    }
    list
}

/// Offsets that are to be committed, each with this `mark` beside it.
pub fn marked<'a>(offsets: impl IntoIterator<Item = (&'a Place, i64)>, mark: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (place, offset) in offsets {
        let mut element = list.add_partition(&place.topic, place.partition);
        // It fails only for offsets that can't be written as a number, and these can.
        let _ = element.set_offset(Offset::Offset(offset));
        element.set_metadata(mark);
    }
    list
}

/// The position before the record at `offset` of this partition of a cluster, whose id may be empty: it isn't known.
pub fn encode(partition: &str, offset: i64, cluster: &str) -> std::result::Result<Position, String> {
    // Ids have 22 bytes. What is another thing altogether is as good as none.
    let (length, cluster) = u8::try_from(cluster.len()).map_or((0, ""), |length| (length, cluster));
    let mut bytes = Vec::with_capacity(10 + cluster.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&offset.to_le_bytes());
    bytes.push(length);
    bytes.extend_from_slice(cluster.as_bytes());
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
        [VERSION, ref rest @ ..] => match split(rest) {
            Some((offset, _)) if offset >= 0 => Ok(offset),
            Some((offset, _)) => Err(wrong(format!("offset {offset}"))),
            None => Err(wrong(format!("{} bytes", rest.len() + 1))),
        },
        [version, ..] => Err(wrong(format!("version {version}"))),
        [] => Err(wrong("nothing".to_owned())),
    }
}

/// The id of the cluster that a position is of, if it says so.
pub fn cluster_of(position: &Position) -> Option<&str> {
    let (_, id) = split(position.bytes().get(1..)?)?;
    Some(id).filter(|id| !id.is_empty())
}

/// The offset, and the cluster's id.
fn split(bytes: &[u8]) -> Option<(i64, &str)> {
    let (offset, rest) = bytes.split_first_chunk()?;
    let (length, id) = rest.split_first()?;
    let id = Some(id).filter(|id| id.len() == usize::from(*length))?;
    Some((i64::from_le_bytes(*offset), std::str::from_utf8(id).ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_written_is_read(offset in 0..i64::MAX, cluster in ".{0,9}") {
            let position = encode("orders/3", offset, &cluster).unwrap();
            prop_assert_eq!(decode(&position).unwrap(), offset);
            prop_assert_eq!(cluster_of(&position).unwrap_or_default(), cluster);
            prop_assert_eq!(position.label(), format!("orders/3@{offset}"));
            for end in 0..position.bytes().len() {
                prop_assert!(decode(&Position::new(position.bytes()[..end].to_vec(), "cut").unwrap()).is_err());
            }
        }

        #[test]
        fn whatever_stands_there_is_read_or_refused(other in any::<Vec<u8>>()) {
            let strange = Position::new(other.clone(), "x").unwrap();
            if let Ok(found) = decode(&strange) {
                let again = encode("", found, cluster_of(&strange).unwrap_or_default()).unwrap();
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
        for bytes in [&[][..], &[2, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 2], &[1, 255, 255, 255, 255, 255, 255, 255, 255, 0]] {
            let error = decode(&Position::new(bytes.to_vec(), "strange").unwrap()).unwrap_err();
            assert_eq!(error.cause(), Cause::State);
            assert!(error.message().contains("begin anew"), "{error}");
        }
    }
}
