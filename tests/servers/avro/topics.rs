//! Avro in Kafka's topics, under registries.

use millstream::Engine as _;
use millstream::prelude::*;
use serde::{Deserialize, Serialize};

use super::everything;
use super::registry::json_of;
use crate::support::kafka::Kafka;
use crate::support::registry::Registry;

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
