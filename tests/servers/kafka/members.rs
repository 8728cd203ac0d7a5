//! Members of a group that come, go, are killed, and come back from the dead.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use millstream::kafka::{Message, Start, Topic, Topics};
use millstream::prelude::*;
use millstream::runtime::Summary;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use super::client::{
    Load, PARTITIONS, committed, expected, fill, fill_numbers, kills, progress, same, topic, unique, until, until_group,
};
use super::reading::Reading;
use crate::random::Random;
use crate::support::example::Process;
use crate::support::kafka::Kafka;

/// Sessions as short as the broker allows, so that a member that is gone is missed soon.
const SHORT: [&str; 6] = [
    "--property",
    "session.timeout.ms=3000",
    "--property",
    "heartbeat.interval.ms=500",
    "--property",
    "transaction.timeout.ms=3000",
];

struct Copying<'a> {
    kafka: &'a Kafka,
    brokers: String,
    from: String,
    to: String,
    group: String,
}

impl<'a> Copying<'a> {
    fn new(kafka: &'a Kafka) -> Self {
        let (from, to, group) = (topic(kafka, "from"), topic(kafka, "to"), unique("group"));
        Self { kafka, brokers: kafka.brokers(), from, to, group }
    }

    fn member(&self, more: &[&str]) -> Process {
        self.any_member(&[&["--exactly-once"][..], &SHORT, more].concat())
    }

    fn any_member(&self, more: &[&str]) -> Process {
        let Self { brokers, from, to, group, .. } = self;
        let arguments = ["--brokers", brokers, "--from", from, "--to", to, "--group", group];
        Process::start("kafka_to_kafka", &[&arguments[..], &["--keep-partitions", "--quiet"], more].concat())
    }

    /// How far the group has got with each partition.
    fn at(&self) -> Vec<i64> {
        let at = |partition| self.kafka.committed(&self.group, &self.from, partition).unwrap_or(0);
        (0..4).map(at).collect()
    }

    fn progress(&self) -> u64 {
        progress(self.kafka, &self.group, &self.from)
    }

    /// Waits until something has been committed.
    fn until_it_goes_on(&self) {
        let before = self.progress();
        until("the group to get further", || self.progress() > before + 500);
    }

    /// The only member of the group is stopped until another has taken over all that it had, and goes on then; again, until
    /// it has said more of what `says` counts than before. Returns both, and how often the one was stopped. What was taken
    /// away from it, it may not have given back yet.
    fn zombie(&self, member: impl Fn() -> Process, says: impl Fn(&str) -> usize) -> (Process, Process, usize) {
        const MOST: usize = 16;
        let zombie = member();
        for stops in 1..=MOST {
            self.until_it_goes_on();
            zombie.signal("-STOP");
            let (before, said) = (self.at(), says(&zombie.said()));
            let other = member();
            until("the other to take over", || self.at().iter().zip(&before).all(|(now, before)| *now > *before + 200));
            zombie.signal("-CONT");
            let woken = Instant::now();
            while woken.elapsed() < Duration::from_secs(5) {
                if says(&zombie.said()) > said {
                    return (zombie, other, stops);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            other.drain();
        }
        panic!("stopped {MOST} times, it has said nothing of it: {}", zombie.said());
    }

    /// Reads the rest, and looks at what is there.
    fn check(&self, count: u64) {
        // Who was killed is a member until its session is over, and what it has is not read by others.
        until_group(self.kafka, &self.group, |group| group.members().is_empty());
        self.member(&["--until-end"]).ends_well();
        let Some(found) = committed(self.kafka, &self.to) else { return };
        same(&found, &expected(count));
    }
}

#[test]
fn members_come_and_go_and_each_message_is_there_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let first = copying.member(&[]);
    copying.until_it_goes_on();
    let second = copying.member(&[]);
    std::thread::sleep(Duration::from_millis(1_500));
    let third = copying.member(&[]);
    std::thread::sleep(Duration::from_millis(1_500));
    copying.until_it_goes_on();
    first.drain();
    copying.until_it_goes_on();
    assert!(second.kill(), "it ran");
    let fourth = copying.member(&[]);
    copying.until_it_goes_on();
    let count = load.stop();
    third.drain();
    fourth.drain();
    told!("members: {count} records; 4 joined, 3 left, 1 was killed");
    copying.check(count);
}

/// What a program says when a transaction of it is refused: its group has gone on without it, or the brokers have ended the
/// transaction meanwhile.
fn refusals(said: &str) -> Vec<&str> {
    let whys =
        ["is gone, with records of it", "that were taken away", "AssignmentLost", "Fenced", "InvalidProducerEpoch"];
    let anew = said.lines().filter(|line| line.contains("opened anew, from the last commit"));
    anew.filter(|line| whys.iter().any(|why| line.contains(why))).collect()
}

#[test]
fn a_zombie_is_fenced() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let (zombie, other, stops) = copying.zombie(|| copying.member(&[]), |said| refusals(said).len());
    copying.until_it_goes_on();
    let count = load.stop();
    let said = zombie.drain();
    let refusals = refusals(&said);
    told!(
        "a zombie: {count} records, stopped past its session {stops} times, {} of its transactions refused",
        refusals.len()
    );
    refusals.iter().for_each(|refusal| told!("{refusal}"));
    other.drain();
    copying.check(count);
}

