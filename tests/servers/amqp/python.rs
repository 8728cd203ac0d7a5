//! Side by side with `pika`: it reads what we wrote, and writes what we read.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream::amqp::{Exchange, Headers, Message, Properties, Queue, Value};
use millstream::prelude::*;

use super::client::{Client, unique};
use crate::support::python::Python;
use crate::support::rabbitmq::RabbitMq;

/// Prints a message's parts, as JSON.
const READS: &str = r#"
import json, pika, sys
port, queue = sys.argv[1:]
connection = pika.BlockingConnection(pika.ConnectionParameters(host="127.0.0.1", port=int(port)))
channel = connection.channel()
while True:
    method, about, body = channel.basic_get(queue, auto_ack=True)
    if method is None:
        break
    plain = lambda value: {k: plain(v) for k, v in value.items()} if isinstance(value, dict) else \
        [plain(v) for v in value] if isinstance(value, list) else \
        value.hex() if isinstance(value, bytes) else value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
    print(json.dumps({"body": body.hex(), "key": method.routing_key, "headers": plain(about.headers or {}),
        "type": about.type, "content_type": about.content_type, "mode": about.delivery_mode, "priority": about.priority,
        "id": about.message_id, "correlation": about.correlation_id, "reply": about.reply_to,
        "timestamp": about.timestamp, "app": about.app_id, "encoding": about.content_encoding,
        "expiration": about.expiration, "user": about.user_id}))
connection.close()
"#;

/// Publishes three messages.
const WRITES: &str = r#"
import pika, sys, datetime
port, queue = sys.argv[1:]
connection = pika.BlockingConnection(pika.ConnectionParameters(host="127.0.0.1", port=int(port)))
channel = connection.channel()
channel.confirm_delivery()
for number in range(3):
    channel.basic_publish("", queue, b"body \xff %d" % number, pika.BasicProperties(
        content_type="application/x", content_encoding="none", delivery_mode=2, priority=number, type="order",
        correlation_id="c", reply_to="r", message_id="m%d" % number, timestamp=1700000000 + number, app_id="pika",
        headers={"text": "ä", "number": 7, "large": 1 << 40, "yes": True, "nothing": None,
            "list": [1, "two"], "table": {"in": "it"}, "at": datetime.datetime(2023, 11, 14, 22, 13, 20)}))
connection.close()
"#;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be had")
}

#[test]
fn pika_reads_what_we_wrote() {
    let Some(broker) = RabbitMq::shared() else { return };
    let queue = unique("to-pika");
    Client::new(&broker.url()).queue(&queue, &[]);
    let text = |text: &str| Some(text.to_owned());
    let headers = Headers::from([
        ("text".to_owned(), Value::from("ä")),
        ("number".to_owned(), Value::I32(-5)),
        ("yes".to_owned(), Value::Bool(true)),
        ("bytes".to_owned(), Value::ByteArray(Bytes::from_static(&[1, 255]))),
        ("list".to_owned(), Value::List(vec![Value::I32(1), Value::from("two")])),
        ("table".to_owned(), Value::Table(Headers::from([("in".to_owned(), Value::from("it"))]))),
        ("at".to_owned(), Value::Timestamp(1_700_000_000)),
        ("nothing".to_owned(), Value::Void),
        ("x-delivery-count".to_owned(), Value::I64(9)),
    ]);
    let properties = Properties {
        content_type: text("text/plain"),
        headers,
        content_encoding: text("identity"),
        priority: Some(3),
        correlation_id: text("c"),
        reply_to: text("r"),
        expiration: text("600000"),
        message_id: text("m"),
        user_id: text("guest"),
        app_id: text("millstream"),
        timestamp: Some(1_700_000_000),
        kind: text("order"),
        ..Properties::default()
    };
    let messages = vec![Message { properties, ..Message::new(&b"body \xff"[..]) }, Message::new(&b""[..])];
    let exchange = Exchange::new(broker.url(), "").messages().routing_key(&queue).header("added", "here");
    runtime().block_on(Pipeline::source(List::new(messages)).sink(exchange).run()).expect("it is published");
    let Some(python) = Python::run(READS, &[&broker.port().to_string(), &queue]) else { return };
    let read: Vec<serde_json::Value> =
        python.end().iter().map(|line| serde_json::from_str(line).expect("it prints JSON")).collect();
    assert_eq!(read.len(), 2);
    assert_eq!(
        read[0],
        serde_json::json!({
            "body": "626f647920ff", "key": queue, "type": "order", "content_type": "text/plain", "mode": 2, "priority": 3,
            "id": "m", "correlation": "c", "reply": "r", "timestamp": 1_700_000_000, "app": "millstream",
            "encoding": "identity", "expiration": "600000", "user": "guest",
            "headers": {
                "text": "ä", "number": -5, "yes": true, "bytes": "01ff", "list": [1, "two"], "table": {"in": "it"},
                "at": "2023-11-14 22:13:20", "nothing": null, "added": "here",
            },
        })
    );
    assert_eq!((&read[1]["body"], &read[1]["mode"]), (&"".into(), &2.into()));
    told!("pika read 2 messages that we wrote");
}

#[test]
fn we_read_what_pika_wrote() {
    let Some(broker) = RabbitMq::shared() else { return };
    let queue = unique("of-pika");
    Client::new(&broker.url()).queue(&queue, &[]);
    let Some(python) = Python::run(WRITES, &[&broker.port().to_string(), &queue]) else { return };
    python.end();
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let read = Pipeline::source(Queue::new(broker.url(), &queue).messages()).limit(3).sink(out);
    runtime().block_on(read.run()).expect("it is read");
    let seen = seen.stamped();
    for (number, (stamp, message)) in seen.iter().enumerate() {
        let Message { body, exchange, routing_key, redelivered, properties } = message;
        assert_eq!(body, &[b"body \xff ", number.to_string().as_bytes()].concat());
        assert_eq!((exchange.as_str(), routing_key, *redelivered), ("", &queue, false));
        assert_eq!(stamp.time.micros, (1_700_000_000 + number as i64) * 1_000_000, "the event time");
        assert_eq!((properties.priority, properties.delivery_mode), (Some(number as u8), Some(2)));
        let Properties { content_type, content_encoding, kind, app_id, reply_to, correlation_id, message_id, .. } =
            properties;
        let texts = [content_type, content_encoding, kind, app_id, reply_to, correlation_id, message_id];
        let id = format!("m{number}");
        let expected = ["application/x", "none", "order", "pika", "r", "c", &id];
        assert_eq!(texts.map(|text| text.as_deref().unwrap_or_default()), expected);
        let headers: BTreeMap<_, _> = properties.headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
        assert_eq!(headers["text"], &Value::from("ä"));
        assert_eq!((headers["number"].as_i64(), headers["large"].as_i64()), (Some(7), Some(1 << 40)));
        assert_eq!((headers["yes"], headers["nothing"]), (&Value::Bool(true), &Value::Void));
        assert_eq!(headers["at"], &Value::Timestamp(1_700_000_000));
        let Value::List(list) = headers["list"] else { panic!("a list") };
        assert_eq!((list[0].as_i64(), list[1].as_text()), (Some(1), Some("two")));
        assert_eq!(headers["table"], &Value::Table(Headers::from([("in".to_owned(), Value::from("it"))])));
    }
    told!("we read {} messages that pika wrote", seen.len());
}
