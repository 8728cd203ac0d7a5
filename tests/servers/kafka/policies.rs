//! Records that can't be delivered meet the stage's policy, and no other does.

use std::collections::BTreeSet;

use bytes::Bytes;
use millstream::declare::OnError;
use millstream::kafka::{Fallback, Message, Start, Topic, Topics};
use millstream::prelude::*;

use super::client::{fill, run, unique};
use crate::support::kafka::Kafka;

const RECORDS: u64 = 300;

/// Whether a record is too large for its topic.
fn is_large(number: u64) -> bool {
    number % 100 == 50
}

/// A number, with what makes it too large if it is to be.
fn value(number: u64) -> Bytes {
    let tail = if is_large(number) { "x".repeat(6_000) } else { String::new() };
    Bytes::from(format!("{number} {tail}"))
}

fn number_of(value: &Bytes) -> u64 {
    let text = std::str::from_utf8(value).expect("text");
    text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

struct Copying {
    from: String,
    to: String,
    group: String,
}

impl Copying {
    fn new(kafka: &Kafka) -> Self {
        let names = Self { from: unique("from"), to: unique("to"), group: unique("group") };
        kafka.add_topic(&names.from, 1, &[]);
        kafka.add_topic(&names.to, 1, &[("max.message.bytes", "4000")]);
        fill(&kafka.brokers(), &names.from, (0..RECORDS).map(|number| (0, Message::new(value(number)))).collect());
        names
    }

    /// Copies in requests of many records, of which one spoils all.
    fn pipeline(&self, kafka: &Kafka, exactly_once: bool) -> Pipeline {
        let brokers = kafka.brokers();
        let read = Topics::new(&*brokers, [&*self.from], &*self.group).until_end();
        let write = Topic::new(&*brokers, &*self.to).property("compression.type", "none");
        let write = write.property("batch.size", "1000000").property("linger.ms", "5");
        Pipeline::called("poison").source(read).sink(if exactly_once { write.exactly_once() } else { write })
    }

    fn found(&self, kafka: &Kafka) -> Vec<u64> {
        let out = Collect::<Bytes>::new();
        let seen = out.collected();
        let read = Topics::new(kafka.brokers(), [&*self.to], unique("looks")).until_end();
        run(Pipeline::source(read).sink(out)).expect("it is read");
        seen.values().iter().map(number_of).collect()
    }
}

#[test]
fn what_is_too_large_is_skipped_and_nothing_else() {
    let Some(kafka) = Kafka::shared() else { return };
    for exactly_once in [false, true] {
        let copying = Copying::new(kafka);
        let summary = run(copying.pipeline(kafka, exactly_once).on_any_error(OnError::Skip)).expect("it ends well");
        let found = copying.found(kafka);
        println!("skip, exactly once {exactly_once}: {} delivered, {} skipped", found.len(), summary.skipped);
        // What a transaction that was aborted had skipped is skipped again.
        assert!(summary.skipped == 3 || (exactly_once && summary.skipped > 3), "{}", summary.skipped);
        let wanted: Vec<u64> = (0..RECORDS).filter(|number| !is_large(*number)).collect();
        match exactly_once {
            true => assert_eq!(found, wanted),
            false => assert_eq!(BTreeSet::from_iter(found), BTreeSet::from_iter(wanted)),
        }
        assert_eq!(kafka.committed(&copying.group, &copying.from, 0), Some(RECORDS as i64));
    }
}

#[test]
fn what_is_too_large_becomes_a_dead_letter() {
    let Some(kafka) = Kafka::shared() else { return };
    for exactly_once in [false, true] {
        let (copying, letters) = (Copying::new(kafka), unique("letters"));
        kafka.add_topic(&letters, 1, &[]);
        let policy = OnError::dead_letter(Topic::new(kafka.brokers(), &letters));
        let summary = run(copying.pipeline(kafka, exactly_once).on_any_error(policy)).expect("it ends well");
        assert_eq!(copying.found(kafka).len(), RECORDS as usize - 3);
        let (first, end) = kafka.offsets(&letters, 0);
        println!("dead letters, exactly once {exactly_once}: {}", end - first);
        assert_eq!(end - first, summary.dead_lettered as i64);
        // Letters are written outside of the transaction: of one that was aborted they come again.
        assert!(end - first == 3 || (exactly_once && end - first > 3), "{}", end - first);
    }
}

#[test]
fn what_is_too_large_ends_the_run_before_it() {
    let Some(kafka) = Kafka::shared() else { return };
    for exactly_once in [false, true] {
        let copying = Copying::new(kafka);
        let error = run(copying.pipeline(kafka, exactly_once)).expect_err("it fails");
        let text = error.to_string();
        println!("fail, exactly once {exactly_once}: {text}");
        assert!(text.contains("max.message.bytes") && text.contains("offset 50"), "{text}");
        let committed = kafka.committed(&copying.group, &copying.from, 0).unwrap_or(0);
        assert!(committed <= 50, "{committed} is past what failed");
    }
}

#[test]
fn a_topic_by_the_record_that_is_not_there_or_forbidden_is_that_records_failure() {
    let Some(kafka) = Kafka::shared() else { return };
    let good = unique("good");
    kafka.add_topic(&good, 1, &[]);
    let to = good.clone();
    let sink = Topic::new(kafka.brokers(), "").topic_by(move |value: &Bytes| match number_of(value) {
        13 => "no-such-topic".into(),
        _ => to.clone(),
    });
    let values: Vec<Bytes> = (0..40).map(|number: u64| Bytes::from(format!("{number} "))).collect();
    let sink = sink.property("topic.metadata.propagation.max.ms", "1000");
    let pipeline = Pipeline::source(List::new(values)).sink(sink).on_any_error(OnError::Skip);
    let summary = run(pipeline).expect("it ends well");
    assert_eq!((summary.skipped, kafka.offsets(&good, 0)), (1, (0, 39)));
}

#[test]
fn tombstones_and_missing_keys_are_refused_where_they_can_not_be_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = unique("from");
    kafka.add_topic(&from, 1, &[]);
    let messages = [Message::new("a"), Message::tombstone("k"), Message::new("b").with_key("k")];
    fill(&kafka.brokers(), &from, messages.map(|message| (0, message)).into());
    let topics = || Topics::new(kafka.brokers(), [&*from], unique("group")).until_end();
    let topics = || topics().start(Start::Committed(Fallback::Earliest));
    let values = Collect::<Bytes>::new();
    let seen = values.collected();
    let summary = run(Pipeline::source(topics()).sink(values).on_any_error(OnError::Skip)).expect("it ends well");
    assert_eq!((summary.skipped, seen.values()), (1, vec![Bytes::from("a"), Bytes::from("b")]));
    let pairs = Collect::<Kv<Bytes, Bytes>>::new();
    let seen = pairs.collected();
    let summary =
        run(Pipeline::source(topics().keyed()).sink(pairs).on_any_error(OnError::Skip)).expect("it ends well");
    assert_eq!((summary.skipped, seen.values()), (2, vec![Kv::new(Bytes::from("k"), Bytes::from("b"))]));
    let error = run(Pipeline::source(topics()).sink(Null::<Bytes>::new())).expect_err("it fails");
    assert!(error.to_string().contains("tombstone"), "{error}");
}
