//! Messages that the broker doesn't take meet the stage's policy: returned ones, and such as break the channel. A full
//! queue is no fault of theirs: it fails the run, or is tried again.

use std::time::Duration;

use bytes::Bytes;
use lapin::types::AMQPValue;
use millstream::amqp::{DeclaredQueue, Exchange, Kind, Message, Properties};
use millstream::declare::OnError;
use millstream::prelude::*;

use super::client::{Client, unique};
use super::flow::until;
use crate::support::rabbitmq::RabbitMq;

const RECORDS: u64 = 300;

/// Whether a record has a key that leads nowhere.
fn strays(number: u64) -> bool {
    number % 100 == 50
}

/// All records, to an exchange by the key that they have.
fn publishes(url: &str, exchange: &str, window: usize) -> Pipeline {
    let records = (0..RECORDS).map(|number| Bytes::from(number.to_string())).collect::<Vec<_>>();
    let key = |body: &Bytes| {
        let number = std::str::from_utf8(body).ok().and_then(|text| text.parse().ok());
        (if number.is_some_and(strays) { "nowhere" } else { "good" }).to_owned()
    };
    Pipeline::source(List::new(records)).sink(Exchange::new(url, exchange).routing_key_by(key).confirm_window(window))
}

fn numbers(client: &Client, queue: &str) -> Vec<u64> {
    let text = |body: Vec<u8>| String::from_utf8(body).expect("text").parse().expect("a number");
    client.look(queue).into_iter().map(text).collect()
}

/// An exchange with a queue that gets what has the key `good`.
fn place(client: &Client) -> (String, String) {
    let (queue, exchange) = (unique("policies"), unique("through"));
    let declared = DeclaredQueue::classic().exchange(&exchange, Kind::Direct).bind(&exchange, "good");
    client.declare(&declared.argument("x-expires", 600_000), &queue);
    (queue, exchange)
}

pub(super) fn run(pipeline: Pipeline) -> Result<millstream::runtime::Summary, millstream::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    runtime.block_on(pipeline.run())
}

#[test]
fn a_message_that_is_returned_meets_the_policy() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    let good: Vec<_> = (0..RECORDS).filter(|number| !strays(*number)).collect();
    let bad = RECORDS as usize - good.len();
    for window in [1, 7, 1_024] {
        let publishes = |exchange: &str| publishes(&broker.url(), exchange, window);
        let (queue, exchange) = place(&client);
        let error = run(publishes(&exchange)).expect_err("the first stray ends the run").to_string();
        let why = format!("312 NO_ROUTE, exchange `{exchange}`, routing key `nowhere`");
        assert!(error.contains("AMQP-EXCHANGE") && error.contains(&why), "{error}");
        let found = numbers(&client, &queue);
        assert!(found.starts_with(&good[..50]), "window {window}: {found:?}");
        assert!(window > 1 || found.len() == 50, "window {window}: {found:?}");

        let (queue, exchange) = place(&client);
        let summary = run(publishes(&exchange).on_any_error(OnError::Skip)).expect("strays are left out");
        assert_eq!(summary.skipped as usize, bad);
        assert_eq!(numbers(&client, &queue), good, "window {window}");

        let (queue, exchange) = place(&client);
        let letters = Collect::<Bytes>::new();
        let seen = letters.collected();
        let summary = run(publishes(&exchange).on_any_error(OnError::dead_letter(letters))).expect("strays are buried");
        assert_eq!((summary.dead_lettered as usize, seen.len()), (bad, bad));
        assert_eq!(numbers(&client, &queue), good, "window {window}");
    }
    told!("returned messages: {RECORDS} records, {bad} returned, under each of three policies and windows");
}

#[test]
fn what_a_function_of_the_record_does_wrong_is_that_records_failure() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    let (queue, exchange) = place(&client);
    let records = (0..RECORDS).map(|number| Bytes::from(number.to_string())).collect::<Vec<_>>();
    let number = |body: &Bytes| std::str::from_utf8(body).ok().and_then(|text| text.parse().ok()).expect("a number");
    let key = move |body: &Bytes| match strays(number(body)) {
        true => panic!("there is no key for it"),
        false => "good".to_owned(),
    };
    let letters = Collect::<Bytes>::new();
    let buried = letters.collected();
    let sink = Exchange::new(broker.url(), &exchange).routing_key_by(key).confirm_window(7);
    let pipeline = Pipeline::source(List::new(records)).sink(sink).on_any_error(OnError::dead_letter(letters));
    let summary = run(pipeline).expect("the others are published");
    told!("functions: {RECORDS} records, {} buried", summary.dead_lettered);
    assert_eq!((summary.dead_lettered, buried.len()), (3, 3));
    let text = |letter: &Bytes| String::from_utf8_lossy(letter).contains("there is no key for it");
    assert!(buried.values().iter().all(text), "it says why");
    assert_eq!(numbers(&client, &queue), (0..RECORDS).filter(|number| !strays(*number)).collect::<Vec<_>>());
}

