//! Processes that are killed at random moments, again and again: everything is there once, in its order.

use std::time::Duration;

use bytes::Bytes;
use millstream::kafka::{Message, Topic};
use millstream::prelude::*;

use super::client::{Load, PARTITIONS, committed, expected, fill, progress, run, same, topic, unique};
use crate::random::Random;
use crate::support::example::Process;
use crate::support::kafka::Kafka;

/// How many kills; 200 in the long setting.
fn kills() -> u64 {
    std::env::var("MILLSTREAM_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(20)
}

/// Starts a process and kills it at a random moment, again and again; returns in how many rounds something was committed.
fn kill_again_and_again(name: &str, arguments: &[&str], progress: impl Fn() -> u64) -> u64 {
    let mut random = Random::new();
    let (mut landed, mut fruitful) = (0, 0);
    while landed < kills() {
        let before = progress();
        let process = Process::start(name, arguments);
        std::thread::sleep(Duration::from_millis(250 + random.below(1_200)));
        let said = process.said();
        assert!(process.kill(), "it has ended before it was killed: {said}");
        landed += 1;
        fruitful += u64::from(progress() > before);
    }
    assert!(
        fruitful * 4 >= landed,
        "in {fruitful} of {landed} rounds something was committed: too few to show anything"
    );
    fruitful
}

#[test]
fn kafka_to_kafka_holds_each_message_once_and_in_order_over_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to, group) = (topic(kafka, "from"), topic(kafka, "to"), unique("group"));
    let brokers = kafka.brokers();
    let load = Load::start(&brokers, &from, 3_000);
    let mut arguments = vec!["--brokers", &brokers, "--from", &from, "--to", &to, "--group", &group, "--exactly-once"];
    arguments.extend(["--keep-partitions", "--member", "one", "--quiet"]);
    let fruitful = kill_again_and_again("kafka_to_kafka", &arguments, || progress(kafka, &group, &from));
    let count = load.stop();
    arguments.push("--until-end");
    Process::start("kafka_to_kafka", &arguments).ends_well();
    let Some(found) = committed(kafka, &to) else { return };
    println!("Kafka to Kafka: {count} records, {} kills landed, {fruitful} in mid-work", kills());
    same(&found, &expected(count));
}

#[test]
fn kafka_to_file_holds_each_message_once_and_in_order_over_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group) = (topic(kafka, "from"), unique("group"));
    let folder = tempfile::tempdir().expect("there is room");
    let [output, state] = ["output", "state"].map(|name| folder.path().join(name).display().to_string());
    let brokers = kafka.brokers();
    let load = Load::start(&brokers, &from, 3_000);
    let mut arguments = vec!["--brokers", &brokers, "--topic", &from, "--group", &group, "--output", &output];
    arguments.extend(["--state", &state, "--member", "one", "--quiet"]);
    let fruitful = kill_again_and_again("kafka_to_file", &arguments, || progress(kafka, &group, &from));
    let count = load.stop();
    arguments.push("--until-end");
    Process::start("kafka_to_file", &arguments).ends_well();
    let mut found = vec![Vec::new(); PARTITIONS as usize];
    for line in std::fs::read_to_string(&output).expect("it is written").lines() {
        let number: u64 = line.parse().expect("a number");
        found[(number % PARTITIONS) as usize].push(number);
    }
    println!("Kafka to file: {count} records, {} kills landed, {fruitful} in mid-work", kills());
    same(&found, &expected(count));
}

