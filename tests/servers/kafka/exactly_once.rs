//! Processes that are killed at random moments, again and again: everything is there once, in its order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millstream::kafka::{Message, Topic, Topics};
use millstream::prelude::*;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::client::{
    Load, PARTITIONS, PATIENCE, committed, expected, fill, fill_numbers, kills, progress, run, same, topic, unique,
    until,
};
use crate::moment::some_moment;
use crate::random::Random;
use crate::support::example::Process;
use crate::support::kafka::Kafka;

/// Starts a process and kills it at a random moment, again and again; returns in how many rounds something was committed.
fn kill_again_and_again(name: &str, arguments: &[&str], progress: impl Fn() -> u64) -> u64 {
    let mut random = Random::new();
    let (mut landed, mut fruitful) = (0, 0);
    while landed < kills() {
        let before = progress();
        let mut process = Process::start(name, arguments);
        some_moment(&mut random, &mut process, || progress() > before);
        let said = process.said();
        assert!(process.kill(), "it has ended before it was killed: {said}");
        landed += 1;
        fruitful += u64::from(progress() > before);
    }
    assert!(
        fruitful * 2 >= landed,
        "in {fruitful} of {landed} rounds something was committed: too few to show anything"
    );
    fruitful
}

#[test]
fn kafka_to_kafka_holds_each_message_once_and_in_order_over_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to, group) = (topic(kafka, "from"), topic(kafka, "to"), unique("group"));
    let brokers = kafka.brokers();
    let load = Load::start(&brokers, &from, 3_000);
    let mut arguments = vec!["--brokers", &brokers, "--from", &from, "--to", &to, "--group", &group, "--exactly-once"];
    arguments.extend(["--keep-partitions", "--member", "one", "--quiet"]);
    let fruitful = kill_again_and_again("kafka_to_kafka", &arguments, || progress(kafka, &group, &from));
    let count = load.stop();
    arguments.push("--until-end");
    Process::start("kafka_to_kafka", &arguments).ends_well();
    let Some(found) = committed(kafka, &to) else { return };
    told!("Kafka to Kafka: {count} records, {} kills landed, {fruitful} in mid-work", kills());
    same(&found, &expected(count));
}

#[test]
fn kafka_to_file_holds_each_message_once_and_in_order_over_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group) = (topic(kafka, "from"), unique("group"));
    let folder = tempfile::tempdir().expect("there is room");
    let [output, state] = ["output", "state"].map(|name| folder.path().join(name).display().to_string());
    let brokers = kafka.brokers();
    let load = Load::start(&brokers, &from, 3_000);
    let mut arguments = vec!["--brokers", &brokers, "--topic", &from, "--group", &group, "--output", &output];
    arguments.extend(["--state", &state, "--member", "one", "--quiet"]);
    let fruitful = kill_again_and_again("kafka_to_file", &arguments, || progress(kafka, &group, &from));
    let count = load.stop();
    arguments.push("--until-end");
    Process::start("kafka_to_file", &arguments).ends_well();
    let found = of_each_partition(&output);
    told!("Kafka to file: {count} records, {} kills landed, {fruitful} in mid-work", kills());
    same(&found, &expected(count));
}

/// The numbers of a file, by the partition that each is of.
fn of_each_partition(path: &str) -> Vec<Vec<u64>> {
    let mut found = vec![Vec::new(); PARTITIONS as usize];
    for line in std::fs::read_to_string(path).expect("it is written").lines() {
        let number: u64 = line.parse().expect("a number");
        found[(number % PARTITIONS) as usize].push(number);
    }
    found
}

