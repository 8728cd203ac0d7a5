//! `lines_to_amqp` as a program: what it publishes, and that nothing is lost when it is killed.

use std::path::Path;

use super::client::{Client, unique};
use super::flow::until;
use crate::support::example::Process;
use crate::support::rabbitmq::RabbitMq;

const RECORDS: u64 = 20_000;

/// A file with a number a line.
fn numbers(folder: &Path) -> String {
    let path = folder.join("input");
    std::fs::write(&path, (0..RECORDS).map(|number| format!("{number}\n")).collect::<String>()).expect("there is room");
    path.to_str().expect("such paths are text").to_owned()
}

#[test]
fn lines_are_published_each_once() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (client, queue, folder) = (Client::new(&broker.url()), unique("lines"), tempfile::tempdir().expect("room"));
    client.queue(&queue, &[]);
    let (input, url) = (numbers(folder.path()), broker.url());
    let arguments = ["--input", &input, "--url", &url, "--exchange", "", "--routing-key", &queue];
    let said =
        Process::start("lines_to_amqp", &[&arguments[..], &["--content-type", "text/plain"]].concat()).ends_well();
    assert!(said.contains(&format!("records in {RECORDS}, out {RECORDS}")), "{said}");
    let first = broker.take(&queue, 1).pop().expect("there is one");
    assert_eq!((&first["payload"], &first["properties"]["content_type"]), (&"0".into(), &"text/plain".into()));
    assert_eq!(first["properties"]["delivery_mode"], 2);
    let left = client.look(&queue);
    assert!(left.iter().map(|body| String::from_utf8_lossy(body)).eq((1..RECORDS).map(|number| number.to_string())));
    told!("lines to a queue: {RECORDS} records, each once and in order");
}

#[test]
fn lines_are_not_lost_when_the_program_is_killed() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (client, queue, folder) = (Client::new(&broker.url()), unique("lines"), tempfile::tempdir().expect("room"));
    client.queue(&queue, &[]);
    let (input, url, state) = (numbers(folder.path()), broker.url(), folder.path().join("state"));
    let state = state.to_str().expect("such paths are text");
    let arguments = ["--input", &input, "--url", &url, "--exchange", "", "--routing-key", &queue, "--state", state];
    // Slow enough to be killed in the middle of it.
    let slowly = [&arguments[..], &["--confirm-window", "20"]].concat();
    let mut landed = 0;
    for _ in 0..3 {
        let before = client.count(&queue);
        let program = Process::start("lines_to_amqp", &slowly);
        until("more to be published", || client.count(&queue) > before + 1_500);
        landed += u64::from(program.kill());
    }
    let at_the_kill = client.count(&queue);
    Process::start("lines_to_amqp", &arguments).ends_well();
    let mut found: Vec<u64> = client.look(&queue).iter().map(|body| number(body)).collect();
    let arrived = found.len() as u64;
    found.sort_unstable();
    found.dedup();
    assert!(found.iter().copied().eq(0..RECORDS), "{} of {RECORDS} lines arrived", found.len());
    told!("lines to a queue: {RECORDS} records, {landed} kills landed, {} repeats", arrived - RECORDS);
    assert!(landed == 3 && u64::from(at_the_kill) < RECORDS, "it was done when it was killed: this shows nothing");
}

fn number(body: &[u8]) -> u64 {
    std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).expect("a number")
}