#[test]
fn file_to_kafka_holds_each_line_once_and_in_order_over_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    let to = unique("to");
    kafka.add_topic(&to, 1, &[]);
    let folder = tempfile::tempdir().expect("there is room");
    let [input, state] = ["input", "state"].map(|name| folder.path().join(name).display().to_string());
    let count = 2_000_000_u64;
    let lines: String = (0..count).map(|number| format!("{number}\n")).collect();
    std::fs::write(&input, lines).expect("a file can be written");
    let brokers = kafka.brokers();
    let mut arguments = vec!["--input", &input, "--brokers", &brokers, "--topic", &to, "--exactly-once"];
    arguments.extend(["--state", &state, "--quiet"]);
    let mut random = Random::new();
    let (mut landed, mut fruitful) = (0, 0);
    for _ in 0..kills() {
        let before = kafka.offsets(&to, 0).1;
        let mut process = Process::start("lines_to_kafka", &arguments);
        std::thread::sleep(Duration::from_millis(500 + random.below(2_000)));
        if !process.runs() {
            break;
        }
        landed += u64::from(process.kill());
        fruitful += u64::from(kafka.offsets(&to, 0).1 > before);
    }
    Process::start("lines_to_kafka", &arguments).ends_well();
    let Some(found) = committed(kafka, &to) else { return };
    println!("file to Kafka: {count} records, {landed} kills landed, {fruitful} in mid-work");
    assert!(landed >= 5 && fruitful >= 2, "too little has happened to show anything");
    assert!(found[0].iter().copied().eq(0..count), "{} records of {count}, or out of order", found[0].len());
}

/// A file's lines to a topic, with positions in a topic.
struct Copying {
    folder: tempfile::TempDir,
    to: String,
    positions: String,
}

impl Copying {
    fn new(kafka: &Kafka, lines: u64) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let text: String = (0..lines).map(|number| format!("{number}\n")).collect();
        std::fs::write(folder.path().join("input"), text).expect("a file can be written");
        let (to, positions) = (unique("to"), unique("positions"));
        kafka.add_topic(&to, 1, &[]);
        Self { folder, to, positions }
    }

    /// As a new process would run it, which has lost its state folder.
    fn run(&self, kafka: &Kafka, name: &str) -> Result<Summary, millstream::Error> {
        let input = Files::new([self.folder.path().join("input")], Lines::default());
        let sink = Topic::new(kafka.brokers(), &self.to).exactly_once().positions_topic(&self.positions);
        let state = tempfile::tempdir().expect("there is room");
        run(Pipeline::called(name).source(input).sink(sink).store(Embedded::at(state.path())))
    }

    /// How many lines there are.
    fn found(&self, kafka: &Kafka) -> Option<usize> {
        Some(committed(kafka, &self.to)?[0].len())
    }
}

#[test]
fn a_topic_that_deletes_what_is_old_keeps_no_positions() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka, 10);
    kafka.add_topic(&copying.positions, 1, &[("cleanup.policy", "delete")]);
    let error = copying.run(kafka, "lines").expect_err("it is refused");
    println!("positions in a topic that deletes: {error}");
    assert_eq!(error.to_string().matches("cleanup.policy=compact").count(), 1, "{error}");
    assert_eq!(copying.found(kafka).unwrap_or(0), 0, "nothing was written");
}

#[test]
fn positions_that_can_not_be_read_are_an_error_and_a_tombstone_takes_one_back() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka, 100);
    copying.run(kafka, "lines").expect("it ends well");
    copying.run(kafka, "lines").expect("it ends well");
    let Some(found) = copying.found(kafka) else { return };
    assert_eq!(found, 100, "the topic says that all is there");
    // The key of the position, as it stands in the topic.
    let keys = Collect::<Message>::new();
    let seen = keys.collected();
    let read = millstream::kafka::Topics::new(kafka.brokers(), [&*copying.positions], unique("looks")).until_end();
    run(Pipeline::source(read.messages()).sink(keys)).expect("it is read");
    let key = seen.values().first().and_then(|message| message.key.clone()).expect("a position has a key");
    // Another pipeline's messages are no concern of this one.
    let write = |message: Message| fill(&kafka.brokers(), &copying.positions, vec![(0, message)]);
    write(Message::new("nothing that anybody can read").with_key("a stranger"));
    write(Message::tombstone(key.clone()));
    copying.run(kafka, "lines").expect("it ends well");
    assert_eq!(copying.found(kafka), Some(200), "what was taken back is written again");
    write(Message::new(Bytes::from_static(b"\xff of a version to come")).with_key(key));
    let error = copying.run(kafka, "lines").expect_err("it is refused");
    println!("an unreadable position: {error}");
    assert!(error.to_string().contains("version 255") && error.to_string().contains("positions_topic"), "{error}");
    assert_eq!(copying.found(kafka), Some(200));
}
