//! A queue into Kafka's transactions: delivery tags name other messages each time that all begins anew.

use std::collections::BTreeSet;
use std::time::Duration;

use millstream::amqp::Queue;
use millstream::declare::OnError;
use millstream::kafka::{Topic, Topics};
use millstream::prelude::*;

use super::client::{Client, unique};
use super::flow::until;
use crate::kafka::client::run;
use crate::support::kafka::Kafka;
use crate::support::rabbitmq::RabbitMq;

const RECORDS: u64 = 2_000;

/// Behind the first commits, and with more messages behind it than there are before it.
const POISON: u64 = 600;

#[test]
fn the_message_that_breaks_a_transaction_is_skipped_and_no_other() {
    let (Some(broker), Some(kafka)) = (RabbitMq::shared(), Kafka::shared()) else { return };
    let (queue, topic, state) = (unique("poison"), unique("poison"), tempfile::tempdir().expect("there is room"));
    let client = Client::new(&broker.url());
    client.queue(&queue, &[]);
    let large = |number| if number == POISON { "x".repeat(6_000) } else { String::new() };
    client.fill(&queue, (0..RECORDS).map(|number| format!("{number} {}", large(number)).into_bytes()));
    kafka.add_topic(&topic, 1, &[("max.message.bytes", "4000")]);
    let source = Queue::new(broker.url(), &queue).prefetch(200);
    let sink = Topic::new(kafka.brokers(), &topic).property("compression.type", "none").exactly_once();
    let pipeline = Pipeline::called(&unique("queue_to_transactions")).source(source).sink(sink);
    let pipeline = pipeline.store(Embedded::at(state.path())).on_any_error(OnError::Skip);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime can be had");
    let running = runtime.block_on(pipeline.start(Settings::default())).expect("it starts");
    // How many there are in a queue is told late: it has to be said for a while.
    let mut said = 0;
    until("all to be there and acknowledged", || {
        std::thread::sleep(Duration::from_millis(200));
        let is_over = kafka.offsets(&topic, 0).1 >= RECORDS as i64 && broker.messages(&queue) == 0;
        said = if is_over { said + 1 } else { 0 };
        said == 10
    });
    running.drain();
    runtime.block_on(running.join()).expect("it drains");
    let seen = Collect::<String>::new();
    let found = seen.collected();
    run(Pipeline::source(Topics::new(kafka.brokers(), [&*topic], unique("group")).until_end()).sink(seen))
        .expect("it is read");
    let found: Vec<u64> = found.values().iter().map(|text| text.trim().parse().expect("a number")).collect();
    let all: BTreeSet<_> = found.iter().copied().collect();
    told!("a queue into transactions: {RECORDS} records, 1 refused, {} repeats", found.len() - all.len());
    let expected: BTreeSet<_> = (0..RECORDS).filter(|number| *number != POISON).collect();
    assert_eq!(all, expected, "missing: {:?}", expected.difference(&all).collect::<Vec<_>>());
}
