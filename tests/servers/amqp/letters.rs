//! Dead letters as messages: the one that failed, with the reason in its headers.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use millstream::amqp::{Exchange, Message, Queue, Value};
use millstream::prelude::*;

use super::client::{Client, unique};
use super::policies::run;
use crate::support::rabbitmq::RabbitMq;

const RECORDS: u64 = 300;

/// Whether a record is no JSON.
fn is_bad(number: u64) -> bool {
    number % 100 == 50
}

fn published(number: u64) -> (BasicProperties, Vec<u8>) {
    let mut headers = FieldTable::default();
    headers.insert("trace".into(), AMQPValue::LongLongInt(number as i64));
    let properties = BasicProperties::default().with_headers(headers).with_content_type("application/json".into());
    // They are lost when the broker restarts; their letters are not.
    let properties = properties.with_delivery_mode(1);
    let body = if is_bad(number) { format!("{{{number}") } else { number.to_string() };
    (properties, body.into_bytes())
}

/// What failed, read again as whole messages.
fn letters(broker: &RabbitMq, queue: &str, count: u64) -> Vec<Message> {
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let read = Queue::new(broker.url(), queue).messages();
    run(Pipeline::source(read).limit(count).sink(out)).expect("they are read");
    seen.values()
}

#[test]
fn a_letter_is_the_message_that_failed_with_the_reason_in_its_headers() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    for whole in [true, false] {
        let [from, dead] = ["from", "dead"].map(unique);
        [&from, &dead].into_iter().for_each(|queue| client.queue(queue, &[]));
        client.publish(&from, (0..RECORDS).map(published).collect());
        let queue = Queue::new(broker.url(), &from);
        let policy = OnError::dead_letter(Exchange::new(broker.url(), "").messages().routing_key(&dead));
        let looks = |_: &json::Value| true;
        let pipeline = match whole {
            true => Pipeline::source(queue.messages())
                .limit(RECORDS)
                .filter(looks)
                .on_error(policy)
                .sink(Null::<Message>::new()),
            false => Pipeline::source(queue).limit(RECORDS).filter(looks).on_error(policy).sink(Null::<Bytes>::new()),
        };
        let summary = run(pipeline).expect("it ends well");
        let bad: Vec<_> = (0..RECORDS).filter(|number| is_bad(*number)).collect();
        assert_eq!(summary.dead_lettered as usize, bad.len());
        let found = letters(broker, &dead, bad.len() as u64);
        for (letter, number) in found.iter().zip(&bad) {
            let header = |name: &str| letter.properties.headers.get(name).cloned();
            let text = |name: &str| {
                header(&format!("millstream.error.{name}")).and_then(|value| value.as_text().map(str::to_owned))
            };
            assert_eq!(letter.body, format!("{{{number}"));
            assert_eq!(
                (text("source").as_deref(), text("stage").as_deref()),
                (Some("AMQP-QUEUE"), Some("JSON-DECODER"))
            );
            assert_eq!(text("position"), Some(format!("queue {from}, delivery tag {}", number + 1)));
            assert!(text("reason").is_some_and(|reason| reason.contains("expected")), "{letter:?}");
            assert_eq!(letter.properties.delivery_mode, Some(2));
            let own = (header("trace"), letter.properties.content_type.as_deref());
            let kept = (Some(Value::I64(*number as i64)), Some("application/json"));
            assert_eq!(own, if whole { kept } else { (None, None) });
        }
        told!("letters as messages, read whole: {whole}: {RECORDS} records, {} letters", found.len());
        assert_eq!(found.len(), bad.len());
    }
}
