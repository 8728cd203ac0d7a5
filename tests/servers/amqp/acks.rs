//! What is acknowledged, and by how many frames: all up to a point at once, or each message by itself.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use millstream::amqp::Queue;
use millstream::prelude::*;
use millstream::testkit::{Ledger, ScriptSink};

use super::client::{Client, unique};
use super::flow::until;
use crate::support::proxy::Kind;
use crate::support::rabbitmq::{RabbitMq, url};

/// What came of reading a queue until it was empty.
struct Came {
    written: Vec<Bytes>,
    acks: u64,
    nacks: u64,
}

/// Reads so many messages as it is said, into a sink that says nothing of what became of number 5 the first time, if it
/// `loses` it.
fn read(broker: &RabbitMq, messages: u64, as_said: fn(Queue) -> Queue, loses: bool) -> Came {
    let (queue, proxy, client) = (unique("acks"), broker.proxied(), Client::new(&broker.url()));
    client.queue(&queue, &[]);
    client.fill(&queue, (0..messages).map(|number| number.to_string().into_bytes()));
    let done = AtomicBool::new(!loses);
    let sink = ScriptSink::<Bytes>::new(&Ledger::new(), "out").settles_after(|_| Duration::ZERO);
    let sink = sink.loses(move |body| &body[..] == b"5" && !done.swap(true, Relaxed));
    let written = sink.written();
    let source = as_said(Queue::new(url(proxy.port()), &queue));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime can be had");
    let running = runtime.block_on(Pipeline::source(source).sink(sink).start(Settings::default())).expect("it starts");
    let all = messages as usize + usize::from(loses);
    until("all messages", || written.len() == all);
    until("the queue to be empty", || broker.messages(&queue) == 0);
    running.drain();
    runtime.block_on(running.join()).expect("it ends well");
    Came { written: written.values(), acks: proxy.frames(Kind::BASIC_ACK), nacks: proxy.frames(Kind::BASIC_NACK) }
}

#[test]
fn a_pessimistic_queue_acknowledges_each_message_by_itself_and_gives_back_what_nobody_vouches_for() {
    let Some(broker) = RabbitMq::shared() else { return };
    let Came { written, acks, nacks } = read(broker, 20, Queue::pessimistic, true);
    told!("pessimistic: {} of 20 messages written, {acks} acknowledged, {nacks} given back", written.len());
    assert_eq!((acks, nacks), (20, 1));
    let mut numbers = Vec::from_iter(written.iter().map(|body| String::from_utf8_lossy(body).into_owned()));
    assert_eq!(numbers.pop().as_deref(), Some("5"), "it comes again");
    assert_eq!(numbers, Vec::from_iter((0..20).map(|number| number.to_string())));
}

#[test]
fn an_optimistic_queue_acknowledges_all_up_to_a_point_at_once() {
    let Some(broker) = RabbitMq::shared() else { return };
    let Came { written, acks, nacks } = read(broker, 5_000, |queue| queue, false);
    told!("optimistic: {} messages, acknowledged by {acks} frames", written.len());
    assert!((1..=500).contains(&acks) && nacks == 0, "{acks}, {nacks}");
}
