//! Members of a group that come, go, are killed, and come back from the dead.

use std::time::Duration;

use super::client::{Load, committed, expected, progress, same, topic, unique, until};
use crate::support::example::Process;
use crate::support::kafka::Kafka;

/// Sessions as short as the broker allows, so that a member that is gone is missed soon.
const SHORT: [&str; 6] = [
    "--property",
    "session.timeout.ms=3000",
    "--property",
    "heartbeat.interval.ms=500",
    "--property",
    "transaction.timeout.ms=3000",
];

struct Copying<'a> {
    kafka: &'a Kafka,
    brokers: String,
    from: String,
    to: String,
    group: String,
}

impl<'a> Copying<'a> {
    fn new(kafka: &'a Kafka) -> Self {
        let (from, to, group) = (topic(kafka, "from"), topic(kafka, "to"), unique("group"));
        Self { kafka, brokers: kafka.brokers(), from, to, group }
    }

    fn member(&self, more: &[&str]) -> Process {
        let Self { brokers, from, to, group, .. } = self;
        let arguments = ["--brokers", brokers, "--from", from, "--to", to, "--group", group, "--exactly-once"];
        Process::start("kafka_to_kafka", &[&arguments[..], &["--keep-partitions", "--quiet"], &SHORT, more].concat())
    }

    fn progress(&self) -> u64 {
        progress(self.kafka, &self.group, &self.from)
    }

    /// Waits until something has been committed.
    fn until_it_goes_on(&self) {
        let before = self.progress();
        until("the group to get further", || self.progress() > before + 500);
    }

    /// Reads the rest, and looks at what is there.
    fn check(&self, count: u64) {
        self.member(&["--until-end"]).ends_well();
        let Some(found) = committed(self.kafka, &self.to) else { return };
        same(&found, &expected(count));
    }
}

#[test]
fn members_come_and_go_and_each_message_is_there_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let first = copying.member(&[]);
    copying.until_it_goes_on();
    let second = copying.member(&[]);
    std::thread::sleep(Duration::from_millis(1_500));
    let third = copying.member(&[]);
    std::thread::sleep(Duration::from_millis(1_500));
    copying.until_it_goes_on();
    first.drain();
    copying.until_it_goes_on();
    assert!(second.kill(), "it ran");
    let fourth = copying.member(&[]);
    copying.until_it_goes_on();
    let count = load.stop();
    third.drain();
    fourth.drain();
    println!("members: {count} records; 4 joined, 3 left, 1 was killed");
    copying.check(count);
}

#[test]
fn a_zombie_is_fenced() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let zombie = copying.member(&[]);
    copying.until_it_goes_on();
    let other = copying.member(&[]);
    std::thread::sleep(Duration::from_secs(2));
    copying.until_it_goes_on();
    let mut stops = 0;
    for _ in 0..2 {
        let at = |partition| kafka.committed(&copying.group, &copying.from, partition).unwrap_or(0);
        zombie.signal("-STOP");
        stops += 1;
        let before: Vec<_> = (0..4).map(at).collect();
        // All of its partitions have gone to the other.
        until("the other to take over", || (0..4).all(|partition| at(partition) > before[partition as usize] + 200));
        zombie.signal("-CONT");
        std::thread::sleep(Duration::from_secs(1));
        copying.until_it_goes_on();
    }
    let count = load.stop();
    println!("a zombie: {count} records, stopped past its session {stops} times");
    zombie.drain();
    other.drain();
    copying.check(count);
}