#[test]
fn members_come_and_go_during_kills_and_each_message_is_there_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let mut random = Random::new();
    let mut members = vec![copying.member(&[])];
    let (mut joined, mut left, mut killed) = (1, 0, 0);
    for round in 0..2 * kills() {
        members.push(copying.member(&[]));
        joined += 1;
        std::thread::sleep(Duration::from_millis(200 + random.below(1_500)));
        let goes = members.swap_remove(random.below(members.len() as u64) as usize);
        if round % 2 == 0 {
            assert!(goes.kill(), "it ran");
            killed += 1;
            // While the group still waits for it, another joins.
            if members.len() < 3 {
                members.push(copying.member(&[]));
                joined += 1;
            }
        } else {
            goes.drain();
            left += 1;
        }
        if round % 4 == 3 {
            copying.until_it_goes_on();
        }
    }
    copying.until_it_goes_on();
    let count = load.stop();
    for member in members {
        member.drain();
        left += 1;
    }
    told!("members during kills: {count} records; {joined} joined, {left} left, {killed} were killed");
    copying.check(count);
}

#[test]
fn members_to_whom_the_brokers_assign_partitions_hold_each_message_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let member = || copying.any_member(&["--exactly-once", "--property", "group.protocol=consumer"]);
    let first = member();
    copying.until_it_goes_on();
    let second = member();
    std::thread::sleep(Duration::from_secs(3));
    copying.until_it_goes_on();
    first.drain();
    let left = copying.at();
    until("the other to have all", || copying.at().iter().zip(&left).all(|(now, left)| *now > *left + 200));
    let count = load.stop();
    until("all to be read", || copying.progress() >= count);
    second.drain();
    told!("group.protocol=consumer: {count} records; 2 joined, 2 left");
    let Some(found) = committed(kafka, &copying.to) else { return };
    same(&found, &expected(count));
}

#[test]
fn a_static_member_that_is_killed_gets_its_partitions_again_and_nobody_elses_move() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let long = ["--property", "session.timeout.ms=30000"];
    let member = |name: &str| copying.member(&[&["--member", name], &long[..]].concat());
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let (mut one, two) = (member("one"), member("two"));
    let all_go_on = |from: &[i64]| copying.at().iter().zip(from).all(|(now, from)| *now > *from + 50);
    let begun = copying.at();
    until("all partitions to be read", || all_go_on(&begun));
    // Time enough to have given half of them to the other.
    std::thread::sleep(Duration::from_secs(3));
    let mut kills = 0;
    for _ in 0..2 {
        assert!(one.kill(), "it ran");
        kills += 1;
        std::thread::sleep(Duration::from_millis(500));
        let away = copying.at();
        let moves = || copying.at().iter().zip(&away).filter(|(now, away)| now > away).count();
        until("the other to go on", || moves() == 2);
        std::thread::sleep(Duration::from_secs(1));
        assert_eq!(moves(), 2, "its partitions wait for it");
        one = member("one");
        until("it to be back", || all_go_on(&away));
    }
    let count = load.stop();
    one.drain();
    two.drain();
    told!("a static member: {count} records, killed {kills} times");
    copying.check(count);
}

