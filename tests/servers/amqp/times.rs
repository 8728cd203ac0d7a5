//! When a message happened, by what it says: seen in what a sink makes of it.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use millstream::amqp::{Exchange, Queue};
use millstream::prelude::*;

use super::client::{Client, unique};
use super::policies::run;
use crate::support::rabbitmq::RabbitMq;

/// Messages with a timestamp, with a header, with both, and with neither.
fn messages() -> Vec<(BasicProperties, Vec<u8>)> {
    let at = |value: AMQPValue| {
        let mut headers = FieldTable::default();
        headers.insert("at".into(), value);
        headers
    };
    let stamped = |seconds| BasicProperties::default().with_timestamp(seconds);
    let headers = [
        AMQPValue::LongLongInt(1_600_000_002_000),
        AMQPValue::Timestamp(1_600_000_003),
        AMQPValue::LongString("1600000004000".into()),
    ];
    let mut all = vec![stamped(1_500_000_001)];
    all.extend(headers.map(|value| stamped(1_500_000_005).with_headers(at(value))));
    all.push(BasicProperties::default());
    all.into_iter().enumerate().map(|(number, properties)| (properties, number.to_string().into_bytes())).collect()
}

/// The times in seconds, `None` where it is that of the run.
fn times(broker: &RabbitMq, reads: impl Fn(Queue) -> Queue) -> Vec<Option<u64>> {
    let (client, [from, to]) = (Client::new(&broker.url()), ["from", "to"].map(unique));
    client.queue(&from, &[]);
    client.queue(&to, &[]);
    let all = messages();
    let count = all.len();
    client.publish(&from, all);
    let sink = Exchange::new(broker.url(), "").routing_key(&to).event_times();
    let source = Pipeline::source(reads(Queue::new(broker.url(), &from)));
    run(source.limit(count as u64).sink(sink)).expect("it runs");
    let taken = broker.take(&to, count);
    let seconds = |one: &serde_json::Value| one["properties"]["timestamp"].as_u64().expect("it has a time");
    let told = taken.iter().map(|one| Some(seconds(one)).filter(|seconds| *seconds < 1_700_000_000));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), count);
    told
}

#[test]
fn a_message_happened_when_it_says() {
    let Some(broker) = RabbitMq::shared() else { return };
    let stamped = times(broker, |queue| queue);
    let [first, others] = [1_500_000_001, 1_500_000_005].map(Some);
    assert_eq!(stamped, [first, others, others, others, None]);
    let named = times(broker, |queue| queue.event_time_header("at"));
    assert_eq!(named, [None, Some(1_600_000_002), Some(1_600_000_003), Some(1_600_000_004), None]);
    assert_eq!(times(broker, Queue::event_time_arrival), [None; 5]);
    told!("event times: 5 records, by property, by header and by arrival");
}
