//! A message that is not acknowledged for longer than the broker allows: it closes the channel, and we have said so before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use millstream::amqp::{Broker, Queue};
use millstream::prelude::*;

use super::client::{Client, unique};
use super::flow::until_within;
use crate::log::Log;
use crate::support::rabbitmq::RabbitMq;

/// What the broker allows.
const ALLOWED: Duration = Duration::from_secs(4);

/// The first of those that take long; those before it are acknowledged by then.
const FIRST: usize = 10;
const RECORDS: usize = 50;

#[test]
fn a_message_that_takes_too_long_is_told_before_the_broker_closes_the_channel_and_comes_again() {
    let Some(broker) = RabbitMq::own(&[&format!("consumer_timeout = {}", ALLOWED.as_millis())]) else { return };
    let (client, queue) = (Client::new(&broker.url()), unique("slow"));
    client.queue(&queue, &[]);
    let fill =
        |numbers: std::ops::Range<usize>| client.fill(&queue, numbers.map(|number| number.to_string().into_bytes()));
    fill(0..FIRST);
    let (log, out) = (Log::default(), Collect::<String>::new());
    let seen = out.collected();
    // All runs on this thread, so it is heard here and nowhere else.
    let _heard = tracing::subscriber::set_default(log.subscriber());
    let first_time = Arc::new(AtomicBool::new(true));
    let slow = move |body: String| {
        let waits = body == FIRST.to_string() && first_time.swap(false, Relaxed);
        async move {
            if waits {
                tokio::time::sleep(ALLOWED * 2).await;
            }
            body
        }
    };
    let url = Broker::at(broker.url()).backoff(Duration::from_millis(50), Duration::from_secs(1));
    let source = Queue::new(url, &queue).prefetch(100).broker_timeout(ALLOWED);
    let pipeline = Pipeline::source(source).map_async(1, slow).sink(out);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    let summary = runtime.block_on(async {
        let mut running = pipeline.start(Settings::default()).await.expect("it can be read");
        // How many there are is told late: those that have passed are acknowledged with the next commit, long before the time is up.
        let passed = || seen.len() == FIRST && broker.messages(&queue) == 0;
        until_within(Duration::from_secs(60), "the first to be acknowledged", passed).await;
        fill(FIRST..RECORDS);
        let all = || (0..RECORDS).all(|number| seen.values().contains(&number.to_string()));
        let again = || log.at("the broker is back").is_some() && broker.messages(&queue) == 0;
        until_within(Duration::from_secs(60), "all to arrive, and to be acknowledged", || all() && again()).await;
        let name = format!("AMQP-QUEUE {queue}");
        let known = || broker.connections().iter().any(|one| one.named.as_ref() == Some(&name));
        until_within(Duration::from_secs(60), "the connection to be listed by its name", known).await;
        running.drain();
        running.ended().await.expect("it drains")
    });
    assert_eq!(client.count(&queue), 0, "all is acknowledged");
    let (warned, closed) = (log.at("a message is in flight for long"), log.at("delivery acknowledgement on channel"));
    assert!(warned.is_some() && warned < closed, "{log}");
    let (repeats, closings) =
        (seen.len() - RECORDS, log.to_string().matches("delivery acknowledgement on channel").count());
    told!(
        "the broker's time-out: {RECORDS} records, {closings} channels closed after {ALLOWED:?} and told before, {repeats} repeats, \
         {} acknowledgements too late",
        summary.late
    );
    // On a busy machine what comes again may take too long, too.
    assert!(
        repeats <= closings * (RECORDS - FIRST),
        "{repeats} repeats: only what was not acknowledged may come again: {log}"
    );
    let firsts = seen.values().iter().filter(|text| text.parse::<usize>().is_ok_and(|number| number < FIRST)).count();
    assert_eq!(firsts, FIRST, "what was acknowledged came again");
    assert!(summary.late > 0, "nothing was in flight when the channel was closed: this shows nothing");
}