/// One is killed, and another comes and goes meanwhile: each has a file of its own. What moves between them may be in both
/// files, in each of them once.
#[test]
fn files_of_members_that_come_and_go_during_kills_hold_all_and_each_file_holds_it_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group, brokers) = (topic(kafka, "from"), unique("group"), kafka.brokers());
    let folder = tempfile::tempdir().expect("there is room");
    let path = |name: String| folder.path().join(name).display().to_string();
    let load = Load::start(&brokers, &from, 2_000);
    let start = |name: &str, more: &[&str]| {
        let (output, state) = (path(format!("{name}.output")), path(format!("{name}.state")));
        let reads = ["--brokers", &brokers, "--topic", &from, "--group", &group, "--member", name];
        let writes = ["--output", &output, "--state", &state, "--property", "session.timeout.ms=6000", "--quiet"];
        Process::start("kafka_to_file", &[&reads[..], &writes, more].concat())
    };
    let mut random = Random::new();
    let (mut killed, mut fruitful, mut came) = (0, 0, 0);
    while killed < kills() {
        let other = (killed % 5 == 2).then(|| start("two", &[]));
        came += u64::from(other.is_some());
        let (before, mut one) = (progress(kafka, &group, &from), start("one", &[]));
        some_moment(&mut random, &mut one, || progress(kafka, &group, &from) > before);
        assert!(one.kill(), "it ran");
        killed += 1;
        fruitful += u64::from(progress(kafka, &group, &from) > before);
        if let Some(other) = other {
            let before = progress(kafka, &group, &from);
            until("the other to read", || progress(kafka, &group, &from) > before + 500);
            other.drain();
        }
    }
    let count = load.stop();
    // The other may still be a member for the group, which keeps its partitions for it.
    let both = ["one", "two"].map(|name| start(name, &["--until-end"]));
    both.into_iter().for_each(|process| drop(process.ends_well()));
    let lines = |name: &str| std::fs::read_to_string(path(format!("{name}.output"))).unwrap_or_default();
    let numbers = |text: String| Vec::from_iter(text.lines().map(|line| line.parse::<u64>().expect("a number")));
    let files = ["one", "two"].map(|name| numbers(lines(name)));
    for (partition, file) in (0..PARTITIONS).flat_map(|partition| files.iter().map(move |file| (partition, file))) {
        let of_it = Vec::from_iter(file.iter().filter(|number| *number % PARTITIONS == partition));
        assert!(of_it.is_sorted_by(|a, b| a < b), "partition {partition}: something is there twice, or out of order");
    }
    let all = std::collections::BTreeSet::from_iter(files.iter().flatten());
    let both = files.iter().map(Vec::len).sum::<usize>() - all.len();
    told!(
        "files of two members: {count} records, {killed} kills landed, {fruitful} in mid-work, another came and went {came} \
         times, {both} in both"
    );
    assert!(fruitful * 2 >= killed, "in {fruitful} of {killed} rounds something was committed");
    assert!(came > 0 && !files[1].is_empty(), "the other has written nothing");
    assert_eq!((all.len() as u64, all.last().copied()), (count, count.checked_sub(1).as_ref()));
}

/// A new folder, and the paths in it of these names, of which the first is a file of so many numbered lines.
fn numbered_lines<const N: usize>(count: u64, names: [&str; N]) -> (tempfile::TempDir, [String; N]) {
    let folder = tempfile::tempdir().expect("there is room");
    let paths = names.map(|name| folder.path().join(name).display().to_string());
    let lines: String = (0..count).map(|number| format!("{number}\n")).collect();
    std::fs::write(&paths[0], lines).expect("a file can be written");
    (folder, paths)
}

