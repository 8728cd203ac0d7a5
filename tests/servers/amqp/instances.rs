//! The seed's own example on three instances: the broker lets one be active, and another takes over when that is gone.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use lapin::types::AMQPValue;
use millstream::amqp::Exchange;
use millstream::prelude::*;

use super::client::{Client, unique};
use super::flow::until;
use crate::support::example::{Process, prints_to};
use crate::support::rabbitmq::RabbitMq;

const RECORDS: u64 = 24_000;

/// How many may be unacknowledged.
const PREFETCH: u64 = 4_000;

fn document(number: u64) -> String {
    let status = if number.is_multiple_of(3) { "open" } else { "paid" };
    format!("<order id=\"{number}\"><status>{status}</status></order>")
}

/// The numbers of the documents that were printed.
fn printed(output: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(output).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let number = |line: &str| line.split('"').nth(1).and_then(|number| number.parse().ok()).expect("a document");
    whole.lines().map(number).collect()
}

/// Three instances, of which the last one prints.
struct Three<'a> {
    broker: &'a RabbitMq,
    queue: String,
    peers: Vec<String>,
    programs: Vec<Option<Process>>,
}

impl<'a> Three<'a> {
    fn start(broker: &'a RabbitMq, queue: &str, output: &Path) -> Self {
        let sockets: Vec<_> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a port is free")).collect();
        let peers = sockets.iter().map(|socket| socket.local_addr().expect("it has one").to_string()).collect();
        drop(sockets);
        let mut three = Self { broker, queue: queue.to_owned(), peers, programs: (0..3).map(|_| None).collect() };
        three.begin(0, Stdio::null());
        three.begin(1, Stdio::null());
        let joined = |program: &Option<Process>| program.as_ref().is_some_and(|it| it.said().contains("joined 2 of 3"));
        until("two to join", || three.programs[..2].iter().all(joined));
        // What is printed is printed where the user looks: on the one that was started last.
        std::thread::sleep(Duration::from_millis(20));
        three.begin(2, prints_to(output));
        three
    }

    fn begin(&mut self, instance: usize, prints: Stdio) {
        let (url, peers, me) = (self.broker.url(), self.peers.join(","), self.peers[instance].clone());
        let prefetch = PREFETCH.to_string();
        let filters = ["--url", &url, "--queue", &self.queue, "--prefetch", &prefetch, "--where", "status=paid"];
        let joins = ["--peers", &peers, "--listen", &me, "--detection", "2", "--plain-on-loopback-for-tests"];
        let arguments: Vec<_> = filters.iter().chain(&joins).copied().collect();
        self.programs[instance] = Some(Process::start_printing("amqp_xml_filter", &arguments, prints));
    }

    /// Which instance the broker gives messages to, as far as it says.
    fn active(&self) -> Option<usize> {
        let consumers = self.broker.http().must("GET", "/api/consumers/%2F", None);
        let mine = |one: &&serde_json::Value| one["queue"]["name"] == *self.queue && one["active"] == true;
        let active = consumers.as_array()?.iter().find(mine)?;
        let port = active["channel_details"]["peer_port"].as_u64().and_then(|port| u16::try_from(port).ok())?;
        self.programs.iter().position(|program| program.as_ref().is_some_and(|program| program.has_port(port)))
    }

    /// Waits until so many different ones are printed and all is acknowledged, and has all end.
    fn end(&mut self, output: &Path, count: usize) {
        until("all to be printed", || {
            std::thread::sleep(Duration::from_millis(100));
            printed(output).into_iter().collect::<BTreeSet<_>>().len() == count
        });
        until("all to be acknowledged", || self.broker.messages(&self.queue) == 0);
        self.programs.iter().flatten().for_each(Process::ask_to_end);
        for program in std::mem::take(&mut self.programs).into_iter().flatten() {
            program.ends_well();
        }
    }
}

impl Drop for Three<'_> {
    fn drop(&mut self) {
        for (instance, program) in self.programs.iter().enumerate().filter(|_| std::thread::panicking()) {
            told!("instance {}: {}", instance + 1, program.as_ref().map(Process::said).unwrap_or_default());
        }
    }
}

/// Publishes documents to a queue, of which no more are let through than is allowed.
async fn publish(url: String, queue: String, allowed: Arc<AtomicU64>) -> Result<u64, millstream::Error> {
    let documents = List::new((0..RECORDS).map(document).collect::<Vec<_>>());
    let count = AtomicU64::new(0);
    let publishes = Pipeline::source(documents).throttle(200, Duration::from_millis(100));
    let publishes = publishes.filter(move |_: &String| {
        let number = count.fetch_add(1, Relaxed);
        while number >= allowed.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    });
    let summary = publishes.sink(Exchange::new(url, "").routing_key(&queue)).run().await?;
    Ok(summary.records_out)
}

/// What landed.
#[derive(Default)]
struct Faults {
    kills: usize,
    closed: usize,
}

