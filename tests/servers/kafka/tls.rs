//! TLS and SASL.

use std::time::{Duration, Instant};

use millstream::kafka::{Cluster, Topic, Topics};
use millstream::prelude::*;

use super::client::{run, topic, unique, until};
use crate::support::kafka::{Kafka, PASSWORD, USER};
use crate::support::process::of_its_own;

const RECORDS: usize = 2_000;

/// Set for a test that runs as a process of its own, and ends: the brokers that its clients can't get through to.
const BROKERS: &str = "MILLSTREAM_TEST_ENDS_BUSY";
/// What it exits with: a process that runs no test exits with 0.
const ENDED: i32 = 7;
/// How many clients each has, at least.
const CLIENTS: usize = 8;
/// How many processes end.
const ENDS: usize = 8;

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
        told!("{how}: {RECORDS} records written and read");
    }
}

/// What is said by a sink, one that has no topic of its own, and a source, none of which is let in. Brokers have 30 s to
/// answer; that they won't is known long before.
fn refused(cluster: &Cluster, name: &str) -> [String; 3] {
    let lines = || Pipeline::source(List::new(["a".to_owned()]));
    let sink = Topic::new(cluster.clone(), name);
    let by_record = sink.clone().topic_by(|_| "anywhere".into());
    let source = Topics::new(cluster.clone(), [name], unique("group"));
    let pipelines = [lines().sink(sink), lines().sink(by_record), Pipeline::source(source).sink(Null::<Bytes>::new())];
    pipelines.map(|pipeline| {
        let began = Instant::now();
        let error = run(pipeline).expect_err("it is not let in");
        assert!(began.elapsed() < Duration::from_secs(20), "it was waited for what can't come: {error}");
        match &error {
            millstream::Error::Run(error) => error.chain(),
            error => error.to_string(),
        }
    })
}

#[test]
fn who_is_not_let_in_is_told_so_at_once_and_no_secret_with_it() {
    let Some(kafka) = Kafka::shared() else { return };
    let name = topic(kafka, "secure");
    let cluster = sasl(kafka, "PLAIN", "wr0ng");
    assert!(!format!("{:?}", Topic::new(cluster.clone(), &name)).contains("wr0ng"));
    for text in refused(&cluster, &name) {
        told!("not let in: {text}");
        assert!(text.contains("uthentication") && !text.contains("wr0ng"), "{text}");
    }
    // Nobody has told it whom to trust.
    for text in refused(&Cluster::new(kafka.tls_brokers()).property("security.protocol", "SSL"), &name) {
        told!("not trusted: {text}");
        assert!(text.contains("certificate verify failed"), "{text}");
    }
}

#[test]
fn who_may_not_write_is_told_so() {
    let Some(kafka) = Kafka::shared() else { return };
    let [forbidden, allowed] = ["forbidden", "allowed"].map(|name| topic(kafka, name));
    kafka.forbid_writing(USER, &forbidden);
    let positions = unique("positions");
    kafka.add_topic(&positions, 1, &[("cleanup.policy", "compact")]);
    kafka.forbid_writing(USER, &positions);
    let sink = |topic: &str| Topic::new(sasl(kafka, "PLAIN", PASSWORD), topic);
    let by_record = || {
        sink(&allowed).topic_by({
            let allowed = allowed.clone();
            move |_| allowed.clone()
        })
    };
    let cases = [
        ("a topic", sink(&forbidden)),
        ("a topic, in transactions", sink(&forbidden).exactly_once()),
        ("positions", sink(&allowed).exactly_once().positions_topic(&positions)),
        ("positions beside topics by record", by_record().exactly_once().positions_topic(&positions)),
    ];
    for (what, sink) in cases {
        let state = tempfile::tempdir().expect("there is room");
        let source = List::new(["a".to_owned()]);
        let pipeline = Pipeline::source(source).sink(sink).store(Embedded::at(state.path()));
        let text = run(pipeline).expect_err("it is forbidden").to_string();
        told!("{what}: {text}");
        assert!(text.contains("give this user the right to it"), "{what}: {text}");
    }
}

#[test]
fn a_process_that_ends_while_its_clients_are_busy_ends_well() {
    let Some(kafka) = Kafka::shared() else { return };
    let mut busy = of_its_own("kafka::tls::ends_while_its_clients_are_busy");
    busy.env(BROKERS, kafka.tls_brokers());
    let ends = [(); ENDS].map(|()| busy.spawn().expect("this test can be started again"));
    let mut ended = Vec::new();
    for mut process in ends {
        until("it to end", || {
            process.try_wait().expect("it is our child").is_some_and(|status| {
                ended.push(status);
                true
            })
        });
    }
    let badly: Vec<_> = ended.iter().filter(|status| status.code() != Some(ENDED)).collect();
    assert!(badly.is_empty(), "{} of {ENDS} processes: {badly:?}", badly.len());
    told!("{ENDS} processes ended while {CLIENTS} clients of each were trying to speak TLS");
}

#[test]
#[ignore = "it is the process that another test waits for"]
fn ends_while_its_clients_are_busy() {
    let Ok(brokers) = std::env::var(BROKERS) else { return };
    let cluster = Cluster::new(brokers)
        .property("security.protocol", "SSL")
        .property("reconnect.backoff.ms", "20")
        .property("reconnect.backoff.max.ms", "20");
    let (tell, told) = std::sync::mpsc::channel();
    for number in 0..CLIENTS {
        let (tell, source) = (tell.clone(), Topics::new(cluster.clone(), ["any"], format!("group-{number}")));
        // They end with the process; what they leave behind each time is busy in the background.
        std::thread::spawn(move || {
            while tell.send(run(Pipeline::source(source.clone()).sink(Null::<Bytes>::new()))).is_ok() {}
        });
    }
    // The second of each come at different times.
    for ended in told.iter().take(2 * CLIENTS) {
        let Err(millstream::Error::Run(error)) = ended else { panic!("nobody told it whom to trust: {ended:?}") };
        assert!(error.chain().contains("certificate verify failed"), "{}", error.chain());
    }
    std::process::exit(ENDED);
}