#[test]
fn file_to_kafka_holds_each_line_once_and_in_order_over_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    let to = unique("to");
    kafka.add_topic(&to, 1, &[]);
    // Enough that it is not done before the last kill.
    let count = (100_000 * kills()).max(3_000_000);
    let (_folder, [input, state]) = numbered_lines(count, ["input", "state"]);
    let brokers = kafka.brokers();
    let mut arguments = vec!["--input", &input, "--brokers", &brokers, "--topic", &to, "--exactly-once"];
    arguments.extend(["--state", &state, "--quiet", "--name", &to]);
    let mut random = Random::new();
    let (mut landed, mut fruitful) = (0, 0);
    for _ in 0..kills() {
        let before = kafka.offsets(&to, 0).1;
        let mut process = Process::start("lines_to_kafka", &arguments);
        some_moment(&mut random, &mut process, || kafka.offsets(&to, 0).1 > before);
        if !process.runs() {
            break;
        }
        landed += u64::from(process.kill());
        fruitful += u64::from(kafka.offsets(&to, 0).1 > before);
    }
    Process::start("lines_to_kafka", &arguments).ends_well();
    let Some(found) = committed(kafka, &to) else { return };
    told!("file to Kafka: {count} records, {landed} kills landed, {fruitful} in mid-work");
    assert!(landed * 2 >= kills() && fruitful * 2 >= landed, "too little has happened to show anything");
    assert!(found[0].iter().copied().eq(0..count), "{} records of {count}, or out of order", found[0].len());
}

/// A file's lines to a topic, with positions in a topic.
struct Copying {
    folder: tempfile::TempDir,
    to: String,
    positions: String,
}

impl Copying {
    fn new(kafka: &Kafka, lines: u64) -> Self {
        let (folder, _) = numbered_lines(lines, ["input"]);
        let (to, positions) = (unique("to"), unique("positions"));
        kafka.add_topic(&to, 1, &[]);
        Self { folder, to, positions }
    }

    /// As a new process would run it, which has lost its state folder.
    fn run(&self, kafka: &Kafka, name: &str) -> Result<Summary, millstream::Error> {
        let input = Files::new([self.folder.path().join("input")], Lines::default());
        let sink = Topic::new(kafka.brokers(), &self.to).exactly_once().positions_topic(&self.positions);
        let state = tempfile::tempdir().expect("there is room");
        run(Pipeline::called(name).source(input).sink(sink).store(Embedded::at(state.path())))
    }

    /// How many lines there are.
    fn found(&self, kafka: &Kafka) -> Option<usize> {
        Some(committed(kafka, &self.to)?[0].len())
    }
}

#[test]
fn a_topic_that_deletes_what_is_old_keeps_no_positions() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka, 10);
    kafka.add_topic(&copying.positions, 1, &[("cleanup.policy", "delete")]);
    let error = copying.run(kafka, "lines").expect_err("it is refused");
    told!("positions in a topic that deletes: {error}");
    assert_eq!(error.to_string().matches("cleanup.policy=compact").count(), 1, "{error}");
    assert_eq!(copying.found(kafka).unwrap_or(0), 0, "nothing was written");
}

#[test]
fn a_topic_of_another_cluster_is_filled_once_over_runs_that_break_off() {
    const COUNT: u64 = 20_000;
    const BROKEN_OFF: u64 = 5;
    let (Some(kafka), Some(other)) = (Kafka::shared(), Kafka::own(&[])) else { return };
    let (from, to, positions) = (topic(&other, "from"), topic(kafka, "to"), unique("positions"));
    let (name, group, state) = (unique("mirror"), unique("group"), tempfile::tempdir().expect("there is room"));
    fill_numbers(&other.brokers(), &from, 0..COUNT);
    let pipeline = |a_second: u64, until_end: bool| {
        // Sessions as short as the broker allows: who breaks off says no word to the group.
        let read = Topics::new(other.brokers(), [&*from], &*group).messages();
        let read = read.property("session.timeout.ms", "3000").property("heartbeat.interval.ms", "500");
        let read = if until_end { read.until_end() } else { read };
        let write = Topic::new(kafka.brokers(), &to).messages().exactly_once().positions_topic(&positions);
        let write = write.partition_by(|it| it.origin.as_ref().map(|it| it.partition));
        let read = Pipeline::called(&name).source(read).throttle(a_second, Duration::from_secs(1));
        read.sink(write).store(Embedded::at(state.path()))
    };
    let written = || (0..PARTITIONS).map(|partition| kafka.offsets(&to, partition as i32).1).sum::<i64>();
    for _ in 0..BROKEN_OFF {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime can be had");
        let (running, before) = (runtime.block_on(pipeline(2_000, false).start(Settings::default())), written());
        let running = running.expect("it starts");
        // Several transactions.
        until("some to be written", || written() > before + 1_500);
        // All of it is dropped where it stands.
        runtime.shutdown_timeout(Duration::from_secs(10));
        drop(running);
    }
    let last = run(pipeline(1_000_000, true)).expect("it ends well").records_out;
    let Some(found) = committed(kafka, &to) else { return };
    told!("another cluster: {COUNT} records, {BROKEN_OFF} runs broken off, {last} left for the last");
    same(&found, &expected(COUNT));
    assert!(last < COUNT, "nothing was committed by those that broke off");
}

