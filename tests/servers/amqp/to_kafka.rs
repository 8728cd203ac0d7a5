//! What a message of a queue is in a topic: the example `amqp_to_kafka`.

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use millstream::kafka::{Message, Topics};
use millstream::prelude::*;

use super::client::{Client, unique};
use crate::kafka::client::run;
use crate::support::example::Process;
use crate::support::kafka::Kafka;
use crate::support::rabbitmq::RabbitMq;

#[test]
fn a_message_keeps_its_body_routing_key_headers_content_type_and_time() {
    let (Some(broker), Some(kafka)) = (RabbitMq::shared(), Kafka::shared()) else { return };
    let (queue, topic, client) = (unique("to-kafka"), unique("of-amqp"), Client::new(&broker.url()));
    client.queue(&queue, &[]);
    kafka.add_topic(&topic, 1, &[("retention.ms", "-1")]);
    let mut headers = FieldTable::default();
    headers.insert("trace".into(), AMQPValue::LongString("abc".into()));
    headers.insert("attempt".into(), AMQPValue::LongInt(-3));
    headers.insert("again".into(), AMQPValue::Boolean(true));
    let full = BasicProperties::default().with_headers(headers).with_content_type("text/plain".into());
    client.publish(
        &queue,
        vec![(full.with_timestamp(1_700_000_000), b"full".to_vec()), (BasicProperties::default(), b"plain".to_vec())],
    );
    let (url, brokers) = (broker.url(), kafka.brokers());
    let arguments = ["--url", &url, "--queue", &queue, "--brokers", &brokers, "--topic", &topic, "--limit", "2"];
    Process::start("amqp_to_kafka", &arguments).ends_well();
    let out = Collect::<Message>::new();
    let seen = out.collected();
    run(Pipeline::source(Topics::new(brokers, [topic], "of-amqp").messages().until_end()).sink(out))
        .expect("it is read");
    let found = seen.values();
    let [full, plain] = &*found else { panic!("{found:?}") };
    let text = |text: &str| Some(Bytes::from(text.to_owned()));
    assert_eq!((full.value.clone(), full.key.clone()), (text("full"), text(&queue)));
    assert_eq!((plain.value.clone(), plain.key.clone()), (text("plain"), text(&queue)));
    let header = |name: &str| full.header(name).cloned();
    assert_eq!([header("trace"), header("content-type")], [text("abc"), text("text/plain")]);
    assert_eq!([header("attempt"), header("again")], [text("-3"), text("true")]);
    assert_eq!(full.timestamp, Some(1_700_000_000_000));
    assert!(plain.headers.is_empty());
    told!("2 messages of a queue went to a topic with all that they say");
}
