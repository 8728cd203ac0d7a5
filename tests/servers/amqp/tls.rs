//! TLS, and logging in by a certificate.

use millstream::amqp::{Broker, Exchange, Queue};
use millstream::prelude::*;

use super::client::{Client, unique};
use crate::support::certs::CLIENT;
use crate::support::example::Process;
use crate::support::rabbitmq::RabbitMq;

const RECORDS: usize = 2_000;

#[test]
fn records_pass_by_tls_for_a_client_that_is_known_by_its_certificate() {
    let Some(rabbit) = RabbitMq::shared() else { return };
    let certs = rabbit.certs();
    let by_certificate = |name: &str| {
        let broker = Broker::at(rabbit.external_url()).ca(certs.authority()).name(name);
        broker.client_certificate(certs.certificate("client"), certs.key("client"))
    };
    let by_password = Broker::at(rabbit.tls_url()).ca(certs.authority());
    for broker in [by_certificate("by certificate, both ways"), by_password] {
        let queue = unique("tls");
        Client::new(&rabbit.url()).queue(&queue, &[]);
        let lines: Vec<_> = (0..RECORDS).map(|number| number.to_string()).collect();
        let out = Collect::<String>::new();
        let seen = out.collected();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be had");
        runtime.block_on(async {
            let written =
                Pipeline::source(List::new(lines.clone())).sink(Exchange::new(&broker, "").routing_key(&queue));
            assert_eq!(written.run().await.expect("it is published").records_out, RECORDS as u64);
            let read = Pipeline::source(Queue::new(&broker, &queue)).limit(RECORDS as u64).sink(out);
            assert_eq!(read.run().await.expect("it is read").records_out, RECORDS as u64);
        });
        assert_eq!(seen.values(), lines);
        told!("TLS: {RECORDS} records published and read by {broker}");
    }
    let broker = by_certificate("who am I");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be had");
    let _link = runtime.block_on(broker.connect()).expect("it connects");
    super::flow::until("the broker to know the connection", || {
        rabbit.connections().iter().any(|one| one.named.as_deref() == Some("who am I") && one.user == CLIENT)
    });
}

#[test]
fn programs_are_told_whom_to_trust() {
    let Some(rabbit) = RabbitMq::shared() else { return };
    let (queue, folder) = (unique("tls"), tempfile::tempdir().expect("there is room"));
    Client::new(&rabbit.url()).queue(&queue, &[]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let lines: String = (0..RECORDS).map(|number| format!("{number}\n")).collect();
    std::fs::write(path("input"), &lines).expect("a file can be written");
    let (url, authority) = (rabbit.tls_url(), rabbit.certs().authority().display().to_string());
    let broker = ["--url", &url, "--ca", &authority];
    let to = ["--input", &path("input"), "--exchange", "", "--routing-key", &queue];
    Process::start("lines_to_amqp", &[&broker[..], &to].concat()).ends_well();
    let from = ["--queue", &queue, "--output", &path("output"), "--limit", &RECORDS.to_string()];
    Process::start("amqp_to_file", &[&broker[..], &from].concat()).ends_well();
    assert_eq!(std::fs::read_to_string(path("output")).expect("it was written"), lines);
    told!("TLS: {RECORDS} records went through two programs");
}

#[test]
fn who_is_not_trusted_is_told_so_and_no_secret_with_it() {
    let Some(rabbit) = RabbitMq::shared() else { return };
    let certs = rabbit.certs();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be had");
    let refused = |broker: Broker| match runtime.block_on(broker.connect()) {
        Ok(_) => panic!("{broker} is taken"),
        Err(error) => error.chain(),
    };
    let url = |user: &str| format!("amqps://{user}@localhost:{}/%2f", rabbit.tls_port());
    // The system doesn't know the authority of these tests.
    let unknown = refused(Broker::at(url("guest:guest")));
    assert!(unknown.contains("certificate") || unknown.contains("certificates to trust"), "{unknown}");
    let wrong = refused(Broker::at(url("guest:s3cret")).ca(certs.authority()));
    assert!(wrong.contains("ACCESS_REFUSED") && wrong.contains("check user and password"), "{wrong}");
    let not_pem = refused(Broker::at(url("guest:s3cret")).ca(certs.key("client")));
    assert!(not_pem.contains("expected certificates as PEM"), "{not_pem}");
    let elsewhere = refused(Broker::at(url("guest:s3cret").replace("%2f", "none")).ca(certs.authority()));
    assert!([&unknown, &wrong, &not_pem, &elsewhere].iter().all(|error| !error.contains("s3cret")), "{elsewhere}");
}

#[test]
fn who_connects_to_another_port_is_told_what_to_look_at() {
    let Some(rabbit) = RabbitMq::shared() else { return };
    let certs = rabbit.certs();
    let nobody = crate::support::port::Port::free();
    let plain = |port: u16| Broker::at(format!("amqp://guest:guest@localhost:{port}"));
    let by_tls = |port: u16| Broker::at(format!("amqps://guest:guest@localhost:{port}")).ca(certs.authority());
    let cases = [
        ("nobody", plain(nobody.number()), "nobody listens there"),
        ("nobody, by TLS", by_tls(nobody.number()), "nobody listens there"),
        ("one that wants TLS", plain(rabbit.tls_port()), "amqps://"),
        ("one without TLS", by_tls(rabbit.port()), "amqp://"),
        ("one of HTTP", plain(rabbit.http_port()), "not speak AMQP"),
        ("one of HTTP, by TLS", by_tls(rabbit.http_port()), "amqp://"),
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be had");
    for (what, broker, told) in cases {
        let broker = broker.connect_timeout(std::time::Duration::from_secs(5));
        let error = runtime.block_on(broker.connect()).err().expect("there is no such broker").chain();
        told!("{what}: {error}");
        assert!(error.contains(told) && !error.contains("guest:guest"), "{what}: {error}");
    }
}