#[test]
fn a_transaction_of_another_pipeline_hides_no_position() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka, 100);
    copying.run(kafka, "first").expect("it makes the topic");
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", kafka.brokers()).set("transactional.id", unique("another"));
    let other: Arc<BaseProducer> = Arc::new(config.create().expect("a client"));
    other.init_transactions(PATIENCE).expect("it can begin");
    // It is begun once this pipeline has seen what positions there are, and before it adds its own behind it.
    let input = Files::new([copying.folder.path().join("input")], Lines::default());
    let sink = Topic::new(kafka.brokers(), &copying.to).exactly_once().positions_topic(&copying.positions);
    let (state, begins) = (tempfile::tempdir().expect("there is room"), std::sync::Once::new());
    let (client, positions) = (other.clone(), copying.positions.clone());
    let pipeline = Pipeline::called("lines").source(input).filter(move |_: &Bytes| {
        begins.call_once(|| {
            client.begin_transaction().expect("it begins");
            let record = BaseRecord::to(&positions).partition(0).key("another").payload("another's");
            client.send(record).map_err(|(error, _)| error).expect("it is sent");
            client.flush(PATIENCE).expect("it is there");
        });
        true
    });
    run(pipeline.sink(sink).store(Embedded::at(state.path()))).expect("it ends well");
    let waits = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        other.abort_transaction(PATIENCE).expect("it is aborted");
    });
    let again = copying.run(kafka, "lines").expect("it ends well");
    waits.join().expect("it ends");
    let Some(found) = copying.found(kafka) else { return };
    told!("behind another pipeline's open transaction: {found} lines, {} of them written again", again.records_out);
    assert_eq!((found, again.records_out), (200, 0), "each of two pipelines has written each line once");
}

#[test]
fn positions_that_can_not_be_read_are_an_error_and_a_tombstone_takes_one_back() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka, 100);
    copying.run(kafka, "lines").expect("it ends well");
    copying.run(kafka, "lines").expect("it ends well");
    let Some(found) = copying.found(kafka) else { return };
    assert_eq!(found, 100, "the topic says that all is there");
    // The key of the position, as it stands in the topic.
    let keys = Collect::<Message>::new();
    let seen = keys.collected();
    let read = Topics::new(kafka.brokers(), [&*copying.positions], unique("looks")).until_end();
    run(Pipeline::source(read.messages()).sink(keys)).expect("it is read");
    let key = seen.values().first().and_then(|message| message.key.clone()).expect("a position has a key");
    // Another pipeline's messages are no concern of this one.
    let write = |message: Message| fill(&kafka.brokers(), &copying.positions, vec![(0, message)]);
    write(Message::new("nothing that anybody can read").with_key("a stranger"));
    write(Message::tombstone(key.clone()));
    copying.run(kafka, "lines").expect("it ends well");
    assert_eq!(copying.found(kafka), Some(200), "what was taken back is written again");
    write(Message::new(Bytes::from_static(b"\xff of a version to come")).with_key(key));
    let error = copying.run(kafka, "lines").expect_err("it is refused");
    told!("an unreadable position: {error}");
    assert!(error.to_string().contains("version 255") && error.to_string().contains("positions_topic"), "{error}");
    assert_eq!(copying.found(kafka), Some(200));
}

