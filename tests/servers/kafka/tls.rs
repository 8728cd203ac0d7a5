//! TLS and SASL.

use millstream::kafka::{Cluster, Topic, Topics};
use millstream::prelude::*;

use super::client::{run, topic, unique};
use crate::support::kafka::{Kafka, PASSWORD, USER};

const RECORDS: usize = 2_000;

fn tls(kafka: &Kafka) -> Cluster {
    let authority = kafka.certs().authority().display().to_string();
    Cluster::new(kafka.tls_brokers()).property("security.protocol", "SSL").property("ssl.ca.location", authority)
}

pub(super) fn sasl(kafka: &Kafka, mechanism: &str, password: &str) -> Cluster {
    let authority = kafka.certs().authority().display().to_string();
    Cluster::new(kafka.sasl_brokers())
        .property("security.protocol", "SASL_SSL")
        .property("ssl.ca.location", authority)
        .property("sasl.mechanism", mechanism)
        .property("sasl.username", USER)
        .property("sasl.password", password)
}

#[test]
fn records_pass_by_tls_with_certificates_and_with_each_mechanism() {
    let Some(kafka) = Kafka::shared() else { return };
    let certs = kafka.certs();
    let by_certificate = tls(kafka)
        .property("ssl.certificate.location", certs.certificate("client").display().to_string())
        .property("ssl.key.location", certs.key("client").display().to_string());
    let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
    let by_password = mechanisms.map(|mechanism| (mechanism, sasl(kafka, mechanism, PASSWORD)));
    for (how, cluster) in [("TLS", tls(kafka)), ("a certificate", by_certificate)].into_iter().chain(by_password) {
        let name = topic(kafka, "secure");
        let lines: Vec<_> = (0..RECORDS).map(|number| number.to_string()).collect();
        let out = Collect::<String>::new();
        let seen = out.collected();
        let written = run(Pipeline::source(List::new(lines.clone())).sink(Topic::new(cluster.clone(), &name)));
        assert_eq!(written.expect("it is written").records_out, RECORDS as u64);
        let read = Topics::new(cluster, [&*name], unique("group")).until_end();
        run(Pipeline::source(read).sink(out)).expect("it is read");
        let mut found = seen.values();
        found.sort_by_key(|text| text.parse::<u64>().expect("a number"));
        assert_eq!(found, lines);
        println!("{how}: {RECORDS} records written and read");
    }
}

#[test]
fn who_is_not_let_in_is_told_so_and_no_secret_with_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let name = topic(kafka, "secure");
    let cluster = sasl(kafka, "PLAIN", "wr0ng");
    let sink = Topic::new(cluster.clone(), &name);
    assert!(!format!("{sink:?}").contains("wr0ng"));
    let source = Topics::new(cluster, [&*name], unique("group"));
    for pipeline in
        [Pipeline::source(List::new(["a".to_owned()])).sink(sink), Pipeline::source(source).sink(Null::<Bytes>::new())]
    {
        let error = run(pipeline).expect_err("it is not let in");
        let text = match &error {
            millstream::Error::Run(error) => error.chain(),
            error => error.to_string(),
        };
        println!("not let in: {text}");
        assert!(text.contains("uthentication") && !text.contains("wr0ng"), "{text}");
    }
}

#[test]
fn who_may_not_write_is_told_so() {
    let Some(kafka) = Kafka::shared() else { return };
    let name = topic(kafka, "forbidden");
    kafka.forbid_writing(USER, &name);
    let sink = Topic::new(sasl(kafka, "PLAIN", PASSWORD), &name);
    let error = run(Pipeline::source(List::new(["a".to_owned()])).sink(sink)).expect_err("it is forbidden");
    let text = error.to_string();
    println!("forbidden: {text}");
    assert!(text.contains("give this user the right to it"), "{text}");
}
