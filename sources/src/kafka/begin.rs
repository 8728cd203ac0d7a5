//! Where partitions that were assigned begin. Asks the brokers, and so blocks its thread.

use std::collections::HashMap;
use std::time::Duration;

use millstream_core::contracts::{Cause, Error, Result, guarded};
use millstream_net::kafka::{Place, failed, listed, partition_name};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::config::{Fallback, Start, What};
use super::inbox::Context;
use super::known::{Floor, Stored};

/// How long an answer of the brokers is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a partition begins, and where it ends if there is an end to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begin {
    pub(super) place: Place,
    pub(super) from: From,
    /// The offset that this is.
    pub(super) offset: i64,
    pub(super) end: Option<i64>,
    /// Behind the last record of which it was decided whether it is committed.
    pub(super) stable: i64,
    /// What the group has committed.
    pub(super) committed: Option<Stored>,
}

/// A partition whose beginning is asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) place: Place,
    pub(super) held: Option<Held>,
    /// What this run knows of it, if it has read it before.
    pub(super) floor: Option<Floor>,
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

/// Where a partition begins, before the brokers have said which offset that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Offset(i64),
    /// With the first record that there is.
    Earliest,
    /// Behind the last one.
    Latest,
    /// With the first record of this time, in milliseconds since the Unix epoch, or later.
    Time(i64),
}

impl Begin {
    /// What librdkafka is told.
    pub(super) fn told(&self) -> Offset {
        match self.from {
            // What there is may expire until it is read.
            From::Earliest => Offset::Beginning,
            _ => Offset::Offset(self.offset),
        }
    }

    /// What the run knows of it from now on.
    pub(super) fn floor(&self) -> Floor {
        Floor { offset: self.offset, end: self.end, before: self.committed.clone(), given_back: None }
    }
}

/// Sees that what is to be read is there, and returns how many partitions each topic has, and the cluster's id, if it says
/// one.
pub(super) fn look(consumer: &BaseConsumer<Context>, what: &What) -> Result<(HashMap<String, i32>, Option<String>)> {
    let counts = counts(consumer, what)?;
    // It came with the topics.
    Ok((counts, consumer.client().fetch_cluster_id(Duration::ZERO)))
}

fn counts(consumer: &BaseConsumer<Context>, what: &What) -> Result<HashMap<String, i32>> {
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
                let error = KafkaError::MetadataFetch(RDKafkaErrorCode::from(error));
                return Err(failed(format!("can't read the topic {name}"), error));
            }
            found.insert(name.clone(), topic.partitions().len() as i32);
        }
    }
    Ok(found)
}

/// Says where each begins, and where it ends if it does: then a client is made by `ends`, one that sees what isn't
/// committed, too.
pub(super) fn begin(
    consumer: &BaseConsumer<Context>,
    asked: Vec<Asked>,
    ends: Option<&ClientConfig>,
) -> Result<Vec<Begin>> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let said = |what: &str, error| consumer.context().said().failed(&format!("can't ask {what}"), error);
    let of_group = listed(asked.iter().map(|asked| (&asked.place, Offset::Invalid)));
    let found = consumer.committed_offsets(of_group, PATIENCE);
    let committed = offsets(&found.map_err(|error| said("where the group has committed", error))?)?;
    let mut begins = Vec::new();
    for asked in asked {
        let committed = committed.get(&asked.place).cloned();
        let from = from(&asked, committed.as_ref())?;
        begins.push(Begin { place: asked.place, from, offset: 0, end: None, stable: 0, committed });
    }
    let topics: Vec<_> = begins.iter().map(|begin| begin.place.topic.clone()).collect();
    times(consumer, &mut begins).map_err(|error| unled(consumer, &topics, "for offsets by time", error))?;
    let ends = ends.map(|config| config.create_with_context(Context::of(consumer.context())));
    let ends: Option<BaseConsumer<Context>> =
        ends.transpose().map_err(|error| failed("can't make a Kafka client", error))?;
    for begin in &mut begins {
        let marks = |consumer: &BaseConsumer<Context>| {
            let marks = consumer.fetch_watermarks(&begin.place.topic, begin.place.partition, PATIENCE);
            let topic = std::slice::from_ref(&begin.place.topic);
            marks.map_err(|error| unled(consumer, topic, "where partitions begin and end", error))
        };
        // Before what is asked below: so that is behind it, if no transaction is open.
        let end = ends.as_ref().map(marks).transpose()?.map(|(_, end)| end);
        let (offset, stable) = match begin.from {
            From::Offset(offset) if end.is_none() => (offset, offset),
            From::Offset(offset) => (offset, marks(consumer)?.1),
            From::Earliest => marks(consumer)?,
            From::Latest | From::Time(_) => {
                let (_, stable) = marks(consumer)?;
                (stable, stable)
            }
        };
        (begin.offset, begin.end, begin.stable) = (offset, end, stable);
    }
    Ok(begins)
}

