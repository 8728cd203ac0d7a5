//! Members of a group that come, go, are killed, and come back from the dead.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use millstream::kafka::Topics;
use millstream::prelude::*;

use super::client::{Load, committed, expected, fill_numbers, progress, same, topic, unique, until};
use crate::random::Random;
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
        self.any_member(&[&["--exactly-once"][..], &SHORT, more].concat())
    }

    fn any_member(&self, more: &[&str]) -> Process {
        let Self { brokers, from, to, group, .. } = self;
        let arguments = ["--brokers", brokers, "--from", from, "--to", to, "--group", group];
        Process::start("kafka_to_kafka", &[&arguments[..], &["--keep-partitions", "--quiet"], more].concat())
    }

    /// How far the group has got with each partition.
    fn at(&self) -> Vec<i64> {
        let at = |partition| self.kafka.committed(&self.group, &self.from, partition).unwrap_or(0);
        (0..4).map(at).collect()
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

#[test]
fn members_come_and_go_during_kills_and_each_message_is_there_once() {
    const ROUNDS: u64 = 8;
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let mut random = Random::new();
    let mut members = vec![copying.member(&[])];
    let (mut joined, mut left, mut killed) = (1, 0, 0);
    for round in 0..ROUNDS {
        members.push(copying.member(&[]));
        joined += 1;
        std::thread::sleep(Duration::from_millis(200 + random.below(1_500)));
        let goes = members.swap_remove(random.below(members.len() as u64) as usize);
        if round % 2 == 0 {
            assert!(goes.kill(), "it ran");
            killed += 1;
            // While the group still waits for it, another joins.
            members.push(copying.member(&[]));
            joined += 1;
        } else {
            goes.drain();
            left += 1;
        }
        if round % 4 == 3 {
            copying.until_it_goes_on();
        }
    }
    copying.until_it_goes_on();
    let count = load.stop();
    for member in members {
        member.drain();
        left += 1;
    }
    println!("members during kills: {count} records; {joined} joined, {left} left, {killed} were killed");
    copying.check(count);
}

#[test]
fn a_static_member_that_is_killed_gets_its_partitions_again_and_nobody_elses_move() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let long = ["--property", "session.timeout.ms=30000"];
    let member = |name: &str| copying.member(&[&["--member", name], &long[..]].concat());
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let (mut one, two) = (member("one"), member("two"));
    let all_go_on = |from: &[i64]| copying.at().iter().zip(from).all(|(now, from)| *now > *from + 50);
    let begun = copying.at();
    until("all partitions to be read", || all_go_on(&begun));
    // Time enough to have given half of them to the other.
    std::thread::sleep(Duration::from_secs(3));
    let mut kills = 0;
    for _ in 0..2 {
        assert!(one.kill(), "it ran");
        kills += 1;
        std::thread::sleep(Duration::from_millis(500));
        let away = copying.at();
        let moves = || copying.at().iter().zip(&away).filter(|(now, away)| now > away).count();
        until("the other to go on", || moves() == 2);
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(moves(), 2, "its partitions wait for it");
        one = member("one");
        until("it to be back", || all_go_on(&away));
    }
    let count = load.stop();
    one.drain();
    two.drain();
    println!("a static member: {count} records, killed {kills} times");
    copying.check(count);
}

#[test]
fn a_commit_of_a_zombie_is_refused_counted_and_told() {
    const MOST: u64 = 24;
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let zombie = copying.any_member(&SHORT);
    copying.until_it_goes_on();
    let other = copying.any_member(&SHORT);
    let mut stops = 0;
    while !zombie.said().contains("came too late and was dropped") {
        assert!(
            stops < MOST,
            "stopped {stops} times, it has said of no commit that it came too late: {}",
            zombie.said()
        );
        copying.until_it_goes_on();
        zombie.signal("-STOP");
        stops += 1;
        let before = copying.at();
        until("the other to take over", || copying.at().iter().zip(&before).all(|(now, before)| *now > *before + 200));
        zombie.signal("-CONT");
        std::thread::sleep(Duration::from_secs(1));
    }
    let count = load.stop();
    let late = zombie.drain().matches("came too late and was dropped").count();
    other.drain();
    copying.any_member(&["--until-end"]).ends_well();
    let Some(mut found) = committed(kafka, &copying.to) else { return };
    let written: usize = found.iter().map(Vec::len).sum();
    found.iter_mut().for_each(|found| {
        found.sort_unstable();
        found.dedup();
    });
    println!("a zombie's commits: {count} records, {written} written, stopped {stops} times, {late} commits too late");
    same(&found, &expected(count));
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

#[test]
fn a_member_whose_sink_stalls_gives_its_partitions_back_in_time() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = topic(kafka, "from");
    fill_numbers(&kafka.brokers(), &from, 0..400);
    let topics = Topics::new(kafka.brokers(), [&*from], unique("group")).batch_records(10);
    let topics = topics.revoke_wait(Duration::from_secs(2)).property("heartbeat.interval.ms", "300");
    let (passes, stalls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (passing, stalling) = (passes.clone(), stalls.clone());
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be had");
    // The thread that would serve the source does nothing else meanwhile.
    let pipeline = Pipeline::source(topics.clone()).filter(move |_: &Bytes| {
        stalling.store(true, Ordering::SeqCst);
        while !passing.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    });
    let running = runtime.block_on(pipeline.sink(out).start(Settings::default())).expect("it starts");
    until("the first to stall", || stalls.load(Ordering::SeqCst));
    let other = Reading::start(&topics, 10_000);
    let partitions = |numbers: Vec<u64>| HashSet::<u64>::from_iter(numbers.iter().map(|number| number % 4)).len();
    until("the other to take over", || partitions((other.seen)()) >= 2 && (other.seen)().len() == 200);
    assert!(seen.values().is_empty(), "the first stalls");
    passes.store(true, Ordering::SeqCst);
    until("all records", || seen.values().len() + (other.seen)().len() >= 400);
    running.drain();
    runtime.block_on(running.join()).expect("it ends well");
    let number = |value: &Bytes| std::str::from_utf8(value).expect("text").parse::<u64>().expect("a number");
    let first: Vec<_> = seen.values().iter().map(number).collect();
    println!("stalled: {} records, the other {}", first.len(), (other.seen)().len());
    all_of(400, [first, other.drain()].concat());
}
