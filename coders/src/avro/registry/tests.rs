//! A registry in miniature: what is asked of it how often, what is made of its answers, and what waits for it.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use millstream_core::contracts::{Coder, Format as _, Halt};
use millstream_core::data::{Bytes, Column as _, Packed, Recycled};

use super::{Registry, Subject};
use crate::avro::{Schema, Value, types, values};

const ORDER: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}"#;

/// Answers by what was asked: the request line's method and path, and the body.
type Answers = dyn Fn(&str, &str) -> (u16, String) + Send + Sync;

/// What was asked, and what it said of who asked.
type Requests = Mutex<Vec<(String, Option<String>)>>;

/// A server on loopback.
struct Server {
    port: u16,
    calls: Arc<AtomicUsize>,
    asked: Arc<Requests>,
}

impl Server {
    fn with(answers: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        Self::on(listener, answers)
    }

    fn on(listener: TcpListener, answers: impl Fn(&str, &str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let (port, calls, asked) = (listener.local_addr().unwrap().port(), Arc::default(), Arc::default());
        let server = Self { port, calls: Arc::clone(&calls), asked: Arc::clone(&asked) };
        let answers: Arc<Answers> = Arc::new(answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, calls, asked) = (answers.clone(), calls.clone(), asked.clone());
                std::thread::spawn(move || serve(stream, &*answers, &calls, &asked));
            }
        });
        server
    }

    fn registry(&self) -> Registry {
        let quick = Duration::from_millis(5);
        Registry::at(format!("http://127.0.0.1:{}", self.port)).again(quick, quick * 4)
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

fn serve(stream: TcpStream, answers: &Answers, calls: &AtomicUsize, asked: &Requests) {
    let mut from = BufReader::new(stream.try_clone().unwrap());
    let mut to = stream;
    loop {
        let (mut line, mut length, mut authorization) = (String::new(), 0, None);
        if from.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut header = String::new();
            from.read_line(&mut header).unwrap();
            let header = header.trim_end();
            match header.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    authorization = Some(value.to_owned());
                }
                _ => {}
            }
            if header.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body).unwrap();
        let request = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        calls.fetch_add(1, SeqCst);
        let (status, answer) = answers(&request, &String::from_utf8(body).unwrap());
        asked.lock().unwrap().push((request, authorization));
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if to.write_all((head + &answer).as_bytes()).is_err() {
            return;
        }
    }
}

fn schema_answer(text: &str) -> String {
    serde_json::json!({ "schema": text }).to_string()
}

/// What a coder of bytes makes of these records, by one worker.
fn decode(coder: &Coder, records: &[&[u8]], halt: Option<Halt>) -> Vec<Result<String, String>> {
    let mut column = Packed::<Bytes>::default();
    records.iter().for_each(|record| column.append_bytes(record));
    column.freeze();
    let (mut made, mut faults) = (Recycled::<Value>::default(), Vec::new());
    let mut code = (coder.make)();
    if let Some(halt) = halt {
        code.halt_by(&halt);
    }
    code.code(&column, &mut made, &mut faults);
    let mut next = 0;
    (0..records.len())
        .map(|row| match faults.iter().find(|(fault, _)| *fault as usize == row) {
            Some((_, error)) => Err(error.to_string()),
            None => {
                next += 1;
                Ok(made.with(next - 1, |value: &Value| value.to_json().unwrap()))
            }
        })
        .collect()
}

fn encode(coder: &Coder, value: Value) -> Result<Vec<u8>, String> {
    let (mut column, mut made, mut faults) = (Recycled::default(), Packed::<Bytes>::default(), Vec::new());
    column.push(value);
    (coder.make)().code(&column, &mut made, &mut faults);
    match faults.pop() {
        Some((_, error)) => Err(error.to_string()),
        None => Ok(made.get(0).to_vec()),
    }
}

fn order(id: i64) -> Value {
    let schema: Schema = ORDER.parse().unwrap();
    Value::new(&schema, types::Value::Record(vec![("id".to_owned(), types::Value::Long(id))])).unwrap()
}