/// Takes what its group assigns to it, and says whether it was to give something back, but never does.
#[derive(Default)]
struct Keeping(AtomicBool);

impl ClientContext for Keeping {}

impl ConsumerContext for Keeping {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, code: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                consumer.incremental_assign(partitions).expect("it is a member");
            }
            _ => self.0.store(true, Ordering::SeqCst),
        }
    }
}

#[test]
fn what_a_static_member_was_to_give_back_when_it_was_killed_is_handed_on() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group, brokers) = (topic(kafka, "from"), unique("group"), kafka.brokers());
    fill_numbers(&brokers, &from, 0..400);
    // It stands for one that is killed: it says nothing more, and its successor has its name.
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &brokers).set("group.id", &group).set("group.instance.id", "one");
    config.set("partition.assignment.strategy", "cooperative-sticky").set("enable.auto.commit", "false");
    config.set("heartbeat.interval.ms", "300");
    let killed: BaseConsumer<Keeping> = config.create_with_context(Keeping::default()).expect("a consumer");
    killed.subscribe(&[&from]).expect("it can ask");
    let polled = || drop(killed.poll(Duration::from_millis(20)));
    until("it to have all", || {
        polled();
        killed.assignment().is_ok_and(|has| has.count() == 4)
    });
    let topics = Topics::new(&*brokers, [&*from], &*group).property("heartbeat.interval.ms", "300");
    let other = Reading::start(&topics.clone().static_member("two"), 100_000);
    until("it to be told to give some back", || {
        polled();
        killed.context().0.load(Ordering::SeqCst)
    });
    let successor = Reading::start(&topics.static_member("one"), 100_000);
    let all = || [&successor, &other].iter().flat_map(|member| member.seen()).collect::<HashSet<_>>().len();
    until("all to be read", || all() == 400);
    let read = [successor.drain().len(), other.drain().len()];
    told!("handed on: {read:?} records");
    assert!(read.iter().all(|count| *count > 0), "one was given nothing: {read:?}");
    let _ = killed.unassign();
}

#[test]
fn a_commit_of_a_zombie_is_refused_counted_and_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let load = Load::start(&copying.brokers, &copying.from, 2_000);
    let too_late = |said: &str| said.matches("came too late and was dropped").count();
    let (zombie, other, stops) = copying.zombie(|| copying.any_member(&SHORT), too_late);
    let count = load.stop();
    let late = too_late(&zombie.drain());
    other.drain();
    copying.any_member(&["--until-end"]).ends_well();
    let Some(mut found) = committed(kafka, &copying.to) else { return };
    let written: usize = found.iter().map(Vec::len).sum();
    found.iter_mut().for_each(|found| {
        found.sort_unstable();
        found.dedup();
    });
    told!("a zombie's commits: {count} records, {written} written, stopped {stops} times, {late} commits too late");
    same(&found, &expected(count));
}

/// Each of these is there.
#[track_caller]
fn all_of(count: u64, mut found: Vec<u64>) {
    let read = found.len() as u64;
    found.sort_unstable();
    found.dedup();
    told!("{count} records, {} of them read again", read - found.len() as u64);
    assert!(found.iter().copied().eq(0..count), "{} of {count} are there", found.len());
}

