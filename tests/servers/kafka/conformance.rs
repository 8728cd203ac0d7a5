//! The conformance suite.

use std::process::Command;

use bytes::Bytes;
use millstream::kafka::{Message, Topic, Topics};
use millstream::testkit::conformance::{SinkUnderTest, SourceUnderTest, Specimen};

use super::client::{fill, unique};
use crate::conforms;
use crate::support::kafka::Kafka;

/// How many records an input has.
const RECORDS: u64 = 20;

fn body(number: u64) -> Bytes {
    Bytes::from(format!("record {number} {}", "x".repeat((number * 7 % 40) as usize)))
}

/// A topic of one partition.
fn one(kafka: &Kafka, messages: Vec<Message>) -> String {
    let name = unique("conforms");
    kafka.add_topic(&name, 1, &[]);
    if !messages.is_empty() {
        fill(&kafka.brokers(), &name, messages.into_iter().map(|message| (0, message)).collect());
    }
    name
}

/// The suite over a topic that is read to its end, or for ever.
fn source(what: &str, kafka: &'static Kafka, until_end: bool) {
    let proxy = kafka.proxied();
    let brokers = proxy.brokers();
    let full = one(kafka, (0..RECORDS).map(|number| Message::new(body(number))).collect());
    let poisoned = one(
        kafka,
        (0..RECORDS)
            .flat_map(|number| {
                let tombstone = (number % 7 == 3).then(|| Message::tombstone("gone"));
                tombstone.into_iter().chain([Message::new(body(number))])
            })
            .collect(),
    );
    let empty = one(kafka, Vec::new());
    let declare = move |topic: &str| {
        let topics = Topics::new(&*brokers, [topic], unique("group")).batch_records(7);
        // A broker answers in turn: whatever it is asked waits for the end of a fetch that finds nothing.
        let topics = topics.property("fetch.wait.max.ms", "20");
        if until_end { topics.until_end() } else { topics }
    };
    let make = |topic: String| {
        let declare = declare.clone();
        move || declare(&topic)
    };
    let expected: Vec<Bytes> = (0..RECORDS).map(body).collect();
    let report = SourceUnderTest::new(what, make(full), expected.clone())
        .empty(make(empty))
        .poisoned(make(poisoned), expected, 3)
        .missing(make("no-such-topic".into()))
        .misdeclared("no topic", || Topics::new("a:1", Vec::<String>::new(), "g"))
        .misdeclared("no group", || Topics::new("a:1", ["a"], ""))
        .misdeclared("what the engine owns", || Topics::new("a:1", ["a"], "g").property("enable.auto.commit", "true"))
        .fault(move || assert!(proxy.cut() > 0, "a connection is there to be cut"))
        .run();
    conforms(&report);
}

#[test]
fn a_topic_that_is_read_to_its_end_conforms() {
    let Some(kafka) = Kafka::shared() else { return };
    source("kafka::Topics, until its end", kafka, true);
}

#[test]
fn a_topic_that_is_read_for_ever_conforms() {
    let Some(kafka) = Kafka::shared() else { return };
    source("kafka::Topics", kafka, false);
}

/// What a topic holds that is committed. It is asked again and again, by a kcat that is known to be there.
fn read(kafka: &Kafka, topic: &str) -> Vec<Bytes> {
    let mut kcat = Command::new("kcat");
    // The end is known when a fetch brings nothing, which takes half a second unless it is said otherwise.
    kcat.args(["-b", &kafka.brokers(), "-X", "fetch.wait.max.ms=10", "-C", "-t", topic, "-e", "-q", "-o", "beginning"]);
    let ran = kcat.args(["-f", "%s\n"]).output().expect("kcat runs");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout).expect("text").lines().map(|line| Bytes::from(line.to_owned())).collect()
}

/// The suite over a topic that is written to.
fn sink(what: &str, kafka: &'static Kafka, as_it_is: fn(Topic) -> Topic) -> SinkUnderTest<Topic> {
    let proxy = kafka.proxied();
    let brokers = proxy.brokers();
    let missing = kafka.brokers();
    let specimen = move || {
        let topic = unique("written");
        // A crash of one of these runs is soon forgotten.
        kafka.add_topic(&topic, 1, &[("max.message.bytes", "2000")]);
        let (brokers, of, read_from) = (brokers.clone(), topic.clone(), topic.clone());
        let positions = unique("positions");
        Specimen::new(move || {
            let topic = Topic::new(&*brokers, &of).positions_topic(&positions);
            let topic = topic.property("compression.type", "none").property("linger.ms", "0");
            // No larger than the topic takes: a client that finds that out is made twice.
            as_it_is(topic.property("batch.size", "2000"))
        })
        .reads(move || read(kafka, &read_from))
        .untouched(move || kafka.offsets(&topic, 0) == (0, 0))
    };
    SinkUnderTest::new(what, specimen, body)
        .poison(|| Bytes::from(vec![7; 5_000]))
        .misdeclared("no topic", || Topic::new("a:1", ""))
        .misdeclared("what the engine owns", || Topic::new("a:1", "a").property("transactional.id", "x"))
        .unopenable(move || Topic::new(&*missing, "no-such-topic"))
        .fault(move || assert!(proxy.cut() > 0, "a connection is there to be cut"))
}

#[test]
fn a_topic_that_is_written_to_conforms() {
    let Some(kafka) = Kafka::shared().filter(|kafka| kafka.kcat(&[]).is_some()) else { return };
    conforms(&sink("kafka::Topic", kafka, |topic| topic).hears_late().run());
}

#[test]
fn a_topic_that_is_written_to_in_transactions_conforms() {
    let Some(kafka) = Kafka::shared().filter(|kafka| kafka.kcat(&[]).is_some()) else { return };
    conforms(&sink("kafka::Topic, exactly once", kafka, Topic::exactly_once).run());
}