#[test]
fn a_schema_is_fetched_once_for_all_who_wait() {
    let server = Server::with(|_, _| {
        std::thread::sleep(Duration::from_millis(100));
        (200, schema_answer(ORDER))
    });
    let coder = values().registered(&server.registry().reading()).decoder().unwrap();
    assert!(coder.waits);
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let coder = coder.clone();
            std::thread::spawn(move || decode(&coder, &[&[0, 0, 0, 0, 7, 2], &[0, 0, 0, 0, 7, 4]], None))
        })
        .collect();
    for worker in workers {
        let wanted = [r#"{"id":1}"#, r#"{"id":2}"#].map(|json| Ok(json.to_owned()));
        assert_eq!(worker.join().unwrap(), wanted);
    }
    assert_eq!(server.calls(), 1);
    assert_eq!(server.asked.lock().unwrap()[0].0, "GET /schemas/ids/7?deleted=true");
}

#[test]
fn what_takes_longer_than_patience_lasts_is_asked_again() {
    let tries = AtomicUsize::new(0);
    let server = Server::with(move |_, _| {
        if tries.fetch_add(1, SeqCst) > 0 {
            return (200, schema_answer(ORDER));
        }
        // Who waits for this is refused.
        std::thread::sleep(Duration::from_secs(2));
        (404, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned())
    });
    let registry = server.registry().patience(Duration::from_millis(50));
    let coder = values().registered(&registry.reading()).decoder().unwrap();
    assert_eq!(decode(&coder, &[&[0, 0, 0, 0, 7, 2]], None), [Ok(r#"{"id":1}"#.to_owned())]);
    assert!(server.calls() > 1);
}

#[test]
fn what_is_refused_is_remembered_for_a_while() {
    let server = Server::with(|_, _| (404, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned()));
    let registry = server.registry().remembering_refusals(Duration::from_millis(300));
    let coder = values().registered(&registry.reading()).decoder().unwrap();
    for _ in 0..3 {
        let error = decode(&coder, &[&[0, 0, 0, 0, 7, 2]], None).remove(0).unwrap_err();
        assert!(error.contains("the schema of id 7 can't be had"), "{error}");
        assert!(error.contains("Schema not found (status 404, code 40403)"), "{error}");
    }
    assert_eq!(server.calls(), 1);
    std::thread::sleep(Duration::from_millis(350));
    assert!(decode(&coder, &[&[0, 0, 0, 0, 7, 2]], None)[0].is_err());
    assert_eq!(server.calls(), 2);
}

#[test]
fn a_refusal_that_is_not_remembered_is_one_all_the_same() {
    let server = Server::with(|_, _| (404, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned()));
    let registry = server.registry().remembering_refusals(Duration::ZERO);
    let coder = values().registered(&registry.reading()).decoder().unwrap();
    for calls in 1..3 {
        assert!(decode(&coder, &[&[0, 0, 0, 0, 7, 2]], None)[0].is_err());
        assert_eq!(server.calls(), calls);
    }
}

#[test]
fn records_wait_while_the_registry_has_trouble_or_is_not_there() {
    let tries = Arc::new(AtomicUsize::new(0));
    let server = Server::with(move |_, _| match tries.fetch_add(1, SeqCst) {
        0 => (503, r#"{"error_code":50003,"message":"no leader"}"#.to_owned()),
        1 => (500, "not even JSON".to_owned()),
        2 => (429, String::new()),
        3 => (401, r#"{"error_code":40101,"message":"who are you"}"#.to_owned()),
        4 => (403, String::new()),
        _ => (200, schema_answer(ORDER)),
    });
    let coder = values().registered(&server.registry().reading()).decoder().unwrap();
    assert_eq!(decode(&coder, &[&[0, 0, 0, 0, 1, 2]], None)[0], Ok(r#"{"id":1}"#.to_owned()));
    assert_eq!(server.calls(), 6);

    // Nobody listens there until a while has passed.
    let held = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = held.local_addr().unwrap().port();
    drop(held);
    let registry =
        Registry::at(format!("http://127.0.0.1:{port}")).again(Duration::from_millis(5), Duration::from_millis(20));
    let coder = values().registered(&registry.reading()).decoder().unwrap();
    let waiting = std::thread::spawn(move || decode(&coder, &[&[0, 0, 0, 0, 1, 2]], None));
    std::thread::sleep(Duration::from_millis(200));
    assert!(!waiting.is_finished());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    let _server = Server::on(listener, |_, _| (200, schema_answer(ORDER)));
    assert_eq!(waiting.join().unwrap()[0], Ok(r#"{"id":1}"#.to_owned()));
}

#[test]
fn records_wait_while_something_else_answers_in_the_registrys_place() {
    let tries = Arc::new(AtomicUsize::new(0));
    let server = Server::with(move |_, _| match tries.fetch_add(1, SeqCst) {
        0 => (302, String::new()),
        1 => (404, "<html>default backend</html>".to_owned()),
        2 => (404, r#"{"message":"no such route"}"#.to_owned()),
        3 => (422, r#"{"error_code":0,"message":""}"#.to_owned()),
        4 => (200, "<html>back in an hour</html>".to_owned()),
        5 => (200, r#"{"status":"up"}"#.to_owned()),
        _ => (200, schema_answer(ORDER)),
    });
    let coder = values().registered(&server.registry().reading()).decoder().unwrap();
    assert_eq!(decode(&coder, &[&[0, 0, 0, 0, 1, 2]], None)[0], Ok(r#"{"id":1}"#.to_owned()));
    assert_eq!(server.calls(), 7);

    // The next URL is asked at once.
    let proxy = Server::with(|_, _| (404, "<html>default backend</html>".to_owned()));
    let registry = proxy.registry().or_at(format!("http://127.0.0.1:{}", server.port));
    let coder = values().registered(&registry.reading()).decoder().unwrap();
    assert_eq!(decode(&coder, &[&[0, 0, 0, 0, 1, 2]], None)[0], Ok(r#"{"id":1}"#.to_owned()));
    assert_eq!((proxy.calls(), server.calls()), (1, 8));
}

#[test]
fn whoever_waits_gives_up_when_the_run_breaks_off() {
    let registry = Registry::at("http://127.0.0.1:9").again(Duration::from_millis(5), Duration::from_millis(20));
    let coder = values().registered(&registry.reading()).decoder().unwrap();
    let begun = Instant::now();
    let halt = Halt::when(move || begun.elapsed() > Duration::from_millis(100));
    let error = decode(&coder, &[&[0, 0, 0, 0, 1, 2]], Some(halt)).remove(0).unwrap_err();
    assert!(error.contains("time to give up"), "{error}");
}

#[test]
fn the_next_url_is_asked_and_whoever_asks_says_who_it_is_and_nobody_shows_it() {
    let server = Server::with(|_, _| (200, schema_answer(ORDER)));
    let registry = Registry::at("http://127.0.0.1:9")
        .or_at(format!("http://127.0.0.1:{}/", server.port))
        .basic_auth("us@er", "p:w");
    let coder = values().registered(&registry.reading()).decoder().unwrap();
    assert!(decode(&coder, &[&[0, 0, 0, 0, 1, 2]], None)[0].is_ok());
    // us@er:p:w
    assert_eq!(server.asked.lock().unwrap()[0].1.as_deref(), Some("Basic dXNAZXI6cDp3"));
    let shown = format!("{registry:?} {:?}", registry.reading());
    assert!(!shown.contains("p:w") && !shown.contains("us@er") && shown.contains("127.0.0.1:9"), "{shown}");
}

#[test]
fn records_that_are_none_and_schemas_that_are_none_are_errors() {
    let server = Server::with(|request, _| match request {
        "GET /schemas/ids/1?deleted=true" => (200, schema_answer("{")),
        _ => (200, serde_json::json!({"schema": "syntax", "schemaType": "PROTOBUF"}).to_string()),
    });
    let coder = values().registered(&server.registry().reading()).decoder().unwrap();
    let errors = decode(&coder, &[b"", b"{}", &[0, 0, 0, 0], &[0, 0, 0, 0, 1], &[0, 0, 0, 0, 2]], None);
    let wanted = ["found []", "found [7b, 7d]", "found [00, 00, 00, 00]", "can't be used", "found one of PROTOBUF"];
    for (error, wanted) in errors.iter().zip(wanted) {
        let error = error.as_ref().unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn schemas_that_refer_to_others_are_put_together() {
    let server = Server::with(|request, _| {
        let reference = |name: &str, subject: &str| serde_json::json!({"name": name, "subject": subject, "version": 1});
        let answer = match request {
            "GET /schemas/ids/1?deleted=true" => serde_json::json!({
                "schema": r#"{"type":"record","name":"shop.Order","fields":[{"name":"line","type":"shop.Line"},{"name":"again","type":"shop.Line"}]}"#,
                "references": [reference("shop.Line", "line")],
            }),
            "GET /subjects/line/versions/1" => serde_json::json!({
                "id": 2, "version": 1, "subject": "line",
                "schema": r#"{"type":"record","name":"shop.Line","fields":[{"name":"sku","type":"shop.Sku"}]}"#,
                "references": [reference("shop.Sku", "sku")],
            }),
            "GET /subjects/sku/versions/1" => serde_json::json!({
                "id": 3, "version": 1, "subject": "sku",
                "schema": r#"{"type":"enum","name":"shop.Sku","symbols":["A","B"]}"#,
            }),
            other => panic!("{other}"),
        };
        (200, answer.to_string())
    });
    let coder = values().registered(&server.registry().reading()).decoder().unwrap();
    let read = decode(&coder, &[&[0, 0, 0, 0, 1, 2, 0]], None);
    assert_eq!(read[0], Ok(r#"{"line":{"sku":"B"},"again":{"sku":"A"}}"#.to_owned()));
    assert_eq!(server.calls(), 3);
}

#[test]
fn a_schema_is_looked_up_or_registered_under_its_subject() {
    let server = Server::with(|request, body| {
        let sent: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
        assert!(body.is_empty() || sent["schema"].as_str().unwrap().contains("Order"));
        match request {
            "POST /subjects/orders-value?deleted=false" => {
                (200, r#"{"subject":"orders-value","version":1,"id":5}"#.to_owned())
            }
            "POST /subjects/Order/versions" => (200, r#"{"id":6}"#.to_owned()),
            "POST /subjects/orders-Order/versions" => (200, r#"{"id":7}"#.to_owned()),
            "GET /subjects/mine/versions/latest" => {
                let answer = serde_json::json!({"subject": "mine", "version": 3, "id": 8, "schema": ORDER});
                (200, answer.to_string())
            }
            other => panic!("{other}"),
        }
    });
    let (registry, order_schema) = (server.registry(), ORDER.parse().unwrap());
    let all = [
        (registry.writing(Subject::value_of("orders"), &order_schema), 5),
        (registry.writing(Subject::Record, &order_schema).registering(), 6),
        (registry.writing_own(Subject::TopicRecord("orders".to_owned())).registering(), 7),
        (registry.writing_latest(Subject::Named("mine".to_owned())), 8),
    ];
    for (written, id) in all {
        let coder = values().registered(&written).encoder().unwrap();
        for _ in 0..2 {
            assert_eq!(encode(&coder, order(1)).unwrap(), [0, 0, 0, 0, id, 2]);
        }
    }
    assert_eq!(server.calls(), 4);
    assert!(values().registered(&registry.reading()).encoder().is_none());
    assert_eq!(registry.schema("mine", None).unwrap(), order_schema);
}

#[test]
fn a_schema_that_is_refused_is_shown_beside_the_one_that_is_there() {
    let server = Server::with(|request, _| match request.split(' ').next().unwrap() {
        "GET" => {
            let latest = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"string"}]}"#;
            (200, serde_json::json!({"subject": "orders-value", "version": 3, "id": 8, "schema": latest}).to_string())
        }
        _ if request.contains("versions") => (409, r#"{"error_code":409,"message":"incompatible"}"#.to_owned()),
        _ => (404, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned()),
    });
    let written = server.registry().writing(Subject::value_of("orders"), &ORDER.parse().unwrap());
    let both = [
        (written.clone(), "(the record Order) is not registered under", "have it registered by `registering`"),
        (written.registering(), "(the record Order) can't be registered under", "change the subject's compatibility"),
    ];
    for (written, what, mend) in both {
        let coder = values().registered(&written).encoder().unwrap();
        let error = encode(&coder, order(1)).unwrap_err();
        for part in [what, mend, "orders-value", "(version 3)", "`id`: written as string, which can't be read as long"]
        {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn no_more_answers_are_remembered_than_are_declared() {
    let counts: Arc<Mutex<HashMap<String, u32>>> = Arc::default();
    let counted = counts.clone();
    let server = Server::with(move |request, _| {
        *counted.lock().unwrap().entry(request.to_owned()).or_default() += 1;
        (200, schema_answer(ORDER))
    });
    let coder = values().registered(&server.registry().remembering(3).reading()).decoder().unwrap();
    for id in [1, 2, 3, 4, 4, 3, 1] {
        assert!(decode(&coder, &[&[0, 0, 0, 0, id, 2]], None)[0].is_ok());
    }
    let counts = counts.lock().unwrap();
    let asked: Vec<_> = (1..=4).map(|id| counts[&format!("GET /schemas/ids/{id}?deleted=true")]).collect();
    assert_eq!(asked, [2, 1, 1, 1]);
}

#[test]
fn schemas_that_all_refer_to_each_other_cost_a_call_each_and_there_are_not_too_many() {
    let refers = |to: Vec<u32>| {
        let reference = |n: u32| serde_json::json!({"name": format!("N{n}"), "subject": format!("s{n}"), "version": 1});
        let references: Vec<_> = to.into_iter().map(reference).collect();
        serde_json::json!({"id": 9, "version": 1, "schema": ORDER, "references": references}).to_string()
    };
    let server = Server::with(move |request, _| match request {
        "GET /schemas/ids/1?deleted=true" => (200, refers((0..10).collect())),
        "GET /schemas/ids/2?deleted=true" => (200, refers((0..257).collect())),
        "GET /schemas/ids/3?deleted=true" => (200, refers((100..300).collect())),
        _ => {
            let n: u32 = request.trim_start_matches("GET /subjects/s").split('/').next().unwrap().parse().unwrap();
            (
                200,
                refers(match n {
                    0..100 => (0..10).collect(),
                    100..1_000 => vec![n + 1_000],
                    _ => Vec::new(),
                }),
            )
        }
    });
    let coder = values().registered(&server.registry().reading()).decoder().unwrap();
    let mut calls = Vec::new();
    for (id, wanted) in [(1, None), (2, Some("refers to 257 others")), (3, Some("more than 256"))] {
        let before = server.calls();
        let read = decode(&coder, &[&[0, 0, 0, 0, id, 2]], None).remove(0);
        if let Some(wanted) = wanted {
            assert!(read.as_ref().unwrap_err().contains(wanted), "{read:?}");
        }
        calls.push(server.calls() - before);
    }
    assert_eq!(calls, [11, 1, 257]);
}

#[test]
fn schemas_that_refer_to_each_other_are_bounded_together() {
    let part = |n: u32| {
        let doc = "x".repeat(1 << 20);
        format!(r#"{{"type":"enum","name":"N{n}","symbols":["A"],"doc":"{doc}"}}"#)
    };
    let server = Server::with(move |request, _| {
        if request.starts_with("GET /schemas") {
            let many = if request.contains("/1?") { 3 } else { 10 };
            let reference = |n| serde_json::json!({"name": format!("N{n}"), "subject": format!("s{n}"), "version": 1});
            let references: Vec<_> = (0..many).map(reference).collect();
            return (200, serde_json::json!({ "schema": ORDER, "references": references }).to_string());
        }
        let n: u32 = request.trim_start_matches("GET /subjects/s").split('/').next().unwrap().parse().unwrap();
        (200, serde_json::json!({ "schema": part(n) }).to_string())
    });
    let coder = values().registered(&server.registry().reading()).decoder().unwrap();
    assert_eq!(decode(&coder, &[&[0, 0, 0, 0, 1, 2]], None)[0], Ok(r#"{"id":1}"#.to_owned()));
    let error = decode(&coder, &[&[0, 0, 0, 0, 2, 2]], None).remove(0).unwrap_err();
    assert!(error.contains("subject s3") && error.contains("more than 4194304 bytes together"), "{error}");
    // The others are not asked for.
    assert_eq!(server.calls(), 4 + 5);
    let parts: Vec<_> = (0..4).map(part).collect();
    let parts: Vec<_> = parts.iter().map(String::as_str).collect();
    assert!(Schema::parse_with(ORDER, &parts[..3]).is_ok());
    assert!(Schema::parse_with(ORDER, &parts).is_err());
}

#[test]
fn a_url_that_may_hold_a_secret_is_refused_and_not_repeated() {
    let urls = [
        ("https://user:sEc/rEt@host", "an `@`"),
        ("user:sEc://rEt@host", "an `@`"),
        ("https://host/?apikey=sEcrEt", "a query"),
        ("https://host/#sEcrEt", "a query or a fragment"),
        ("sEcrEt://host", "another scheme"),
    ];
    for (url, wanted) in urls {
        let registry = Registry::at("http://127.0.0.1:9").or_at(url);
        let wrong = registry.check().unwrap_err().chain();
        assert!(wrong.contains(wanted), "{wrong}");
        assert_eq!(registry.schema("orders", None).unwrap_err().chain(), wrong);
        // The record waits until it is time to give up.
        let coder = values().registered(&registry.reading()).decoder().unwrap();
        let begun = Instant::now();
        let halt = Halt::when(move || begun.elapsed() > Duration::from_millis(50));
        let error = decode(&coder, &[&[0, 0, 0, 0, 1, 2]], Some(halt)).remove(0).unwrap_err();
        assert!(begun.elapsed() > Duration::from_millis(50));
        let shown = format!("{wrong} {error} {registry:?} {:?}", registry.reading());
        assert!(!shown.contains("sEc") && !shown.contains("rEt"), "{shown}");
    }
    Registry::at("https://host:8081/path/").or_at("host:8081").check().unwrap();
}

#[test]
fn an_answer_is_read_up_to_a_bound() {
    let server = Server::with(|request, _| match request {
        "GET /schemas/ids/1?deleted=true" => (200, schema_answer(&format!("{ORDER}{}", " ".repeat(17 << 20)))),
        _ => (404, serde_json::json!({ "error_code": 40403, "message": "ü".repeat(1 << 20) }).to_string()),
    });
    let coder = values().registered(&server.registry().reading()).decoder().unwrap();
    let errors = decode(&coder, &[&[0, 0, 0, 0, 1, 2], &[0, 0, 0, 0, 2, 2]], None);
    let wanted = ["its answer has more than 16777216 bytes", "ü (status 404, code 40403)"];
    for (error, wanted) in errors.into_iter().zip(wanted) {
        let error = error.unwrap_err();
        assert!(error.contains(wanted) && error.len() < 5_000, "{error}");
    }
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_again() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = std::thread::spawn(move || {
        let body = schema_answer(ORDER);
        for end in [0, 9, body.len()] {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 4_096]).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + &body[..end]).as_bytes()).unwrap();
        }
    });
    let registry =
        Registry::at(format!("http://127.0.0.1:{port}")).again(Duration::from_millis(5), Duration::from_millis(20));
    let coder = values().registered(&registry.reading()).decoder().unwrap();
    assert_eq!(decode(&coder, &[&[0, 0, 0, 0, 1, 2]], None)[0], Ok(r#"{"id":1}"#.to_owned()));
    serving.join().unwrap();
}

#[test]
fn what_one_url_has_refused_the_next_is_not_asked() {
    let first = Server::with(|_, _| (404, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned()));
    let second = Server::with(|_, _| (200, schema_answer(ORDER)));
    // Nor is it waited for one that is dead.
    for next in [format!("http://127.0.0.1:{}", second.port), "http://127.0.0.1:9".to_owned()] {
        let coder = values().registered(&first.registry().or_at(next).reading()).decoder().unwrap();
        let error = decode(&coder, &[&[0, 0, 0, 0, 1, 2]], None).remove(0).unwrap_err();
        assert!(error.contains("Schema not found"), "{error}");
    }
    assert_eq!((first.calls(), second.calls()), (2, 0));
}

#[test]
fn a_subject_is_one_part_of_a_path() {
    let server = Server::with(|request, _| {
        assert_eq!(request, "GET /subjects/a%2Fb%3F%23%25%20%C3%A4..-value/versions/latest");
        let answer = serde_json::json!({"subject": "", "version": 3, "id": 8, "schema": ORDER});
        (200, answer.to_string())
    });
    assert!(server.registry().schema("a/b?#% ä..-value", None).is_ok());
    assert_eq!(server.calls(), 1);
}
