//! What breaks between us and the broker, and the broker itself.

use std::collections::BTreeSet;
use std::time::Duration;

use super::client::{Load, committed, expected, progress, same, topic, unique, until};
use crate::support::example::Process;
use crate::support::kafka::Kafka;
use crate::support::proxy::{Cut, Kind};

/// Requests of Kafka's protocol.
const PRODUCE: Kind = Kind::PRODUCE;
const OFFSET_COMMIT: Kind = Kind::OFFSET_COMMIT;
const END_TXN: Kind = Kind::END_TXN;

#[test]
fn a_broker_that_is_killed_under_load_loses_and_doubles_nothing() {
    broker_killed(true);
}

#[test]
fn a_broker_that_is_killed_under_load_loses_nothing_outside_of_transactions() {
    broker_killed(false);
}

fn broker_killed(exactly_once: bool) {
    let Some(kafka) = Kafka::own(&[]) else { return };
    let (from, to, group) = (topic(&kafka, "from"), topic(&kafka, "to"), unique("group"));
    let brokers = kafka.brokers();
    let load = Load::start(&brokers, &from, 2_000);
    let mut arguments = vec!["--brokers", &brokers, "--from", &from, "--to", &to, "--group", &group];
    arguments.extend(["--keep-partitions", "--quiet"]);
    if exactly_once {
        arguments.push("--exactly-once");
    }
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
    let Some(mut found) = committed(&kafka, &to) else { return };
    let repeats = if exactly_once { 0 } else { keep_first(&mut found) };
    told!("a broker killed, exactly once {exactly_once}: {count} records, {kills} kills landed, {repeats} repeats");
    same(&found, &expected(count));
}

/// Leaves each number where it came first; returns how many came again.
fn keep_first(found: &mut [Vec<u64>]) -> usize {
    let before: usize = found.iter().map(Vec::len).sum();
    for found in found.iter_mut() {
        let mut seen = BTreeSet::new();
        found.retain(|number| seen.insert(*number));
    }
    before - found.iter().map(Vec::len).sum::<usize>()
}

/// Copies numbers through a proxy that cuts a connection at certain frames, six times.
fn cut_while(what: &str, kind: Kind, cut: Cut, exactly_once: bool) {
    const CUTS: u64 = 6;
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to, group) = (topic(kafka, "from"), topic(kafka, "to"), unique("group"));
    let load = Load::start(&kafka.brokers(), &from, 2_000);
    let proxy = kafka.proxied();
    let arguments = |brokers| {
        let mut arguments = vec!["--brokers", brokers, "--from", &from, "--to", &to, "--group", &group];
        arguments.extend(["--keep-partitions", "--quiet", "--property", "linger.ms=0"]);
        arguments.extend(["--property", "batch.num.messages=500", "--property", "reconnect.backoff.max.ms=200"]);
        arguments.extend(exactly_once.then_some("--exactly-once"));
        arguments
    };
    let [through, direct] = [proxy.brokers(), kafka.brokers()];
    let copies = Process::start("kafka_to_kafka", &arguments(&through));
    for cuts in 1..=CUTS {
        // One passes in between, so that it isn't one request that is cut again and again.
        proxy.cut_at(kind, 1, cut);
        until(what, || proxy.cuts() >= cuts);
    }
    let before = progress(kafka, &group, &from);
    until("the group to get further", || progress(kafka, &group, &from) > before + 1_000);
    let count = load.stop();
    copies.drain();
    Process::start("kafka_to_kafka", &[&arguments(&direct)[..], &["--until-end"]].concat()).ends_well();
    let Some(mut found) = committed(kafka, &to) else { return };
    // What was published before the answer was lost is numbered, and told by that when it comes again.
    let repeats = if exactly_once || kind == PRODUCE { 0 } else { keep_first(&mut found) };
    let (cuts, frames) = (proxy.cuts(), proxy.frames(kind));
    told!("cut {what}: {count} records, {cuts} cuts landed, {frames} such frames, {repeats} repeats");
    assert_eq!(cuts, CUTS, "each is meant to land");
    same(&found, &expected(count));
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

#[test]
fn a_connection_that_is_cut_in_a_transactions_own_requests_loses_and_doubles_nothing() {
    cut_while("within the commit of a transaction", END_TXN, Cut::Within, true);
    cut_while("before a transaction's offsets are answered", Kind::TXN_OFFSET_COMMIT, Cut::Unanswered, true);
    cut_while("before a group is added to a transaction", Kind::ADD_OFFSETS_TO_TXN, Cut::Unanswered, true);
    cut_while("before partitions are added to a transaction", Kind::ADD_PARTITIONS_TO_TXN, Cut::Unanswered, true);
}
