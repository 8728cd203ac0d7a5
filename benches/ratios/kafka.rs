//! From topic to topic of a Kafka broker.

use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use millstream::kafka::{Cluster, Topic, Topics};
use millstream::prelude::*;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use xxhash_rust::xxh3::xxh3_64;

use crate::measure::in_turn;
use crate::report::{Report, Target, Unit};
use crate::support::kafka::Kafka;
use crate::{Bench, Failure};

/// How many messages are copied.
const MESSAGES: u64 = 6_000_000;

/// Partitions of each topic.
pub(crate) const PARTITIONS: i32 = 4;

/// Both sides commit as often as this: the engine's default.
const COMMITS: Duration = Duration::from_millis(250);

/// After so many messages the loop takes the reports of those before.
const REPORTS: u64 = 1_000;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the engine tells its consumers.
const CONSUMER: [(&str, &str); 9] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "earliest"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    ("queued.max.messages.kbytes", "16384"),
    ("fetch.queue.backoff.ms", "10"),
    ("fetch.wait.max.ms", "10"),
    ("partition.assignment.strategy", "cooperative-sticky"),
];

/// What the engine tells its producers.
const PRODUCER: [(&str, &str); 5] = [
    ("enable.idempotence", "true"),
    ("compression.type", "lz4"),
    ("linger.ms", "5"),
    ("partitioner", "murmur2_random"),
    ("queue.buffering.max.kbytes", "65536"),
];

/// The broker of all rows.
pub(crate) fn broker() -> Option<&'static Kafka> {
    static BROKER: LazyLock<Option<Kafka>> = LazyLock::new(Kafka::measured);
    BROKER.as_ref()
}

/// Whole messages, 100 bytes of value each, at-least-once.
pub(crate) fn at_least_once(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let against = "a librdkafka loop, same settings: each 250 ms it flushes and commits the offsets";
    copy(bench, report, "kafka", against, false)
}

/// The same in transactions.
pub(crate) fn exactly_once(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let against = "the same in transactions of 250 ms, which hold the offsets";
    copy(bench, report, "kafka-exactly", against, true)
}

fn copy(bench: &Bench, report: &mut Report, row: &str, against: &str, exactly_once: bool) -> Result<(), Failure> {
    let Some(kafka) = broker() else { return Ok(()) };
    let (brokers, messages) = (kafka.brokers(), bench.scaled(MESSAGES));
    let from = format!("{row}-from");
    fill(kafka, &from, messages)?;
    // Every run has a group and a topic of its own.
    let pair = Cell::new(0);
    let target = |side: &str| format!("{row}-{side}-{}", pair.get());
    let begin = || ["engine", "hand"].iter().for_each(|side| kafka.add_topic(&target(side), PARTITIONS, &[]));
    begin();
    let run = || {
        let (to, cluster) = (target("engine"), Cluster::new(&brokers));
        let sink = Topic::new(cluster.clone(), &to).messages();
        let sink = if exactly_once { sink.exactly_once() } else { sink };
        let source = Topics::new(cluster, [&from], &to).messages().until_end();
        bench.run(Pipeline::source(source).sink(sink)).map(drop)
    };
    let by_hand = || copy_by_hand(&brokers, &from, &target("hand"), messages, exactly_once);
    let check = || {
        let made = [target("engine"), target("hand")];
        let [ours, theirs] = [digest(&brokers, &made[0])?, digest(&brokers, &made[1])?];
        if ours != theirs || ours.0 != messages {
            return Err(format!("the engine wrote {ours:?}, the loop {theirs:?}, of {messages} messages").into());
        }
        made.iter().for_each(|topic| kafka.delete_topic(topic));
        pair.set(pair.get() + 1);
        begin();
        Ok(())
    };
    let taken = in_turn(bench.runs, &[&run, &by_hand], check)?;
    report.ratio(row, against, &taken[0], &taken[1], Unit::Millis, Target::Either(0.9));
    Ok(())
}

fn config(brokers: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("client.id", "by-hand");
    settings.iter().for_each(|(name, value)| {
        config.set(*name, *value);
    });
    config
}

