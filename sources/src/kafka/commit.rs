//! [`Committed`]: a commit of the group's offsets, and what became of it. Asks the brokers, and so blocks its thread.

use std::collections::HashMap;
use std::time::Duration;

use millstream_net::kafka::{Place, marked};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaResult;

use super::inbox::Context;

/// How long an answer of the brokers is waited for, after a commit that failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a commit.
pub(super) struct Committed {
    /// What the group has stored of it.
    pub(super) stored: Vec<(Place, i64)>,
    pub(super) result: KafkaResult<()>,
}

impl Committed {
    /// Commits these with this mark beside them, and waits for the answer.
    pub(super) fn now(consumer: &BaseConsumer<Context>, offsets: Vec<(Place, i64)>, mark: &str) -> Self {
        if offsets.is_empty() {
            return Self { stored: offsets, result: Ok(()) };
        }
        let wanted = marked(offsets.iter().map(|(place, offset)| (place, *offset)), mark);
        // Of a commit that isn't waited for, nothing would be heard.
        match consumer.commit(&wanted, CommitMode::Sync) {
            Ok(()) => Self { stored: offsets, result: Ok(()) },
            // The client says that something failed, and not what: a partition may have failed alone.
            failed => Self { stored: stored(offsets, &look(consumer, wanted)), result: failed },
        }
    }
}

/// What the group has stored, as far as it can be told.
fn look(consumer: &BaseConsumer<Context>, partitions: rdkafka::TopicPartitionList) -> HashMap<Place, i64> {
    let Ok(found) = consumer.committed_offsets(partitions, PATIENCE) else { return HashMap::new() };
    let offsets = found.elements().into_iter().filter(|element| element.error().is_ok());
    let offsets = offsets.filter_map(|element| match element.offset() {
        Offset::Offset(offset) => Some((Place::new(element.topic(), element.partition()), offset)),
        _ => None,
    });
    offsets.collect()
}

/// Those of the offsets that the group has.
fn stored(offsets: Vec<(Place, i64)>, found: &HashMap<Place, i64>) -> Vec<(Place, i64)> {
    offsets.into_iter().filter(|(place, offset)| found.get(place) == Some(offset)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_commit_that_failed_in_part_the_rest_is_stored() {
        let offsets = |of: &[(i32, i64)]| -> Vec<_> {
            of.iter().map(|&(partition, offset)| (Place::new("orders", partition), offset)).collect()
        };
        let found = HashMap::from_iter(offsets(&[(0, 7), (1, 3)]));
        assert_eq!(stored(offsets(&[(0, 7), (1, 8), (2, 9)]), &found), offsets(&[(0, 7)]));
        assert_eq!(stored(offsets(&[(0, 7)]), &HashMap::new()), []);
    }
}
