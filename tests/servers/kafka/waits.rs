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
        until("it to say that it waits", || process.said().contains("yet: there is no answer"));
        let said = process.said();
        told!("{name}: {said}");
        assert!(said.contains("millstream::waits") && said.contains("Connection refused"), "{said}");
    }
}

#[test]
fn who_waits_for_the_session_of_one_that_was_killed_says_so_and_nobody_else() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, brokers) = (topic(kafka, "from"), kafka.brokers());
    let [group, others] = [(); 2].map(|()| unique("group"));
    let start = |group: &str| {
        let arguments = ["--brokers", &brokers, "--topic", &from, "--group", group, "--every-ms", "100"];
        let session = ["--property", "session.timeout.ms=30000"];
        Process::start_without_logs("kafka_count", &[&arguments[..], &session].concat())
    };
    fill_numbers(&brokers, &from, 0..1_000);
    let members = [(); 2].map(|()| start(&others));
    let first = start(&group);
    until("it to read", || progress(kafka, &group, &from) == 1_000);
    assert!(first.kill(), "it ran");
    let second = start(&group);
    let waits = "the group has not said yet which partitions are this member's";
    until("it to say that it waits", || second.said().contains(waits));
    fill_numbers(&brokers, &from, 1_000..2_000);
    until("both groups to read", || [&group, &others].iter().all(|group| progress(kafka, group, &from) == 2_000));
    let said = second.said();
    told!("{said}");
    assert_eq!(said.matches(waits).count(), 1, "{said}");
    for member in members {
        assert!(!member.said().contains(waits), "{}", member.said());
        assert!(member.kill(), "it ran all the while");
    }
}