#[test]
fn pipelines_of_one_name_over_different_inputs_are_told_which_positions_are_in_the_way() {
    let Some(kafka) = Kafka::shared() else { return };
    let [first, mut second] = [Copying::new(kafka, 10), Copying::new(kafka, 20)];
    second.positions = first.positions.clone();
    first.run(kafka, "lines").expect("it ends well");
    let Err(millstream::Error::Run(error)) = second.run(kafka, "lines") else { panic!("it is refused") };
    let error = error.chain();
    told!("another input's positions: {error}");
    assert!(error.contains(&first.positions) && error.contains("`lines`") && error.contains("--name"), "{error}");
    second.run(kafka, "other lines").expect("it ends well");
    assert_eq!(second.found(kafka).unwrap_or(20), 20);
}

/// A message that no stage can read, one that no topic of the test takes, or a good one.
fn mixed(number: u64) -> Bytes {
    match number % 50 {
        17 => Bytes::from(format!("{number} is no JSON")),
        _ if number % 1_000 == 533 => Bytes::from(format!(r#"{{"n":{number},"x":"{}"}}"#, "x".repeat(6_000))),
        _ => Bytes::from(format!(r#"{{"n":{number}}}"#)),
    }
}

/// The values of a topic of one partition, as text.
fn texts(kafka: &Kafka, topic: &str) -> Vec<String> {
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    let read = Topics::new(kafka.brokers(), [topic], unique("looks")).until_end();
    run(Pipeline::source(read).sink(out)).expect("it is read");
    seen.values().iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

#[test]
fn each_bad_message_has_one_letter_over_kills() {
    const SLICE: u64 = 500;
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to, letters, group) = (unique("from"), unique("to"), unique("letters"), unique("group"));
    kafka.add_topic(&from, 1, &[]);
    kafka.add_topic(&to, 1, &[("max.message.bytes", "4000")]);
    kafka.add_topic(&letters, 1, &[]);
    let brokers = kafka.brokers();
    let mut arguments = vec!["--brokers", &brokers, "--from", &from, "--to", &to, "--group", &group, "--exactly-once"];
    arguments.extend(["--member", "one", "--quiet", "--where", "n", "--letters", &letters]);
    arguments.extend(["--property", "compression.type=none"]);
    let mut random = Random::new();
    let (mut count, mut landed, mut fruitful) = (0, 0, 0);
    for _ in 0..kills().min(20) {
        let before = kafka.committed(&group, &from, 0);
        let mut process = Process::start("kafka_to_kafka", &arguments);
        let slice = (count..count + SLICE).map(|number| (0, Message::new(mixed(number)))).collect();
        count += SLICE;
        fill(&brokers, &from, slice);
        some_moment(&mut random, &mut process, || kafka.committed(&group, &from, 0) > before);
        landed += u64::from(process.kill());
        fruitful += u64::from(kafka.committed(&group, &from, 0) > before);
    }
    arguments.push("--until-end");
    Process::start("kafka_to_kafka", &arguments).ends_well();
    let found = texts(kafka, &letters);
    told!("letters: {count} records, {landed} kills landed, {fruitful} in mid-work; {} letters", found.len());
    assert!(fruitful * 4 >= landed && landed >= 5, "too little has happened to show anything");
    let bad: Vec<u64> = (0..count).filter(|number| number % 50 == 17 || number % 1_000 == 533).collect();
    let mut offsets: Vec<u64> = found.iter().map(|letter| super::policies::offset_of(letter)).collect();
    offsets.sort_unstable();
    assert!(offsets == bad, "{} letters of {}, or of others", offsets.len(), bad.len());
    let good: Vec<String> =
        (0..count).filter(|number| !bad.contains(number)).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    assert!(texts(kafka, &to) == good, "what is good is there once and in its order");
}

#[test]
fn a_transaction_is_committed_when_it_is_large_enough() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to, letters) = (topic(kafka, "from"), topic(kafka, "to"), topic(kafka, "letters"));
    super::client::fill_numbers(&kafka.brokers(), &from, 0..20_000);
    let mut frames = Vec::new();
    for (size, are_good) in [(1_000, true), (1_000_000, true), (1_000, false)] {
        let proxy = kafka.proxied();
        let read = Topics::new(proxy.brokers(), [&*from], unique("group")).until_end();
        let write = Topic::new(proxy.brokers(), &to).exactly_once().transaction_size(size, 1 << 30);
        let check = move |value: Bytes| if are_good { Ok(value) } else { Err(std::io::Error::other("it is bad")) };
        let policy = OnError::dead_letter(Topic::new(proxy.brokers(), &letters));
        let pipeline = Pipeline::source(read.batch_records(100)).try_map(check).sink(write).on_any_error(policy);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let settings = Settings { commit_interval: Duration::from_secs(60), ..Settings::default() };
        let ended = runtime.expect("a runtime can be had").block_on(async {
            let running = pipeline.start(settings).await.expect("it starts");
            running.join().await
        });
        let ended = ended.expect("it ends well");
        assert_eq!((ended.records_out, ended.dead_lettered), if are_good { (20_000, 0) } else { (0, 20_000) });
        frames.push(proxy.frames(crate::support::proxy::Kind::END_TXN));
    }
    told!("transactions of 1,000 records: {}, of 1,000,000: {}, of 1,000 letters: {}", frames[0], frames[1], frames[2]);
    assert!([0, 2].iter().all(|&run| (5..=25).contains(&frames[run])) && frames[1] <= 2, "{frames:?}");
}

#[test]
fn who_reads_what_is_not_committed_does_not_write_exactly_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to) = (topic(kafka, "from"), topic(kafka, "to"));
    let read = Topics::new(kafka.brokers(), [&*from], unique("group")).until_end();
    let read = read.property("isolation.level", "read_uncommitted");
    let ends = |write: Topic| super::client::run(Pipeline::source(read.clone()).sink(write));
    let error = ends(Topic::new(kafka.brokers(), &to).exactly_once()).expect_err("offsets are told too early");
    assert!(error.to_string().contains("isolation.level"), "{error}");
    assert_eq!(ends(Topic::new(kafka.brokers(), &to)).expect("it ends well").records_out, 0);
}

