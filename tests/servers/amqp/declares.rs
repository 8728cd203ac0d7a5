//! Queues, exchanges and bindings: made where a pipeline says so, and else looked for.

use bytes::Bytes;
use millstream::amqp::{DeclaredQueue, Exchange, Kind, Message, Queue};
use millstream::prelude::*;

use super::client::{Client, unique};
use super::policies::run;
use crate::support::rabbitmq::RabbitMq;

fn lines(count: u64) -> List<String> {
    List::new((0..count).map(|number| number.to_string()).collect::<Vec<_>>())
}

fn exchange(broker: &RabbitMq, name: &str) -> Option<serde_json::Value> {
    let answer = broker.http().ask("GET", &format!("/api/exchanges/%2F/{name}"), None).expect("the broker answers");
    (answer.status == 200).then(|| serde_json::from_str(&answer.body).expect("JSON"))
}

#[test]
fn what_is_declared_is_there() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (queue, events, more) = (unique("declared"), unique("events"), unique("more"));
    let declared = DeclaredQueue::quorum().single_active_consumer().argument("x-expires", 600_000);
    let declared = declared.exchange(&events, Kind::Topic).bind(&events, "order.*").bind(&events, "#.urgent");
    // It is read before there is anything in it: what it declares is what the writer needs.
    let out = Collect::<String>::new();
    let seen = out.collected();
    let source = Queue::new(broker.url(), &queue).declare(declared.clone());
    let reads = Pipeline::source(source).limit(20).sink(out);
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| run(reads));
        super::flow::until("the queue to be declared", || {
            let bindings = broker.http().ask("GET", &format!("/api/queues/%2F/{queue}/bindings"), None);
            bindings.is_ok_and(|answer| answer.body.contains("#.urgent"))
        });
        let keys = ["order.new", "invoice.urgent", "invoice.new"];
        let key = move |body: &Bytes| keys[usize::from(body[body.len() - 1] - b'0') % 3].to_owned();
        let sink = Exchange::new(broker.url(), &events).routing_key_by(key).unroutable_is_fine();
        run(Pipeline::source(lines(30)).sink(sink)).expect("it is published");
        reading.join().expect("it runs").expect("it is read");
    });
    let taken = |text: &&String| !matches!(text.as_bytes()[text.len() - 1] - b'0', 2 | 5 | 8);
    let expected: Vec<_> = (0..30).map(|number| number.to_string()).collect();
    assert_eq!(seen.values(), expected.iter().filter(taken).take(20).cloned().collect::<Vec<_>>());
    let about = broker.queue(&queue).expect("it was declared");
    assert_eq!((&about["type"], &about["durable"]), (&"quorum".into(), &true.into()));
    assert_eq!(about["arguments"]["x-single-active-consumer"], true);
    let about = exchange(broker, &events).expect("it was declared");
    assert_eq!((&about["type"], &about["durable"]), (&"topic".into(), &true.into()));
    // What is there is no mistake, and a sink declares too.
    let sink = || Exchange::new(broker.url(), &more).declare(Kind::Fanout).unroutable_is_fine();
    for _ in 0..2 {
        run(Pipeline::source(lines(1)).sink(sink())).expect("it is published");
    }
    assert_eq!(exchange(broker, &more).expect("it was declared")["type"], "fanout");
    let other = DeclaredQueue::classic();
    let error = run(Pipeline::source(Queue::new(broker.url(), &queue).declare(other)).sink(Null::<Bytes>::new()));
    let error = error.expect_err("it is another one").to_string();
    assert!(error.contains("can't be declared; declare it as it is"), "{error}");
    told!("declared: 1 queue, 2 exchanges, 2 bindings; 30 records, 20 of them read");
}