#[test]
fn members_that_read_to_the_end_leave_nothing_to_each_other() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = topic(kafka, "from");
    fill_numbers(&kafka.brokers(), &from, 0..4_000);
    let topics = || {
        let topics = Topics::new(kafka.brokers(), [&*from], unique("group")).until_end().batch_records(50);
        topics.property("heartbeat.interval.ms", "300").property("session.timeout.ms", "6000")
    };
    // One joins while another has everything: it waits for what is being given to it.
    let group = topics();
    let first = Reading::start(&group, 1_000);
    until("the first records", || first.count() > 200);
    let second = Reading::start(&group, 1_000);
    let (first, second) = (first.ends(), second.ends());
    told!("joining: {} and {} records", first.len(), second.len());
    assert!(!second.is_empty(), "the second has ended before it was given anything");
    all_of(4_000, [first, second].concat());
    // One leaves before its end: the other reads what that had.
    let group = topics();
    let [first, second] = [(); 2].map(|()| Reading::start(&group, 700));
    until("both to read", || [&first, &second].iter().all(|reading| reading.count() > 0));
    let (first, second) = (first.drain(), second.ends());
    told!("leaving: {} and {} records", first.len(), second.len());
    assert!(first.len() < 3_000, "the first has left too late");
    all_of(4_000, [first, second].concat());
}

#[test]
fn a_member_whose_sink_stalls_gives_its_partitions_back_in_time() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = topic(kafka, "from");
    fill_numbers(&kafka.brokers(), &from, 0..400);
    let topics = Topics::new(kafka.brokers(), [&*from], unique("group")).batch_records(10);
    let topics = topics.revoke_wait(Duration::from_secs(2)).property("heartbeat.interval.ms", "300");
    let (first, passes) = Reading::stalled(&topics);
    let other = Reading::start(&topics, 10_000);
    let partitions = |numbers: Vec<u64>| HashSet::<u64>::from_iter(numbers.iter().map(|number| number % 4)).len();
    until("the other to take over", || partitions(other.seen()) >= 2 && other.count() == 200);
    assert!(first.seen().is_empty(), "the first stalls");
    passes.store(true, Ordering::SeqCst);
    until("all records", || first.count() + other.count() >= 400);
    let first = first.drain();
    told!("stalled: {} records, the other {}", first.len(), other.count());
    all_of(400, [first, other.drain()].concat());
}

#[test]
fn what_settles_once_its_partition_is_anothers_is_dropped_and_counted() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = topic(kafka, "from");
    fill_numbers(&kafka.brokers(), &from, 0..400);
    let topics = Topics::new(kafka.brokers(), [&*from], unique("group")).batch_records(10);
    let topics = topics.revoke_wait(Duration::from_secs(2)).property("heartbeat.interval.ms", "300");
    let (first, taken, passes) = Reading::holding(&topics, 400);
    until("the first to hold all", || taken.load(Ordering::SeqCst) == 400);
    let other = Reading::start(&topics, 10_000);
    until("the other to take over", || other.count() == 200);
    passes.add_permits(400);
    until("the first to be done", || first.count() >= 200);
    let (first, Summary { late, .. }) = first.drain_with();
    told!("held: {} records passed the first, {late} acknowledged too late, {} the other", first.len(), other.count());
    assert_eq!(late, 200);
    all_of(400, [first, other.drain()].concat());
}

/// How many records pass before it stalls.
const STALLS_AT: usize = 100;

