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
    let waits = "the group has not said yet which partitions are this member's";
    let (from, brokers) = (topic(kafka, "from"), kafka.brokers());
    let [group, another] = [(); 2].map(|()| unique("group"));
    let start = |group: &str| {
        let arguments = ["--brokers", &brokers, "--topic", &from, "--group", group, "--every-ms", "100"];
        let session = ["--property", "session.timeout.ms=30000"];
        Process::start_without_logs("kafka_count", &[&arguments[..], &session].concat())
    };
    fill_numbers(&brokers, &from, 0..1_000);
    let (member, first) = (start(&another), start(&group));
    let both_read = |count| [&group, &another].iter().all(|group| progress(kafka, group, &from) == count);
    until("both groups to read", || both_read(1_000));
    let before = member.said().matches(waits).count();
    assert!(first.kill(), "it ran");
    let second = start(&group);
    until("it to say that it waits", || second.said().contains(waits));
    fill_numbers(&brokers, &from, 1_000..2_000);
    until("both groups to read", || both_read(2_000));
    let said = second.said();
    told!("{said}");
    assert_eq!(said.matches(waits).count(), 1, "{said}");
    // It had its partitions all the while.
    assert_eq!(member.said().matches(waits).count(), before, "{}", member.said());
    assert!(member.kill(), "it ran all the while");
}
