//! Where reading begins and ends: starts, expired records, partitions that are added.

use std::time::Duration;

use bytes::Bytes;
use millstream::contracts::{Event, Held, Source as _, SourceFactory as _};
use millstream::kafka::{Expired, Fallback, Message, Start, Topics};
use millstream::prelude::*;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::client::{Load, PARTITIONS, PATIENCE, fill, fill_numbers, run, topic, unique, until};
use super::reading::Reading;
use crate::log::Log;
use crate::support::kafka::Kafka;

fn read(topics: Topics) -> Result<Vec<u64>, millstream::Error> {
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    run(Pipeline::source(topics.until_end()).sink(out))?;
    let number = |value: &Bytes| std::str::from_utf8(value).expect("text").parse().expect("a number");
    let mut numbers: Vec<u64> = seen.values().iter().map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[test]
fn it_begins_where_it_is_told_to() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = unique("from");
    // These messages are of another year.
    kafka.add_topic(&from, 1, &[("retention.ms", "-1")]);
    let at = |number: u64| Message::new(number.to_string()).with_timestamp(1_700_000_000_000 + number as i64 * 1_000);
    fill(&kafka.brokers(), &from, (0..20).map(|number| (0, at(number))).collect());
    let group = unique("group");
    let topics = |group: &str| Topics::new(kafka.brokers(), [&*from], group);
    assert_eq!(read(topics(&group)).unwrap(), Vec::from_iter(0..20));
    assert_eq!(read(topics(&group)).unwrap(), [] as [u64; 0], "all is committed");
    assert_eq!(read(topics(&group).start(Start::Earliest)).unwrap(), Vec::from_iter(0..20));
    let time = Start::Timestamp(1_700_000_000_000 + 14_500);
    assert_eq!(read(topics(&group).start(time)).unwrap(), Vec::from_iter(15..20));
    assert_eq!(read(topics(&unique("group")).start(Start::Latest)).unwrap(), [] as [u64; 0]);
    let fails = Start::Committed(Fallback::Fail);
    let error = read(topics(&unique("group")).start(fails)).expect_err("nothing is committed");
    assert!(error.to_string().contains("committed nothing"), "{error}");
    assert_eq!(read(topics(&group).start(fails)).unwrap(), [] as [u64; 0]);
}

#[test]
fn what_has_expired_is_an_error_or_as_it_is_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = unique("from");
    kafka.add_topic(&from, 1, &[]);
    let brokers = kafka.brokers();
    let group = |what: Expired| {
        let group = unique("group");
        let topics = Topics::new(&*brokers, [&*from], &*group).on_expired(what);
        (group, topics)
    };
    let some = |numbers: std::ops::Range<u64>| {
        fill(&brokers, &from, numbers.map(|number| (0, Message::new(number.to_string()))).collect());
    };
    some(0..5);
    let groups = [Expired::Fail, Expired::Earliest, Expired::Latest].map(group);
    for (_, topics) in &groups {
        assert_eq!(read(topics.clone()).unwrap().len(), 5);
    }
    some(5..20);
    kafka.expire(&from, 0, 12);
    let [(_, fail), (_, earliest), (_, latest)] = groups;
    let error = read(fail).expect_err("they are gone");
    let text = error.to_string();
    told!("expired: {text}");
    assert!(text.contains("gone") && text.contains("on_expired"), "{text}");
    // The client's threads log, so that it is heard wherever; other tests may be heard too.
    let log = Log::default();
    tracing::subscriber::set_global_default(log.subscriber()).expect("no other test hears all threads");
    assert_eq!(read(earliest).unwrap(), Vec::from_iter(12..20));
    assert_eq!(read(latest).unwrap(), [] as [u64; 0]);
    for to in ["BEGINNING", "END"] {
        let said = log.to_string();
        let mut resets = said.lines().filter(|line| line.contains(&from) && line.contains("offset reset"));
        assert!(resets.any(|line| line.contains(to)), "nothing says that it went on at the {to}: {said}");
    }
}

