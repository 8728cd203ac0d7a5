//! What a program says, of which nobody asked for logs, while it waits for the brokers.

use super::client::{fill_numbers, progress, topic, unique, until};
use crate::support::example::Process;
use crate::support::kafka::Kafka;
use crate::support::port::Port;

#[test]
fn who_finds_no_broker_says_so_and_why() {
    let nobody = Port::free();
    let brokers = format!("127.0.0.1:{}", nobody.number());
    let folder = tempfile::tempdir().expect("there is room");
    let input = folder.path().join("input");
    std::fs::write(&input, "a\n").expect("a file can be written");
    let input = input.display().to_string();
    let written = ["--input", &input, "--brokers", &brokers, "--topic", "any"];
    let read = ["--brokers", &brokers, "--topic", "any", "--group", "any", "--every-ms", "100"];
    for (name, arguments) in [("lines_to_kafka", &written[..]), ("kafka_count", &read[..])] {
        let process = Process::start_without_logs(name, arguments);
        until("it to say that it waits", || process.said().contains("no broker has answered"));
        let said = process.said();
        told!("{name}: {said}");
        assert!(said.contains("millstream::waits") && said.contains("Connection refused"), "{said}");
    }
}

#[test]
fn who_waits_for_the_session_of_one_that_was_killed_says_so() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group, brokers) = (topic(kafka, "from"), unique("group"), kafka.brokers());
    fill_numbers(&brokers, &from, 0..1_000);
    let arguments = ["--brokers", &brokers, "--topic", &from, "--group", &group, "--every-ms", "100"];
    let arguments = [&arguments[..], &["--property", "session.timeout.ms=20000"]].concat();
    let first = Process::start_without_logs("kafka_count", &arguments);
    until("it to read", || progress(kafka, &group, &from) == 1_000);
    assert!(first.kill(), "it ran");
    let second = Process::start_without_logs("kafka_count", &arguments);
    until("it to say that it waits", || second.said().contains("the group has not shared out its partitions yet"));
    told!("{}", second.said());
    fill_numbers(&brokers, &from, 1_000..2_000);
    until("it to read", || progress(kafka, &group, &from) == 2_000);
}