#[test]
fn a_successor_goes_on_with_a_file_and_a_zombie_that_comes_back_is_fenced() {
    let Some(kafka) = Kafka::shared() else { return };
    let to = unique("to");
    kafka.add_topic(&to, 1, &[]);
    let count = 1_000_000_u64;
    let (_folder, [input, first, second]) = numbered_lines(count, ["input", "first", "second"]);
    let brokers = kafka.brokers();
    let arguments = |state| {
        let arguments =
            ["--input", &input, "--brokers", &brokers, "--topic", &to, "--exactly-once", "--quiet", "--name", &to];
        [&arguments[..], &["--state", state]].concat()
    };
    let mut zombie = Process::start("lines_to_kafka", &arguments(&first));
    super::client::until("some to be written", || kafka.offsets(&to, 0).1 > 50_000);
    zombie.signal("-STOP");
    assert!(zombie.runs(), "it was stopped too late");
    let stopped = kafka.offsets(&to, 0).1;
    let mut successor = Process::start("lines_to_kafka", &arguments(&second));
    super::client::until("the successor to go on", || kafka.offsets(&to, 0).1 > stopped + 50_000);
    zombie.signal("-CONT");
    super::client::until("the zombie to end", || !zombie.runs());
    let said = zombie.said();
    let works = successor.runs();
    told!("a zombie, stopped after {stopped} of {count} lines (its successor works: {works}): {said}");
    assert!(said.contains("another run of this pipeline has taken over, or this one"), "{said}");
    successor.ends_well();
    let Some(found) = committed(kafka, &to) else { return };
    assert!(found[0].iter().copied().eq(0..count), "{} records of {count}, or out of order", found[0].len());
}

