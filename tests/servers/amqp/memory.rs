//! A long queue and a sink that stalls stay within their bound. To read all of it, and not only the first of it:
//!
//! ```sh
//! MILLSTREAM_MESSAGES=5000000 cargo test --release --test servers amqp::memory -- --nocapture
//! ```

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::client::{Client, unique};
use super::flood::flood;
use crate::support::example::Process;
use crate::support::rabbitmq::RabbitMq;

/// In MB: a prefetch of 20,000 small messages, what the client holds them in, and the buffers of a connection. A debug build
/// takes some 10 MB more than what the page tells.
const BOUND: u64 = 120;

/// So many lines of 21 bytes fit into a pipe of 64 KiB that nobody reads: they are printed, and acknowledged.
const PIPED: u64 = (64 << 10) / 21;

/// So many are in the queue.
const ALL: u64 = 5_000_000;

/// So many of them are read: in a debug build reading more takes longer than all the rest of these tests.
fn read() -> u64 {
    std::env::var("MILLSTREAM_MESSAGES").map_or(200_000, |messages| messages.parse().expect("a number")).min(ALL)
}

#[test]
fn a_long_queue_and_a_stalled_sink_stay_within_their_bound() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (queue, read) = (unique("long"), read());
    let client = Client::new(&broker.url());
    client.queue(&queue, &[("x-queue-mode", lapin::types::AMQPValue::LongString("lazy".into()))]);
    let began = Instant::now();
    flood(broker.port(), &queue, (0..ALL).map(|number| (0, Vec::new(), format!("{number:0>20}"))))
        .expect("it is filled");
    let filled = began.elapsed();
    let arguments = ["--url", &broker.url(), "--queue", &queue, "--output", "-", "--quiet"];
    let mut program = Process::start_printing("amqp_to_file", &arguments, Stdio::piped());
    // Nobody reads what it prints.
    std::thread::sleep(Duration::from_secs(4));
    let stalled = program.peak();
    let left = client.count(&queue);
    let mut lines = BufReader::new(program.prints()).lines();
    for number in 0..read {
        let line = lines.next().expect("a line").expect("it is text");
        assert_eq!(line.parse(), Ok(number));
    }
    let peak = program.peak();
    told!(
        "memory: {ALL} messages, filled in {filled:.1?}, {left} left in the queue while the sink was stalled: peak {stalled} \
         MB, later {peak} MB; {read} read in {:.1?}",
        began.elapsed() - filled
    );
    drop(lines);
    assert!(program.kill(), "it runs for ever");
    client.delete(&queue);
    let gone = ALL - u64::from(left);
    assert!(0 < gone && gone <= 20_000 + PIPED, "{left} of {ALL} were left");
    assert!(0 < peak && peak <= BOUND, "{peak} MB at its peak, more than {BOUND}");
}
