//! Where reading begins and ends: starts, expired records, partitions that are added.

use std::time::Duration;

use bytes::Bytes;
use millstream::kafka::{Expired, Fallback, Message, Start, Topics};
use millstream::prelude::*;

use super::client::{fill, fill_numbers, run, topic, unique, until};
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
    println!("expired: {text}");
    assert!(text.contains("gone") && text.contains("on_expired"), "{text}");
    assert_eq!(read(earliest).unwrap(), Vec::from_iter(12..20));
    assert_eq!(read(latest).unwrap(), [] as [u64; 0]);
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