#[test]
fn a_topic_that_is_made_anew_while_it_is_read_is_read_from_its_beginning_where_that_is_wished() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group, brokers) = (unique("from"), unique("group"), kafka.brokers());
    let some = |numbers: std::ops::Range<u64>| {
        kafka.add_topic(&from, 1, &[]);
        fill(&brokers, &from, numbers.map(|number| (0, Message::new(number.to_string()))).collect());
    };
    some(0..50);
    let topics = Topics::new(&*brokers, [&*from], &*group).on_expired(Expired::Earliest);
    let reading = Reading::start(&topics, 100_000);
    until("the first to be read", || reading.count() == 50);
    until("the first to be committed", || kafka.committed(&group, &from, 0) == Some(50));
    kafka.delete_topic(&from);
    some(100..120);
    until("those of the new topic to be read", || reading.count() >= 70);
    until("those to be committed", || kafka.committed(&group, &from, 0) == Some(20));
    let read = reading.drain();
    told!("a topic made anew: {} records", read.len());
    assert_eq!(read, (0..50).chain(100..120).collect::<Vec<u64>>());
}

#[test]
fn partitions_that_are_added_are_picked_up_from_their_beginning() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, brokers) = (topic(kafka, "from"), kafka.brokers());
    fill_numbers(&brokers, &from, 0..40);
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    let topics = Topics::new(&*brokers, [&*from], unique("group")).start(Start::Latest);
    let pipeline = Pipeline::source(topics.property("topic.metadata.refresh.interval.ms", "500")).sink(out);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let running = runtime.block_on(pipeline.start(Settings::default())).expect("it starts");
    std::thread::sleep(Duration::from_secs(1));
    fill_numbers(&brokers, &from, 40..44);
    until("what came after the start", || seen.values().len() == 4);
    kafka.set_partitions(&from, 6);
    fill(&brokers, &from, vec![(4, Message::new("100")), (5, Message::new("101"))]);
    until("what is in the new partitions", || seen.values().len() == 6);
    running.drain();
    runtime.block_on(running.join()).expect("it ends well");
}

#[test]
fn a_pattern_reads_all_topics_that_match() {
    let Some(kafka) = Kafka::shared() else { return };
    let prefix = unique("pattern");
    let names = ["a", "b"].map(|name| format!("{prefix}-{name}"));
    for (name, number) in names.iter().zip([1, 2]) {
        kafka.add_topic(name, 1, &[]);
        fill(&kafka.brokers(), name, vec![(0, Message::new(number.to_string()))]);
    }
    let topics = Topics::matching(kafka.brokers(), format!("^{prefix}-.*"), unique("group"));
    assert_eq!(read(topics).unwrap(), [1, 2]);
}

#[test]
fn topics_that_come_later_and_match_are_read_from_their_beginning() {
    let Some(kafka) = Kafka::shared() else { return };
    let (prefix, brokers, out) = (unique("pattern"), kafka.brokers(), Collect::<Bytes>::new());
    let seen = out.collected();
    let add = |name: &str, number: u64| {
        kafka.add_topic(&format!("{prefix}-{name}"), 1, &[]);
        fill(&brokers, &format!("{prefix}-{name}"), vec![(0, Message::new(number.to_string()))]);
    };
    add("a", 1);
    let topics = Topics::matching(&*brokers, format!("^{prefix}-.*"), unique("group"));
    let pipeline = Pipeline::source(topics.property("topic.metadata.refresh.interval.ms", "500")).sink(out);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let running = runtime.block_on(pipeline.start(Settings::default())).expect("it starts");
    until("the first topic to be read", || seen.values().len() == 1);
    add("b", 2);
    until("the second topic to be read", || seen.values().len() == 2);
    running.drain();
    runtime.block_on(running.join()).expect("it ends well");
    told!("a pattern: 2 topics, 1 of them made while it was read");
}

/// Where the partitions of a topic end, and how many records that is.
fn ends(kafka: &Kafka, topic: &str) -> (Vec<u64>, u64) {
    let ends = (0..PARTITIONS).map(|partition| kafka.offsets(topic, partition as i32).1 as u64);
    let ends = Vec::from_iter(ends);
    let all = ends.iter().sum();
    (ends, all)
}

