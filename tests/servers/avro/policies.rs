//! Values of a topic that can't be read under their registry meet the stage's policy, and no other does.

use std::time::Duration;

use millstream::declare::OnError;
use millstream::kafka::{Message, Topics};
use millstream::prelude::*;

use super::registry::Guard;
use crate::kafka::client::{fill, run, unique};
use crate::support::kafka::Kafka;
use crate::support::registry::{Registry, url};

const VALUES: i64 = 400;

/// The bytes of a value of this schema id: of every hundred one names an id that nobody knows, one is cut off, one has
/// something behind it, and one has no id.
fn value(id: u64, number: i64) -> Vec<u8> {
    let id = u32::try_from(id).expect("32 bits").to_be_bytes();
    // 64 to 127 in two bytes.
    let datum = [0x80 | (number % 64 * 2) as u8, 0x01];
    match number % 100 {
        10 => [&[0], &[0x7f, 0xff, 0xff, 0xff][..], &datum].concat(),
        20 => [&[0], &id[..], &datum[..1]].concat(),
        30 => [&[0], &id[..], &datum, &[9]].concat(),
        40 => b"{}".to_vec(),
        _ => [&[0], &id[..], &datum].concat(),
    }
}

fn is_good(number: i64) -> bool {
    ![10, 20, 30, 40].contains(&(number % 100))
}

/// A topic with those values.
fn poisoned(kafka: &Kafka, server: &Registry) -> String {
    let schema = r#"{"type":"record","name":"Poisoned","fields":[{"name":"n","type":"long"}]}"#;
    let (topic, id) = (unique("avro-poison"), server.register("avro-poison-value", schema));
    kafka.add_topic(&topic, 1, &[]);
    fill(&kafka.brokers(), &topic, (0..VALUES).map(|number| (0, Message::new(value(id, number)))).collect());
    topic
}

/// What is read of it as this group, under the policy; the stage that meets it may try again.
fn read(
    kafka: &Kafka,
    topic: &str,
    group: &str,
    registry: &avro::Registry,
    policy: OnError,
) -> (Result<Summary, millstream::Error>, Vec<Bytes>) {
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    let read = Topics::new(kafka.brokers(), [topic], group).until_end();
    let pipeline = Pipeline::source(read)
        .map(|value: avro::Value| value.to_json().expect("JSON"))
        .retry(3)
        .sink(out)
        .with(avro::values().registered(&registry.reading()));
    (run(pipeline.on_any_error(policy)), seen.values())
}

#[test]
fn what_can_not_be_read_under_the_registry_meets_the_policy_and_nothing_else_does() {
    let (Some(kafka), Some(server)) = (Kafka::shared(), Registry::shared()) else { return };
    let topic = poisoned(kafka, server);
    let good = |numbers: std::ops::Range<i64>| -> Vec<Bytes> {
        numbers.filter(|n| is_good(*n)).map(|n| Bytes::from(format!(r#"{{"n":{}}}"#, 64 + n % 64))).collect()
    };
    let bad = 4 * VALUES as u64 / 100;
    // Counts what is asked; who asks doesn't matter to the registry behind it.
    let guard = Guard::before(server.port(), "Basic b3JkZXJzOnNlY3JldA==");
    let registry = avro::Registry::at(url(guard.port)).basic_auth("orders", "secret");
    let registry = registry.remembering_refusals(Duration::from_secs(600));

    let group = unique("group");
    let (ended, seen) = read(kafka, &topic, &group, &registry, OnError::Fail);
    let error = ended.expect_err("the first ends the run").to_string();
    assert!(error.contains("the schema of id 2147483647 can't be had") && error.contains("offset 10"), "{error}");
    assert_eq!(seen, good(0..10));
    assert!(kafka.committed(&group, &topic, 0).unwrap_or(0) <= 10);
    told!("fail: {error}");

    let group = unique("group");
    let (ended, seen) = read(kafka, &topic, &group, &registry, OnError::Skip);
    let summary = ended.expect("they are left out");
    assert!(seen == good(0..VALUES), "all others, in order");
    // What can't be decoded once can't be decoded again.
    assert_eq!((summary.skipped, summary.retried), (bad, 0));
    assert_eq!(kafka.committed(&group, &topic, 0), Some(VALUES));

    let letters = Collect::<Bytes>::new();
    let written = letters.collected();
    let (ended, seen) = read(kafka, &topic, &unique("group"), &registry, OnError::dead_letter(letters));
    let summary = ended.expect("they are buried");
    assert!(seen == good(0..VALUES), "all others, in order");
    assert_eq!((summary.dead_lettered, written.len() as u64), (bad, bad));
    let letters: Vec<_> = written.values().iter().map(|letter| String::from_utf8_lossy(letter).into_owned()).collect();
    let reasons = ["the schema of id 2147483647", "cut off", "expected the end of the value", "00 and four bytes"];
    for (letter, reason) in letters.iter().zip(reasons.iter().cycle()) {
        assert!(letter.contains(reason) && letter.contains("AVRO-REGISTRY-DECODER"), "{letter}");
    }
    // The schema, and that there is none of the other id: once for all three runs.
    assert_eq!(guard.passed(), 2, "each id is asked for once");
    told!("{VALUES} values, {bad} of them poison, under each policy; two questions to the registry in all");
}
