//! The way that the page of Kafka shows, by its own commands: lines to a queue, from there to a topic, and from the topic to
//! a file.

use std::collections::BTreeSet;
use std::fs;

use super::client::{Client, unique};
use super::flow::until;
use crate::support::example::Process;
use crate::support::kafka::Kafka;
use crate::support::rabbitmq::RabbitMq;

/// How many lines there are.
const LINES: u64 = 60_000;

/// How many programs are killed.
const KILLS: u64 = 6;

/// The page's commands: which program, and its arguments as they stand there.
fn commands() -> Vec<(String, Vec<String>)> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/kafka.md")).expect("the page is there");
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let block = blocks.into_iter().find(|block| block.contains("--example lines_to_amqp")).expect("it shows the way");
    let command = |line: &str| {
        let (cargo, arguments) = line.split_once(" -- ")?;
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Some((cargo.split_whitespace().last()?.to_owned(), arguments))
    };
    block.replace("\\\n", " ").lines().filter_map(command).collect()
}

#[test]
fn the_way_of_the_page_loses_nothing_whichever_program_is_killed() {
    let (Some(broker), Some(kafka)) = (RabbitMq::shared(), Kafka::shared()) else { return };
    let (url, brokers, name) = (broker.url(), kafka.brokers(), unique("users"));
    let folder = tempfile::tempdir().expect("there is room");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, output) = (path("input"), path("from-topic.jsonl"));
    fs::write(&input, (0..LINES).map(|number| format!("{number}\n")).collect::<String>()).expect("there is room");
    Client::new(&url).queue(&name, &[]);
    kafka.add_topic(&name, 1, &[]);
    let commands = commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    let start = |number: usize| {
        let (program, arguments) = &commands[number];
        let here = |argument: &String| match argument.as_str() {
            "amqp://127.0.0.1:5672" => url.clone(),
            "127.0.0.1:9092" => brokers.clone(),
            "users" | "files" => name.clone(),
            "examples/data/users.jsonl" => input.clone(),
            "''" => String::new(),
            file if file.starts_with("from-topic.") || file.ends_with(".state") => path(file),
            other => other.to_owned(),
        };
        let arguments: Vec<String> = arguments.iter().map(here).collect();
        Process::start(program, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let in_topic = || u64::try_from(kafka.offsets(&name, 0).1).expect("offsets are not negative");
    let mut programs = [0, 1, 2].map(|number| Some(start(number)));
    let mut landed = 0;
    for kill in 0..KILLS {
        until("the topic to fill", || in_topic() >= (kill + 1) * LINES / (KILLS + 4));
        let first_runs = programs[0].as_mut().is_some_and(Process::runs);
        let which = if first_runs && kill % 3 == 0 { 0 } else { 1 + kill as usize % 2 };
        landed += u64::from(programs[which].take().is_some_and(Process::kill));
        programs[which] = Some(start(which));
    }
    let [first, second, third] = programs.map(|program| program.expect("it was started"));
    first.ends_well();
    let lines = || fs::read_to_string(&output).unwrap_or_default();
    let numbers = |lines: &str| lines.lines().filter_map(|line| line.parse().ok()).collect::<BTreeSet<u64>>();
    until("all lines to be in the file", || numbers(&lines()).len() as u64 == LINES);
    second.drain();
    let all = in_topic();
    until("the file to hold the topic", || lines().lines().count() as u64 >= all);
    third.drain();
    let found = lines();
    told!("a queue, a topic, a file: {LINES} lines, {landed} kills landed, {} repeats in the topic", all - LINES);
    assert_eq!(landed, KILLS);
    assert!(numbers(&found).into_iter().eq(0..LINES), "a line is missing");
    assert_eq!(found.lines().count() as u64, all, "what is in the topic is in the file once");
}