/// An error of what leaders of partitions were asked. That there is none, or no such partition, the client says at once, by
/// what it knows: it has to look again, and then it may be asked again.
fn unled(consumer: &BaseConsumer<Context>, topics: &[String], what: &str, error: KafkaError) -> Error {
    let what = format!("can't ask {what}");
    if error.rdkafka_error_code() != Some(RDKafkaErrorCode::UnknownPartition) {
        return consumer.context().said().failed(&what, error);
    }
    if let Some(error) = topics.iter().find_map(|topic| consumer.fetch_metadata(Some(topic), PATIENCE).err()) {
        return consumer.context().said().failed(&what, error);
    }
    let message = format!("{what}: a partition has no leader just now, or has just been made");
    Error::new(Cause::Outside, message).retryable(true).because(error)
}

/// Where a partition begins of which the group has committed this. Once a run has begun with it, what was committed before
/// that is of an earlier run and doesn't count; what was committed since does.
fn from(asked: &Asked, committed: Option<&Stored>) -> Result<From> {
    let Asked { place, held, floor, start } = asked;
    if let Some(Held::At(offset)) = held {
        return Ok(From::Offset(*offset));
    }
    let offset = committed.map(|stored| stored.offset);
    let Some(floor) = floor else {
        let group = offset.filter(|_| matches!(start, Start::Committed(_)));
        return match (held, group) {
            (Some(Held::AtLeast(held)), _) => Ok(From::Offset(offset.unwrap_or(*held).max(*held))),
            (_, Some(offset)) => Ok(From::Offset(offset)),
            (_, None) => fallback(place, *start),
        };
    };
    let offset = offset.filter(|_| committed != floor.before.as_ref()).unwrap_or(floor.offset);
    Ok(From::Offset(match held {
        Some(Held::AtLeast(held)) => offset.max(*held),
        _ => offset,
    }))
}

