//! Each server starts, answers, is killed in the middle of it, and is there again with what it had.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::certs::CLIENT;
use crate::support::kafka::{Kafka, PASSWORD, USER};
use crate::support::process::{Process, group};
use crate::support::proxy::{Cut, Kind};
use crate::support::python::Python;
use crate::support::rabbitmq::RabbitMq;
use crate::support::registry::Registry;

const PATIENCE: Duration = Duration::from_secs(60);

/// Says what a server that has just started took.
fn started(name: &str, began: Instant, process: &Process) {
    let memory = process.memory() / 1_000_000;
    told!(
        "{name}: ready after {:.1} s, {memory} MB in {} processes",
        began.elapsed().as_secs_f32(),
        process.pids().len()
    );
}

#[test]
fn rabbitmq() {
    let began = Instant::now();
    let Some(broker) = RabbitMq::own(&[]) else { return };
    started("RabbitMQ", began, broker.process());
    broker.add_queue("kept", &json!({}));
    broker.publish("kept", &json!({"delivery_mode": 2}), "what was there");
    let pids = broker.process().pids();
    broker.kill();
    let began = Instant::now();
    broker.restart();
    started("RabbitMQ again", began, broker.process());
    assert!(pids.iter().all(|pid| !broker.process().pids().contains(pid)));
    assert_eq!(broker.take("kept", 10)[0]["payload"], "what was there");
    assert!(broker.connections().is_empty());
    let (first, folder) = (broker.process().pid(), broker.process().folder().to_owned());
    drop(broker);
    assert!(group(first).is_empty() && !folder.exists());
}

#[test]
fn tests_share_a_rabbitmq() {
    let (Some(one), Some(other)) = (RabbitMq::shared(), RabbitMq::shared()) else { return };
    assert_eq!(one.process().pid(), other.process().pid());
    assert_ne!(one.port(), one.tls_port());
}

/// Logs in by its certificate, and waits for the end of its connection.
const EXTERNAL: &str = r#"
import pika, ssl, sys
port, authority, certificate, key = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.load_cert_chain(certificate, key)
connection = pika.BlockingConnection(pika.ConnectionParameters(
    host="localhost", port=int(port), ssl_options=pika.SSLOptions(context, "localhost"),
    credentials=pika.credentials.ExternalCredentials(), client_properties={"connection_name": "by certificate"}))
print("in")
try:
    while True:
        connection.process_data_events(1)
except pika.exceptions.ConnectionClosed as error:
    print(error.reply_code)
"#;

#[test]
fn rabbitmq_knows_a_client_by_its_certificate() {
    let Some(broker) = RabbitMq::shared() else { return };
    let certs = broker.certs();
    let files = [certs.authority(), certs.certificate("client"), certs.key("client")];
    let [authority, certificate, key] = files.each_ref().map(|file| file.to_str().expect("such paths are text"));
    let port = broker.tls_port().to_string();
    let Some(mut client) = Python::run(EXTERNAL, &[&port, authority, certificate, key]) else { return };
    assert_eq!(client.line().as_deref(), Some("in"));
    let mut connection = None;
    broker.process().until_ready(PATIENCE, || {
        connection = broker.connections().into_iter().find(|one| one.named.as_deref() == Some("by certificate"));
        connection.is_some()
    });
    let connection = connection.expect("it was found");
    assert_eq!(connection.user, CLIENT);
    assert!(broker.close(&connection));
    assert_eq!(client.end(), ["320"], "CONNECTION_FORCED");
}

/// What kcat writes to standard output; `None` if it can't be had.
fn kcat(kafka: &Kafka, arguments: &[&str]) -> Option<String> {
    let ran = kafka.kcat(arguments)?.output().expect("kcat runs");
    assert!(ran.status.success(), "{ran:?}");
    Some(String::from_utf8(ran.stdout).expect("text"))
}

/// Publishes three messages and awaits the confirm of each.
const PUBLISHES: &str = r#"
import pika, sys
channel = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]))).channel()
channel.confirm_delivery()
for number in range(3):
    try:
        channel.basic_publish("", sys.argv[2], str(number).encode())
        print(number)
    except pika.exceptions.AMQPConnectionError:
        print("cut")
        break
"#;

#[test]
fn what_rabbitmq_has_taken_can_go_unanswered() {
    let Some(broker) = RabbitMq::shared() else { return };
    for (kind, cut, taken) in [(Kind::BODY, Cut::Unanswered, 2), (Kind::BODY, Cut::Within, 1)] {
        let queue = format!("unanswered {cut:?}");
        broker.add_queue(&queue, &json!({}));
        let proxy = broker.proxied();
        proxy.cut_at(kind, 1, cut);
        let Some(client) = Python::run(PUBLISHES, &[&proxy.port().to_string(), &queue]) else { return };
        assert_eq!(client.end(), ["0", "cut"]);
        assert_eq!((proxy.cuts(), proxy.frames(Kind::BASIC_PUBLISH)), (1, 2));
        let messages = broker.take(&queue, 10).len();
        assert_eq!(messages, taken, "{cut:?}");
    }
}

