//! The conformance suite.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream::amqp::{Broker, DeclaredQueue, Exchange, Kind, Queue};
use millstream::data::Kv;
use millstream::testkit::conformance::{SinkUnderTest, SourceUnderTest, Specimen};

use super::client::{Client, unique};
use crate::conforms;
use crate::support::proxy::Proxy;
use crate::support::rabbitmq::{RabbitMq, url};

/// How many records an input has.
const RECORDS: u64 = 60;

fn body(number: u64) -> Vec<u8> {
    format!("record {number}").into_bytes()
}

/// Makes a queue, with all records or with none.
fn filled(client: &Client, records: u64) -> String {
    let name = unique("conforms");
    client.queue(&name, &[]);
    client.fill(&name, (0..records).map(body));
    name
}

/// The suite over queues as `as_it_is` reads them.
fn bodies(what: &str, broker: &RabbitMq, as_it_is: fn(Queue) -> Queue) {
    let client = Arc::new(Client::new(&broker.url()));
    let proxy = Arc::new(Proxy::to(broker.port()));
    let at = url(proxy.port());
    let make = move |records| {
        let (client, at) = (client.clone(), at.clone());
        move || as_it_is(Queue::new(&at, filled(&client, records)))
    };
    let expected = (0..RECORDS).map(|number| Bytes::from(body(number))).collect();
    let plain = broker.url();
    let misdeclared = plain.clone();
    let report = SourceUnderTest::new(what, make(RECORDS), expected)
        .empty(make(0))
        .missing(move || Queue::new(&plain, "no-such-queue"))
        .misdeclared("a URL without a scheme", || Queue::new("localhost:5672", "q"))
        .misdeclared("no prefetch", move || Queue::new(&misdeclared, "q").prefetch(0))
        .misdeclared("no queue", || Queue::new(Broker::host("localhost"), ""))
        .misdeclared("a long argument", || {
            Queue::new(Broker::host("localhost"), "q").declare(DeclaredQueue::quorum().bind("", ""))
        })
        .again(Queue::clone)
        .fault(move || assert!(proxy.cut() > 0, "a connection is there to be cut"))
        .run();
    conforms(&report);
}

#[test]
fn a_queue_that_acknowledges_up_to_a_point_conforms() {
    let Some(broker) = RabbitMq::shared() else { return };
    bodies("amqp::Queue", broker, |queue| queue);
}

#[test]
fn a_queue_that_acknowledges_each_message_conforms() {
    let Some(broker) = RabbitMq::shared() else { return };
    bodies("amqp::Queue, pessimistic", broker, Queue::pessimistic);
}

#[test]
fn an_exchange_conforms() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Arc::new(Client::new(&broker.url()));
    let proxy = Arc::new(Proxy::to(broker.port()));
    let at = url(proxy.port());
    let specimen = move || {
        let (queue, exchange) = (unique("written"), unique("through"));
        let declared = DeclaredQueue::classic().argument("x-expires", 600_000);
        client.declare(&declared.exchange(&exchange, Kind::Direct).bind(&exchange, "good"), &queue);
        let (at, reads, counts) = (at.clone(), client.clone(), client.clone());
        let of = queue.clone();
        Specimen::new(move || Exchange::new(&at, &exchange).keyed())
            .reads(move || settled(&reads, &queue))
            .untouched(move || counts.count(&of) == 0)
    };
    let record = |number| Kv::new("good".to_owned(), Bytes::from(body(number)));
    let (plain, cut) = (broker.url(), proxy);
    let report = SinkUnderTest::new("amqp::Exchange", specimen, record)
        .poison(|| Kv::new("k".repeat(256), Bytes::from_static(b"poison")))
        .misdeclared("no window", || Exchange::new(Broker::host("localhost"), "e").keyed().confirm_window(0))
        .misdeclared("a long key", || {
            Exchange::new(Broker::host("localhost"), "e").keyed().routing_key("k".repeat(256))
        })
        .misdeclared("the default exchange", || {
            Exchange::new(Broker::host("localhost"), "").keyed().declare(Kind::Topic)
        })
        .unopenable(move || Exchange::new(&plain, "no-such-exchange").keyed())
        .fault(move || assert!(cut.cut() > 0, "a connection is there to be cut"))
        .run();
    conforms(&report);
}

/// What a queue holds once nothing more comes: what a connection had sent before it was cut may still be on its way.
fn settled(client: &Client, queue: &str) -> Vec<Kv<String, Bytes>> {
    let mut before = client.count(queue);
    loop {
        std::thread::sleep(Duration::from_millis(10));
        let now = client.count(queue);
        if now == std::mem::replace(&mut before, now) {
            break;
        }
    }
    client.look(queue).into_iter().map(|body| Kv::new("good".to_owned(), Bytes::from(body))).collect()
}