#[test]
fn a_message_that_is_returned_is_tried_again_in_order() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    let (queue, exchange) = place(&client);
    let (first, cap) = (Duration::from_millis(20), Duration::from_millis(50));
    let pipeline = publishes(&broker.url(), &exchange, 1_024).retry(100).backoff(first, cap);
    let summary = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(pipeline));
        // By then the first stray has come back.
        until("the first to arrive", || client.count(&queue) >= 100);
        broker.bind(&exchange, &queue, "nowhere");
        running.join().expect("it runs")
    });
    let summary = summary.expect("now all are taken");
    assert!(summary.retried > 0, "{summary:?}");
    // What stood behind it came too soon, and comes again behind it.
    let found = numbers(&client, &queue);
    let last = |number| found.iter().rposition(|found| *found == number);
    assert!((0..RECORDS).map(last).is_sorted_by(|a, b| a.is_some() && a < b), "{found:?}");
    let repeats = found.len() as u64 - RECORDS;
    told!("returned and tried again: {RECORDS} records, {} retries, {repeats} repeats", summary.retried);
}

/// A queue that takes so many and refuses all others, and what publishes 50 records to it.
fn full(broker: &RabbitMq, client: &Client, takes: i32, window: usize) -> (String, Pipeline) {
    let queue = unique("full");
    let arguments =
        [("x-max-length", AMQPValue::LongInt(takes)), ("x-overflow", AMQPValue::LongString("reject-publish".into()))];
    client.queue(&queue, &arguments);
    let lines = List::new((0..50).map(|number| number.to_string()).collect::<Vec<_>>());
    let sink = Exchange::new(broker.url(), "").routing_key(&queue).confirm_window(window);
    (queue, Pipeline::source(lines).sink(sink))
}

#[test]
fn a_full_queue_that_refuses_fails_the_run_under_any_policy() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    for window in [1, 1_024] {
        let letters = Collect::<Bytes>::new();
        let seen = letters.collected();
        for policy in [OnError::Skip, OnError::dead_letter(letters)] {
            let (queue, pipeline) = full(broker, &client, 10, window);
            let error = run(pipeline.on_any_error(policy)).expect_err("nothing makes room").to_string();
            assert!(error.contains("AMQP-EXCHANGE") && error.contains("its queue is full"), "{error}");
            let found = numbers(&client, &queue);
            assert!(found.len() < 50, "the queue took all");
            assert!(found.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), "{found:?}");
        }
        assert_eq!(seen.len(), 0);
    }
    told!("a full queue: 50 records, the run fails under each of two policies and windows");
}

#[test]
fn a_full_queue_that_refuses_is_tried_again_until_there_is_room() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    let (queue, pipeline) = full(broker, &client, 10, 1);
    let (first, cap) = (Duration::from_millis(20), Duration::from_millis(50));
    let pipeline = pipeline.on_any_error(OnError::Skip).retry(200).backoff(first, cap);
    let mut got = Vec::new();
    let summary = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(pipeline));
        until("the queue to be full", || client.count(&queue) >= 10);
        // Some of those behind are refused by now.
        std::thread::sleep(Duration::from_millis(200));
        got.extend(broker.take(&queue, 100));
        until("all to arrive", || {
            got.extend(broker.take(&queue, 100));
            got.len() >= 50 || running.is_finished()
        });
        running.join().expect("it runs")
    });
    let summary = summary.expect("there is room by and by");
    got.extend(broker.take(&queue, 100));
    let got: Vec<u64> =
        got.iter().map(|one| one["payload"].as_str().expect("text").parse().expect("a number")).collect();
    assert_eq!(got, (0..50).collect::<Vec<_>>());
    assert_eq!(summary.skipped, 0);
    assert!(summary.retried > 0, "the queue took all");
    told!("a full queue that gets room: 50 records, {} retries", summary.retried);
}

/// A message whose user is another one makes the broker close the channel: which one it is comes out, and the others pass.
#[test]
fn a_message_that_breaks_the_channel_meets_the_policy() {
    let Some(broker) = RabbitMq::shared() else { return };
    let client = Client::new(&broker.url());
    let queue = unique("breaks");
    client.queue(&queue, &[]);
    let message = |number: u64| {
        let user_id = (number == 7).then(|| "somebody else".to_owned());
        let properties = Properties { user_id, ..Properties::default() };
        Message { properties, ..Message::new(number.to_string()) }
    };
    let messages = List::new((0..20).map(message).collect::<Vec<_>>());
    let sink = Exchange::new(broker.url(), "").messages().routing_key(&queue);
    let summary = run(Pipeline::source(messages).sink(sink).on_any_error(OnError::Skip)).expect("it skips");
    assert_eq!(summary.skipped, 1);
    let found = numbers(&client, &queue);
    let others: Vec<_> = (0..20).filter(|number| *number != 7).collect();
    let mut once = found.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once, others, "{found:?}");
    told!("a message that breaks the channel: 20 records, 1 refused, {} repeats", found.len() - 19);
}
