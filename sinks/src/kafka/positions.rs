//! The compacted topic that positions are kept in: made if it isn't there, and read when a run begins.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use millstream_core::contracts::{Cause, Checkpoint, Error, Key, Result};
use millstream_core::data::Position;
use millstream_net::kafka::{Cluster, failed};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::transactions::read;

/// How long the brokers may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the topic, compacted and with one partition, unless it is there.
pub(super) async fn provide(cluster: &Cluster, topic: &str) -> Result<()> {
    let wrong = |error| failed(format!("the topic {topic}, which keeps positions, can't be made"), error);
    let config = cluster.client_config(&[("client.id", "millstream")], &[]);
    let admin: AdminClient<DefaultClientContext> = config.create().map_err(wrong)?;
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(-1)).set("cleanup.policy", "compact");
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE)).request_timeout(Some(PATIENCE));
    for made in admin.create_topics([&new], &options).await.map_err(wrong)? {
        match made {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(wrong(KafkaError::AdminOp(code))),
        }
    }
    Ok(())
}

/// All positions of this pipeline that the topic holds. Blocks its thread.
pub(super) fn load(cluster: &Cluster, topic: &str, pipeline: &str) -> Result<Vec<Checkpoint>> {
    let wrong = |error| failed(format!("the topic {topic}, which keeps positions, can't be read"), error);
    let own = [
        // No member of it ever joins, and nothing is committed.
        ("group.id", "millstream-positions"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_committed"),
    ];
    let consumer: BaseConsumer = cluster.client_config(&[("client.id", "millstream")], &own).create().map_err(wrong)?;
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(topic, 0, Offset::Beginning).map_err(wrong)?;
    consumer.assign(&from).map_err(wrong)?;
    let mut held: HashMap<Key, Position> = HashMap::new();
    let mut until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        match consumer.poll(Duration::from_millis(100)) {
            None => continue,
            Some(Ok(message)) => {
                let found = read(message.key().unwrap_or_default(), message.payload().unwrap_or_default());
                if let Some(Checkpoint { key, position }) = found.filter(|found| found.key.pipeline == pipeline) {
                    held.insert(key, position);
                }
            }
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
