//! [`Topic`]: which topic, and what becomes of a record.

use std::fmt;
use std::sync::Arc;

use millstream_core::contracts::{SinkFactory, SinkTraits, Where};
use millstream_core::data::{Bytes, Kv};
use millstream_net::kafka::{Cluster, Header, Message, Role};

use super::form::Form;
use super::sink::KafkaSink;

/// A Kafka topic, written to: `Topic::new("127.0.0.1:9092", "orders")`.
///
/// Records are the values of messages ([`Bytes`]) unless [`keyed`](Self::keyed) or [`messages`](Self::messages) says
/// otherwise. A record settles when all in-sync replicas have it (`acks=all`); the client numbers what it sends
/// (`enable.idempotence=true`), so that its own retries neither double nor reorder anything. What is sent is compressed by
/// lz4 and waits for others for up to 5 milliseconds (`compression.type`, `linger.ms`); at most 100,000 records and
/// 64 MiB wait at once (`queue.buffering.max.messages`, `queue.buffering.max.kbytes`). All of that can be changed by
/// [properties](Cluster::property).
pub struct Topic<T: Form = Bytes> {
    pub(super) cluster: Cluster,
    pub(super) topic: String,
    pub(super) topic_by: Option<By<T, String>>,
    pub(super) partition_by: Option<By<T, Option<i32>>>,
    pub(super) key_by: Option<By<T, Option<Bytes>>>,
    pub(super) headers_by: Option<By<T, Vec<Header>>>,
    pub(super) timestamp_by: Option<By<T, Option<i64>>>,
}

/// A function of the record.
pub(super) type By<T, R> = Arc<dyn Fn(&T) -> R + Send + Sync>;

impl<T: Form> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            topic: self.topic.clone(),
            topic_by: self.topic_by.clone(),
            partition_by: self.partition_by.clone(),
            key_by: self.key_by.clone(),
            headers_by: self.headers_by.clone(),
            timestamp_by: self.timestamp_by.clone(),
        }
    }
}

impl Topic<Bytes> {
    /// This topic of the cluster, which has to be there.
    pub fn new(cluster: impl Into<Cluster>, topic: impl Into<String>) -> Self {
        Self::of(cluster.into(), topic.into())
    }

    /// Records are key and value.
    #[must_use]
    pub fn keyed(self) -> Topic<Kv<Bytes, Bytes>> {
        Topic::of(self.cluster, self.topic)
    }

    /// Records are whole messages: key, value (or none: a tombstone), headers, timestamp.
    #[must_use]
    pub fn messages(self) -> Topic<Message> {
        Topic::of(self.cluster, self.topic)
    }
}

impl<T: Form> Topic<T> {
    fn of(cluster: Cluster, topic: String) -> Self {
        Self { cluster, topic, topic_by: None, partition_by: None, key_by: None, headers_by: None, timestamp_by: None }
    }

    /// Each record goes to the topic that `topic` says for it. One that isn't there, or that this user may not write to,
    /// is a failure of that record. Default: all go to the topic that was declared.
    #[must_use]
    pub fn topic_by(mut self, topic: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        self.topic_by = Some(Arc::new(topic));
        self
    }

    /// Each record goes to the partition that `partition` says for it, if it says one. A partition that the topic doesn't
    /// have is a failure of that record. Default: by the key, as Java's clients do (`partitioner=murmur2_random`); records
    /// without a key go to any, those that are sent together to the same.
    #[must_use]
    pub fn partition_by(mut self, partition: impl Fn(&T) -> Option<i32> + Send + Sync + 'static) -> Self {
        self.partition_by = Some(Arc::new(partition));
        self
    }

    /// Each record has the key that `key` says for it. Default: none for [`Bytes`], the record's own for others.
    #[must_use]
    pub fn key_by(mut self, key: impl Fn(&T) -> Option<Bytes> + Send + Sync + 'static) -> Self {
        self.key_by = Some(Arc::new(key));
        self
    }

    /// Each record has the headers that `headers` says for it. Default: a message's own; none for others.
    #[must_use]
    pub fn headers_by(mut self, headers: impl Fn(&T) -> Vec<Header> + Send + Sync + 'static) -> Self {
        self.headers_by = Some(Arc::new(headers));
        self
    }

    /// Each record has the timestamp that `timestamp` says for it, in milliseconds since the Unix epoch, or that of its
    /// sending. Default: a message's own; for others the event time, if the source has said one.
    #[must_use]
    pub fn timestamp_by(mut self, timestamp: impl Fn(&T) -> Option<i64> + Send + Sync + 'static) -> Self {
        self.timestamp_by = Some(Arc::new(timestamp));
        self
    }

    /// One of [librdkafka's properties](https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md), for
    /// this sink alone; see [`Cluster::property`].
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.cluster = self.cluster.property(name, value);
        self
    }

    pub(super) fn client_config(&self) -> rdkafka::ClientConfig {
        let defaults = [
            ("client.id", "millstream"),
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("partitioner", "murmur2_random"),
            ("queue.buffering.max.kbytes", "65536"),
        ];
        self.cluster.client_config(&defaults, &[("delivery.report.only.error", "false")])
    }

    fn check_acks(&self) -> Option<String> {
        let given = |names: [&str; 2]| names.into_iter().find_map(|name| self.cluster.get(name));
        let acks = given(["acks", "request.required.acks"]).unwrap_or("all");
        let idempotent = self.cluster.get("enable.idempotence") != Some("false");
        (idempotent && !["all", "-1"].contains(&acks)).then(|| {
            format!(
                "`acks={acks}` with an idempotent producer: leave `acks` out, or set `enable.idempotence=false` as well, and \
                 records may be lost, doubled and reordered"
            )
        })
    }
}

impl<T: Form> SinkFactory for Topic<T> {
    type Sink = KafkaSink<T>;

    fn traits(&self, _: bool) -> SinkTraits {
        let to = if self.topic_by.is_some() { "topics by record" } else { &self.topic };
        SinkTraits {
            place: Where::Everywhere,
            ..SinkTraits::new(
                "KAFKA",
                format!("{to} at {}; {}", self.cluster.brokers(), T::WHAT),
                "what was sent to Kafka outside of a transaction can't be taken back",
            )
        }
    }

    fn check(&self) -> Vec<String> {
        let mut wrong = self.cluster.check(Role::Producer);
        if self.topic.is_empty() && self.topic_by.is_none() {
            wrong.push("no topic to write to: give its name".to_owned());
        }
        wrong.extend(self.check_acks());
        wrong
    }

    fn make(&self) -> KafkaSink<T> {
        KafkaSink::new(self.clone())
    }
}

impl<T: Form> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("cluster", &self.cluster).field("topic", &self.topic).finish_non_exhaustive()
    }
}
