//! Processes that are killed at random moments, again and again: everything is there once, in its order.

use std::time::Duration;

use super::client::{Load, PARTITIONS, committed, expected, progress, same, topic, unique};
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
