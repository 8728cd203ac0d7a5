//! The examples of Avro in topics, as programs.

use std::path::Path;
use std::process::{Command, Output};

use millstream::kafka::{Message, Topic, Topics};
use millstream::prelude::*;

use super::everything;
use super::registry::{Guard, json_of};
use crate::kafka::client::{run as run_here, until};
use crate::support::built::example;
use crate::support::example::Process;
use crate::support::kafka::Kafka;
use crate::support::port::Port;
use crate::support::registry::{Registry, url};

const VALUES: i64 = 2_000;

/// Runs an example to its end; who asks registries is in the environment.
fn run(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(example(name));
    command.args(arguments).args(["--quiet"]).env_remove("RUST_LOG").envs(environment.iter().copied());
    command.output().expect("an example starts")
}

#[track_caller]
fn ends_well(name: &str, arguments: &[&str], environment: &[(&str, &str)]) {
    let ran = run(name, arguments, environment);
    assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr));
}

fn lines_of(path: &Path) -> Vec<Bytes> {
    let text = std::fs::read_to_string(path).expect("it was written");
    json_of(text.lines().map(|line| Bytes::from(line.to_owned())).collect())
}

#[test]
fn from_json_to_a_topic_to_another_registrys_and_back_to_json() {
    let (Some(kafka), Some(one), Some(other)) = (Kafka::shared(), Registry::shared(), Registry::own()) else { return };
    kafka.add_topic("programs-one", 1, &[]);
    kafka.add_topic("programs-other", 1, &[]);
    // The ids there are others.
    for number in 0..5 {
        other.register(&format!("else-{number}"), &format!(r#"{{"type":"fixed","name":"F","size":{number}}}"#));
    }
    let folder = tempfile::tempdir().expect("there is room");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, schema, output) = (path("in.jsonl"), path("every.avsc"), path("out.jsonl"));
    let (lines, _) = everything(VALUES);
    let text: String = lines.iter().map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
    std::fs::write(&input, text).expect("a file can be written");
    std::fs::write(&schema, super::EVERY).expect("a file can be written");

    // One lets in only who says the password (orders:secret), the other is asked over TLS.
    let guard = Guard::before(one.port(), "Basic b3JkZXJzOnNlY3JldA==");
    let (brokers, one, two) = (kafka.brokers(), url(guard.port), other.tls_url());
    let authority = other.certs().authority().display().to_string();
    let who = ["--registry", &one, "--registry-user", "orders"];
    let to = ["--brokers", &brokers, "--topic", "programs-one"];
    let writes = [&["--input", &input, "--schema", &schema], &to[..], &who[..]].concat();
    let unknown = run("json_to_kafka_avro", &writes, &[]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(2) && said.contains("REGISTRY_PASSWORD"), "{said}");
    let password = [("REGISTRY_PASSWORD", "secret")];
    // What only looks schemas up doesn't write by one that nobody has registered.
    let looks_up = run("json_to_kafka_avro", &[&writes[..], &["--look-up"]].concat(), &password);
    let said = String::from_utf8_lossy(&looks_up.stderr).into_owned();
    assert!(!looks_up.status.success() && said.contains("programs-one-value"), "{said}");
    ends_well("json_to_kafka_avro", &writes, &password);

    let copied =
        ["--brokers", &brokers, "--from", "programs-one", "--to", "programs-other", "--group", "programs-copy"];
    let there = ["--to-registry", &two, "--to-registry-ca", &authority, "--until-end"];
    ends_well("registry_to_registry", &[&copied[..], &who[..], &there[..]].concat(), &password);

    let read = ["--brokers", &brokers, "--topic", "programs-other", "--group", "programs-read", "--until-end"];
    let there = ["--registry", &two, "--registry-ca", &authority];
    let to = ["--output", &output, "--state", &path("state")];
    ends_well("kafka_avro_to_json", &[&read[..], &there[..], &to[..]].concat(), &[]);

    let found = lines_of(output.as_ref());
    assert_eq!(found.len(), VALUES as usize);
    assert!(found == json_of(lines), "what came out is not what went in");
    let keyed = ["--brokers", &brokers, "--from", &with_keys(kafka), "--to", "programs-keyed-other", "--keyed"];
    kafka.add_topic("programs-keyed-other", 1, &[]);
    let there_too = ["--group", "programs-keyed", "--to-registry", &two, "--to-registry-ca", &authority, "--until-end"];
    ends_well("registry_to_registry", &[&keyed[..], &who[..], &there_too[..]].concat(), &password);
    let read = ["--brokers", &brokers, "--topic", "programs-keyed-other", "--group", "programs-keys", "--until-end"];
    let output = path("keyed.jsonl");
    ends_well("kafka_avro_to_json", &[&read[..], &there[..], &["--output", &output]].concat(), &[]);
    assert!(lines_of(output.as_ref()) == found, "what came out is not what went in");
    assert!(keys(kafka, "programs-keyed-other").into_iter().eq((0..VALUES).map(|number| number.to_string())));

    let reads = ["--brokers", &brokers, "--topic", "programs-other", "--state", &path("plain.state")];
    plainly(&[&reads[..], &there[..]].concat(), &found, &path("plain.jsonl"));
    projected(&[&reads[..4], &there[..]].concat(), &path("one-field.avsc"), &path("projected.jsonl"));
    let passed = guard.passed();
    assert!(passed >= 2, "the guard was passed {passed} times");
    told!("{VALUES} lines went through three programs and two registries; {passed} requests had the password");
}

/// A copy of the first topic whose messages have keys: their numbers.
fn with_keys(kafka: &Kafka) -> String {
    let to = "programs-keyed".to_owned();
    kafka.add_topic(&to, 1, &[]);
    let source = Topics::new(kafka.brokers(), ["programs-one"], "programs-numbers").messages().until_end();
    let number = |message: &Message| message.origin.as_ref().map(|origin| origin.offset.to_string().into());
    let sink = Topic::new(kafka.brokers(), &to).messages().key_by(number);
    run_here(Pipeline::source(source).sink(sink)).expect("it is copied");
    to
}

fn keys(kafka: &Kafka, topic: &str) -> Vec<String> {
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let source = Topics::new(kafka.brokers(), [topic], "programs-look").messages().until_end();
    run_here(Pipeline::source(source).sink(out)).expect("it is read");
    let key = |message: Message| String::from_utf8(message.key.expect("it has a key").to_vec()).expect("text");
    seen.values().into_iter().map(key).collect()
}

/// The same topic by a schema with one of the fields, which is wider, and one that the values don't have.
fn projected(reads: &[&str], schema: &str, output: &str) {
    let fields = r#"{"name": "int", "type": "long"}, {"name": "more", "type": "string", "default": "none"}"#;
    let text = format!(r#"{{"type": "record", "name": "test.Every", "fields": [{fields}]}}"#);
    std::fs::write(schema, text).expect("a file can be written");
    let to = ["--group", "programs-projected", "--until-end", "--reader-schema", schema, "--output", output];
    ends_well("kafka_avro_to_json", &[reads, &to[..]].concat(), &[]);
    let found = std::fs::read_to_string(output).expect("it was written");
    assert_eq!(found.lines().count(), VALUES as usize);
    let is_projected = |line: &str| line.starts_with(r#"{"int":"#) && line.ends_with(r#","more":"none"}"#);
    assert!(found.lines().all(is_projected), "{found}");
}

/// The same topic as plain JSON: its lines are those of Avro's encoding without the names of branches.
fn plainly(reads: &[&str], avro: &[Bytes], output: &str) {
    let to = ["--group", "programs-plain", "--member", "plain", "--until-end", "--plain", "--output", output];
    ends_well("kafka_avro_to_json", &[reads, &to[..]].concat(), &[]);
    let found = lines_of(output.as_ref());
    assert_eq!(found.len(), avro.len());
    let wrapped = |line: &Bytes| String::from_utf8_lossy(line).contains(r#"{"string":"#);
    assert!(avro.iter().any(wrapped) && !found.iter().any(wrapped), "branches have no names in plain JSON");
}

#[test]
fn who_waits_for_a_registry_says_so_without_being_asked_for_logs() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = "programs-waiting";
    kafka.add_topic(topic, 1, &[]);
    let folder = tempfile::tempdir().expect("there is room");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, schema) = (path("in.jsonl"), path("every.avsc"));
    let (lines, _) = everything(1);
    std::fs::write(&input, &lines[0]).expect("a file can be written");
    std::fs::write(&schema, super::EVERY).expect("a file can be written");
    let (nobody, brokers) = (Port::free(), kafka.brokers());
    let registry = url(nobody.number());
    let arguments = ["--input", &input, "--schema", &schema, "--brokers", &brokers, "--topic", topic];
    let process =
        Process::start_without_logs("json_to_kafka_avro", &[&arguments[..], &["--registry", &registry]].concat());
    until("it to say that it waits", || process.said().contains("the schema registry gives no answer: records wait"));
    let said = process.said();
    let logged = said.lines().filter(|line| line.contains(" WARN ")).count();
    told!("{logged} lines: {said}");
    assert!(
        said.lines().filter(|line| line.contains(" WARN ")).all(|line| line.contains("millstream::waits")),
        "{said}"
    );
}
