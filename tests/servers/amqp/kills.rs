//! Our process, killed at random moments: 20 times, or as often as `MILLSTREAM_KILLS` says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::{Client, unique};
use super::flow::until;
use crate::moment::some_moment;
use crate::random::Random;
use crate::support::example::Process;
use crate::support::rabbitmq::RabbitMq;

/// How often it is killed.
fn kills() -> u64 {
    std::env::var("MILLSTREAM_KILLS").map_or(20, |kills| kills.parse().expect("MILLSTREAM_KILLS is a number"))
}

/// A queue of so many messages a kill, and a program that writes them somewhere.
struct Killed<'a> {
    name: &'a str,
    client: Client,
    queue: String,
    records: u64,
    arguments: Vec<&'a str>,
    /// Others come and go meanwhile, each a consumer of its own.
    joined: bool,
}

impl<'a> Killed<'a> {
    fn new(name: &'a str, url: &str, queue: &str) -> Self {
        let (client, records) = (Client::new(url), 1_000 * kills());
        client.queue(queue, &[]);
        client.fill(queue, (0..records).map(|number| number.to_string().into_bytes()));
        Self { name, client, queue: queue.to_owned(), records, arguments: Vec::new(), joined: false }
    }

    /// Kills it again and again, and lets it come to the end; `size` says how much has arrived, `bodies` what.
    fn run(self, size: impl Fn() -> u64, bodies: impl Fn() -> Vec<String>) {
        let Self { name, client, queue, records, arguments, joined } = self;
        // Few in flight, so that there is something left to do.
        let slowly = [&arguments[..], &["--prefetch", "400"]].concat();
        let start = |arguments: &[&str]| Process::start(name, arguments);
        let (mut landed, mut mid_run, mut came, mut random) = (0, 0, 0, Random::new());
        while landed < kills() {
            let other = (joined && landed % 5 == 2).then(|| start(&slowly));
            let (before, mut program) = (size(), start(&slowly));
            some_moment(&mut random, &mut program, || size() != before);
            mid_run += u64::from(size() != before);
            let said = program.said();
            assert!(program.kill(), "it ended by itself: {said}");
            landed += 1;
            if let Some(other) = other {
                let before = size();
                until("the other to go on", || size() != before);
                other.drain();
                came += 1;
            }
        }
        let program = start(&arguments);
        let counts = || {
            let mut counts = BTreeMap::<u64, u64>::new();
            let numbers = bodies().into_iter().filter_map(|body| body.parse().ok());
            numbers.for_each(|number| *counts.entry(number).or_default() += 1);
            counts
        };
        until("all to arrive", || {
            std::thread::sleep(Duration::from_millis(500));
            client.count(&queue) == 0 && counts().len() as u64 == records
        });
        program.drain();
        let counts = counts();
        assert!(counts.keys().copied().eq(0..records), "{} of {records} records are there", counts.len());
        let repeats: u64 = counts.values().map(|count| count - 1).sum();
        assert_eq!(client.count(&queue), 0, "all is acknowledged");
        told!(
            "{name}: {records} records, {landed} kills landed, {mid_run} of them mid-run; others came {came} times; {repeats} repeats"
        );
        assert_eq!(came > 0, joined, "others were to come and go");
        assert!(mid_run * 2 >= landed, "fewer than half of the kills landed mid-run: this shows nothing");
    }
}

#[test]
fn a_queue_to_a_file_loses_nothing_however_often_it_is_killed() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (queue, url, folder) = (unique("killed"), broker.url(), tempfile::tempdir().expect("there is room"));
    let path = |name: &str| folder.path().join(name).to_str().expect("such paths are text").to_owned();
    let (output, state) = (path("output"), path("state"));
    let mut killed = Killed::new("amqp_to_file", &url, &queue);
    killed.arguments = vec!["--url", &url, "--queue", &queue, "--output", &output, "--state", &state];
    let text = || std::fs::read_to_string(&output).unwrap_or_default();
    let size = || std::fs::metadata(&output).map_or(0, |about| about.len());
    killed.run(size, || text().lines().map(str::to_owned).collect());
}

#[cfg(feature = "kafka")]
#[test]
fn a_queue_to_a_topic_loses_nothing_however_often_it_is_killed() {
    use millstream::prelude::*;

    use crate::kafka::client::run;
    use crate::support::kafka::Kafka;

    let (Some(broker), Some(kafka)) = (RabbitMq::shared(), Kafka::shared()) else { return };
    let (queue, url, topic) = (unique("killed"), broker.url(), unique("from-a-queue"));
    kafka.add_topic(&topic, 1, &[]);
    let brokers = kafka.brokers();
    let mut killed = Killed::new("amqp_to_kafka", &url, &queue);
    killed.arguments = vec!["--url", &url, "--queue", &queue, "--brokers", &brokers, "--topic", &topic];
    killed.joined = true;
    let size = || u64::try_from(kafka.offsets(&topic, 0).1).expect("offsets are not negative");
    let bodies = || {
        let out = Collect::<String>::new();
        let seen = out.collected();
        let read = kafka::Topics::new(kafka.brokers(), [&*topic], unique("looks")).until_end();
        run(Pipeline::source(read).map(|body: String| body).sink(out)).expect("it is read");
        seen.values()
    };
    killed.run(size, bodies);
}
