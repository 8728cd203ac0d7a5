//! [`Topic`]: which topic, and what becomes of a record.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use millstream_core::contracts::{Shares, SinkFactory, SinkTraits, Where};
use millstream_core::data::{Bytes, Kv};
use millstream_net::kafka::{Cluster, Header, Message, Role};

use super::form::Form;
use super::limits::Limits;
use super::poison::Poison;
use super::sink::KafkaSink;
use super::transactions::Line;

/// A Kafka topic, written to: `Topic::new("127.0.0.1:9092", "orders")`.
///
/// Records are the values of messages ([`Bytes`]) unless [`keyed`](Self::keyed) or [`messages`](Self::messages) says
/// otherwise. A record settles when all in-sync replicas have it (`acks=all`); the client numbers what it sends
/// (`enable.idempotence=true`), so that its own retries neither double nor reorder anything. What is sent is compressed by
/// lz4 and waits for others for up to 5 milliseconds (`compression.type`, `linger.ms`); at most 100,000 records and
/// 64 MiB wait at once (`queue.buffering.max.messages`, `queue.buffering.max.kbytes`). All of that can be changed by
/// [properties](Cluster::property). No batch of it is larger than the topic allows (`batch.size` against the topic's
/// `max.message.bytes`, which is asked for), and a record that the topic may refuse is sent by itself: so it is refused alone.
pub struct Topic<T: Form = Bytes> {
    pub(super) cluster: Cluster,
    pub(super) topic: String,
    pub(super) topic_by: Option<By<T, String>>,
    pub(super) partition_by: Option<By<T, Option<i32>>>,
    pub(super) key_by: Option<By<T, Option<Bytes>>>,
    pub(super) headers_by: Option<By<T, Vec<Header>>>,
    pub(super) timestamp_by: Option<By<T, Option<i64>>>,
    pub(super) exactly_once: bool,
    pub(super) positions: String,
    /// How large a transaction may get: records and bytes.
    pub(super) transaction_size: (u64, u64),
    /// What outlives a sink that has to begin anew.
    pub(super) kept: Arc<Kept>,
}

/// What outlives a sink that has to begin anew, and what a sink of dead letters has of it.
#[derive(Default)]
pub(super) struct Kept {
    /// The cluster that it writes to.
    server: String,
    /// Where its transactions are written.
    line: Mutex<Option<Line>>,
    /// What the transactions are called of a sink that no one else takes over from.
    pub(super) name: OnceLock<String>,
    /// What the topic asks of its records, once that was asked for.
    pub(super) limits: OnceLock<Limits>,
    pub(super) poison: Arc<Poison>,
}

impl Kept {
    fn of(cluster: &Cluster) -> Arc<Self> {
        Arc::new(Self { server: cluster.server(), ..Self::default() })
    }

    /// Transactions are written there from now on.
    pub(super) fn set_line(&self, line: Line) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }

    /// Where transactions are written.
    pub(super) fn line(&self) -> Option<Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A function of the record.
pub(super) type By<T, R> = Arc<dyn Fn(&T) -> R + Send + Sync>;

/// A copy is another sink.
impl<T: Form> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self { kept: Kept::of(&self.cluster), ..self.same() }
    }
}

impl<T: Form> Topic<T> {
    /// The same declaration: what is made of it takes over from each other.
    fn same(&self) -> Self {
        Self {
            cluster: self.cluster.clone(),
            topic: self.topic.clone(),
            topic_by: self.topic_by.clone(),
            partition_by: self.partition_by.clone(),
            key_by: self.key_by.clone(),
            headers_by: self.headers_by.clone(),
            timestamp_by: self.timestamp_by.clone(),
            exactly_once: self.exactly_once,
            positions: self.positions.clone(),
            transaction_size: self.transaction_size,
            kept: self.kept.clone(),
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
        let Self { exactly_once, positions, transaction_size, .. } = self;
        Topic { exactly_once, positions, transaction_size, ..Topic::of(self.cluster, self.topic) }
    }

    /// Records are whole messages: key, value (or none: a tombstone), headers, timestamp.
    #[must_use]
    pub fn messages(self) -> Topic<Message> {
        let Self { exactly_once, positions, transaction_size, .. } = self;
        Topic { exactly_once, positions, transaction_size, ..Topic::of(self.cluster, self.topic) }
    }
}

impl<T: Form> Topic<T> {
    fn of(cluster: Cluster, topic: String) -> Self {
        let kept = Kept::of(&cluster);
        Self {
            cluster,
            topic,
            topic_by: None,
            partition_by: None,
            key_by: None,
            headers_by: None,
            timestamp_by: None,
            exactly_once: false,
            positions: "millstream-positions".to_owned(),
            transaction_size: (250_000, 64 << 20),
            kept,
        }
    }