/// Numbers of which every one becomes a letter, for as long as it runs.
async fn letters_alone(brokers: &str, to: &str, letters: &str, state: &std::path::Path) -> Running {
    let pipeline = Pipeline::called("letters alone")
        .source(Generate::with(|number| Bytes::from(number.to_string())).rate(100))
        .try_map(|_: Bytes| Err::<Bytes, _>(std::io::Error::other("it is bad")))
        .sink(Topic::new(brokers, to).exactly_once())
        .on_any_error(OnError::dead_letter(Topic::new(brokers, letters)))
        .store(Embedded::at(state));
    // What a commit would find, a letter finds before it.
    let settings = Settings { commit_interval: Duration::from_secs(60), ..Settings::default() };
    pipeline.start(settings).await.expect("it starts")
}

#[test]
fn a_zombie_that_writes_letters_alone_is_fenced_by_its_successor_and_not_the_other_way_round() {
    let Some(kafka) = Kafka::shared() else { return };
    let (to, letters) = (unique("to"), unique("letters"));
    kafka.add_topic(&to, 1, &[]);
    kafka.add_topic(&letters, 1, &[]);
    let states = [tempfile::tempdir(), tempfile::tempdir()].map(|state| state.expect("there is room"));
    let brokers = kafka.brokers();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (error, summary, written) = runtime.expect("a runtime can be had").block_on(async {
        let zombie = letters_alone(&brokers, &to, &letters, states[0].path()).await;
        while kafka.offsets(&letters, 0).1 < 100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let written: u64 = zombie.metrics().stages.iter().map(|stage| stage.dead_lettered).sum();
        let successor = letters_alone(&brokers, &to, &letters, states[1].path()).await;
        let ended = tokio::time::timeout(Duration::from_secs(40), zombie.join()).await;
        let error = ended.expect("the zombie ends").expect_err("the other has taken over");
        tokio::time::sleep(Duration::from_secs(2)).await;
        successor.drain();
        (error, successor.join().await.expect("it ends well"), written)
    });
    told!("a zombie after {written} letters: {error}; its successor: {} letters", summary.dead_lettered);
    assert!(error.to_string().contains("another run of this pipeline has taken over, or this one"), "{error}");
    assert!(written > 0 && summary.dead_lettered > 0, "nothing has happened");
    assert_eq!(texts(kafka, &letters).len() as u64, summary.dead_lettered, "the zombie's are not there");
}

/// How an instance among these joins the others.
fn joins<'a>(peers: &'a str, me: &'a str) -> [&'a str; 7] {
    ["--peers", peers, "--listen", me, "--detection", "2", "--plain-on-loopback-for-tests"]
}

/// Addresses of so many instances.
fn peers(count: usize) -> Vec<String> {
    let sockets: Vec<_> =
        (0..count).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free")).collect();
    sockets.iter().map(|socket| socket.local_addr().expect("it has one").to_string()).collect()
}

#[test]
fn sinks_of_one_pipeline_on_two_instances_do_not_fence_each_other() {
    let Some(kafka) = Kafka::shared() else { return };
    let to = unique("to");
    kafka.add_topic(&to, 1, &[]);
    let count = 200_000_u64;
    let (_folder, [input, first, second]) = numbered_lines(count, ["input", "first", "second"]);
    let (brokers, peers) = (kafka.brokers(), peers(2));
    let list = peers.join(",");
    let start = |state, me| {
        let arguments = ["--input", &input, "--brokers", &brokers, "--topic", &to, "--exactly-once", "--name", &to];
        Process::start("lines_to_kafka", &[&arguments[..], &["--state", state], &joins(&list, me)].concat())
    };
    let both = [start(&first, &peers[0]), start(&second, &peers[1])];
    let said = both.map(Process::ends_well);
    let Some(mut found) = committed(kafka, &to) else { return };
    let done = said.map(|said| said.lines().find(|line| line.starts_with("done:")).unwrap_or_default().to_owned());
    told!("two instances: {} lines written; they say {done:?}", found[0].len());
    assert!(done.iter().all(|done| !done.contains(" out 0,")), "both write");
    found[0].sort_unstable();
    assert!(found[0].iter().copied().eq(0..count), "{} records of {count}", found[0].len());
}

