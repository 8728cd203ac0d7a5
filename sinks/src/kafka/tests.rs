use millstream_core::contracts::SinkFactory;

use super::Topic;

#[test]
fn it_says_what_it_is_and_never_a_secret() {
    let topic = Topic::new("127.0.0.1:9", "orders").property("sasl.password", "s3cret").keyed();
    let traits = topic.traits(true);
    assert_eq!(traits.output, "orders at 127.0.0.1:9; keys and values");
    assert!(!format!("{topic:?}").contains("s3cret"));
}

#[test]
fn mistakes_are_found_before_anything_is_opened() {
    let topic = || Topic::new("a:1", "orders");
    assert!(topic().check().is_empty());
    let wrong = |topic: Topic, what: &str| {
        let found = topic.check();
        assert!(found.len() == 1 && found[0].contains(what), "{what}: {found:?}");
    };
    wrong(Topic::new("a:1", ""), "no topic");
    wrong(Topic::new("", "orders"), "no broker");
    wrong(topic().property("acks", "1"), "enable.idempotence=false");
    wrong(topic().property("transactional.id", "x"), "exactly-once");
    assert!(topic().property("acks", "1").property("enable.idempotence", "false").check().is_empty());
    assert!(Topic::new("a:1", "").topic_by(|_| "orders".into()).check().is_empty());
}

#[test]
fn what_is_not_said_has_its_default_and_what_is_said_wins() {
    let of = |topic: &Topic, transactions, name| {
        topic.client_config(1_000_000, transactions).get(name).map(str::to_owned).unwrap_or_default()
    };
    let topic = Topic::new("a:1", "orders");
    let defaults = [("enable.idempotence", "true"), ("compression.type", "lz4"), ("linger.ms", "5")];
    for (name, value) in defaults {
        assert_eq!(of(&topic, None, name), value, "{name}");
    }
    assert_eq!(of(&topic, None, "transaction.timeout.ms"), "");
    assert_eq!(of(&topic, Some("x"), "transaction.timeout.ms"), "10000");
    let topic = topic.property("transaction.timeout.ms", "3000").property("compression.type", "zstd");
    assert_eq!(
        [of(&topic, Some("x"), "transaction.timeout.ms"), of(&topic, None, "compression.type")],
        ["3000", "zstd"]
    );
}