/// Makes a topic of messages with keys, and values of 100 bytes.
pub(crate) fn fill(kafka: &Kafka, topic: &str, messages: u64) -> Result<(), Failure> {
    kafka.add_topic(topic, PARTITIONS, &[]);
    let producer: BaseProducer = config(&kafka.brokers(), &PRODUCER).set("compression.type", "none").create()?;
    for number in 0..messages {
        let (key, value) = (number.to_string(), format!("{number:0>100}"));
        send(&producer, BaseRecord::to(topic).key(key.as_bytes()).payload(value.as_bytes()))?;
        if number % REPORTS == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    Ok(producer.flush(PATIENCE)?)
}

type Outgoing<'a> = BaseRecord<'a, [u8], [u8]>;

/// Sends a message, once there is room for it.
fn send(producer: &BaseProducer, mut record: Outgoing<'_>) -> Result<(), Failure> {
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                producer.poll(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

/// What was read up to, and when that is committed next.
struct Commits<'a> {
    consumer: &'a BaseConsumer,
    producer: &'a BaseProducer,
    from: &'a str,
    offsets: [Option<i64>; PARTITIONS as usize],
    due: Instant,
    transactions: bool,
}

impl Commits<'_> {
    fn begin(&mut self) -> Result<(), Failure> {
        if self.transactions {
            self.producer.begin_transaction()?;
        }
        self.due = Instant::now() + COMMITS;
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Failure> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in self.offsets.iter().enumerate() {
            if let Some(offset) = offset {
                list.add_partition_offset(self.from, partition as i32, Offset::Offset(*offset))?;
            }
        }
        // `flush` waits in steps of 100 ms.
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(1));
        }
        if self.transactions {
            let metadata = self.consumer.group_metadata().ok_or("the group is not known")?;
            self.producer.send_offsets_to_transaction(&list, &metadata, PATIENCE)?;
            self.producer.commit_transaction(PATIENCE)?;
        } else {
            self.consumer.commit(&list, CommitMode::Sync)?;
        }
        Ok(())
    }
}

fn copy_by_hand(brokers: &str, from: &str, to: &str, messages: u64, transactions: bool) -> Result<(), Failure> {
    let consumer: BaseConsumer = config(brokers, &CONSUMER).set("group.id", to).create()?;
    consumer.subscribe(&[from])?;
    let mut settings = config(brokers, &PRODUCER);
    if transactions {
        settings.set("transactional.id", to).set("transaction.timeout.ms", "10000");
    }
    let producer: BaseProducer = settings.create()?;
    if transactions {
        producer.init_transactions(PATIENCE)?;
    }
    let offsets = [None; PARTITIONS as usize];
    let (consumer, producer) = (&consumer, &producer);
    let mut commits = Commits { consumer, producer, from, offsets, due: Instant::now(), transactions };
    commits.begin()?;
    let mut count = 0;
    while count < messages {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                send(producer, record(&message, to))?;
                commits.offsets[message.partition() as usize] = Some(message.offset() + 1);
                count += 1;
                if count % REPORTS == 0 {
                    producer.poll(Duration::ZERO);
                }
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => return Err(error.into()),
        }
        if Instant::now() >= commits.due && (1..messages).contains(&count) {
            commits.commit()?;
            commits.begin()?;
        }
    }
    commits.commit()
}

fn record<'a>(message: &'a BorrowedMessage<'_>, to: &'a str) -> Outgoing<'a> {
    let mut record = BaseRecord::to(to);
    (record.key, record.payload) = (message.key(), message.payload());
    record.timestamp = message.timestamp().to_millis();
    record.headers = message.headers().map(|headers| headers.detach());
    record
}

/// How many messages a topic has for who reads committed ones, and what they are, whatever their order.
fn digest(brokers: &str, topic: &str) -> Result<(u64, u64), Failure> {
    let consumer: BaseConsumer = config(brokers, &CONSUMER).set("group.id", "digest").create()?;
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&all)?;
    let (mut count, mut sum, mut ended) = (0, 0_u64, 0);
    while ended < PARTITIONS {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => {
                let [key, value] = [message.key(), message.payload()].map(|part| xxh3_64(part.unwrap_or_default()));
                let at = [message.partition().into(), message.timestamp().to_millis().unwrap_or_default()];
                let at = at.map(|number: i64| xxh3_64(&number.to_be_bytes()));
                sum = sum.wrapping_add(key ^ value.rotate_left(1) ^ at[0].rotate_left(2) ^ at[1].rotate_left(3));
                count += 1;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) => return Err(error.into()),
            None => return Err(format!("{topic} can't be read").into()),
        }
    }
    Ok((count, sum))
}