/// Waits until one of those that don't print is active. The one that prints stays: its connection is ended, and another
/// becomes active.
fn active_one(three: &Three<'_>, faults: &mut Faults) -> usize {
    let mut active = None;
    until("one to be active", || {
        active = three.active();
        if active == Some(2) {
            let of_it = three.broker.connections().into_iter().filter(|one| {
                let port = one.name.split(" -> ").next().and_then(|from| from.rsplit(':').next()?.parse().ok());
                port.is_some_and(|port| three.programs[2].as_ref().is_some_and(|program| program.has_port(port)))
            });
            faults.closed += of_it.filter(|one| three.broker.close(one)).count();
            active = None;
            std::thread::sleep(Duration::from_millis(600));
        }
        active.is_some()
    });
    active.expect("one is active")
}

/// How many epochs of the source these were printed in. Within one all is in order: it goes back only where another one
/// begins, and not further than to what may have been unacknowledged.
fn epochs(printed: &[u64], passes: &[u64]) -> usize {
    let (mut epochs, mut next) = (1, 0);
    for (at, number) in printed.iter().enumerate() {
        let passed = passes.partition_point(|passed| passed < number);
        assert!(passed <= next, "{number} was printed when {} had not been", passes[next]);
        if at > 0 && printed[at - 1] >= *number {
            epochs += 1;
            assert!(number + PREFETCH > passes[next - 1], "{number} came again behind {}", passes[next - 1]);
        }
        next = next.max(passed + 1);
    }
    epochs
}

#[test]
fn another_instance_takes_over_when_the_active_one_is_killed() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (queue, folder) = (unique("three"), tempfile::tempdir().expect("there is room"));
    let client = Client::new(&broker.url());
    client.queue(&queue, &[("x-single-active-consumer", AMQPValue::Boolean(true))]);
    let output = folder.path().join("output");
    let mut three = Three::start(broker, &queue, &output);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be had");
    // There is always something left to be read when one is killed.
    let allowed = Arc::new(AtomicU64::new(RECORDS * 60 / 100));
    let publishing = runtime.spawn(publish(broker.url(), queue.clone(), allowed.clone()));
    let passes = (0..RECORDS).filter(|number| !number.is_multiple_of(3)).collect::<Vec<_>>();
    let mut faults = Faults::default();
    for (percent, then) in [(20, 90), (55, 100)] {
        until("some to be printed", || printed(&output).len() * 100 >= passes.len() * percent);
        let victim = active_one(&three, &mut faults);
        told!("instance {} is active", victim + 1);
        assert!(three.programs[victim].take().expect("it runs").kill());
        faults.kills += 1;
        let before = printed(&output).len();
        allowed.store(RECORDS * then / 100, Relaxed);
        until("another to take over", || printed(&output).len() > before + 200);
        three.begin(victim, Stdio::null());
    }
    assert_eq!(runtime.block_on(publishing).expect("it runs").expect("all is published"), RECORDS);
    three.end(&output, passes.len());
    let (found, Faults { kills, closed }) = (printed(&output), faults);
    let (epochs, repeats) = (epochs(&found, &passes), found.len() - passes.len());
    told!(
        "three instances: {RECORDS} records, {kills} kills of the active one landed, {closed} connections closed, {epochs} \
         epochs, {repeats} repeats"
    );
    let takeovers = kills + closed;
    assert!(epochs <= takeovers + 1, "{epochs} epochs: out of order within one");
    assert!(repeats as u64 <= PREFETCH * takeovers as u64, "{repeats} repeats: more than was unacknowledged");
}

#[test]
fn two_instances_write_a_queue_into_a_file_that_keeps_positions() {
    const COUNT: u64 = 2_000;
    let Some(broker) = RabbitMq::shared() else { return };
    let (client, queue, url) = (Client::new(&broker.url()), unique("into-a-file"), broker.url());
    client.queue(&queue, &[("x-single-active-consumer", AMQPValue::Boolean(true))]);
    client.fill(&queue, (0..COUNT).map(|number| number.to_string().into_bytes()));
    let folder = tempfile::tempdir().expect("there is room");
    let path = |name: &str| folder.path().join(name).to_str().expect("such paths are text").to_owned();
    let (output, sockets) = (path("output"), [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a port is free")));
    let peers = sockets.map(|socket| socket.local_addr().expect("it has one").to_string());
    let start = |instance: usize| {
        let (state, all) = (path(&format!("state-{instance}")), peers.join(","));
        let reads = ["--url", &url, "--queue", &queue, "--output", &output, "--state", &state];
        let joins =
            ["--peers", &all, "--listen", &peers[instance], "--detection", "2", "--plain-on-loopback-for-tests"];
        Process::start("amqp_to_file", &[&reads[..], &joins].concat())
    };
    let programs = [0, 1].map(start);
    let lines = || std::fs::read_to_string(&output).unwrap_or_default().lines().count() as u64;
    let began = std::time::Instant::now();
    while (lines() < COUNT || client.count(&queue) > 0) && began.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(50));
    }
    programs.iter().for_each(Process::ask_to_end);
    let said = programs.map(Process::ends_well);
    told!("two instances: {} of {COUNT} messages in a file", lines());
    assert_eq!(lines(), COUNT, "{said:?}");
}
