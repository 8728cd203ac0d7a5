//! Avro under Apicurio's registry, which has the Confluent API.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use millstream::Engine as _;
use millstream::prelude::*;
use serde_json::json;

use super::{EVERY, every, everything};
use crate::support::proxy::Proxy;
use crate::support::registry::{Registry, url};

const VALUES: i64 = 2_000;

/// Encodes all values by these registered records; the bytes that came of it.
async fn encoded(written: &avro::Registered) -> Result<Vec<Bytes>, millstream::Error> {
    let (lines, schema) = everything(VALUES);
    let out = Collect::<Bytes>::new();
    let collected = out.collected();
    let pipeline = Pipeline::source(List::new(lines))
        .decode_as(avro::values().json(&schema))
        .encode_as(avro::values().registered(written))
        .sink(out);
    pipeline.run().await.map(|_| collected.values())
}

async fn decoded(records: Vec<Bytes>, read: &avro::Registered) -> Vec<Bytes> {
    let out = Collect::<Bytes>::new();
    let collected = out.collected();
    let pipeline = Pipeline::source(List::new(records))
        .decode_as(avro::values().registered(read))
        .encode_as(avro::values().own_json())
        .sink(out);
    pipeline.run().await.expect("it is read");
    collected.values()
}

/// All that an error says.
fn said(error: &dyn std::error::Error) -> String {
    let below = error.source().map(|below| format!(": {}", said(below)));
    format!("{error}{}", below.unwrap_or_default())
}

fn wanted() -> Vec<Bytes> {
    json_of(everything(VALUES).0)
}

/// The same text however numbers and escapes are written.
pub(super) fn json_of(lines: Vec<Bytes>) -> Vec<Bytes> {
    let same = |line: &Bytes| serde_json::from_slice::<serde_json::Value>(line).expect("JSON").to_string().into();
    lines.iter().map(same).collect()
}

#[tokio::test]
async fn what_is_registered_is_looked_up_and_read() {
    let Some(server) = Registry::shared() else { return };
    let (registry, schema) = (avro::Registry::at(server.url()), EVERY.parse().expect("a schema"));
    let subject = avro::Subject::value_of("avro-round");
    let refused = encoded(&registry.writing(subject.clone(), &schema)).await.expect_err("it isn't registered");
    assert!(said(&refused).contains("is not registered under the subject avro-round-value"), "{}", said(&refused));
    let records = encoded(&registry.writing(subject.clone(), &schema).registering()).await.expect("registered");
    let id = u32::from_be_bytes([records[0][1], records[0][2], records[0][3], records[0][4]]);
    assert_eq!(u64::from(id), server.register("avro-round-value", EVERY), "the same schema has the same id");
    // Another registry knows nothing yet: it looks up what is there.
    let fresh = avro::Registry::at(server.url());
    assert!(encoded(&fresh.writing(subject.clone(), &schema)).await.expect("it is there") == records);
    let by_version = fresh.schema("avro-round-value", Some(1)).expect("version 1");
    assert_eq!(by_version.name(), Some("test.Every"));
    assert!(encoded(&fresh.writing(subject.clone(), &by_version)).await.expect("it is there") == records);
    assert!(encoded(&fresh.writing_latest(subject)).await.expect("it is there") == records);
    assert!(json_of(decoded(records, &fresh.reading()).await) == wanted());
    assert_eq!(fresh.schema("avro-round-value", None).expect("the latest").fingerprint(), schema.fingerprint());
    let missing = fresh.schema("avro-nothing-value", None).expect_err("no such subject");
    assert!(missing.to_string().contains("avro-nothing-value"), "{missing}");
    told!("{VALUES} values written and read under id {id}");
}

#[tokio::test]
async fn subjects_are_named_by_topic_record_or_both() {
    let Some(server) = Registry::shared() else { return };
    let (registry, schema) = (avro::Registry::at(server.url()), EVERY.parse().expect("a schema"));
    let all = [
        (avro::Subject::key_of("avro-names"), "avro-names-key"),
        (avro::Subject::Record, "test.Every"),
        (avro::Subject::TopicRecord("avro-names".to_owned()), "avro-names-test.Every"),
    ];
    for (subject, name) in all {
        encoded(&registry.writing(subject, &schema).registering()).await.expect("registered");
        assert_eq!(server.must("GET", &format!("/subjects/{name}/versions"), None), json!([1]), "{name}");
    }
}

