//! `kafka_count` as a program.

use super::client::{fill_numbers, topic, unique, until};
use crate::support::example::Process;
use crate::support::kafka::Kafka;

const RECORDS: u64 = 5_000;

#[test]
fn the_messages_of_a_topic_are_counted() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group, brokers) = (topic(kafka, "counted"), unique("group"), kafka.brokers());
    fill_numbers(&brokers, &from, 0..RECORDS);
    let arguments = ["--brokers", &brokers, "--topic", &from, "--group", &group, "--every-ms", "20"];
    let program = Process::start("kafka_count", &[&arguments[..], &["--quiet"]].concat());
    let counts = |said: &str| said.lines().filter_map(|line| line.parse().ok()).collect::<Vec<u64>>();
    until("the first to be counted", || counts(&program.said()).last() == Some(&RECORDS));
    fill_numbers(&brokers, &from, RECORDS..2 * RECORDS);
    until("the others to be counted", || counts(&program.said()).last() == Some(&(2 * RECORDS)));
    let counts = counts(&program.drain());
    told!("counted: {} records, {} counts printed", 2 * RECORDS, counts.len());
    assert!(counts.is_sorted() && counts.contains(&RECORDS), "{counts:?}");
}
