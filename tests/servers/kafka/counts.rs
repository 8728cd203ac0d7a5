//! `kafka_count` as a program.

use super::client::{fill_numbers, topic, unique};
use crate::support::example::Process;
use crate::support::kafka::Kafka;

const RECORDS: u64 = 5_000;

#[test]
fn the_messages_of_a_topic_are_counted() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group, brokers) = (topic(kafka, "counted"), unique("group"), kafka.brokers());
    fill_numbers(&brokers, &from, 0..RECORDS);
    let arguments = ["--brokers", &brokers, "--topic", &from, "--group", &group, "--every-ms", "20"];
    let said = Process::start("kafka_count", &[&arguments[..], &["--until-end", "--quiet"]].concat()).ends_well();
    let counts: Vec<u64> = said.lines().filter_map(|line| line.parse().ok()).collect();
    println!("counted: {RECORDS} records, {} counts printed", counts.len());
    assert_eq!(counts.last(), Some(&RECORDS), "{said}");
    assert!(counts.is_sorted(), "{said}");
}
