//! What a broker says of messages that it gives again.

use lapin::types::AMQPValue;
use millstream::amqp::{Message, Queue};
use millstream::prelude::*;
use serde_json::json;

use super::client::{Client, unique};
use super::policies::run;
use crate::support::rabbitmq::RabbitMq;

const RECORDS: u64 = 30;

/// The first so many messages of a queue are given to somebody who gives them back, so many times.
fn give_back(broker: &RabbitMq, queue: &str, messages: u64, times: u64) {
    let request = json!({"count": messages, "ackmode": "reject_requeue_true", "encoding": "auto"});
    for _ in 0..times {
        let given = broker.http().must("POST", &format!("/api/queues/%2F/{queue}/get"), Some(&request));
        assert_eq!(given.as_array().map(Vec::len), Some(messages as usize));
    }
}

/// What is read of a queue of this type whose first so many messages were given back twice.
fn read(kind: &str, given_back: u64) -> Option<Vec<Message>> {
    let broker = RabbitMq::shared()?;
    let (client, queue) = (Client::new(&broker.url()), unique("marks"));
    client.queue(&queue, &[("x-queue-type", AMQPValue::LongString(kind.into()))]);
    client.fill(&queue, (0..RECORDS).map(|number| number.to_string().into_bytes()));
    give_back(broker, &queue, given_back, 2);
    let out = Collect::<Message>::new();
    let seen = out.collected();
    run(Pipeline::source(Queue::new(broker.url(), &queue).messages()).limit(RECORDS).sink(out)).expect("it is read");
    Some(seen.values())
}

/// Those of which this is so, by their number.
fn of(messages: &[Message], so: impl Fn(&Message) -> bool) -> Vec<u64> {
    let number = |message: &Message| std::str::from_utf8(&message.body).ok().and_then(|text| text.parse().ok());
    let mut found: Vec<u64> =
        messages.iter().filter(|message| so(message)).map(|message| number(message).expect("a number")).collect();
    found.sort_unstable();
    found
}

#[test]
fn messages_that_came_back_are_marked() {
    let Some(messages) = read("classic", 10) else { return };
    let marked = of(&messages, |message| message.redelivered);
    told!("given back: {} records, {} of them marked", messages.len(), marked.len());
    assert_eq!(marked, (0..10).collect::<Vec<_>>());
    assert!(of(&messages, |message| message.delivery_count().is_some()).is_empty());
    assert_eq!(messages.len() as u64, RECORDS);
}

#[test]
fn a_quorum_queue_counts_how_often_a_message_came_back() {
    let Some(messages) = read("quorum", RECORDS) else { return };
    let marked = of(&messages, |message| message.redelivered);
    let twice = of(&messages, |message| message.delivery_count() == Some(2));
    told!("given back to a quorum queue: {} records, {} of them twice", messages.len(), twice.len());
    assert_eq!((marked, &twice), ((0..RECORDS).collect(), &(0..RECORDS).collect::<Vec<_>>()));
    assert_eq!(messages.len() as u64, RECORDS);
}
