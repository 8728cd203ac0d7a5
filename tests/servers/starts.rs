//! Each server starts, answers, is killed in the middle of it, and is there again with what it had.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::certs::CLIENT;
use crate::support::process::{Process, group};
use crate::support::python::Python;
use crate::support::rabbitmq::RabbitMq;

const PATIENCE: Duration = Duration::from_secs(60);

/// Says what a server that has just started took.
fn started(name: &str, began: Instant, process: &Process) {
    let memory = process.memory() / 1_000_000;
    eprintln!(
        "{name}: ready after {:.1} s, {memory} MB in {} processes",
        began.elapsed().as_secs_f32(),
        process.pids().len()
    );
}

#[test]
fn rabbitmq() {
    let began = Instant::now();
    let Some(mut broker) = RabbitMq::own(&[]) else { return };
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
