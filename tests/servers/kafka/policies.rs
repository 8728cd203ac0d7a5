//! Records that can't be delivered meet the stage's policy, and no other does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use bytes::Bytes;
use millstream::declare::OnError;
use millstream::kafka::{Fallback, Message, Start, Topic, Topics};
use millstream::prelude::*;

use super::client::{fill, run, unique};
use super::tls::sasl;
use crate::support::kafka::{Kafka, PASSWORD, USER, Wire};

const RECORDS: u64 = 300;

/// Whether a record is too large for its topic.
fn is_large(number: u64) -> bool {
    number % 100 == 50
}

/// A number, with what makes it too large if it is to be.
fn value(number: u64) -> Bytes {
    let tail = if is_large(number) { "x".repeat(6_000) } else { String::new() };
    Bytes::from(format!("{number} {tail}"))
}

fn number_of(value: &Bytes) -> u64 {
    let text = std::str::from_utf8(value).expect("text");
    text.split(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

/// How it writes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    ToATopic,
    /// What its topics ask of their records is not known.
    ByRecord,
    ExactlyOnce,
    ExactlyOnceByRecord,
}

impl How {
    const ALL: [Self; 4] = [Self::ToATopic, Self::ByRecord, Self::ExactlyOnce, Self::ExactlyOnceByRecord];

    fn is_exactly_once(self) -> bool {
        matches!(self, Self::ExactlyOnce | Self::ExactlyOnceByRecord)
    }
}

struct Copying {
    from: String,
    to: String,
    group: String,
}

impl Copying {
    fn new(kafka: &Kafka) -> Self {
        let names = Self { from: unique("from"), to: unique("to"), group: unique("group") };
        kafka.add_topic(&names.from, 1, &[]);
        kafka.add_topic(&names.to, 1, &[("max.message.bytes", "4000")]);
        fill(&kafka.brokers(), &names.from, (0..RECORDS).map(|number| (0, Message::new(value(number)))).collect());
        names
    }

    /// Copies in requests of many records, of which one would spoil all.
    fn pipeline(&self, kafka: &Kafka, how: How) -> Pipeline {
        let brokers = kafka.brokers();
        let read = Topics::new(&*brokers, [&*self.from], &*self.group).until_end();
        let write = Topic::new(&*brokers, &*self.to).property("compression.type", "none");
        let write = write.property("batch.size", "1000000").property("linger.ms", "5");
        let to = self.to.clone();
        let write = match how {
            How::ToATopic => write,
            How::ByRecord => write.topic_by(move |_| to.clone()),
            How::ExactlyOnce => write.exactly_once(),
            How::ExactlyOnceByRecord => write.exactly_once().topic_by(move |_| to.clone()),
        };
        Pipeline::called("poison").source(read).sink(write)
    }

    fn found(&self, kafka: &Kafka) -> Vec<u64> {
        let out = Collect::<Bytes>::new();
        let seen = out.collected();
        let read = Topics::new(kafka.brokers(), [&*self.to], unique("looks")).until_end();
        run(Pipeline::source(read).sink(out)).expect("it is read");
        seen.values().iter().map(number_of).collect()
    }
}

#[test]
fn what_is_too_large_is_skipped_and_nothing_else() {
    let Some(kafka) = Kafka::shared() else { return };
    for how in How::ALL {
        let copying = Copying::new(kafka);
        let summary = run(copying.pipeline(kafka, how).on_any_error(OnError::Skip)).expect("it ends well");
        let found = copying.found(kafka);
        told!("skip, {how:?}: {} delivered, {} skipped", found.len(), summary.skipped);
        // What a transaction that was aborted had skipped is skipped again.
        assert!(summary.skipped == 3 || (how.is_exactly_once() && summary.skipped > 3), "{}", summary.skipped);
        let wanted: Vec<u64> = (0..RECORDS).filter(|number| !is_large(*number)).collect();
        match how {
            // What was refused together is sent again one by one.
            How::ByRecord => assert_eq!(BTreeSet::from_iter(found), BTreeSet::from_iter(wanted)),
            _ => assert_eq!(found, wanted, "in its order"),
        }
        assert_eq!(kafka.committed(&copying.group, &copying.from, 0), Some(RECORDS as i64));
    }
}

/// The values of a topic of one partition.
fn texts(kafka: &Kafka, topic: &str) -> Vec<String> {
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    run(Pipeline::source(Topics::new(kafka.brokers(), [topic], unique("looks")).until_end()).sink(out))
        .expect("it is read");
    seen.values().iter().map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

#[test]
fn letters_of_a_stage_before_the_sink_are_in_its_transactions_and_one_that_is_refused_ends_the_run() {
    let Some(kafka) = Kafka::shared() else { return };
    let copying = Copying::new(kafka);
    let (letters, small) = (unique("letters"), unique("small"));
    kafka.add_topic(&letters, 1, &[]);
    kafka.add_topic(&small, 1, &[("max.message.bytes", "100")]);
    let pipeline = |group: &str, letters: &str| {
        let read = Topics::new(kafka.brokers(), [&*copying.from], group).until_end().batch_records(7);
        let write = Topic::new(kafka.brokers(), &copying.to).property("compression.type", "none").exactly_once();
        let checks = |value: Bytes| if number_of(&value) % 10 == 3 { Err(Spoilt) } else { Ok(value) };
        let policy = OnError::dead_letter(Topic::new(kafka.brokers(), letters));
        Pipeline::called("letters").source(read).try_map(checks).sink(write).on_any_error(policy)
    };
    let summary = run(pipeline(&copying.group, &letters)).expect("it ends well");
    let wanted = |number: &u64| number % 10 == 3 || is_large(*number);
    // Within a batch those of the sink come behind those of stages before it.
    let mut found = texts(kafka, &letters);
    found.sort_by_key(|letter| offset_of(letter));
    told!("letters of two stages: {}, {} times", found.len(), summary.dead_lettered);
    let offsets: Vec<u64> = found.iter().map(|letter| offset_of(letter)).collect();
    assert_eq!(offsets, (0..RECORDS).filter(wanted).collect::<Vec<_>>());
    assert_eq!(copying.found(kafka), (0..RECORDS).filter(|number| !wanted(number)).collect::<Vec<_>>());
    let error = run(pipeline(&unique("group"), &small)).expect_err("the letters are too large for their topic");
    told!("letters that are refused: {error}");
    assert!(
        error.to_string().starts_with("dead letters: ") && error.to_string().contains("max.message.bytes"),
        "{error}"
    );
    assert_eq!(texts(kafka, &small).len(), 0);
}

#[test]
fn a_letter_that_its_topic_refuses_ends_the_run_and_its_record_is_not_committed() {
    let Some(kafka) = Kafka::shared() else { return };
    let (copying, small) = (Copying::new(kafka), unique("small"));
    kafka.add_topic(&small, 1, &[("max.message.bytes", "100")]);
    let read = Topics::new(kafka.brokers(), [&*copying.from], &*copying.group).until_end().batch_records(7);
    let checks = |value: Bytes| if number_of(&value) % 10 == 3 { Err(Spoilt) } else { Ok(value) };
    let out = Collect::<Bytes>::new();
    let seen = out.collected();
    let policy = OnError::dead_letter(Topic::new(kafka.brokers(), &small));
    let ended = run(Pipeline::source(read).try_map(checks).sink(out).on_any_error(policy));
    let error = ended.expect_err("the letters are too large for their topic").to_string();
    let committed = kafka.committed(&copying.group, &copying.from, 0);
    told!("letters that are refused: {} records passed, {committed:?} committed: {error}", seen.len());
    assert!(error.starts_with("dead letters: ") && error.contains("max.message.bytes"), "{error}");
    assert!(committed.is_none_or(|committed| committed <= 3), "{committed:?} is committed, and has no letter");
    assert_eq!(texts(kafka, &small).len(), 0);
}

/// Where the record of a letter was read.
pub(super) fn offset_of(letter: &str) -> u64 {
    let offset = letter.split("offset ").nth(1).and_then(|rest| rest.split('"').next());
    offset.and_then(|offset| offset.parse().ok()).unwrap_or_else(|| panic!("no letter: {letter}"))
}

/// A record that a stage can't take.
#[derive(Debug, thiserror::Error)]
#[error("it is spoilt")]
struct Spoilt;

#[test]
fn what_is_too_large_becomes_a_dead_letter() {
    let Some(kafka) = Kafka::shared() else { return };
    for how in How::ALL {
        let (copying, letters) = (Copying::new(kafka), unique("letters"));
        kafka.add_topic(&letters, 1, &[]);
        let policy = OnError::dead_letter(Topic::new(kafka.brokers(), &letters));
        let summary = run(copying.pipeline(kafka, how).on_any_error(policy)).expect("it ends well");
        assert_eq!(copying.found(kafka).len(), RECORDS as usize - 3);
        let found = texts(kafka, &letters);
        told!("dead letters, {how:?}: {}, {} times", found.len(), summary.dead_lettered);
        // In transactions they are written with the rest, and those of one that was aborted are not there.
        assert_eq!(found.len(), 3);
        assert!(
            ["offset 50", "offset 150", "offset 250"].iter().zip(found).all(|(place, found)| found.contains(place))
        );
        assert!(summary.dead_lettered == 3 || (how.is_exactly_once() && summary.dead_lettered > 3));
    }
}

#[test]
fn what_is_too_large_ends_the_run_before_it() {
    let Some(kafka) = Kafka::shared() else { return };
    for (how, retries) in How::ALL.into_iter().flat_map(|how| [(how, None), (how, Some(2))]) {
        let copying = Copying::new(kafka);
        // It is as large when it is tried again.
        let pipeline = copying.pipeline(kafka, how);
        let pipeline = match retries {
            Some(times) => pipeline.retry(times),
            None => pipeline,
        };
        let error = run(pipeline).expect_err("it fails");
        let text = error.to_string();
        told!("fail, {how:?}, retries {retries:?}: {text}");
        assert!(text.contains("max.message.bytes") && text.contains("offset 50"), "{text}");
        let committed = kafka.committed(&copying.group, &copying.from, 0).unwrap_or(0);
        assert!(committed <= 50, "{committed} is past what failed");
        let found = copying.found(kafka);
        if how.is_exactly_once() {
            assert_eq!(found.len() as i64, committed);
        }
        assert!(found.starts_with(&(0..committed as u64).collect::<Vec<_>>()), "{committed} are committed: {found:?}");
    }
}

#[test]
fn what_the_client_itself_refuses_is_not_taken_for_delivered() {
    let Some(kafka) = Kafka::shared() else { return };
    for (exactly_once, policy) in [(false, OnError::Skip), (true, OnError::Skip), (true, OnError::Fail)] {
        let copying = Copying::new(kafka);
        let read = Topics::new(kafka.brokers(), [&*copying.from], &*copying.group).until_end();
        let write = Topic::new(kafka.brokers(), &*copying.to).property("message.max.bytes", "3000");
        let write = if exactly_once { write.exactly_once() } else { write };
        let fails = matches!(policy, OnError::Fail);
        let ended = run(Pipeline::called("poison").source(read).sink(write).retry(2).on_any_error(policy));
        let found = copying.found(kafka);
        told!("refused here, exactly once {exactly_once}, fails {fails}: {} delivered", found.len());
        match ended {
            Err(error) if fails => assert!(error.to_string().contains("offset 50"), "{error}"),
            Ok(_) if !fails => {
                let wanted: Vec<u64> = (0..RECORDS).filter(|number| !is_large(*number)).collect();
                assert_eq!(found, wanted);
            }
            ended => panic!("{ended:?}"),
        }
    }
}

#[test]
fn what_a_function_of_the_record_does_wrong_is_that_records_failure() {
    let Some(kafka) = Kafka::shared() else { return };
    for exactly_once in [false, true] {
        let copying = Copying::new(kafka);
        let to = copying.to.clone();
        let topic = move |value: &Bytes| match number_of(value) % 100 {
            10 => panic!("there is no topic for it"),
            20 => format!("{to}\0"),
            _ => to.clone(),
        };
        let read = Topics::new(kafka.brokers(), [&*copying.from], &*copying.group).until_end();
        let small = |value: &Bytes| !is_large(number_of(value));
        let write = Topic::new(kafka.brokers(), &copying.to).topic_by(topic);
        let write = if exactly_once { write.exactly_once() } else { write };
        let letters = Collect::<Bytes>::new();
        let buried = letters.collected();
        let pipeline = Pipeline::called("functions").source(read).filter(small).sink(write);
        run(pipeline.on_any_error(OnError::dead_letter(letters))).expect("it ends well");
        let letters: Vec<_> =
            buried.values().iter().map(|letter| String::from_utf8_lossy(letter).into_owned()).collect();
        told!("functions, exactly once: {exactly_once}: {}", letters.join(" "));
        let offsets: BTreeSet<_> = letters.iter().map(|letter| offset_of(letter)).collect();
        assert_eq!(Vec::from_iter(offsets), [10, 20, 110, 120, 210, 220]);
        assert!(letters.iter().any(|letter| letter.contains("there is no topic for it")), "it says why");
        assert!(letters.iter().any(|letter| letter.contains("no name has a NUL")), "it says why");
        let wanted = |number: &u64| ![10, 20, 50].contains(&(number % 100));
        assert_eq!(copying.found(kafka), (0..RECORDS).filter(wanted).collect::<Vec<_>>());
    }
}

#[test]
fn a_message_with_a_header_of_no_text_meets_the_policy() {
    let Some(kafka) = Kafka::shared() else { return };
    let (copying, count) = (Copying::new(kafka), RECORDS as usize);
    let Some(mut kcat) = kafka.kcat(&["-P", "-t", &copying.from, "-p", "0", "-H"]) else { return };
    kcat.arg(OsStr::from_bytes(b"caf\xe9=1")).stdin(std::process::Stdio::piped());
    let mut kcat = kcat.spawn().expect("it is installed");
    kcat.stdin.take().expect("it is piped").write_all(b"300 odd\n").expect("it reads");
    assert!(kcat.wait().expect("it ends").success());
    fill(&kafka.brokers(), &copying.from, vec![(0, Message::new("301 "))]);
    let read = |policy: OnError| {
        let out = Collect::<Message>::new();
        let seen = out.collected();
        let read = Topics::new(kafka.brokers(), [&*copying.from], unique("group")).messages().until_end();
        let ended = run(Pipeline::source(read).sink(out).on_any_error(policy));
        (Vec::from_iter(seen.values().iter().filter_map(|it| Some(number_of(it.value.as_ref()?)))), ended)
    };
    let (_, ended) = read(OnError::Fail);
    let error = ended.expect_err("it can't be read").to_string();
    assert!(error.contains("offset 300") && error.contains("not UTF-8"), "{error}");
    let (found, ended) = read(OnError::Skip);
    let skipped = ended.expect("the rest is read").skipped;
    told!("a header of no text: {} read, {skipped} skipped: {error}", found.len());
    assert_eq!((found.len(), skipped, found.last()), (count + 1, 1, Some(&301)));
}

#[test]
fn what_a_compacted_topic_or_its_bounds_of_time_refuse_is_skipped_and_order_stays() {
    let Some(kafka) = Kafka::shared() else { return };
    let odd = |number: u64| number % 50 == 25;
    let hour = 3_600_000;
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_millis() as i64;
    type Spoils = fn(Message) -> Message;
    let cases: [(&str, (&str, &str), Spoils); 2] = [
        ("no key", ("cleanup.policy", "compact"), |message| Message { key: None, ..message }),
        ("too old", ("message.timestamp.before.max.ms", "86400000"), |message| Message {
            timestamp: message.timestamp.map(|time| time - 90_000_000),
            ..message
        }),
    ];
    for (what, setting, spoil) in cases {
        let to = unique("to");
        kafka.add_topic(&to, 1, &[setting]);
        let message = |number: u64| {
            let message = Message::new(format!("{number} ")).with_key(format!("{number}"));
            let message = Message { timestamp: Some(now - hour), ..message };
            if odd(number) { spoil(message) } else { message }
        };
        let sink = Topic::new(kafka.brokers(), &to).messages();
        let messages: Vec<Message> = (0..RECORDS).map(message).collect();
        let summary = run(Pipeline::source(List::new(messages)).sink(sink).on_any_error(OnError::Skip));
        let skipped = summary.expect("it ends well").skipped;
        let found = Copying { from: String::new(), to, group: String::new() }.found(kafka);
        told!("{what}: {} delivered, {skipped} skipped", found.len());
        assert_eq!(skipped, RECORDS / 50);
        assert_eq!(found, (0..RECORDS).filter(|number| !odd(*number)).collect::<Vec<_>>());
    }
}

#[test]
fn a_topic_by_the_record_that_is_not_there_or_forbidden_is_that_records_failure() {
    const MANY: u64 = 20_000;
    const BAD: u64 = 10_013;
    let Some(kafka) = Kafka::shared() else { return };
    for (exactly_once, wrong) in [(false, "no"), (false, "forbidden"), (true, "no"), (true, "forbidden")] {
        let (good, bad) = (unique("good"), unique(wrong));
        kafka.add_topic(&good, 1, &[]);
        if wrong == "forbidden" {
            kafka.add_topic(&bad, 1, &[]);
            kafka.forbid_writing(USER, &bad);
        }
        let to = good.clone();
        let topic_of = move |value: &Bytes| if number_of(value) == BAD { bad.clone() } else { to.clone() };
        let sink = Topic::new(sasl(kafka, "PLAIN", PASSWORD), "").topic_by(topic_of);
        let sink = sink.property("topic.metadata.propagation.max.ms", "1000");
        let values: Vec<Bytes> = (0..MANY).map(|number: u64| Bytes::from(format!("{number} "))).collect();
        let source = Pipeline::called(&unique("topics-by-record")).source(List::new(values));
        let state = tempfile::tempdir().expect("there is room");
        let pipeline = match exactly_once {
            true => source.sink(sink.exactly_once()).store(Embedded::at(state.path())),
            false => source.sink(sink),
        };
        let summary = run(pipeline.on_any_error(OnError::Skip)).expect("it ends well");
        let found = Copying { from: String::new(), to: good, group: String::new() }.found(kafka);
        told!("{wrong}, exactly once {exactly_once}: {} delivered, {} skipped", found.len(), summary.skipped);
        assert_eq!(summary.skipped, 1);
        let differs = found.iter().copied().zip((0..MANY).filter(|number| *number != BAD)).find(|(a, b)| a != b);
        assert!(found.len() as u64 == MANY - 1 && differs.is_none(), "{differs:?}");
    }
}

#[test]
fn tombstones_and_missing_keys_are_refused_where_they_can_not_be_told() {
    let Some(kafka) = Kafka::shared() else { return };
    let from = unique("from");
    kafka.add_topic(&from, 1, &[]);
    let messages = [Message::new("a"), Message::tombstone("k"), Message::new("b").with_key("k")];
    fill(&kafka.brokers(), &from, messages.map(|message| (0, message)).into());
    let topics = || Topics::new(kafka.brokers(), [&*from], unique("group")).until_end();
    let topics = || topics().start(Start::Committed(Fallback::Earliest));
    let values = Collect::<Bytes>::new();
    let seen = values.collected();
    let summary = run(Pipeline::source(topics()).sink(values).on_any_error(OnError::Skip)).expect("it ends well");
    assert_eq!((summary.skipped, seen.values()), (1, vec![Bytes::from("a"), Bytes::from("b")]));
    let pairs = Collect::<Kv<Bytes, Bytes>>::new();
    let seen = pairs.collected();
    let summary =
        run(Pipeline::source(topics().keyed()).sink(pairs).on_any_error(OnError::Skip)).expect("it ends well");
    assert_eq!((summary.skipped, seen.values()), (2, vec![Kv::new(Bytes::from("k"), Bytes::from("b"))]));
    let error = run(Pipeline::source(topics()).sink(Null::<Bytes>::new())).expect_err("it fails");
    assert!(error.to_string().contains("tombstone"), "{error}");
}

#[test]
fn a_topic_that_is_not_there_is_not_made_by_its_name() {
    // So it is by itself, for who doesn't say otherwise.
    let Some(kafka) = Kafka::own(&["auto.create.topics.enable=true"]) else { return };
    let lines = || Pipeline::source(List::new(["a".to_owned()]));
    let written = run(lines().sink(Topic::new(kafka.brokers(), "typing-error"))).expect_err("it isn't there");
    let by_record =
        |sink: Topic<Bytes>| lines().sink(sink.topic_by(|_| "another-error".to_owned())).on_error(OnError::Skip);
    let skipped = run(by_record(Topic::new(kafka.brokers(), ""))).expect("it is a record's failure");
    let read = Topics::new(kafka.brokers(), ["third-error"], "group").until_end();
    let read = run(Pipeline::source(read).sink(Null::<Bytes>::new())).expect_err("it isn't there");
    let (_, all) = kafka.must("tell its partitions", Wire::metadata);
    let made: Vec<_> = all.iter().filter(|it| it.topic.contains("error")).collect();
    told!("no topic is made by its name: {written}; {read}; {} skipped", skipped.skipped);
    assert_eq!((made.len(), skipped.skipped), (0, 1), "{made:?}");
    assert!([written, read].iter().all(|error| error.to_string().contains("create the topic")));
}
