//! Messages that a client can't read. Headers that lie as deep in each other as a frame allows: one that reads them level by
//! level would need a stack of that many, and end the process where it hasn't. And texts that are none.

use bytes::Bytes;
use millstream::amqp::{Message, Queue};
use millstream::declare::OnError;
use millstream::prelude::*;

use super::client::{Client, unique};
use super::flood::flood;
use super::flow::until;
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
    let filled = || {
        let queue = unique("deep");
        client.queue(&queue, &[]);
        publish(broker, &queue);
        (Queue::new(broker.url(), &queue), queue)
    };
    let bodies = Collect::<Bytes>::new();
    let seen = bodies.collected();
    run(Pipeline::source(filled().0).limit(5).sink(bodies)).expect("bodies are read");
    assert_eq!(seen.values(), ["0", "1", "2", "3", "4"]);

    let read = |policy: OnError| {
        let messages = Collect::<Message>::new();
        let seen = messages.collected();
        let (source, queue) = filled();
        let ended = run(Pipeline::source(source.messages()).limit(3).sink(messages).on_any_error(policy));
        (Vec::from_iter(seen.values().into_iter().map(|message| message.body)), ended, queue)
    };
    // What was not acknowledged is in the queue again, once the broker has seen that the connection is gone.
    let left = |queue: &str, one: u32, other: u32| {
        until("messages to be left", || [one, other].contains(&client.count(queue)));
    };
    let good = [Bytes::from("0"), "2".into(), "4".into()];
    let (before, ended, queue) = read(OnError::Fail);
    let error = ended.expect_err("the second can't be read").to_string();
    assert!(good.starts_with(&before) && before.len() <= 1 && error.contains("deep"), "{before:?}: {error}");
    // The next run finds it where this one has ended; the first may be acknowledged by then.
    left(&queue, 5, 4);
    let (bodies, ended, queue) = read(OnError::Skip);
    assert_eq!((bodies, ended.expect("the rest is read").skipped), (good.to_vec(), 2));
    left(&queue, 0, 0);
    let (bodies, ended, queue) = read(OnError::dead_letter(Collect::<Bytes>::new()));
    left(&queue, 0, 0);
    let buried = ended.expect("the rest is read").dead_lettered;
    told!("deep headers: 20 messages, 8 of them {LEVELS} levels deep, {buried} buried");
    assert_eq!((bodies, buried), (good.to_vec(), 2));
}

/// The broker looks at no text of a message, and a client that wants UTF-8 would lose its connection each time that one
/// comes.
#[test]
fn texts_that_are_not_utf8_keep_nobody_from_what_is_behind_them() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (client, queue) = (Client::new(&broker.url()), unique("texts"));
    client.queue(&queue, &[]);
    let latin = b"\x05caf\xe9s";
    let headers = [&[0, 0, 0, 8][..], latin, b"t\x01"].concat();
    let messages =
        [(0, Vec::new()), (1 << 15, latin.to_vec()), (1 << 13, headers), (1 << 2, latin.to_vec()), (0, Vec::new())];
    let numbered = messages.into_iter().enumerate().map(|(number, (flags, raw))| (flags, raw, number.to_string()));
    flood(broker.port(), &queue, numbered).expect("it is filled");
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let source = Queue::new(broker.url(), &queue).messages();
    let summary = run(Pipeline::source(source).limit(5).sink(out)).expect("messages are read");
    let found = seen.values();
    assert!(found.iter().map(|message| message.body.to_vec()).eq((0..5).map(|number: u8| vec![b'0' + number])));
    assert!(found.iter().all(|message| !message.redelivered), "the connection was lost");
    let starts = |text: &Option<String>| text.as_ref().is_some_and(|text| text.starts_with("caf"));
    assert!(starts(&found[1].properties.content_type) && starts(&found[3].properties.cluster_id), "{found:?}");
    assert!(found[2].properties.headers.keys().all(|name| name.starts_with("caf")), "{found:?}");
    told!("texts that are none: 5 messages, 3 of them with one, {} read", summary.records_out);
}
