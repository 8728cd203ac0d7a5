//! What a message is made of where the record is not one: by functions of the record, and by its event time.

use bytes::Bytes;
use millstream::declare::OnError;
use millstream::kafka::{Header, Message, Topic, Topics};
use millstream::prelude::*;

use super::client::{fill, run, unique};
use crate::support::example::Process;
use crate::support::kafka::Kafka;

/// Of another year, half a second after the one before.
fn time(number: i64) -> i64 {
    1_700_000_000_123 + number * 500
}

/// A topic of ten messages, which are kept though they are old.
fn filled(kafka: &Kafka) -> String {
    let name = unique("rows");
    kafka.add_topic(&name, 1, &[("retention.ms", "-1")]);
    let at = |number: i64| Message::new(number.to_string()).with_timestamp(time(number));
    fill(&kafka.brokers(), &name, (0..10).map(|number| (0, at(number))).collect());
    name
}

/// Copies bodies from a filled topic to another one by this sink, and returns what kcat reads there: time, key, value and
/// headers. `None` if there is no kcat.
fn copied(kafka: &Kafka, as_said: fn(Topic<Bytes>) -> Topic<Bytes>) -> Option<Vec<String>> {
    let (from, to) = (filled(kafka), unique("rows"));
    kafka.add_topic(&to, 1, &[("retention.ms", "-1")]);
    let source = Topics::new(kafka.brokers(), [from], unique("group")).until_end();
    let sink = as_said(Topic::new(kafka.brokers(), &to));
    assert_eq!(run(Pipeline::source(source).sink(sink)).expect("it is copied").records_out, 10);
    let mut kcat = kafka.kcat(&["-C", "-t", &to, "-e", "-q", "-o", "beginning", "-f", "%T %K %k %s %h\n"])?;
    let ran = kcat.output().expect("kcat runs");
    Some(String::from_utf8(ran.stdout).expect("text").lines().map(str::to_owned).collect())
}

fn number(body: &Bytes) -> i64 {
    std::str::from_utf8(body).expect("text").parse().expect("a number")
}

#[test]
fn functions_of_the_record_say_key_headers_and_timestamp() {
    let Some(kafka) = Kafka::shared() else { return };
    let said = copied(kafka, |topic| {
        topic
            .key_by(|body| (number(body) % 2 == 0).then(|| format!("key {}", number(body)).into()))
            .headers_by(|body| {
                vec![Header { name: "twice".into(), value: Some((number(body) * 2).to_string().into()) }]
            })
            .timestamp_by(|body| Some(time(number(body)) + 1))
    });
    let Some(found) = said else { return };
    let key = |number| if number % 2 == 0 { format!("5 key {number}") } else { "-1 ".into() };
    let expected = |number| format!("{} {} {number} twice={}", time(number) + 1, key(number), number * 2);
    assert_eq!(found, Vec::from_iter((0..10).map(expected)));
    told!("rows: 10 messages have the key, the headers and the timestamp of functions");
}