/// Waits until the group has committed all of it, and says what its members say where it doesn't.
fn until_all_is_read(kafka: &Kafka, (group, from): (&str, &str), count: u64, members: &mut [Option<Process>]) {
    let began = Instant::now();
    while progress(kafka, group, from) < count {
        let all_run = members.iter_mut().flatten().all(Process::runs);
        if !all_run || began.elapsed() > PATIENCE {
            let said: Vec<String> = members.iter().flatten().map(Process::said).collect();
            let read = progress(kafka, group, from);
            panic!(
                "{read} of {count} records are committed, all members run: {all_run}; they say {}",
                said.join("\n--\n")
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Three instances of a program, of which one after the other is killed and started again while the group reads numbers.
/// Returns how many there were, once all are committed.
fn over_kills_of_three(
    kafka: &Kafka,
    program: &str,
    from: &str,
    group: &str,
    arguments: impl Fn(usize) -> Vec<String>,
) -> u64 {
    let brokers = kafka.brokers();
    let load = Load::start(&brokers, from, 2_000);
    let peers = peers(3);
    let list = peers.join(",");
    let names = ["one", "two", "three"];
    let start = |instance: usize| {
        let reads = ["--brokers", &brokers, "--group", group, "--quiet", "--member", names[instance]];
        let (joins, own) = (joins(&list, &peers[instance]), arguments(instance));
        let own: Vec<_> = own.iter().map(String::as_str).collect();
        let more = ["--property", "session.timeout.ms=6000"];
        Process::start(program, &[&own[..], &reads, &more, &joins].concat())
    };
    let mut processes: Vec<_> = (0..3).map(|instance| Some(start(instance))).collect();
    let mut random = Random::new();
    let (mut landed, mut fruitful) = (0, 0);
    for kill in 0..(kills() / 3).max(6) {
        let before = progress(kafka, group, from);
        std::thread::sleep(Duration::from_millis(1_500 + random.below(1_500)));
        let instance = kill as usize % 3;
        landed += u64::from(processes[instance].take().is_some_and(Process::kill));
        fruitful += u64::from(progress(kafka, group, from) > before);
        processes[instance] = Some(start(instance));
    }
    let count = load.stop();
    until_all_is_read(kafka, (group, from), count, &mut processes);
    processes.into_iter().flatten().for_each(|process| process.signal("-TERM"));
    told!("three instances of {program}: {count} records, {landed} kills landed, {fruitful} in mid-work");
    assert!(landed >= 5 && fruitful * 3 >= landed, "too little has happened to show anything");
    count
}

#[test]
fn three_instances_hold_each_message_once_over_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, to, group) = (topic(kafka, "from"), topic(kafka, "to"), unique("group"));
    let arguments = ["--from", &from, "--to", &to, "--exactly-once", "--keep-partitions"].map(str::to_owned);
    let count = over_kills_of_three(kafka, "kafka_to_kafka", &from, &group, |_| arguments.to_vec());
    let Some(found) = committed(kafka, &to) else { return };
    same(&found, &expected(count));
}

#[test]
fn three_instances_write_each_message_once_into_a_file_over_kills() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group) = (topic(kafka, "from"), unique("group"));
    let folder = tempfile::tempdir().expect("there is room");
    let path = |name: &str, instance: usize| folder.path().join(format!("{name}-{instance}")).display().to_string();
    let arguments = |instance| {
        let (output, state) = (path("output", instance), path("state", instance));
        ["--topic", &from, "--output", &output, "--state", &state].map(str::to_owned).to_vec()
    };
    let count = over_kills_of_three(kafka, "kafka_to_file", &from, &group, arguments);
    // The sink is on the last one.
    let found = of_each_partition(&path("output", 2));
    same(&found, &expected(count));
}
