//! Members of a group that come, go, are killed, and come back from the dead.

use std::time::Duration;

use bytes::Bytes;
use millstream::kafka::Topics;
use millstream::prelude::*;

use super::client::{Load, committed, expected, fill_numbers, progress, same, topic, unique, until};
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

/// A member of a group that reads to the end, slowly.
struct Reading {
    runtime: tokio::runtime::Runtime,
    running: Running,
    seen: Box<dyn Fn() -> Vec<u64>>,
}

impl Reading {
    fn start(topics: &Topics, a_second: u64) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let out = Collect::<Bytes>::new();
        let seen = out.collected();
        let number = |value: &Bytes| std::str::from_utf8(value).expect("text").parse().expect("a number");
        let seen = Box::new(move || seen.values().iter().map(number).collect());
        // A copy is a member of its own.
        let pipeline = Pipeline::source(topics.clone()).throttle(a_second, Duration::from_secs(1)).sink(out);
        let running = runtime.block_on(pipeline.start(Settings::default())).expect("it starts");
        Self { runtime, running, seen }
    }

    fn drain(self) -> Vec<u64> {
        self.running.drain();
        self.ends()
    }

    /// What it has read, once it has ended.
    fn ends(self) -> Vec<u64> {
        self.runtime.block_on(self.running.join()).expect("it ends well");
        (self.seen)()
    }
}

/// Each of these is there.
#[track_caller]
fn all_of(count: u64, mut found: Vec<u64>) {
    let read = found.len() as u64;
    found.sort_unstable();
    found.dedup();
    println!("{count} records, {} of them read again", read - found.len() as u64);
    assert!(found.iter().copied().eq(0..count), "{} of {count} are there", found.len());
}

#[test]
fn members_that_read_to_the_end_leave_nothing_to_each_other() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = topic(kafka, "from");
    fill_numbers(&kafka.brokers(), &from, 0..4_000);
    let topics = || {
        let topics = Topics::new(kafka.brokers(), [&*from], unique("group")).until_end().batch_records(50);
        topics.property("heartbeat.interval.ms", "300").property("session.timeout.ms", "6000")
    };
    // One joins while another has everything: it waits for what is being given to it.
    let group = topics();
    let first = Reading::start(&group, 1_000);
    until("the first records", || (first.seen)().len() > 200);
    let second = Reading::start(&group, 1_000);
    let (first, second) = (first.ends(), second.ends());
    println!("joining: {} and {} records", first.len(), second.len());
    assert!(!second.is_empty(), "the second has ended before it was given anything");
    all_of(4_000, [first, second].concat());
    // One leaves before its end: the other reads what that had.
    let group = topics();
    let [first, second] = [(); 2].map(|()| Reading::start(&group, 700));
    until("both to read", || [&first, &second].iter().all(|reading| !(reading.seen)().is_empty()));
    let (first, second) = (first.drain(), second.ends());
    println!("leaving: {} and {} records", first.len(), second.len());
    assert!(first.len() < 3_000, "the first has left too late");
    all_of(4_000, [first, second].concat());
}