#[test]
fn lines_have_the_key_that_stands_on_a_path() {
    let Some(kafka) = Kafka::shared() else { return };
    let (folder, to) = (tempfile::tempdir().expect("there is room"), unique("rows"));
    kafka.add_topic(&to, 1, &[]);
    let input = folder.path().join("users.jsonl").display().to_string();
    let line = |number: i64| format!(r#"{{"users":[{{"id":{number}}}],"text":"\u00e4"}}"#);
    let lines = Vec::from_iter((0..10).map(line));
    std::fs::write(&input, lines.join("\n")).expect("a file can be written");
    let arguments = ["--input", &input, "--brokers", &kafka.brokers(), "--topic", &to, "--key", "users.0.id"];
    Process::start("lines_to_kafka", &arguments).ends_well();
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let read = Topics::new(kafka.brokers(), [to], unique("group")).messages().until_end();
    run(Pipeline::source(read).sink(out)).expect("it is read");
    let found = seen.values().into_iter().map(|message| (message.key, message.value));
    let expected = (0..10).map(|number| (Some(number.to_string().into()), Some(line(number).into())));
    assert_eq!(Vec::from_iter(found), Vec::from_iter(expected));
    told!("rows: 10 lines have their keys");
}

#[test]
fn a_record_happened_when_its_message_says_and_is_written_with_that_time() {
    let Some(kafka) = Kafka::shared() else { return };
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    run(Pipeline::source(Topics::new(kafka.brokers(), [filled(kafka)], unique("group")).until_end()).sink(out))
        .expect("it is read");
    let stamped = seen.stamped();
    let times = stamped.iter().map(|(stamp, _)| (stamp.time.micros, stamp.time.ingested));
    assert_eq!(Vec::from_iter(times), Vec::from_iter((0..10).map(|number| (time(number) * 1_000, false))));
    let Some(found) = copied(kafka, |topic| topic) else { return };
    assert_eq!(found, Vec::from_iter((0..10).map(|number| format!("{} -1  {number} ", time(number)))));
    told!("rows: 20 messages kept their time");
}

#[test]
fn messages_that_do_not_meet_a_condition_are_left_out() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to, brokers) = (unique("from"), unique("to"), kafka.brokers());
    [&from, &to].into_iter().for_each(|name| kafka.add_topic(name, 1, &[]));
    let line =
        |number: u64| format!(r#"{{"n": {number}, "status": "{}"}}"#, if number % 4 == 1 { "paid" } else { "open" });
    fill(&brokers, &from, (0..40).map(|number| (0, Message::new(line(number)))).collect());
    let arguments = ["--brokers", &brokers, "--from", &from, "--to", &to, "--group", &unique("group"), "--until-end"];
    let said = Process::start("kafka_to_kafka", &[&arguments[..], &["--where", "status=paid"]].concat()).ends_well();
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    run(Pipeline::source(Topics::new(&*brokers, [to], unique("group")).until_end()).sink(out)).expect("it is read");
    let expected = (0..40).filter(|number| number % 4 == 1).map(|number| Bytes::from(line(number)));
    assert_eq!(seen.values(), Vec::from_iter(expected), "{said}");
    told!("rows: 10 of 40 messages meet the condition");
}

#[test]
fn a_partition_that_is_not_there_is_its_records_failure() {
    let Some(kafka) = Kafka::shared() else { return };
    for exactly_once in [false, true] {
        let to = unique("to");
        kafka.add_topic(&to, 2, &[]);
        let sink = Topic::new(kafka.brokers(), &to).partition_by(|value: &Bytes| Some((number(value) % 3) as i32));
        let values = List::new((0..30).map(|number| Bytes::from(number.to_string())).collect::<Vec<_>>());
        let state = tempfile::tempdir().expect("there is room");
        let pipeline = Pipeline::called(&unique("partitions")).source(values);
        let pipeline = match exactly_once {
            true => pipeline.sink(sink.exactly_once()).store(Embedded::at(state.path())),
            false => pipeline.sink(sink),
        };
        let summary = run(pipeline.on_any_error(OnError::Skip)).expect("it ends well");
        let ends = [0, 1].map(|partition| count(kafka, &to, partition));
        told!("rows: exactly once {exactly_once}: {ends:?} delivered, {} skipped", summary.skipped);
        assert_eq!(ends, [10, 10]);
        // What was skipped is skipped again when all begins anew.
        assert!(summary.skipped == 10 || (exactly_once && summary.skipped > 10), "{}", summary.skipped);
    }
}

/// How many committed messages a partition has.
fn count(kafka: &Kafka, topic: &str, partition: i32) -> usize {
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let read = Topics::new(kafka.brokers(), [topic], unique("group")).messages().until_end();
    run(Pipeline::source(read).sink(out)).expect("it is read");
    seen.values().iter().filter(|it| it.origin.as_ref().is_some_and(|it| it.partition == partition)).count()
}
