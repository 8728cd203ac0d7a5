//! [`Flow`]: numbered records through the broker, while a test breaks what it likes.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use millstream::amqp::{Exchange, Queue};
use millstream::prelude::*;
use millstream::runtime::Running;
use millstream::sinks::collect::Collected;

/// The longest that anything here takes.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(5);

/// Records that are published to a queue, by one pipeline, and read from it, by another, each at a URL of its own.
pub(super) struct Flow {
    pub(super) publishes_at: String,
    pub(super) reads_at: String,
    pub(super) queue: String,
    pub(super) records: u64,
    /// How many are published in a tenth of a second, at most.
    pub(super) pace: u64,
}

/// A flow under way.
pub(super) struct Flowing {
    runtime: tokio::runtime::Runtime,
    writer: Running,
    reader: Running,
    seen: Collected<String>,
    records: u64,
}

/// What came of it.
pub(super) struct Came {
    /// How many arrived, repeats among them.
    pub(super) arrived: u64,
    /// How many arrived that had arrived before.
    pub(super) repeats: u64,
    /// Acknowledgements that came when their channel was gone.
    pub(super) late: u64,
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { arrived, repeats, late } = self;
        write!(f, "{arrived} arrived, {repeats} repeats, {late} acknowledgements too late")
    }
}

impl Flow {
    pub(super) fn start(&self) -> Flowing {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let numbers: Vec<_> = (0..self.records).map(|number| number.to_string()).collect();
        let wait = Duration::from_millis(50);
        let exchange = millstream::amqp::Broker::at(&self.publishes_at).backoff(wait, wait * 10);
        let queue = millstream::amqp::Broker::at(&self.reads_at).backoff(wait, wait * 10);
        let writer = Pipeline::source(List::new(numbers))
            .throttle(self.pace, Duration::from_millis(100))
            .sink(Exchange::new(exchange, "").routing_key(&self.queue));
        let out = Collect::<String>::new();
        let seen = out.collected();
        let reader = Pipeline::source(Queue::new(queue, &self.queue).prefetch(2_000)).sink(out);
        let (writer, reader) = runtime.block_on(async {
            let reader = reader.start(Settings::default()).await.expect("it can be read");
            (writer.start(Settings::default()).await.expect("it can be published to"), reader)
        });
        Flowing { runtime, writer, reader, seen, records: self.records }
    }
}

impl Flowing {
    /// Waits until so many of a hundred records have arrived.
    #[track_caller]
    pub(super) fn until_percent(&self, percent: u64) {
        let wanted = self.records * percent / 100;
        until(&format!("{percent} % to arrive"), || self.seen.len() as u64 >= wanted);
    }

    /// Waits for the end, and sees that nothing was lost: records may come again, and those behind them with them. If they
    /// are `in_order`, none comes for the first time before all that are in front of it have come.
    #[track_caller]
    pub(super) fn finish(mut self, in_order: bool) -> Came {
        let written = self.runtime.block_on(self.writer.ended()).expect("all is published");
        assert_eq!(written.records_out, self.records);
        until("all to arrive", || {
            let seen: BTreeSet<_> = self.seen.values().into_iter().collect();
            std::thread::sleep(GLANCE * 20);
            seen.len() as u64 == self.records
        });
        self.reader.drain();
        let read = self.runtime.block_on(self.reader.ended()).expect("it drains");
        let mut next = 0;
        for number in self.seen.values().iter().map(|text| text.parse::<u64>().expect("a number")) {
            assert!(!in_order || number <= next, "{number} came when {next} had not come yet");
            next = next.max(number + 1);
        }
        let arrived = self.seen.len() as u64;
        Came { arrived, repeats: arrived - self.records, late: read.late }
    }
}

/// Waits until something is so.
#[track_caller]
pub(super) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(GLANCE);
    }
}

/// The same, within a runtime that goes on meanwhile.
#[track_caller]
pub(super) fn until_within(patience: Duration, what: &str, mut so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let began = Instant::now();
    async move {
        while !so() {
            assert!(began.elapsed() < patience, "waited in vain for {what}");
            tokio::time::sleep(GLANCE).await;
        }
    }
}
