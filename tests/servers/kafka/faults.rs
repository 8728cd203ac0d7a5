//! What breaks between us and the broker, and the broker itself.

use std::time::Duration;

use super::client::{Load, committed, expected, fill_numbers, progress, same, topic, unique, until};
use crate::support::example::Process;
use crate::support::kafka::Kafka;
use crate::support::proxy::{Cut, Kind};

/// Requests of Kafka's protocol.
const PRODUCE: Kind = Kind::PRODUCE;
const OFFSET_COMMIT: Kind = Kind::OFFSET_COMMIT;
const END_TXN: Kind = Kind::END_TXN;

#[test]
fn a_broker_that_is_killed_under_load_loses_and_doubles_nothing() {
    let Some(kafka) = Kafka::own(&[]) else { return };
    let (from, to, group) = (topic(&kafka, "from"), topic(&kafka, "to"), unique("group"));
    let brokers = kafka.brokers();
    let load = Load::start(&brokers, &from, 2_000);
    let mut arguments = vec!["--brokers", &brokers, "--from", &from, "--to", &to, "--group", &group, "--exactly-once"];
    arguments.extend(["--keep-partitions", "--quiet"]);
    let copies = Process::start("kafka_to_kafka", &arguments);
    let mut kills = 0;
    for _ in 0..3 {
        let before = progress(&kafka, &group, &from);
        until("the group to get further", || progress(&kafka, &group, &from) > before + 1_000);
        kafka.kill();
        kills += 1;
        std::thread::sleep(Duration::from_millis(300));
        kafka.restart();
    }
    let before = progress(&kafka, &group, &from);
    until("the group to get further", || progress(&kafka, &group, &from) > before + 1_000);
    let count = load.stop();
    copies.drain();
    arguments.push("--until-end");
    Process::start("kafka_to_kafka", &arguments).ends_well();
    println!("a broker killed: {count} records, {kills} kills landed");
    let Some(found) = committed(&kafka, &to) else { return };
    same(&found, &expected(count));
}

/// Copies numbers through a proxy that cuts at certain frames, again and again.
fn cut_while(what: &str, kind: Kind, cut: Cut, exactly_once: bool) {
    const RECORDS: u64 = 60_000;
    const CUTS: u64 = 6;
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to, group) = (topic(kafka, "from"), topic(kafka, "to"), unique("group"));
    fill_numbers(&kafka.brokers(), &from, 0..RECORDS);
    let proxy = kafka.proxied();
    let brokers = proxy.brokers();
    let mut arguments = vec!["--brokers", &brokers, "--from", &from, "--to", &to, "--group", &group];
    arguments.extend(["--keep-partitions", "--quiet", "--until-end", "--property", "linger.ms=0"]);
    arguments.extend(["--property", "batch.num.messages=500", "--property", "reconnect.backoff.max.ms=200"]);
    if exactly_once {
        arguments.push("--exactly-once");
    }
    proxy.cut_at(kind, 0, cut);
    let mut copies = Process::start("kafka_to_kafka", &arguments);
    let mut cuts = 0;
    while copies.runs() {
        if proxy.cuts() > cuts {
            cuts = proxy.cuts();
            if cuts < CUTS {
                proxy.cut_at(kind, 1, cut);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    copies.ends_well();
    let frames = proxy.frames(kind);
    println!("cut {what}: {RECORDS} records, {cuts} cuts landed, {frames} such frames");
    assert!(cuts > 0, "nothing was cut: this shows nothing");
    let Some(mut found) = committed(kafka, &to) else { return };
    if !exactly_once {
        let written: usize = found.iter().map(Vec::len).sum();
        found.iter_mut().for_each(|found| found.dedup());
        println!("{} of them are there twice", written as u64 - RECORDS.min(written as u64));
    }
    same(&found, &expected(RECORDS));
}

#[test]
fn a_connection_that_is_cut_in_mid_publish_loses_and_doubles_nothing() {
    cut_while("in mid-publish", PRODUCE, Cut::Within, false);
    cut_while("in mid-publish, in transactions", PRODUCE, Cut::Within, true);
}

#[test]
fn a_connection_that_is_cut_before_the_answer_loses_and_doubles_nothing() {
    cut_while("before a publish is answered", PRODUCE, Cut::Unanswered, false);
    cut_while("before a publish in a transaction is answered", PRODUCE, Cut::Unanswered, true);
    cut_while("within the commit of offsets", OFFSET_COMMIT, Cut::Within, false);
    cut_while("before the commit of offsets is answered", OFFSET_COMMIT, Cut::Unanswered, false);
    cut_while("before the commit of a transaction is answered", END_TXN, Cut::Unanswered, true);
}
