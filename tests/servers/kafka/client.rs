//! What the tests set up and look at.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use millstream::kafka::{Cluster, Message, Topic};
use millstream::prelude::*;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::groups::GroupInfo;

use crate::support::kafka::Kafka;

/// How many partitions topics have, unless a test says otherwise.
pub(crate) const PARTITIONS: u64 = 4;
/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How many kills; 200 in the long setting.
pub(crate) fn kills() -> u64 {
    std::env::var("MILLSTREAM_KILLS").map_or(20, |kills| kills.parse().expect("MILLSTREAM_KILLS is a number"))
}

/// A name that no other test has.
pub(crate) fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{what}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A new topic.
pub(crate) fn topic(kafka: &Kafka, what: &str) -> String {
    let name = unique(what);
    kafka.add_topic(&name, PARTITIONS as i32, &[]);
    name
}

/// Runs a pipeline to its end.
pub(crate) fn run(pipeline: Pipeline) -> Result<Summary, millstream::Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.expect("a runtime can be had").block_on(pipeline.run())
}

/// Writes these messages to the partition that `partition` says.
pub(crate) fn fill(brokers: &str, topic: &str, messages: Vec<(i32, Message)>) {
    let count = messages.len() as u64;
    let placed: Vec<Message> = messages
        .into_iter()
        .map(|(partition, mut message)| {
            // Where it was read, which tests use to say where it goes.
            message.origin = Some(millstream::kafka::Origin { topic: "".into(), partition, offset: 0 });
            message
        })
        .collect();
    let sink = Topic::new(brokers, topic).messages().partition_by(|it| it.origin.as_ref().map(|it| it.partition));
    let summary = run(Pipeline::source(List::new(placed)).sink(sink)).expect("it is written");
    assert_eq!(summary.records_out, count);
}

/// The message of a number, and its partition.
pub(crate) fn message(number: u64) -> (i32, Message) {
    ((number % PARTITIONS) as i32, Message::new(number.to_string()).with_key(format!("k{}", number % 7)))
}

/// Writes numbers, each to its partition.
pub(crate) fn fill_numbers(brokers: &str, topic: &str, numbers: std::ops::Range<u64>) {
    fill(brokers, topic, numbers.map(message).collect());
}

/// What a topic holds for those who read committed messages: the numbers of each partition, in their order. `None` if
/// there is no kcat to look with.
pub(crate) fn committed(kafka: &Kafka, topic: &str) -> Option<Vec<Vec<u64>>> {
    kafka.until_decided(topic);
    let mut found = vec![Vec::new(); PARTITIONS as usize];
    let read = kafka.kcat(&["-C", "-t", topic, "-e", "-q", "-o", "beginning", "-f", "%p %s\n"])?;
    let ran = { read }.output().expect("kcat runs");
    assert!(ran.status.success(), "{}: {}", ran.status, String::from_utf8_lossy(&ran.stderr));
    for line in String::from_utf8(ran.stdout).expect("text").lines() {
        let (partition, number) = line.split_once(' ').expect("a partition and a number");
        let partition: usize = partition.parse().expect("a partition");
        found[partition].push(number.parse().expect("a number"));
    }
    Some(found)
}

/// What the partitions of a topic hold that `count` numbers were written to.
pub(crate) fn expected(count: u64) -> Vec<Vec<u64>> {
    (0..PARTITIONS).map(|partition| (partition..count).step_by(PARTITIONS as usize).collect()).collect()
}

/// Says what differs first.
#[track_caller]
pub(crate) fn same(found: &[Vec<u64>], expected: &[Vec<u64>]) {
    for (partition, (found, expected)) in found.iter().zip(expected).enumerate() {
        let differs = found.iter().zip(expected).position(|(a, b)| a != b);
        assert!(
            found.len() == expected.len() && differs.is_none(),
            "partition {partition}: {} records, expected {}; the first that differs is {:?}",
            found.len(),
            expected.len(),
            differs.map(|at| (at, found[at], expected[at]))
        );
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a group stands so.
#[track_caller]
pub(crate) fn until_group(kafka: &Kafka, group: &str, so: impl Fn(&GroupInfo) -> bool) {
    let client: BaseConsumer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", kafka.brokers()).create().expect("a client");
    until("the group to stand so", || {
        let list = client.fetch_group_list(Some(group), PATIENCE).expect("the broker answers");
        list.groups().iter().any(|found| found.name() == group && so(found))
    });
}

/// How far a group has got with a topic, over all partitions.
pub(crate) fn progress(kafka: &Kafka, group: &str, topic: &str) -> u64 {
    let at = |partition| kafka.committed(group, topic, partition as i32).unwrap_or(0) as u64;
    (0..PARTITIONS).map(at).sum()
}

/// Numbers that are written all the while, so many a second.
pub(crate) struct Load {
    stop: tokio::sync::oneshot::Sender<()>,
    runs: JoinHandle<u64>,
}

impl Load {
    pub(crate) fn start(brokers: &str, topic: &str, a_second: u64) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let sink = Topic::new(Cluster::new(brokers), topic).messages();
        let sink = sink.partition_by(|it| it.origin.as_ref().map(|it| it.partition));
        let source = Generate::with(|number| {
            let (partition, mut message) = message(number);
            message.origin = Some(millstream::kafka::Origin { topic: "".into(), partition, offset: 0 });
            message
        });
        let pipeline = Pipeline::source(source.rate(a_second)).sink(sink);
        let runs = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let running = pipeline.start(Settings::default()).await.expect("it starts");
                let _ = stopped.await;
                running.drain();
                running.join().await.expect("it is written").records_out
            })
        });
        Self { stop, runs }
    }

    /// How many were written.
    pub(crate) fn stop(self) -> u64 {
        let _ = self.stop.send(());
        self.runs.join().expect("it ends")
    }
}