/// Where a partition begins that nobody has committed anything of.
fn fallback(place: &Place, start: Start) -> Result<From> {
    Ok(match start {
        Start::Earliest | Start::Committed(Fallback::Earliest) => From::Earliest,
        Start::Latest | Start::Committed(Fallback::Latest) => From::Latest,
        // Brokers take other negative times for something else.
        Start::Timestamp(..0) | Start::Committed(Fallback::Timestamp(..0)) => From::Earliest,
        Start::Timestamp(millis) | Start::Committed(Fallback::Timestamp(millis)) => From::Time(millis),
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
fn times(consumer: &BaseConsumer<Context>, begins: &mut [Begin]) -> KafkaResult<()> {
    let by_time = begins.iter().filter_map(|begin| match begin.from {
        // Brokers are asked for a time where an offset stands otherwise.
        From::Time(millis) => Some((&begin.place, Offset::Offset(millis))),
        _ => None,
    });
    let by_time = listed(by_time);
    if by_time.count() == 0 {
        return Ok(());
    }
    let found = consumer.offsets_for_times(by_time, PATIENCE)?;
    for element in found.elements() {
        element.error()?;
        let place = Place::new(element.topic(), element.partition());
        if let Some(begin) = begins.iter_mut().find(|begin| begin.place == place) {
            begin.from = match element.offset() {
                Offset::Offset(offset) => From::Offset(offset),
                // Nothing of that time or later is there yet.
                _ => From::Latest,
            };
        }
    }
    Ok(())
}

/// Reads partitions that are assigned already from these offsets on.
pub(super) fn go_back<'a>(
    consumer: &BaseConsumer<Context>,
    places: impl Iterator<Item = (&'a Place, Offset)>,
) -> Result<()> {
    let sought = listed(places);
    if sought.count() == 0 {
        return Ok(());
    }
    let wrong = |error| {
        let message = "can't go back to where partitions are to be read on: see to the brokers and the way to them";
        Error::new(Cause::Outside, message).retryable(true).because(error)
    };
    let sought = consumer.seek_partitions(sought, PATIENCE).map_err(wrong)?;
    sought.elements().iter().try_for_each(|element| element.error().map_err(wrong))
}

/// The offsets that a list of the group's commits holds.
pub(super) fn offsets(list: &TopicPartitionList) -> Result<HashMap<Place, Stored>> {
    let mut found = HashMap::new();
    for element in list.elements() {
        element.error().map_err(|error| failed("the group's offsets can't be told", error))?;
        if let Offset::Offset(offset) = element.offset() {
            // Others may have left any bytes there, and the client panics where they are no text.
            let mark = guarded(|| element.metadata().to_owned()).unwrap_or_default();
            found.insert(Place::new(element.topic(), element.partition()), Stored { offset, mark });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(start: Start) -> Asked {
        Asked { place: Place::new("orders", 0), held: None, floor: None, start }
    }

    /// A run that began at `offset` when the group had committed `before`.
    fn again(offset: i64, before: Option<i64>) -> Asked {
        let floor = Floor { offset, end: None, before: before.map(|at| stored(at, EARLIER)), given_back: None };
        // Partitions that come later.
        Asked { floor: Some(floor), ..asked(Start::Committed(Fallback::Earliest)) }
    }

    const EARLIER: &str = "an earlier run";

    fn stored(offset: i64, mark: &str) -> Stored {
        Stored { offset, mark: mark.to_owned() }
    }

    /// Where it begins, of which this was committed in an earlier run.
    fn at(asked: &Asked, committed: Option<i64>) -> From {
        from(asked, committed.map(|at| stored(at, EARLIER)).as_ref()).expect("it can be said")
    }

    #[test]
    fn a_run_begins_as_it_was_told_and_held_positions_win() {
        assert_eq!(at(&asked(Start::Earliest), Some(100)), From::Earliest);
        assert_eq!(at(&asked(Start::Latest), Some(100)), From::Latest);
        assert_eq!(at(&asked(Start::Timestamp(7)), Some(100)), From::Time(7));
        assert_eq!(at(&asked(Start::Timestamp(-7)), Some(100)), From::Earliest);
        assert_eq!(at(&asked(Start::Committed(Fallback::Latest)), Some(100)), From::Offset(100));
        assert_eq!(at(&asked(Start::Committed(Fallback::Latest)), None), From::Latest);
        assert_eq!(at(&asked(Start::Committed(Fallback::Timestamp(7))), None), From::Time(7));
        assert!(from(&asked(Start::Committed(Fallback::Fail)), None).is_err());
        let held = Asked { held: Some(Held::At(50)), ..asked(Start::Earliest) };
        assert_eq!(at(&held, Some(100)), From::Offset(50));
    }

    #[test]
    fn what_was_committed_before_the_run_began_does_not_count_in_it() {
        // It began with the earliest record, though an earlier run had come to 100; nothing has been committed since.
        assert_eq!(at(&again(3, Some(100)), Some(100)), From::Offset(3));
        // Another member, or this one, has come to 40 since.
        assert_eq!(at(&again(3, Some(100)), Some(40)), From::Offset(40));
        let come_to = from(&again(3, Some(100)), Some(&stored(100, "this run"))).expect("it can be said");
        assert_eq!(come_to, From::Offset(100), "this run has come to just there");
        assert_eq!(at(&again(500, None), None), From::Offset(500), "the latest is said once");
        assert_eq!(at(&again(500, None), Some(510)), From::Offset(510));
    }

    #[test]
    fn what_was_given_back_begins_no_earlier_than_it_is_held() {
        let held = |asked: Asked| Asked { held: Some(Held::AtLeast(50)), ..asked };
        assert_eq!(at(&held(again(3, Some(100))), Some(100)), From::Offset(50), "nobody has read on");
        assert_eq!(at(&held(again(3, Some(100))), Some(80)), From::Offset(80));
        assert_eq!(at(&held(again(3, Some(100))), Some(40)), From::Offset(50));
        assert_eq!(at(&held(again(3, None)), None), From::Offset(50));
    }
}
