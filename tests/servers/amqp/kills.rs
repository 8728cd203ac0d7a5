//! Our process, killed at random moments: 20 times, or as often as `MILLSTREAM_KILLS` says.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use super::client::{Client, unique};
use super::flow::until;
use super::program::Program;
use crate::support::rabbitmq::RabbitMq;

/// How often it is killed.
fn kills() -> u64 {
    std::env::var("MILLSTREAM_KILLS").map_or(20, |kills| kills.parse().expect("MILLSTREAM_KILLS is a number"))
}

#[test]
fn a_queue_to_a_file_loses_nothing_however_often_it_is_killed() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (queue, folder) = (unique("killed"), tempfile::tempdir().expect("there is room"));
    let records = 1_000 * kills();
    let client = Client::new(&broker.url());
    client.queue(&queue, &[]);
    client.fill(&queue, (0..records).map(|number| number.to_string().into_bytes()));
    let path = |name: &str| folder.path().join(name).to_str().expect("such paths are text").to_owned();
    let (output, state, url) = (path("output"), path("state"), broker.url());
    let arguments = ["--url", &url, "--queue", &queue, "--output", &output, "--state", &state];
    // Few in flight, so that there is something left to do.
    let slowly = [&arguments[..], &["--prefetch", "400"]].concat();
    let start = |arguments: &[&str]| Program::start("amqp_to_file", arguments, Stdio::null());
    let size = || std::fs::metadata(&output).map_or(0, |about| about.len());
    let (mut landed, mut mid_run, mut random) = (0, 0, 88_172_645_463_325_252_u64);
    while landed < kills() {
        let (before, program) = (size(), start(&slowly));
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        std::thread::sleep(Duration::from_millis(300 + random % 1_200));
        mid_run += u64::from(size() != before);
        let said = program.said();
        assert!(program.kill(), "it ended by itself: {said}");
        landed += 1;
    }
    let program = start(&arguments);
    let counts = || {
        let text = std::fs::read_to_string(&output).unwrap_or_default();
        let mut counts = BTreeMap::<u64, u64>::new();
        text.lines().filter_map(|line| line.parse().ok()).for_each(|number| *counts.entry(number).or_default() += 1);
        counts
    };
    until("all to arrive", || {
        std::thread::sleep(Duration::from_millis(100));
        client.count(&queue) == 0 && counts().len() as u64 == records
    });
    program.ask_to_end();
    assert_eq!(program.end(), Some(0));
    let counts = counts();
    assert!(counts.keys().copied().eq(0..records), "{} of {records} records are there", counts.len());
    let repeats: u64 = counts.values().map(|count| count - 1).sum();
    assert_eq!(client.count(&queue), 0, "all is acknowledged");
    println!("killed: {records} records, {landed} kills landed, {mid_run} of them mid-run; {repeats} repeats");
    assert!(mid_run * 2 >= landed, "fewer than half of the kills landed mid-run: this shows nothing");
}