/// A filter that lets all pass and counts them; if it `stalls`, it does so at the hundredth, until it may go on.
fn stalling(
    stalls: bool,
    passed: Arc<AtomicUsize>,
    goes_on: Arc<AtomicBool>,
) -> impl Fn(&Message) -> bool + Send + Sync {
    move |_| {
        let stalls = stalls && passed.fetch_add(1, Ordering::SeqCst) >= STALLS_AT;
        while stalls && !goes_on.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

#[test]
fn who_cannot_commit_in_time_gives_up_its_partitions_and_its_transaction() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    fill_numbers(&copying.brokers, &copying.from, 0..400);
    let copies = |stalls: bool, passed: Arc<AtomicUsize>, goes_on: Arc<AtomicBool>| {
        let topics = Topics::new(&*copying.brokers, [&*copying.from], &*copying.group).messages().batch_records(10);
        let topics = topics.revoke_wait(Duration::from_secs(2)).property("heartbeat.interval.ms", "300");
        let sink = Topic::new(&*copying.brokers, &*copying.to).messages().exactly_once();
        let sink = sink.partition_by(|it| it.origin.as_ref().map(|it| it.partition));
        let pipeline = Pipeline::source(topics).filter(stalling(stalls, passed, goes_on));
        pipeline.sink(sink)
    };
    let (passed, goes_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    // All that it writes is in one transaction.
    let seldom = Settings { commit_interval: Duration::from_secs(3_600), ..Settings::default() };
    let first = Reading::run(copies(true, passed.clone(), goes_on.clone()), seldom);
    until("the first to stall", || passed.load(Ordering::SeqCst) > STALLS_AT);
    let other = Reading::run(copies(false, Arc::default(), Arc::default()), Settings::default());
    until("the other to read what it was given", || copying.progress() >= 200);
    assert_eq!(copying.progress(), 200, "the first has committed something");
    goes_on.store(true, Ordering::SeqCst);
    until("the first to read again what is its own", || passed.load(Ordering::SeqCst) >= STALLS_AT + 200);
    first.drain();
    other.drain();
    let passed = passed.load(Ordering::SeqCst);
    told!("a transaction given up: {passed} records passed the first, 200 the other");
    let Some(found) = committed(kafka, &copying.to) else { return };
    same(&found, &expected(400));
}

/// A client that hears of new partitions while it is giving others back joins anew before it has done that.
#[test]
fn what_is_on_its_way_back_while_partitions_are_added_is_written_once() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    fill_numbers(&copying.brokers, &copying.from, 0..400);
    let copies = |stalls: bool, passed: Arc<AtomicUsize>, goes_on: Arc<AtomicBool>| {
        let topics = Topics::new(&*copying.brokers, [&*copying.from], &*copying.group).messages().batch_records(10);
        let topics = topics.property("topic.metadata.refresh.interval.ms", "500");
        let sink = Topic::new(&*copying.brokers, &*copying.to).messages().exactly_once();
        let sink = sink.partition_by(|it| it.origin.as_ref().map(|it| it.partition % 4));
        let pipeline =
            Pipeline::source(topics.property("heartbeat.interval.ms", "300")).filter(stalling(stalls, passed, goes_on));
        Reading::run(pipeline.sink(sink), Settings::default())
    };
    let (passed, goes_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let first = copies(true, passed.clone(), goes_on.clone());
    until("the first to stall", || passed.load(Ordering::SeqCst) > STALLS_AT);
    let other = copies(false, Arc::default(), Arc::default());
    until_group(kafka, &copying.group, |group| group.members().len() == 2);
    kafka.set_partitions(&copying.from, 8);
    // Long before the first would have given up what it holds.
    until("the other to read what it was given", || copying.progress() > 0);
    goes_on.store(true, Ordering::SeqCst);
    until("all to be read", || copying.progress() >= 400);
    first.drain();
    other.drain();
    told!("partitions added: {} records passed the first", passed.load(Ordering::SeqCst));
    let Some(found) = committed(kafka, &copying.to) else { return };
    same(&found, &expected(400));
}

#[test]
fn a_member_is_given_partitions_that_it_has_not_heard_of() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, brokers) = (unique("from"), kafka.brokers());
    kafka.add_topic(&from, 2, &[]);
    let to = |partitions: std::ops::Range<i32>| {
        fill(&brokers, &from, partitions.map(|at| (at, Message::new(at.to_string()))).collect());
    };
    let topics = Topics::new(&*brokers, [&*from], unique("group")).property("heartbeat.interval.ms", "300");
    // One looks for new partitions all the while, and the other each five minutes.
    let looks = topics.clone().property("topic.metadata.refresh.interval.ms", "500");
    let members = [Reading::start(&looks, 10_000), Reading::start(&topics, 10_000)];
    until("both to read", || {
        to(0..2);
        std::thread::sleep(Duration::from_millis(300));
        members.iter().all(|member| member.count() > 0)
    });
    kafka.set_partitions(&from, 8);
    to(2..8);
    until("all to be read", || members.iter().flat_map(Reading::seen).collect::<HashSet<_>>().len() == 8);
    let read = members.map(Reading::drain);
    told!("added partitions: {:?} records", read.each_ref().map(Vec::len));
    assert!(read.iter().all(|read| read.iter().any(|number| *number >= 2)), "one was given none of them: {read:?}");
    all_of(8, read.concat());
}

