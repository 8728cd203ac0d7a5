//! Dead letters as messages: the one that failed, with the reason in its headers.

use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use millstream::kafka::{Message, Topic, Topics};
use millstream::prelude::*;

use super::client::{fill, run, unique};
use crate::support::kafka::Kafka;

const RECORDS: u64 = 300;

/// Whether a record is no JSON.
fn is_bad(number: u64) -> bool {
    number % 100 == 50
}

/// When the first message happened: not so long ago that it has expired.
static BEGAN: LazyLock<i64> =
    LazyLock::new(|| UNIX_EPOCH.elapsed().expect("it is later than that").as_millis() as i64 - 60_000);

fn message(number: u64) -> Message {
    let value = if is_bad(number) { format!("{{{number}") } else { number.to_string() };
    let message = Message::new(value).with_key(format!("k{number}")).with_header("trace", number.to_string());
    message.with_timestamp(*BEGAN + number as i64)
}

/// What a topic holds.
fn read(kafka: &Kafka, topic: &str) -> Vec<Message> {
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let read = Topics::new(kafka.brokers(), [topic], unique("looks")).messages().until_end();
    run(Pipeline::source(read).sink(out)).expect("it is read");
    seen.values()
}

#[test]
fn a_letter_is_the_message_that_failed_with_the_reason_in_its_headers() {
    let Some(kafka) = Kafka::shared() else { return };
    for exactly_once in [false, true] {
        let [from, to, dead] = ["from", "to", "dead"].map(unique);
        [&from, &to, &dead].into_iter().for_each(|topic| kafka.add_topic(topic, 1, &[]));
        let brokers = kafka.brokers();
        fill(&brokers, &from, (0..RECORDS).map(|number| (0, message(number))).collect());
        let source = Topics::new(&*brokers, [&*from], unique("group")).messages().until_end();
        let sink = Topic::new(&*brokers, &*to).messages();
        let sink = if exactly_once { sink.exactly_once() } else { sink };
        let policy = OnError::dead_letter(Topic::new(&*brokers, &*dead).messages());
        let pipeline = Pipeline::called(&unique("letters")).source(source).filter(|_: &json::Value| true);
        let summary = run(pipeline.on_error(policy).sink(sink)).expect("it ends well");
        let bad: Vec<_> = (0..RECORDS).filter(|number| is_bad(*number)).collect();
        assert_eq!((summary.dead_lettered as usize, read(kafka, &to).len()), (bad.len(), RECORDS as usize - bad.len()));
        let found = read(kafka, &dead);
        assert_eq!(found.len(), bad.len());
        for (letter, number) in found.iter().zip(bad) {
            let failed = message(number);
            assert_eq!((&letter.key, &letter.value, letter.timestamp), (&failed.key, &failed.value, failed.timestamp));
            assert_eq!(letter.headers[..1], failed.headers);
            let text =
                |name: &str| letter.header(&format!("millstream.error.{name}")).map(|why| String::from_utf8_lossy(why));
            assert_eq!((text("source").as_deref(), text("stage").as_deref()), (Some("KAFKA"), Some("JSON-DECODER")));
            assert_eq!(text("position"), Some(format!("{from}/0 offset {number}").into()), "{letter:?}");
            assert!(text("reason").is_some_and(|reason| reason.contains("expected")), "{letter:?}");
        }
        told!("letters as messages, exactly-once {exactly_once}: {RECORDS} records, {} letters", found.len());
    }
}