#[test]
fn it_ends_where_partitions_ended_though_more_is_written_all_the_while() {
    const THERE: u64 = 4_000;
    let Some(kafka) = Kafka::shared() else { return };
    let (from, brokers) = (topic(kafka, "from"), kafka.brokers());
    fill_numbers(&brokers, &from, 0..THERE);
    let load = Load::start(&brokers, &from, 1_000);
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let topics = Topics::new(&*brokers, [&*from], unique("group")).messages().until_end();
    // It reads for two seconds at least.
    let pipeline = Pipeline::source(topics).throttle(THERE / 2, Duration::from_secs(1)).sink(out);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let running = runtime.block_on(pipeline.start(Settings::default())).expect("it starts");
    until("the first record", || !seen.values().is_empty());
    let (then, all_then) = ends(kafka, &from);
    runtime.block_on(running.join()).expect("it ends by itself");
    let (_, all_after) = ends(kafka, &from);
    load.stop();
    let mut read = vec![0; PARTITIONS as usize];
    for message in seen.values() {
        let origin = message.origin.expect("it was read");
        let next = &mut read[origin.partition as usize];
        assert_eq!(origin.offset as u64, *next, "of partition {}", origin.partition);
        *next += 1;
    }
    let all: u64 = read.iter().sum();
    told!(
        "until the end: {all} of {all_after} read, {} of them written while that was under way",
        all_after - all_then
    );
    assert!(read.iter().zip(&then).all(|(read, then)| read <= then), "{read:?} of {then:?}");
    assert!(all >= THERE && all_after > all_then + 500, "{all} of {all_then}, later {all_after}");
}

/// Reads to the end while a transaction is open, and decides it once all else has been read. Returns what was read.
fn read_past(kafka: &Kafka, decide: impl FnOnce(&BaseProducer) -> KafkaResult<()>) -> Vec<u64> {
    let from = topic(kafka, "from");
    fill_numbers(&kafka.brokers(), &from, 0..40);
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers()).set("transactional.id", unique("another"));
    let producer: BaseProducer = config.create().expect("a client");
    producer.init_transactions(PATIENCE).and_then(|()| producer.begin_transaction()).expect("it begins");
    for number in 40..50 {
        let text = number.to_string();
        producer
            .send(BaseRecord::<(), _>::to(&from).partition(0).payload(&text))
            .map_err(|(error, _)| error)
            .expect("sent");
    }
    producer.flush(PATIENCE).expect("it is there");
    assert_eq!(kafka.offsets(&from, 0).1, 20, "it is in the partition");
    let reading = Reading::start(&Topics::new(kafka.brokers(), [&*from], unique("group")).until_end(), 100_000);
    until("the others to be read", || reading.count() == 40);
    // It has been at the end for long, if that is one.
    std::thread::sleep(Duration::from_secs(1));
    decide(&producer).expect("it is decided");
    // Where the run ends was said before: this is none of it.
    fill_numbers(&kafka.brokers(), &from, 50..60);
    let mut read = reading.ends();
    read.sort_unstable();
    read
}

#[test]
fn until_the_end_it_waits_for_a_transaction_that_is_open() {
    let Some(kafka) = Kafka::shared() else { return };
    let committed = read_past(kafka, |producer| producer.commit_transaction(PATIENCE));
    let aborted = read_past(kafka, |producer| producer.abort_transaction(PATIENCE));
    told!("two open transactions: {} records with the one, {} without the other", committed.len(), aborted.len());
    assert_eq!(committed, Vec::from_iter(0..50));
    assert_eq!(aborted, Vec::from_iter(0..40));
}

#[test]
fn it_ends_where_the_brokers_assign_partitions() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = topic(kafka, "from");
    fill_numbers(&kafka.brokers(), &from, 0..400);
    let topics = Topics::new(kafka.brokers(), [&*from], unique("group")).property("group.protocol", "consumer");
    assert_eq!(read(topics).unwrap(), Vec::from_iter(0..400));
    told!("group.protocol=consumer, until the end: 400 records");
}

#[test]
fn batches_have_as_many_bytes_as_they_are_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = unique("from");
    kafka.add_topic(&from, 1, &[]);
    fill(&kafka.brokers(), &from, (0..300).map(|_| (0, Message::new(vec![b'x'; 100]))).collect());
    let topics = Topics::new(kafka.brokers(), [&*from], unique("group")).until_end().batch_bytes(250);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    let sizes = runtime.block_on(async {
        let (mut source, mut sizes) = (topics.make(), Vec::new());
        source.open(&Held::default()).await.expect("it opens");
        loop {
            match source.next().await.expect("it reads") {
                Event::Records(chunk) => sizes.push(chunk.column.len()),
                Event::End => break,
                _ => {}
            }
        }
        source.close().await.expect("it closes");
        sizes
    });
    told!("300 messages of 100 bytes in {} batches", sizes.len());
    assert_eq!((sizes.iter().sum::<usize>(), sizes.iter().max()), (300, Some(&3)));
}