#[test]
fn a_queue_is_bound_by_headers() {
    let Some(broker) = RabbitMq::shared() else { return };
    let (queue, events) = (unique("declared"), unique("events"));
    let declared = DeclaredQueue::classic().argument("x-expires", 600_000).exchange(&events, Kind::Headers);
    let declared = declared
        .bind_headers(&events, [("type", "order"), ("country", "DE")])
        .bind_headers(&events, [("x-match", "any"), ("urgent", "yes")]);
    let client = Client::new(&broker.url());
    client.declare(&declared, &queue);
    let message = |body: &str, headers: &[(&str, &str)]| {
        let mut message = Message::new(body.to_owned());
        let headers = headers.iter().map(|&(name, value)| (name.to_owned(), value.into()));
        message.properties.headers = headers.collect();
        message
    };
    let messages = [
        message("both", &[("type", "order"), ("country", "DE")]),
        message("one", &[("type", "order"), ("country", "FR")]),
        message("urgent", &[("urgent", "yes")]),
        message("none", &[]),
    ];
    let sink = Exchange::new(broker.url(), &events).messages().unroutable_is_fine();
    run(Pipeline::source(List::new(messages)).sink(sink)).expect("it is published");
    assert_eq!(client.look(&queue), [b"both".to_vec(), b"urgent".to_vec()]);
    told!("declared: 2 bindings by headers, which 2 of 4 messages match");
}

#[test]
fn what_is_not_declared_has_to_be_there() {
    let Some(broker) = RabbitMq::shared() else { return };
    let nowhere = unique("nowhere");
    let reads = Pipeline::source(Queue::new(broker.url(), &nowhere)).sink(Null::<Bytes>::new());
    let error = run(reads).expect_err("there is no such queue").to_string();
    assert!(error.contains(&format!("there is no queue {nowhere}")), "{error}");
    let writes = Pipeline::source(lines(1)).sink(Exchange::new(broker.url(), &nowhere));
    let error = run(writes).expect_err("there is no such exchange").to_string();
    assert!(error.contains(&format!("there is no exchange {nowhere}")), "{error}");
    assert!(broker.queue(&nowhere).is_none() && exchange(broker, &nowhere).is_none(), "nothing was made");
}

/// To the exchange and by the key that each record says; the exchange that one of them says isn't there.
#[test]
fn records_say_where_they_go() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    let (names, missing) = ([unique("even"), unique("odd")], unique("missing"));
    for name in &names {
        let declared = DeclaredQueue::classic().exchange(name, Kind::Direct).argument("x-expires", 600_000);
        client.declare(&declared.bind(name, "0").bind(name, "1"), name);
    }
    let number = |body: &Bytes| std::str::from_utf8(body).ok().and_then(|text| text.parse::<usize>().ok());
    let (to, stray) = (names.clone(), missing.clone());
    let exchange_by = move |body: &Bytes| match number(body) {
        Some(77) | None => stray.clone(),
        Some(number) => to[number % 2].clone(),
    };
    let key_by = move |body: &Bytes| (number(body).unwrap_or_default() / 10 % 3).to_string();
    let sink = Exchange::new(broker.url(), &names[0]).exchange_by(exchange_by).routing_key_by(key_by);
    let summary =
        run(Pipeline::source(lines(200)).sink(sink).on_any_error(OnError::Skip)).expect("strays are left out");
    let goes = |number: &u64| *number != 77 && number / 10 % 3 < 2;
    let mut repeats = 0;
    for (odd, name) in names.iter().enumerate() {
        let text = |body: Vec<u8>| String::from_utf8(body).expect("text").parse::<u64>().expect("a number");
        let found: Vec<_> = client.look(name).into_iter().map(text).collect();
        let expected: Vec<_> = (0..200).filter(goes).filter(|number| number % 2 == odd as u64).collect();
        let mut once = found.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once, expected, "{found:?}");
        repeats += found.len() - expected.len();
    }
    // Nobody takes the key 2: these are returned. And of one the exchange isn't there.
    // The channel dies of it once, and what stood in its window comes again once.
    assert!(repeats <= 200, "{repeats} repeats");
    assert_eq!(summary.skipped, (0..200).filter(|number| !goes(number)).count() as u64);
    assert!(exchange(broker, &missing).is_none());
    told!("to exchanges by record: 200 records, {} left out, {repeats} repeats", summary.skipped);
}
