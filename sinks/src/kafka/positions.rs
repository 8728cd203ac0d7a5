//! The compacted topic that positions are kept in: made if it isn't there, and read when a run begins.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use millstream_core::contracts::{Cause, Checkpoint, Error, Key, Result, WAITS};
use millstream_core::data::Position;
use millstream_net::kafka::{Cluster, failed, meaning};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::admin::{Settings, make_compacted, settings};
use super::transactions::{Said, read};

/// How long the brokers may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a transaction of another run may be open, after how long that is told, and how long after one look it is looked
/// at again.
const UNDECIDED: Duration = Duration::from_secs(60);
const LONG: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(50);

/// Makes the topic, compacted and with one partition, unless it is there. What is there has to be compacted: where old
/// messages are deleted, so is a position that has not moved for long.
pub(super) async fn provide(cluster: &Cluster, topic: &str) -> Result<()> {
    let wrong = |error| failed(format!("the topic {topic}, which keeps positions, can't be made"), error);
    if make_compacted(cluster, topic).await?.map_err(wrong)? {
        return Ok(());
    }
    match settings(cluster, topic).await? {
        Ok(settings) if !settings.is_empty() => check(topic, &settings),
        unseen => {
            let error = unseen.err().map(tracing::field::display);
            tracing::warn!(
                error,
                topic,
                "the settings of the topic that keeps positions can't be seen: it has to be compacted"
            );
            Ok(())
        }
    }
}

fn check(topic: &str, settings: &Settings) -> Result<()> {
    let policy = settings.get("cleanup.policy").map_or("", String::as_str);
    // Unknown: a broker that says none.
    if policy.is_empty() || policy.split(',').all(|policy| policy.trim() == "compact") {
        return Ok(());
    }
    let message = format!(
        "the topic {topic} can't keep positions: expected `cleanup.policy=compact`, found `{policy}`, with which they are \
         deleted some day; set it on the topic, or name another one by `positions_topic`"
    );
    Err(Error::new(Cause::State, message))
}

/// All positions of this pipeline that the topic holds. Who reads committed messages gets no further than to the first
/// transaction that is open, and other pipelines' stand there, too: it is waited for until what was there is decided. Blocks
/// its thread.
pub(super) fn load(cluster: &Cluster, topic: &str, pipeline: &str) -> Result<Vec<Checkpoint>> {
    let wrong = |error| failed(format!("the topic {topic}, which keeps positions, can't be read"), error);
    let own = [
        // No member of it ever joins, and nothing is committed.
        ("group.id", "millstream-positions"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        // The end is known when a fetch brings nothing.
        ("fetch.wait.max.ms", "10"),
        ("auto.offset.reset", "earliest"),
        // A follower may not know of all that is committed.
        ("client.rack", ""),
        ("isolation.level", "read_committed"),
    ];
    let mut config = cluster.client_config(&[("client.id", "millstream")], &own);
    let consumer: BaseConsumer = config.create().map_err(wrong)?;
    let sees_all: BaseConsumer = config.set("isolation.level", "read_uncommitted").create().map_err(wrong)?;
    let (high, since) = (end(&sees_all, topic).map_err(wrong)?, Instant::now());
    let mut tells = Some(LONG);
    while end(&consumer, topic).map_err(wrong)? < high {
        if tells.take_if(|tells| since.elapsed() > *tells).is_some() {
            tracing::warn!(target: WAITS, topic, "another run has a transaction open in the topic that keeps positions");
        }
        if since.elapsed() > UNDECIDED {
            return Err(undecided(topic));
        }
        std::thread::sleep(AGAIN);
    }
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).map_err(wrong)?;
    consumer.assign(&from).map_err(wrong)?;
    let mut held: HashMap<Key, Position> = HashMap::new();
    let mut until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match consumer.poll(Duration::from_millis(100)) {
            None => continue,
            Some(Ok(message)) => match read(message.key().unwrap_or_default(), message.payload(), pipeline) {
                Said::Other => {}
                Said::Gone(key) => drop(held.remove(&key)),
                Said::Holds(Checkpoint { key, position }) => drop(held.insert(key, position)),
                Said::Unreadable(found) => return Err(unreadable(topic, message.offset(), &found)),
            },
            Some(Err(KafkaError::PartitionEOF(_))) => {
                return Ok(held.into_iter().map(|(key, position)| Checkpoint { key, position }).collect());
            }
            Some(Err(error)) => {
                let error = wrong(error);
                if !error.is_retryable() {
                    return Err(error);
                }
                continue;
            }
        }
        until = Instant::now() + PATIENCE;
    }
    let message = format!("the topic {topic}, which keeps positions, could not be read to its end within {PATIENCE:?}");
    Err(Error::new(Cause::Outside, message))
}

/// Where the topic ends, for who sees what this consumer does. One that was made just now isn't known everywhere yet.
fn end(consumer: &BaseConsumer, topic: &str) -> KafkaResult<i64> {
    use RDKafkaErrorCode as Code;
    let since = Instant::now();
    loop {
        let error = match consumer.fetch_watermarks(topic, 0, PATIENCE) {
            Ok((_, end)) => return Ok(end),
            // Why it isn't known to the client, the brokers say.
            Err(KafkaError::MetadataFetch(Code::UnknownPartition)) => why_unknown(consumer, topic)?,
            Err(error) => error,
        };
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let may_come = meaning(code).retry || code == Code::UnknownTopicOrPartition;
        if !may_come || since.elapsed() > PATIENCE {
            return Err(error);
        }
        std::thread::sleep(AGAIN);
    }
}

fn why_unknown(consumer: &BaseConsumer, topic: &str) -> KafkaResult<KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let error = metadata.topics().iter().find(|found| found.name() == topic).and_then(|found| found.error());
    Ok(KafkaError::MetadataFetch(error.map_or(RDKafkaErrorCode::UnknownTopicOrPartition, RDKafkaErrorCode::from)))
}

fn undecided(topic: &str) -> Error {
    let message = format!(
        "a transaction of another run has been open for {UNDECIDED:?} in the topic {topic}, which keeps positions, and what \
         stands behind it can't be seen: wait until the brokers end it, by its `transaction.timeout.ms`, or name a topic of \
         this pipeline's own by `positions_topic`"
    );
    Error::new(Cause::Outside, message).retryable(true)
}

fn unreadable(topic: &str, offset: i64, found: &str) -> Error {
    let message = format!(
        "offset {offset} of the topic {topic}, which keeps positions: expected a position of this pipeline, found {found}; run \
         the version that wrote it, or name another topic by `positions_topic` to begin anew"
    );
    Error::new(Cause::State, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_deletes_is_no_place_for_positions() {
        let of = |policy: &str| check("positions", &[("cleanup.policy".to_owned(), policy.to_owned())].into());
        assert!(of("compact").is_ok());
        for policy in ["delete", "compact,delete", "delete, compact"] {
            let error = of(policy).expect_err("it deletes");
            assert_eq!(error.cause(), Cause::State);
            assert!(error.message().contains("positions_topic"), "{error}");
        }
        assert!(check("positions", &Settings::new()).is_ok());
    }
}
