//! Where partitions that were assigned begin. Asks the brokers, and so blocks its thread.

use std::collections::HashMap;
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Result};
use millstream_net::kafka::{Place, failed, partition_name};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::config::{Fallback, Start, What};
use super::member::{Context, place};

/// How long an answer of the brokers is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a partition begins, and where it ends if there is an end to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) place: Place,
    pub(super) offset: Offset,
    pub(super) end: Option<i64>,
}

/// A partition whose beginning is asked for.
pub(super) struct Asked {
    pub(super) place: Place,
    pub(super) held: Option<Held>,
    /// Where it began when this process read it before, if it did.
    pub(super) floor: Option<Offset>,
    /// Whether what the group has committed is of an earlier run, and the start says not to look at that.
    pub(super) afresh: bool,
    pub(super) start: Start,
}

/// The offset that a partition is held at, outside of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// The partition begins there.
    At(i64),
    /// The partition begins there unless the group has gone further: it was given back since, and others may have read
    /// on.
    AtLeast(i64),
}

/// Sees that what is to be read is there, and returns how many partitions each topic has.
pub(super) fn look(consumer: &BaseConsumer<Context>, what: &What) -> Result<HashMap<String, i32>> {
    let mut found = HashMap::new();
    let said = |error| consumer.context().said().failed("can't ask for the topics", error);
    let names = match what {
        What::Topics(names) => names,
        What::Pattern(_) => {
            let all = consumer.fetch_metadata(None, PATIENCE).map_err(said)?;
            found.extend(all.topics().iter().map(|topic| (topic.name().to_owned(), topic.partitions().len() as i32)));
            return Ok(found);
        }
    };
    for name in names {
        let metadata = consumer.fetch_metadata(Some(name), PATIENCE).map_err(said)?;
        for topic in metadata.topics() {
            if let Some(error) = topic.error() {
                let error = rdkafka::error::KafkaError::MetadataFetch(RDKafkaErrorCode::from(error));
                return Err(failed(format!("can't read the topic {name}"), error));
            }
            found.insert(name.clone(), topic.partitions().len() as i32);
        }
    }
    Ok(found)
}

/// Says where each begins.
pub(super) fn begin(consumer: &BaseConsumer<Context>, asked: Vec<Asked>, until_end: bool) -> Result<Vec<Begin>> {
    let said = |what: &str, error| consumer.context().said().failed(&format!("can't ask {what}"), error);
    let of_group = asked.iter().filter(|asked| asked.asks_group());
    let of_group = list(of_group.map(|asked| (&asked.place, Offset::Invalid)));
    let committed = match of_group.count() {
        0 => HashMap::new(),
        _ => {
            let found = consumer.committed_offsets(of_group, PATIENCE);
            offsets(&found.map_err(|error| said("where the group has committed", error))?)?
        }
    };
    let mut begins = Vec::new();
    for Asked { place, held, floor, start, .. } in asked {
        let offset = match (held, committed.get(&place).copied()) {
            (Some(Held::At(offset)), _) => Offset::Offset(offset),
            (Some(Held::AtLeast(held)), committed) => Offset::Offset(committed.map_or(held, |offset| offset.max(held))),
            (None, Some(committed)) => Offset::Offset(committed),
            (None, None) => floor.map_or_else(|| fallback(&place, start), Ok)?,
        };
        begins.push(Begin { place, offset, end: None });
    }
    times(consumer, &mut begins).map_err(|error| said("for offsets by time", error))?;
    for begin in &mut begins {
        if !until_end && begin.offset != Offset::End {
            continue;
        }
        let ends = consumer.fetch_watermarks(&begin.place.topic, begin.place.partition, PATIENCE);
        let (_, end) = ends.map_err(|error| said("where partitions end", error))?;
        if begin.offset == Offset::End {
            // What is the end is said once.
            begin.offset = Offset::Offset(end);
        }
        begin.end = until_end.then_some(end);
    }
    Ok(begins)
}

impl Asked {
    fn asks_group(&self) -> bool {
        match self.held {
            Some(Held::At(_)) => false,
            Some(Held::AtLeast(_)) => true,
            None => !self.afresh && (matches!(self.start, Start::Committed(_)) || self.floor.is_some()),
        }
    }
}

/// Where a partition begins that nobody has committed anything of. A time is put as an offset from the tail for now.
fn fallback(place: &Place, start: Start) -> Result<Offset> {
    Ok(match start {
        Start::Earliest | Start::Committed(Fallback::Earliest) => Offset::Beginning,
        Start::Latest | Start::Committed(Fallback::Latest) => Offset::End,
        Start::Timestamp(millis) | Start::Committed(Fallback::Timestamp(millis)) => Offset::OffsetTail(millis),
        Start::Committed(Fallback::Fail) => {
            let name = partition_name(&place.topic, place.partition);
            let message = format!(
                "the group has committed nothing of {name}, and the source is declared to begin nowhere else: commit a \
                 position by Kafka's own tools, or declare another start"
            );
            return Err(Error::new(Cause::State, message));
        }
    })
}

/// Turns times into offsets.
fn times(consumer: &BaseConsumer<Context>, begins: &mut [Begin]) -> rdkafka::error::KafkaResult<()> {
    let by_time = begins.iter().filter_map(|begin| match begin.offset {
        Offset::OffsetTail(millis) => Some((&begin.place, Offset::Offset(millis))),
        _ => None,
    });
    let by_time = list(by_time);
    if by_time.count() == 0 {
        return Ok(());
    }
    let found = consumer.offsets_for_times(by_time, PATIENCE)?;
    for element in found.elements() {
        element.error()?;
        let place = place(element.topic(), element.partition());
        if let Some(begin) = begins.iter_mut().find(|begin| begin.place == place) {
            begin.offset = match element.offset() {
                Offset::Offset(offset) => Offset::Offset(offset),
                // Nothing of that time or later is there yet.
                _ => Offset::End,
            };
        }
    }
    Ok(())
}

/// Reads partitions that are assigned already from another offset on.
pub(super) fn go_back(consumer: &BaseConsumer<Context>, begins: &[Begin]) -> Result<()> {
    if begins.is_empty() {
        return Ok(());
    }
    let wrong = |error| failed("can't go back to where the group has committed", error).retryable(true);
    let sought = list(begins.iter().map(|begin| (&begin.place, begin.offset)));
    let sought = consumer.seek_partitions(sought, PATIENCE).map_err(wrong)?;
    sought.elements().iter().try_for_each(|element| element.error().map_err(wrong))
}

/// A list for librdkafka.
pub(super) fn list<'a>(places: impl Iterator<Item = (&'a Place, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (place, offset) in places {
        // It fails only for offsets that can't be written as a number, and those are none of ours.
        let _ = list.add_partition_offset(&place.topic, place.partition, offset);
    }
    list
}

fn offsets(list: &TopicPartitionList) -> Result<HashMap<Place, i64>> {
    let mut found = HashMap::new();
    for element in list.elements() {
        element.error().map_err(|error| failed("the group's offsets can't be told", error))?;
        if let Offset::Offset(offset) = element.offset() {
            found.insert(place(element.topic(), element.partition()), offset);
        }
    }
    Ok(found)
}
