//! What breaks between us and the broker, and the broker itself.

use std::time::Duration;

use lapin::types::AMQPValue;

use super::client::{Client, unique};
use super::flow::{Flow, until};
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