#[test]
fn what_another_member_has_committed_is_not_read_again_where_the_group_stood_before_the_run() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = topic(kafka, "from");
    fill_numbers(&kafka.brokers(), &from, 0..400);
    let group = unique("group");
    let topics = Topics::new(kafka.brokers(), [&*from], &*group).batch_records(10);
    let topics = topics.revoke_wait(Duration::from_secs(2)).property("heartbeat.interval.ms", "300");
    // An earlier run has come to the end, and this one begins anew, with whatever each member is given first.
    all_of(400, Reading::start(&topics.clone().until_end(), 100_000).ends());
    let topics = topics.start(Start::Earliest).until_end();
    let (first, passes) = Reading::stalled(&topics);
    // Another program commits the same end of what the first has to give it, and leaves.
    let other: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .set("group.id", &*group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("heartbeat.interval.ms", "300")
        .create()
        .expect("a client");
    other.subscribe(&[&*from]).expect("a topic");
    let mut given = TopicPartitionList::new();
    until("the other to be given something", || {
        let _ = other.poll(Duration::from_millis(50));
        given = other.assignment().expect("it is known");
        given.count() > 0
    });
    given.set_all_offsets(Offset::Offset(100)).expect("it can be written");
    other.commit(&given, CommitMode::Sync).expect("it is taken");
    let others = given.elements().iter().map(|element| element.partition() as u64).collect::<HashSet<_>>();
    other.unsubscribe();
    until_group(kafka, &group, |group| {
        let _ = other.poll(Duration::ZERO);
        group.members().len() == 1
    });
    passes.store(true, Ordering::SeqCst);
    let first = first.ends();
    told!("begun anew: {} records; {} partitions were another's", first.len(), others.len());
    assert!(first.len() < 300, "what the other had committed was read again");
    let own = (0..400).filter(|number| !others.contains(&(number % PARTITIONS)));
    let read = HashSet::<u64>::from_iter(first);
    assert!(own.clone().count() == 200 && own.clone().all(|number| read.contains(&number)), "something was left out");
}

#[test]
fn members_share_out_partitions_cooperatively_and_keep_what_stays_theirs() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group) = (topic(kafka, "from"), unique("group"));
    fill_numbers(&kafka.brokers(), &from, 0..40);
    let topics = Topics::new(kafka.brokers(), [&*from], &*group);
    let members = [Reading::start(&topics, 1_000), Reading::start(&topics, 1_000)];
    until_group(kafka, &group, |group| {
        let stands = group.state() == "Stable" && group.members().len() == 2;
        assert!(!stands || group.protocol() == "cooperative-sticky", "{}", group.protocol());
        stands
    });
    all_of(40, members.into_iter().flat_map(Reading::drain).collect());
}

#[test]
fn a_member_that_is_given_nothing_ends_once_the_group_is_at_rest() {
    let Some(kafka) = Kafka::shared() else { return };
    let (from, group) = (unique("from"), unique("group"));
    kafka.add_topic(&from, 1, &[]);
    fill(&kafka.brokers(), &from, (0..100).map(|number| (0, Message::new(number.to_string()))).collect());
    let topics = || Topics::new(kafka.brokers(), [&*from], &group);
    let first = Reading::start(&topics(), 1_000);
    until("the first to read", || first.count() == 100);
    let second = Reading::start(&topics().until_end(), 1_000).ends();
    let first = first.drain();
    told!("more members than partitions: {} and {} records", first.len(), second.len());
    assert_eq!((first.len(), second.len()), (100, 0));
}