#[test]
fn kafka() {
    let began = Instant::now();
    let Some(kafka) = Kafka::own(&[]) else { return };
    started("Kafka", began, kafka.process());
    kafka.add_topic("kept", 3, &[("cleanup.policy", "compact")]);
    let input = kafka.process().folder().join("input");
    std::fs::write(&input, "a:what was there\n").expect("a file can be written");
    let input = input.to_str().expect("such paths are text");
    if kcat(&kafka, &["-P", "-t", "kept", "-p", "2", "-K", ":", "-l", input]).is_none() {
        return;
    }
    let pids = kafka.process().pids();
    kafka.kill();
    let began = Instant::now();
    kafka.restart();
    started("Kafka again", began, kafka.process());
    assert!(pids.iter().all(|pid| !kafka.process().pids().contains(pid)));
    assert_eq!((kafka.offsets("kept", 0), kafka.offsets("kept", 2)), ((0, 0), (0, 1)));
    let read = kcat(&kafka, &["-C", "-t", "kept", "-e", "-q", "-f", "%p %o %k %s\\n"]);
    assert_eq!(read.as_deref(), Some("2 0 a what was there\n"));
    let (first, folder) = (kafka.process().pid(), kafka.process().folder().to_owned());
    drop(kafka);
    assert!(group(first).is_empty() && !folder.exists());
}

#[test]
fn tests_share_a_kafka_and_each_has_a_proxy() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = "proxied";
    kafka.add_topic(topic, 1, &[]);
    let (one, other) = (kafka.proxied(), kafka.proxied());
    assert_ne!(one.port(), other.port());
    for proxy in [&one, &other] {
        let brokers = proxy.brokers();
        let Some(input) = kcat(kafka, &["-b", &brokers, "-L", "-J"]) else { return };
        // Clients are told to stay behind the proxy.
        assert!(input.contains(&format!("\"name\":\"{brokers}\"")), "{input}");
        assert!(proxy.connections() > 0 && proxy.cuts() == 0);
    }
    drop(one);
    assert_eq!(kafka.proxied().cut(), 0);
}

#[test]
fn what_kafka_has_taken_can_go_unanswered() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = "unanswered";
    kafka.add_topic(topic, 1, &[]);
    let proxy = kafka.proxied();
    proxy.cut_at(Kind::PRODUCE, 0, Cut::Unanswered);
    let input = kafka.process().folder().join(topic);
    std::fs::write(&input, "once\n").expect("a file can be written");
    let (brokers, input) = (proxy.brokers(), input.to_str().expect("such paths are text").to_owned());
    let Some(mut kcat) = kafka.kcat(&["-b", &brokers, "-P", "-t", topic, "-l", &input]) else { return };
    // It gives up when its only broker is gone.
    assert!(!kcat.output().expect("kcat runs").status.success());
    assert_eq!((proxy.cuts(), proxy.frames(Kind::PRODUCE)), (1, 1));
    assert_eq!(kafka.offsets(topic, 0), (0, 1));
}

#[test]
fn kafka_asks_who_comes_by_tls() {
    let Some(kafka) = Kafka::shared() else { return };
    kafka.add_topic("by-tls", 1, &[]);
    kafka.add_topic("forbidden", 1, &[]);
    kafka.forbid_writing(USER, "forbidden");
    let authority = kafka.certs().authority();
    let authority = authority.to_str().expect("such paths are text");
    let trusted = format!("ssl.ca.location={authority}");
    let (tls, sasl) = (kafka.tls_brokers(), kafka.sasl_brokers());
    let Some(about) = kcat(kafka, &["-b", &tls, "-X", "security.protocol=ssl", "-X", &trusted, "-L"]) else { return };
    assert!(about.contains("topic \"by-tls\" with 1 partitions"), "{about}");
    let login = ["security.protocol=sasl_ssl", &trusted, "sasl.mechanism=PLAIN"].map(str::to_owned);
    let login = login.into_iter().chain([format!("sasl.username={USER}"), format!("sasl.password={PASSWORD}")]);
    let login: Vec<_> = login.flat_map(|one| ["-X".to_owned(), one]).collect();
    let writes = |topic| [&["-b", &sasl, "-P", "-l", authority, "-t", topic][..], &words(&login)].concat();
    kcat(kafka, &writes("by-tls")).expect("it was there");
    assert!(kafka.offsets("by-tls", 0).1 > 0);
    let refused = kafka.kcat(&writes("forbidden")).expect("it was there").output().expect("kcat runs");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("authorization failed"), "{refused:?}");
    assert_eq!(kafka.offsets("forbidden", 0), (0, 0));
}