#[tokio::test]
async fn an_incompatible_schema_is_refused_and_shown() {
    let Some(server) = Registry::shared() else { return };
    server.register(
        "avro-strict-value",
        &EVERY.replace(r#""name": "int", "type": "int""#, r#""name": "int", "type": "string""#),
    );
    server.must("PUT", "/config/avro-strict-value", Some(&json!({"compatibility": "BACKWARD"})));
    let registry = avro::Registry::at(server.url());
    let written = registry.writing(avro::Subject::value_of("avro-strict"), &EVERY.parse().expect("a schema"));
    let refused = said(&encoded(&written.registering()).await.expect_err("it is incompatible"));
    for part in ["can't be registered under the subject avro-strict-value", "`int`: written as string"] {
        assert!(refused.contains(part), "{refused}");
    }
    told!("{refused}");
}

#[tokio::test]
async fn schemas_refer_to_each_other() {
    let Some(server) = Registry::shared() else { return };
    let line = r#"{"type":"record","name":"shop.Line","fields":[{"name":"sku","type":"string"}]}"#;
    server.register("avro-line", line);
    let order = r#"{"type":"record","name":"shop.Order","fields":[{"name":"lines","type":{"type":"array","items":"shop.Line"}}]}"#;
    let whole = avro::Schema::parse_with(order, &[line]).expect("a schema");
    let registry = avro::Registry::at(server.url());
    let written = registry.writing(avro::Subject::value_of("avro-orders"), &whole).registering();
    let written = written.referring(order, [("shop.Line", "avro-line", 1)]);
    let text = r#"{"lines":[{"sku":"a"},{"sku":"b"}]}"#;
    let out = Collect::<Bytes>::new();
    let records = out.collected();
    let pipeline = Pipeline::source(List::new(vec![Bytes::from(text)]))
        .decode_as(avro::values().json(&whole))
        .encode_as(avro::values().registered(&written))
        .sink(out);
    pipeline.run().await.expect("registered");
    let held = server.must("GET", "/subjects/avro-orders-value/versions/1", None);
    assert_eq!(held["references"][0]["subject"], "avro-line", "{held}");
    let fresh = avro::Registry::at(server.url());
    assert_eq!(decoded(records.values(), &fresh.reading()).await, [text]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn records_wait_while_the_registry_is_away_for_ten_seconds() {
    let Some(server) = Registry::shared() else { return };
    let proxy = Proxy::to(server.port());
    // Every hundredth record has a schema of its own, that has to be asked for.
    let schemas: Vec<_> = (0..20)
        .map(|number| {
            let text = format!(r#"{{"type":"record","name":"Away{number}","fields":[{{"name":"n","type":"long"}}]}}"#);
            u32::try_from(server.register(&format!("avro-away-{number}"), &text)).expect("32 bits")
        })
        .collect();
    let record = |number: usize| {
        let mut record = vec![0];
        record.extend(schemas[number / 100].to_be_bytes());
        record.push((number % 50 * 2) as u8);
        Bytes::from(record)
    };
    let records: Vec<_> = (0..2_000).map(record).collect();
    let out = Collect::<Bytes>::new();
    let collected = out.collected();
    let pipeline = Pipeline::source(List::new(records))
        .throttle(400, Duration::from_secs(1))
        .decode_as(avro::values().registered(&avro::Registry::at(url(proxy.port())).reading()))
        .encode_as(avro::values().own_json())
        .sink(out);
    let running = pipeline.start(Settings::default()).await.expect("it starts");
    while collected.len() < 250 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (began, refused) = (Instant::now(), proxy.refused());
    proxy.refuse();
    proxy.cut();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let through = collected.len();
    assert!(through < 2_000, "it went on without the registry");
    proxy.resume();
    let away = began.elapsed();
    let summary = running.join().await.expect("it ends well");
    assert_eq!((summary.records_in, summary.records_out, summary.skipped), (2_000, 2_000, 0));
    let wanted: Vec<_> = (0..2_000).map(|number| Bytes::from(format!(r#"{{"n":{}}}"#, number % 50))).collect();
    assert!(collected.values() == wanted, "nothing is lost, nothing twice, in order");
    let tried = proxy.refused() - refused;
    assert!(tried >= 3, "it was asked for {tried} times");
    told!("2000 records, {through} before {away:?} without the registry, which was tried {tried} times");
}

#[tokio::test]
async fn a_drain_ends_within_its_grace_period_while_the_registry_is_away() {
    let registry = avro::Registry::at("http://127.0.0.1:9");
    let out = Collect::<Bytes>::new();
    let pipeline = Pipeline::source(List::new(vec![Bytes::from_static(&[0, 0, 0, 0, 1, 2])]))
        .decode_as(avro::values().registered(&registry.reading()))
        .encode_as(avro::values().own_json())
        .sink(out)
        .on_any_error(OnError::Skip);
    let settings = Settings { grace: Duration::from_secs(1), ..Settings::default() };
    let running = pipeline.start(settings).await.expect("it starts");
    tokio::time::sleep(Duration::from_millis(500)).await;
    running.drain();
    let ended = tokio::time::timeout(Duration::from_secs(30), running.join()).await.expect("it ends");
    assert!(ended.is_err_and(|error| error.message().contains("grace period")), "the record was not skipped");
}

/// Passes on to the registry what comes with this authorization, and refuses all else. Counts both.
pub(super) struct Guard {
    pub(super) port: u16,
    passed: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
}

impl Guard {
    pub(super) fn before(server: u16, authorization: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("it listens").port();
        let guard = Self { port, passed: Arc::default(), refused: Arc::default() };
        let (passed, refused) = (guard.passed.clone(), guard.refused.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                match admitted(&stream, authorization) {
                    Some(head) => {
                        passed.fetch_add(1, SeqCst);
                        pass(stream, server, &head);
                    }
                    None => {
                        refused.fetch_add(1, SeqCst);
                        let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                        let _ = (&stream).write_all(answer);
                    }
                }
            }
        });
        guard
    }

    /// How many requests were passed on.
    pub(super) fn passed(&self) -> u64 {
        self.passed.load(SeqCst)
    }
}

/// The head of a request, if it has this authorization. Nothing is kept open behind it.
fn admitted(stream: &TcpStream, authorization: &str) -> Option<String> {
    let (mut head, mut admitted) = (String::new(), false);
    // A byte at a time: what follows is not ours.
    let mut from = BufReader::with_capacity(1, stream);
    loop {
        let mut line = String::new();
        if from.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            head.push_str("connection: close\r\n\r\n");
            return admitted.then_some(head);
        }
        match line.to_ascii_lowercase().starts_with("authorization: ") {
            true => admitted = line.trim_end().ends_with(authorization),
            false => head.push_str(&line),
        }
    }
}

fn pass(client: TcpStream, server: u16, head: &str) {
    let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, server)) else { return };
    let _ = to.write_all(head.as_bytes());
    let (mut from_client, mut to_server) = (client.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
    std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut to, &mut &client);
        let _ = client.shutdown(Shutdown::Both);
    });
}

