//! Headers that lie as deep in each other as a frame allows: a client that reads them level by level would need a stack of
//! that many, and end the process where it hasn't.

use bytes::Bytes;
use millstream::amqp::{Message, Queue};
use millstream::declare::OnError;
use millstream::prelude::*;

use super::client::{Client, unique};
use super::policies::run;
use crate::support::rabbitmq::RabbitMq;

/// As many as there is room for in a frame of 128 KiB.
const LEVELS: usize = 18_000;

/// Messages with such headers among others, in JSON.
fn publish(broker: &RabbitMq, queue: &str) {
    let tables = format!("{}1{}", r#"{"a":"#.repeat(LEVELS), "}".repeat(LEVELS));
    let lists = format!(r#"{{"a":{}{}}}"#, "[".repeat(LEVELS), "]".repeat(LEVELS));
    for (number, headers) in [r#"{"a":1}"#, &tables, r#"{"a":[[2]]}"#, &lists, "{}"].into_iter().enumerate() {
        let message = format!(
            r#"{{"routing_key":"{queue}","properties":{{"headers":{headers}}},"payload":"{number}","payload_encoding":"string"}}"#
        );
        let answer = broker.http().ask_text("POST", "/api/exchanges/%2F/amq.default/publish", &message);
        let answer = answer.expect("the broker answers");
        assert_eq!((answer.status, &*answer.body), (200, r#"{"routed":true}"#));
    }
}

#[test]
fn headers_as_deep_as_a_frame_allows_end_nothing() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    let queue = unique("deep");
    client.queue(&queue, &[]);
    publish(broker, &queue);

    let bodies = Collect::<Bytes>::new();
    let seen = bodies.collected();
    run(Pipeline::source(Queue::new(broker.url(), &queue)).limit(5).sink(bodies)).expect("bodies are read");
    assert_eq!(seen.values(), ["0", "1", "2", "3", "4"]);

    publish(broker, &queue);
    let (messages, letters) = (Collect::<Message>::new(), Collect::<Bytes>::new());
    let seen = messages.collected();
    let source = Pipeline::source(Queue::new(broker.url(), &queue).messages());
    let pipeline = source.limit(3).sink(messages).on_any_error(OnError::dead_letter(letters));
    let summary = run(pipeline).expect("messages are read");
    let bodies: Vec<_> = seen.values().into_iter().map(|message| message.body).collect();
    println!("deep headers: 10 messages, 4 of them {LEVELS} levels deep, {} buried", summary.dead_lettered);
    assert_eq!((bodies, summary.dead_lettered), (vec![Bytes::from("0"), "2".into(), "4".into()], 2));
}