fn words(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// By Kafka's own client: the kcat of Debian 12 sends a nonce twice, which Kafka 4 refuses (librdkafka before 2.6.1).
#[test]
fn kafka_knows_a_user_by_scram() {
    let Some(kafka) = Kafka::shared() else { return };
    let authority = kafka.certs().authority();
    for (mechanism, password, knows) in
        [("SCRAM-SHA-256", PASSWORD, true), ("SCRAM-SHA-512", PASSWORD, true), ("SCRAM-SHA-512", "another", false)]
    {
        let login = kafka.process().folder().join(format!("{mechanism}-{knows}"));
        let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
        let properties = format!(
            "security.protocol=SASL_SSL\nsasl.mechanism={mechanism}\nssl.truststore.type=PEM\n\
             ssl.truststore.location={}\n\
             sasl.jaas.config={module} required username=\"{USER}\" password=\"{password}\";\n",
            authority.display()
        );
        std::fs::write(&login, properties).expect("a file can be written");
        let mut tool = kafka.tool("org.apache.kafka.tools.TopicCommand");
        tool.args(["--bootstrap-server", &kafka.sasl_brokers(), "--list", "--command-config"]).arg(&login);
        let ran = tool.output().expect("there is Java");
        assert_eq!(ran.status.success(), knows, "{mechanism}: {ran:?}");
        let said = String::from_utf8_lossy(&ran.stdout);
        assert_eq!(said.contains("invalid credentials"), !knows, "{mechanism}: {said}");
    }
}

#[test]
fn kafka_is_looked_at_and_changed_over_its_protocol() {
    let Some(kafka) = Kafka::shared() else { return };
    kafka.add_topic("changed", 1, &[("segment.bytes", "1048576")]);
    kafka.set_partitions("changed", 3);
    assert_eq!(kafka.offsets("changed", 2), (0, 0));
    assert_eq!(kafka.committed("nobody", "changed", 0), None);
    let input = kafka.certs().authority();
    let input = input.to_str().expect("such paths are text");
    if kcat(kafka, &["-P", "-t", "changed", "-p", "1", "-l", input]).is_none() {
        return;
    }
    let (first, end) = kafka.offsets("changed", 1);
    kafka.expire("changed", 1, 5);
    assert!(first == 0 && end > 5);
    assert_eq!(kafka.offsets("changed", 1), (5, end));
    let group = ["-G", "readers", "changed", "-X", "auto.offset.reset=earliest", "-c", "3", "-q"];
    let read = kcat(kafka, &group).expect("it was there");
    assert_eq!(read.lines().count(), 3);
    assert_eq!(kafka.committed("readers", "changed", 1), Some(8));
    kafka.delete_topic("changed");
}

#[test]
fn registry() {
    let began = Instant::now();
    let Some(registry) = Registry::own() else { return };
    started("Registry", began, registry.process());
    let id = registry.register("numbers", r#"{"type": "array", "items": "long"}"#);
    let path = format!("/schemas/ids/{id}");
    assert!(registry.must("GET", &path, None)["schema"].as_str().is_some_and(|schema| schema.contains("long")));
    let first = registry.process().pid();
    registry.kill();
    let began = Instant::now();
    registry.restart();
    started("Registry again", began, registry.process());
    assert!(group(first).is_empty());
    assert_eq!(registry.must("GET", "/subjects", None), json!([]));
    let (second, folder) = (registry.process().pid(), registry.process().folder().to_owned());
    drop(registry);
    assert!(group(second).is_empty() && !folder.exists());
}

/// Asks by TLS.
const BY_TLS: &str = r#"
import ssl, sys, urllib.request
url, authority = sys.argv[1:]
print(urllib.request.urlopen(url, context=ssl.create_default_context(cafile=authority)).status)
"#;

#[test]
fn tests_share_a_registry_which_speaks_tls() {
    let Some(registry) = Registry::shared() else { return };
    let authority = registry.certs().authority();
    let url = format!("{}/subjects", registry.tls_url());
    let Some(client) = Python::run(BY_TLS, &[&url, authority.to_str().expect("such paths are text")]) else { return };
    assert_eq!(client.end(), ["200"]);
    // A subject with a name of its own for each test.
    let id = registry.register("starts shares", r#""long""#);
    assert_eq!(registry.register("starts shares", r#""long""#), id);
    registry.must("PUT", "/config/starts%20shares", Some(&json!({"compatibility": "FULL"})));
}