    /// Writes in transactions, one a commit of the run: who reads committed messages alone sees each record once, whatever
    /// fails on the way. A transaction holds how far the source was read, too: behind a Kafka source of the same cluster
    /// (the same brokers given to both) as its group's offsets; behind any other, in a run that keeps positions, as
    /// messages of [a topic for that](Self::positions_topic). A transaction that can't be committed is aborted, and all
    /// goes on from the last commit. Default: no transactions; what a crash repeats is there twice.
    ///
    /// `transaction.timeout.ms` is 10 seconds: that long a killed run's open transaction holds up those who read what comes
    /// behind it, and its successor. What fails in a transaction by its own fault is found by sending it alone, and meets
    /// the stage's error policy then. Dead letters to a topic of the same cluster are in the transaction, too, and sent by
    /// the same client.
    #[must_use]
    pub fn exactly_once(mut self) -> Self {
        self.exactly_once = true;
        self
    }

    /// The topic that [exactly-once](Self::exactly_once) keeps positions in; `millstream-positions` by default. It is made,
    /// compacted and with one partition, if it isn't there.
    #[must_use]
    pub fn positions_topic(mut self, topic: impl Into<String>) -> Self {
        self.positions = topic.into();
        self
    }

    /// How large a transaction of [exactly-once](Self::exactly_once) may get: once it holds so many records, or so many
    /// bytes, it is committed without waiting for the run's commit interval. What is on its way to the sink by then may
    /// come on top. Default: 250,000 records, 64 MiB.
    #[must_use]
    pub fn transaction_size(mut self, records: u64, bytes: u64) -> Self {
        self.transaction_size = (records, bytes);
        self
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

    /// The most bytes of a batch of records.
    pub(super) fn batch_size(&self) -> usize {
        self.cluster.get("batch.size").and_then(|size| size.parse().ok()).unwrap_or(1_000_000)
    }

    /// librdkafka's configuration, with batches of so many bytes at most; with this name, for transactions.
    pub(super) fn client_config(&self, batch_size: usize, transactions: Option<&str>) -> rdkafka::ClientConfig {
        let mut defaults = vec![
            ("client.id", "millstream"),
            ("enable.idempotence", "true"),
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("partitioner", "murmur2_random"),
            ("queue.buffering.max.kbytes", "65536"),
        ];
        let batch_size = batch_size.to_string();
        let mut own = vec![("delivery.report.only.error", "false"), ("batch.size", &batch_size)];
        if let Some(name) = transactions {
            defaults.push(("transaction.timeout.ms", "10000"));
            own.extend([("transactional.id", name), ("enable.idempotence", "true")]);
        }
        self.cluster.client_config(&defaults, &own)
    }

    fn check_acks(&self) -> Option<String> {
        let given = |names: [&str; 2]| names.into_iter().find_map(|name| self.cluster.get(name));
        let acks = given(["acks", "request.required.acks"]).unwrap_or("all");
        if acks == "0" {
            let text = "`acks=0`: the brokers say nothing of what they have taken, and what is lost is lost unseen: leave it out";
            return Some(text.to_owned());
        }
        let idempotent = self.cluster.get("enable.idempotence") != Some("false");
        let text = "an `acks` other than `all` with an idempotent producer: leave `acks` out, or set `enable.idempotence=false` \
                    as well, and records may be lost, doubled and reordered";
        (idempotent && !["all", "-1"].contains(&acks)).then(|| text.to_owned())
    }
}

impl<T: Form> SinkFactory for Topic<T> {
    type Sink = KafkaSink<T>;

    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        let to = if self.topic_by.is_some() { "topics by record" } else { &self.topic };
        let repeats = match self.exactly_once {
            true => "Kafka's transactions need positions to hold, and none are kept",
            false => "what was sent to Kafka outside of a transaction can't be taken back",
        };
        let mut traits = SinkTraits {
            place: Where::Everywhere,
            commits_at: self.exactly_once.then(|| self.cluster.server()),
            ..SinkTraits::new("KAFKA", format!("{to} at {}; {}", self.cluster.brokers(), T::WHAT), repeats)
        };
        if self.exactly_once && keeps_positions {
            traits.transactional = Ok(());
            traits.positions_in = Some(format!("the topic {}", self.positions));
        }
        traits
    }

    fn check(&self) -> Vec<String> {
        let mut wrong = self.cluster.check(Role::Producer);
        if self.topic.is_empty() && self.topic_by.is_none() {
            wrong.push("no topic to write to: give its name".to_owned());
        }
        wrong.extend(self.check_acks());
        if self.exactly_once && self.positions.is_empty() {
            wrong.push("no topic to keep positions in: give its name, or leave it out".to_owned());
        }
        if self.exactly_once && (self.transaction_size.0 == 0 || self.transaction_size.1 == 0) {
            wrong.push("transactions of no records, or of no bytes: give at least one of each".to_owned());
        }
        if self.exactly_once && self.cluster.get("enable.idempotence") == Some("false") {
            wrong.push("`enable.idempotence=false` with exactly-once: leave it out".to_owned());
        }
        wrong
    }

    fn shares(&self) -> Option<Shares> {
        self.exactly_once.then(|| self.kept.clone() as Shares)
    }

    fn joins(&self, sink: &Shares) -> bool {
        sink.clone().downcast::<Kept>().is_ok_and(|kept| kept.server == self.cluster.server())
    }

    fn make(&self) -> KafkaSink<T> {
        KafkaSink::new(self.same())
    }
}

impl<T: Form> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic").field("cluster", &self.cluster).field("topic", &self.topic).finish_non_exhaustive()
    }
}
