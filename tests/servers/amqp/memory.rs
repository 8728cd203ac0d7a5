//! A long queue and a sink that stalls stay within their bound. With more messages by one command:
//!
//! ```sh
//! MILLSTREAM_MESSAGES=5000000 cargo test --release --test servers amqp::memory -- --nocapture
//! ```

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::Duration;

use super::client::{Client, unique};
use crate::support::example::Process;
use crate::support::rabbitmq::RabbitMq;

/// In MB: a prefetch of 20,000 small messages, what the client holds them in, and the buffers of a connection.
const BOUND: u64 = 100;

/// Those that are there at once: filling more takes longer than all the rest of these tests.
fn messages() -> u64 {
    std::env::var("MILLSTREAM_MESSAGES").map_or(200_000, |messages| messages.parse().expect("a number"))
}

#[test]
fn a_long_queue_and_a_stalled_sink_stay_within_their_bound() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (queue, all) = (unique("long"), messages());
    let client = Client::new(&broker.url());
    client.queue(&queue, &[("x-queue-mode", lapin::types::AMQPValue::LongString("lazy".into()))]);
    for first in (0..all).step_by(50_000) {
        client.fill(&queue, (first..all.min(first + 50_000)).map(|number| format!("{number:0>20}").into_bytes()));
    }
    let arguments = ["--url", &broker.url(), "--queue", &queue, "--output", "-", "--quiet"];
    let mut program = Process::start_printing("amqp_to_file", &arguments, Stdio::piped());
    // Nobody reads what it prints.
    std::thread::sleep(Duration::from_secs(4));
    let stalled = program.peak();
    let left = client.count(&queue);
    let mut lines = BufReader::new(program.prints()).lines();
    for number in 0..all {
        let line = lines.next().expect("a line").expect("it is text");
        assert_eq!(line.parse(), Ok(number));
    }
    let peak = program.peak();
    println!(
        "memory: {all} messages, {left} left in the queue while the sink was stalled: peak {stalled} MB, later {peak} MB"
    );
    program.drain();
    assert!(u64::from(left) < all && u64::from(left) + 20_000 >= all, "{left} of {all} were left");
    assert!(0 < peak && peak <= BOUND, "{peak} MB at its peak, more than {BOUND}");
}