#[tokio::test]
async fn who_asks_says_who_it_is() {
    let Some(server) = Registry::shared() else { return };
    let (schema, subject) = (EVERY.parse().expect("a schema"), avro::Subject::value_of("avro-guarded"));
    // orders:secret
    let by_password = Guard::before(server.port(), "Basic b3JkZXJzOnNlY3JldA==");
    let by_token = Guard::before(server.port(), "Bearer secret-token");
    let knows: [fn(avro::Registry) -> avro::Registry; 2] =
        [|registry| registry.basic_auth("orders", "secret"), |registry| registry.token("secret-token")];
    for (guard, knows) in [by_password, by_token].iter().zip(knows) {
        let registry = avro::Registry::at(url(guard.port));
        // Who is not let in waits: no record fails of it.
        waits(&registry.writing(subject.clone(), &schema).registering(), &schema).await;
        let registry = knows(registry);
        encoded(&registry.writing(subject.clone(), &schema).registering()).await.expect("registered");
        assert!(!format!("{registry:?}").contains("secret"));
        let (passed, refused) = (guard.passed(), guard.refused.load(SeqCst));
        assert!(passed >= 1 && refused >= 1);
        told!("{passed} requests were let through, {refused} were not");
    }
}

#[tokio::test]
async fn by_tls_only_whom_is_trusted_is_asked() {
    let Some(server) = Registry::shared() else { return };
    let (subject, schema) = (avro::Subject::value_of("avro-tls"), EVERY.parse().expect("a schema"));
    let registry = avro::Registry::at(server.tls_url());
    let trusting = registry.clone().trusting_file(server.certs().authority()).expect("a certificate");
    let records = encoded(&trusting.writing(subject, &schema).registering()).await.expect("registered");
    assert!(json_of(decoded(records, &trusting.reading()).await) == wanted());
    // Whom nobody vouches for is as good as away: what is not answered is waited for, and a limit says how long.
    let away = registry.again(Duration::from_millis(10), Duration::from_millis(10));
    waits(&away.writing(avro::Subject::value_of("avro-tls"), &schema), &schema).await;
}

/// Checks that a record waits for the registry until it is told to end, and was not written then.
async fn waits(written: &avro::Registered, schema: &avro::Schema) {
    let lines = Pipeline::source(List::new(vec![Bytes::from(every(1))])).decode_as(avro::values().json(schema));
    let out = Collect::<Bytes>::new();
    let collected = out.collected();
    let pipeline = lines.encode_as(avro::values().registered(written)).sink(out);
    let settings = Settings { grace: Duration::from_millis(500), ..Settings::default() };
    let running = pipeline.start(settings).await.expect("it starts");
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.drain();
    assert!(running.join().await.is_err(), "it ended as if all had been written");
    assert!(collected.values().is_empty(), "something was written without the registry");
}

#[tokio::test]
async fn several_urls_are_asked_in_turn() {
    let Some(server) = Registry::shared() else { return };
    let proxy = Proxy::to(server.port());
    let registry = avro::Registry::at(url(proxy.port())).or_at(server.url());
    let (subject, schema) = (avro::Subject::value_of("avro-urls"), EVERY.parse().expect("a schema"));
    let records = encoded(&registry.writing(subject, &schema).registering()).await.expect("registered");
    assert!(proxy.connections() > 0);
    proxy.refuse();
    proxy.cut();
    let refused = proxy.refused();
    let again = avro::Registry::at(url(proxy.port())).or_at(server.url());
    assert!(json_of(decoded(records, &again.reading()).await) == wanted());
    assert!(proxy.refused() > refused, "the first was asked first");
}
