//! What breaks between us and the broker, and the broker itself.

use std::time::Duration;

use lapin::types::AMQPValue;
use millstream::amqp::{Exchange, Queue};
use millstream::prelude::*;

use super::client::{Client, unique};
use super::flow::{Flow, until, until_within};
use crate::log::Log;
use crate::support::proxy::{Cut, Kind, Proxy, To};
use crate::support::rabbitmq::{RabbitMq, url};

const QUORUM: [(&str, &str); 1] = [("x-queue-type", "quorum")];

fn arguments(pairs: &[(&'static str, &str)]) -> Vec<(&'static str, AMQPValue)> {
    pairs.iter().map(|(name, value)| (*name, AMQPValue::LongString((*value).into()))).collect()
}

#[test]
fn a_broker_that_is_killed_under_load_loses_nothing() {
    let Some(broker) = RabbitMq::own(&[]) else { return };
    let queue = unique("survives");
    Client::new(&broker.url()).queue(&queue, &arguments(&QUORUM));
    let flow = Flow { publishes_at: broker.url(), reads_at: broker.url(), queue, records: 60_000, pace: 2_000 };
    let flowing = flow.start();
    let mut kills = 0;
    for percent in [20, 60] {
        flowing.until_percent(percent);
        broker.kill();
        kills += 1;
        broker.restart();
    }
    // A broker that comes back may give what is new before it gives again what was in flight.
    let came = flowing.finish(false);
    told!("a broker killed: {} records, {kills} kills landed, {came}", flow.records);
    assert!(came.repeats > 0, "nothing was in flight when the broker was killed: this shows nothing");
}

/// Cuts connections at frames of these kinds that go to the server, again and again.
fn cut_while(of: &str, publishes: bool, frames: &[(Kind, Cut)]) {
    let Some(broker) = RabbitMq::shared() else { return };
    let queue = unique("cut");
    Client::new(&broker.url()).queue(&queue, &[]);
    let proxy = broker.proxied();
    let (through, straight) = (url(proxy.port()), broker.url());
    let (publishes_at, reads_at) = if publishes { (through, straight) } else { (straight, through) };
    let flow = Flow { publishes_at, reads_at, queue, records: 40_000, pace: 600 };
    let flowing = flow.start();
    for (percent, (kind, cut)) in (5..95).step_by(10).zip(frames.iter().cycle()) {
        flowing.until_percent(percent);
        let before = proxy.cuts();
        proxy.cut_at(*kind, 0, *cut);
        until("the cut", || proxy.cuts() > before);
    }
    let came = flowing.finish(true);
    told!("cut in mid-{of}: {} records, {} cuts landed, {came}", flow.records, proxy.cuts());
    assert!(proxy.cuts() >= 9 && proxy.connections() > 9, "{} cuts landed", proxy.cuts());
}

#[test]
fn a_connection_that_is_cut_in_mid_publish_loses_nothing() {
    let within = [Kind::BASIC_PUBLISH, Kind::PROPERTIES, Kind::BODY].map(|kind| (kind, Cut::Within));
    cut_while("publish", true, &[&within[..], &[(Kind::BODY, Cut::Behind), (Kind::BODY, Cut::Unanswered)]].concat());
}

#[test]
fn a_connection_that_is_cut_in_mid_acknowledgement_loses_nothing() {
    cut_while("acknowledgement", false, &[(Kind::BASIC_ACK, Cut::Within), (Kind::BASIC_ACK, Cut::Behind)]);
}

/// A broker that answers nothing any more, on connections that stay: heartbeats find out.
#[test]
fn a_connection_that_is_dead_is_found_out() {
    let Some(broker) = RabbitMq::shared() else { return };
    let queue = unique("dead");
    Client::new(&broker.url()).queue(&queue, &[]);
    let proxy = Proxy::to(broker.port());
    let reads_at = format!("{}?heartbeat=1", url(proxy.port()));
    let flow = Flow { publishes_at: broker.url(), reads_at, queue, records: 20_000, pace: 2_000 };
    let flowing = flow.start();
    flowing.until_percent(30);
    proxy.stall(To::Client);
    proxy.stall(To::Server);
    let before = proxy.connections();
    std::thread::sleep(Duration::from_secs(1));
    until("another connection", || {
        // What was there stays dead; what comes passes.
        proxy.connections() > before
    });
    proxy.resume();
    let came = flowing.finish(true);
    told!("a dead connection: {} records, 1 stall landed, {came}", flow.records);
}

#[test]
fn a_broker_that_is_short_of_memory_is_waited_for_and_that_is_said() {
    const RECORDS: usize = 200;
    let Some(broker) = RabbitMq::own(&[]) else { return };
    let (client, queue, log) = (Client::new(&broker.url()), unique("blocked"), Log::default());
    client.queue(&queue, &[]);
    broker.control(&["set_vm_memory_high_watermark", "absolute", "1MB"]);
    // All runs on this thread, so it is heard here and nowhere else.
    let _heard = tracing::subscriber::set_default(log.subscriber());
    let lines = (0..RECORDS).map(|number| number.to_string());
    let sink = Exchange::new(broker.url(), "").routing_key(&queue);
    let pipeline = Pipeline::source(List::new(lines.collect::<Vec<_>>())).sink(sink);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    let summary = runtime.block_on(async {
        let running = pipeline.start(Settings::default()).await.expect("it can be written");
        let says = || log.at("slow to confirm").is_some() && log.at("blocked=true").is_some();
        until_within(Duration::from_secs(60), "it to be said", says).await;
        assert_eq!(broker.messages(&queue), 0, "the broker takes something");
        broker.control(&["set_vm_memory_high_watermark", "0.8"]);
        running.join().await.expect("all is written")
    });
    told!("a broker short of memory: {} records once it had some again", summary.records_out);
    assert_eq!((summary.records_out, client.count(&queue) as usize), (RECORDS as u64, RECORDS));
}

#[test]
fn a_queue_that_is_deleted_ends_the_run() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (client, queue, out) = (Client::new(&broker.url()), unique("deleted"), Collect::<String>::new());
    client.queue(&queue, &[]);
    client.fill(&queue, (0..10).map(|number: u8| number.to_string().into_bytes()));
    let seen = out.collected();
    let pipeline = Pipeline::source(Queue::new(broker.url(), &queue)).sink(out);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be had");
    let error = runtime.block_on(async {
        let running = pipeline.start(Settings::default()).await.expect("it can be read");
        until_within(Duration::from_secs(60), "all to arrive", || seen.len() == 10).await;
        client.delete(&queue);
        let ended = tokio::time::timeout(Duration::from_secs(60), running.join()).await.expect("it ends");
        ended.expect_err("there is no queue").to_string()
    });
    told!("a queue deleted after 10 records: {error}");
    assert!(error.contains(&queue), "{error}");
}
