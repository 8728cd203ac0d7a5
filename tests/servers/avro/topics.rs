//! Avro in Kafka's topics, under registries.

use std::time::{Duration, Instant};

use millstream::Engine as _;
use millstream::prelude::*;
use serde::{Deserialize, Serialize};

use super::everything;
use super::registry::json_of;
use crate::support::kafka::Kafka;
use crate::support::proxy::Proxy;
use crate::support::registry::{Registry, url};

const VALUES: i64 = 2_000;

/// The values of a topic as JSON.
async fn values(kafka: &Kafka, topic: &str, registry: &avro::Registry) -> Vec<Bytes> {
    let out = Collect::<Bytes>::new();
    let collected = out.collected();
    let read = kafka::Topics::new(kafka.brokers(), [topic], format!("{topic}-reader")).until_end();
    let values = Pipeline::source(read).decode_as(avro::values().registered(&registry.reading()));
    values.encode_as(avro::values().own_json()).sink(out).run().await.expect("it is read");
    json_of(collected.values())
}

#[tokio::test]
async fn from_json_to_a_topic_to_another_registrys_and_back_to_json() {
    let (Some(kafka), Some(one), Some(other)) = (Kafka::shared(), Registry::shared(), Registry::own()) else { return };
    kafka.add_topic("avro-one", 1, &[]);
    kafka.add_topic("avro-other", 1, &[]);
    // Ids are not the same there.
    for number in 0..7 {
        other.register(&format!("else-{number}"), &format!(r#"{{"type":"fixed","name":"F","size":{number}}}"#));
    }
    let (lines, schema) = everything(VALUES);
    let written = avro::Registry::at(one.url()).writing(avro::Subject::value_of("avro-one"), &schema).registering();
    let pipeline = Pipeline::source(List::new(lines.clone())).decode_as(avro::values().json(&schema));
    let pipeline = pipeline.encode_as(avro::values().registered(&written));
    pipeline.sink(kafka::Topic::new(kafka.brokers(), "avro-one")).run().await.expect("it is written");

    let (from, to) = (avro::Registry::at(one.url()), avro::Registry::at(other.url()));
    let read = kafka::Topics::new(kafka.brokers(), ["avro-one"], "avro-mirror").until_end();
    let written = to.writing_own(avro::Subject::value_of("avro-other")).registering();
    let pipeline = Pipeline::source(read).decode_as(avro::values().registered(&from.reading()));
    let pipeline = pipeline.encode_as(avro::values().registered(&written));
    pipeline.sink(kafka::Topic::new(kafka.brokers(), "avro-other")).run().await.expect("it is copied");

    let wanted = json_of(lines);
    assert!(values(kafka, "avro-one", &from).await == wanted);
    assert!(values(kafka, "avro-other", &to).await == wanted);
    told!("{VALUES} values went from JSON to a topic under one registry, to one under another, and back to JSON");
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Key {
    number: i64,
}
data!(Key);

#[tokio::test]
async fn of_a_pair_key_and_value_are_coded_each() {
    let (Some(kafka), Some(server)) = (Kafka::shared(), Registry::shared()) else { return };
    kafka.add_topic("avro-pairs", 1, &[]);
    let registry = avro::Registry::at(server.url());
    let key = r#"{"type":"record","name":"Key","fields":[{"name":"number","type":"long"}]}"#.parse().expect("a schema");
    let value: avro::Schema = r#"{"type":"map","values":"long"}"#.parse().expect("a schema");
    let keys = registry.writing(avro::Subject::key_of("avro-pairs"), &key).registering();
    let values = registry.writing(avro::Subject::value_of("avro-pairs"), &value).registering();
    let pair = {
        let value = value.clone();
        move |number: u64| {
            let number = number as i64;
            let entries = [("n".to_owned(), avro::types::Value::Long(number * 2))].into_iter().collect();
            Kv { key: Key { number }, value: avro::Value::unchecked(&value, avro::types::Value::Map(entries)) }
        }
    };
    let pipeline = Pipeline::source(List::new((0..500_u64).collect::<Vec<_>>())).map(pair);
    let pipeline = pipeline.sink(kafka::Topic::new(kafka.brokers(), "avro-pairs").keyed());
    let pipeline = pipeline.with(avro::of::<Key>().registered(&keys)).with(avro::values().registered(&values));
    pipeline.run().await.expect("they are written");
    for side in ["key", "value"] {
        server.must("GET", &format!("/subjects/avro-pairs-{side}/versions/1"), None);
    }

    let out = Collect::<String>::new();
    let collected = out.collected();
    let read = kafka::Topics::new(kafka.brokers(), ["avro-pairs"], "avro-pairs-reader").until_end().keyed();
    let shown = |pair: Kv<Key, avro::Value>| format!("{} {}", pair.key.number, pair.value.to_json().expect("JSON"));
    let pipeline = Pipeline::source(read).map(shown).sink(out);
    let pipeline = pipeline.with(avro::of::<Key>().registered(&registry.reading()));
    pipeline.with(avro::values().registered(&registry.reading())).run().await.expect("they are read");
    let wanted: Vec<_> = (0..500).map(|number| format!(r#"{number} {{"n":{}}}"#, number * 2)).collect();
    assert_eq!(collected.values(), wanted);
    told!("500 keys and 500 values, coded each");
}

#[tokio::test]
async fn topics_wait_while_the_registry_of_both_is_away_for_ten_seconds() {
    const SCHEMAS: usize = 20;
    let (Some(kafka), Some(server)) = (Kafka::shared(), Registry::shared()) else { return };
    kafka.add_topic("avro-waits", 1, &[]);
    kafka.add_topic("avro-waits-too", 1, &[]);
    let proxy = Proxy::to(server.port());
    // Every hundredth record has a schema of its own: that is to be asked for, and to be registered under another subject.
    let schema =
        |number| format!(r#"{{"type":"record","name":"Waits{number}","fields":[{{"name":"n","type":"long"}}]}}"#);
    let ids = Vec::from_iter((0..SCHEMAS).map(|number| {
        u32::try_from(server.register(&format!("avro-waits-{number}"), &schema(number))).expect("32 bits")
    }));
    let value = |number: usize| {
        let id = ids[number / 100].to_be_bytes();
        Bytes::from([&[0][..], &id, &[(number % 50 * 2) as u8]].concat())
    };
    let values_of = Pipeline::source(List::new((0..2_000).map(value).collect::<Vec<_>>()));
    values_of.sink(kafka::Topic::new(kafka.brokers(), "avro-waits")).run().await.expect("it is written");

    let registry = avro::Registry::at(url(proxy.port()));
    let read = kafka::Topics::new(kafka.brokers(), ["avro-waits"], "avro-waits").until_end();
    let writing = registry.writing_own(avro::Subject::TopicRecord("avro-waits-too".into())).registering();
    let pipeline = Pipeline::source(read)
        .throttle(400, Duration::from_secs(1))
        .decode_as(avro::values().registered(&registry.reading()))
        .encode_as(avro::values().registered(&writing))
        .sink(kafka::Topic::new(kafka.brokers(), "avro-waits-too"));
    let running = pipeline.start(Settings::default()).await.expect("it starts");
    let written = || running.metrics().stages.last().map_or(0, |sink| sink.rows_in);
    while written() < 250 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (began, refused) = (Instant::now(), proxy.refused());
    proxy.refuse();
    proxy.cut();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let through = written();
    assert!(through < 2_000, "it went on without the registry");
    proxy.resume();
    let (away, tried) = (began.elapsed(), proxy.refused() - refused);
    let summary = running.join().await.expect("it ends well");
    assert_eq!((summary.records_out, summary.skipped), (2_000, 0));
    let wanted = Vec::from_iter((0..2_000).map(|number| Bytes::from(format!(r#"{{"n":{}}}"#, number % 50))));
    let found = values(kafka, "avro-waits-too", &avro::Registry::at(server.url())).await;
    assert!(found == json_of(wanted), "nothing is lost, nothing twice, in order");
    assert!(tried >= 3, "it was asked for {tried} times");
    told!("topics: 2000 records, {through} before {away:?} without the registry, which was tried {tried} times");
}
