//! What others read of what we wrote, and what we read of what others wrote.

use std::io::Write as _;
use std::process::Stdio;

use bytes::Bytes;
use millstream::kafka::{Header, Message, Topic, Topics};
use millstream::prelude::*;

use super::client::{run, unique};
use crate::support::kafka::Kafka;

fn read(kafka: &Kafka, topic: &str) -> Vec<Message> {
    let out = Collect::<Message>::new();
    let seen = out.collected();
    let topics = Topics::new(kafka.brokers(), [topic], unique("group")).messages().until_end();
    run(Pipeline::source(topics).sink(out)).expect("it is read");
    let plain = |message: &Message| Message { origin: None, ..message.clone() };
    seen.values().iter().map(plain).collect()
}

const COMPRESSIONS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// These messages are of another year.
const KEPT: [(&str, &str); 1] = [("retention.ms", "-1")];

/// Messages of all kinds.
fn messages() -> Vec<Message> {
    let mut list = vec![
        Message::new("plain").with_timestamp(1_700_000_000_123),
        Message::new("keyed")
            .with_key("k")
            .with_header("a", "1")
            .with_header("a", "2")
            .with_timestamp(1_700_000_000_456),
        Message::tombstone("k").with_timestamp(1_700_000_000_789),
        Message::new("").with_key("").with_timestamp(1_700_000_001_000),
    ];
    list[1].headers.push(Header { name: "none".into(), value: None });
    list
}

#[test]
fn kcat_reads_what_we_wrote_in_every_compression() {
    let Some(kafka) = Kafka::shared() else { return };
    for compression in COMPRESSIONS {
        let topic = unique("ours");
        kafka.add_topic(&topic, 1, &KEPT);
        let sink = Topic::new(kafka.brokers(), &topic).messages().property("compression.type", compression);
        run(Pipeline::source(List::new(messages())).sink(sink)).expect("it is written");
        assert_eq!(read(kafka, &topic), messages(), "{compression}: as we read it");
        let Some(mut kcat) = kafka.kcat(&["-C", "-t", &topic, "-e", "-q", "-f", "%T %K %k %S %s %h;"]) else { return };
        let ran = kcat.output().expect("kcat runs");
        let expected = "1700000000123 -1  5 plain ;1700000000456 1 k 5 keyed a=1,a=2,none=NULL;\
                        1700000000789 1 k -1  ;1700000001000 0  0  ;";
        assert_eq!(String::from_utf8_lossy(&ran.stdout), expected, "{compression}");
    }
    told!("kcat read {} messages in each of 5 compressions", messages().len());
}

#[test]
fn we_read_what_kcat_wrote() {
    let Some(kafka) = Kafka::shared() else { return };
    for compression in COMPRESSIONS {
        let topic = unique("theirs");
        kafka.add_topic(&topic, 1, &KEPT);
        let codec = format!("compression.codec={compression}");
        let arguments = ["-P", "-t", &topic, "-K", ":", "-Z", "-H", "a=1", "-H", "b=2", "-X", &codec];
        let Some(mut kcat) = kafka.kcat(&arguments) else { return };
        let mut child = kcat.stdin(Stdio::piped()).spawn().expect("kcat runs");
        child.stdin.take().expect("piped").write_all(b"k:one\nk:\nl:two\n").expect("it reads");
        assert!(child.wait().expect("it ends").success());
        let found = read(kafka, &topic);
        let of = |message: &Message| (message.key.clone(), message.value.clone());
        let key = |text: &'static str| Some(Bytes::from(text));
        assert_eq!(
            found.iter().map(of).collect::<Vec<_>>(),
            [(key("k"), key("one")), (key("k"), None), (key("l"), key("two"))],
            "{compression}"
        );
        let header = |name| found[0].header(name).cloned();
        assert_eq!([header("a"), header("b")], [key("1"), key("2")]);
        let seconds = found[0].timestamp.expect("it has one") / 1_000;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
        assert!(now.abs_diff(seconds as u64) < 600, "{seconds} is not of today");
    }
    told!("3 messages of kcat's in each of 5 compressions were read");
}

#[test]
fn kafkas_console_tools_read_what_we_wrote_and_write_what_we_read() {
    let Some(kafka) = Kafka::shared() else { return };
    let topic = unique("console");
    kafka.add_topic(&topic, 1, &KEPT);
    for compression in COMPRESSIONS {
        let sink = Topic::new(kafka.brokers(), &topic).messages().property("compression.type", compression);
        run(Pipeline::source(List::new(messages())).sink(sink)).expect("it is written");
    }
    let mut consumer = kafka.tool("org.apache.kafka.tools.consumer.ConsoleConsumer");
    let brokers = kafka.brokers();
    consumer.args(["--bootstrap-server", &brokers, "--topic", &topic, "--from-beginning", "--max-messages", "20"]);
    for property in ["print.key=true", "print.headers=true", "print.timestamp=true"] {
        consumer.args(["--property", property]);
    }
    let ran = consumer.output().expect("it runs");
    let read = String::from_utf8_lossy(&ran.stdout).into_owned();
    let each = [
        "CreateTime:1700000000123\tNO_HEADERS\tnull\tplain",
        "CreateTime:1700000000456\ta:1,a:2,none:null\tk\tkeyed",
        "CreateTime:1700000000789\tNO_HEADERS\tk\tnull",
        "CreateTime:1700000001000\tNO_HEADERS\t\t",
    ];
    assert_eq!(Vec::from_iter(read.lines()), each.repeat(COMPRESSIONS.len()));
    let theirs = unique("console");
    let mut topics = kafka.tool("org.apache.kafka.tools.TopicCommand");
    topics.args(["--bootstrap-server", &brokers, "--create", "--topic", &theirs, "--partitions", "1"]);
    assert!(topics.stdout(Stdio::null()).status().expect("it runs").success());
    let mut producer = kafka.tool("org.apache.kafka.tools.ConsoleProducer");
    producer.args(["--bootstrap-server", &brokers, "--topic", &theirs, "--compression-codec", "zstd"]);
    for property in ["parse.headers=true", "parse.key=true", "key.separator=|", "null.marker=NULL"] {
        producer.args(["--property", property]);
    }
    let mut child = producer.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it runs");
    child.stdin.take().expect("piped").write_all(b"a:1,b:2\tk|one\nNULL\tk|NULL\n").expect("it reads");
    assert!(child.wait().expect("it ends").success());
    let found = self::read(kafka, &theirs);
    assert_eq!((found[0].value.as_deref(), found[1].value.as_deref()), (Some(&b"one"[..]), None));
    assert!(found.iter().all(|message| message.key.as_deref() == Some(b"k") && message.timestamp.is_some()));
    let headers = found[0].headers.iter().map(|header| (&*header.name, header.value.as_deref()));
    assert_eq!(Vec::from_iter(headers), [("a", Some(&b"1"[..])), ("b", Some(b"2"))]);
    assert!(found[1].headers.is_empty());
    told!("the console tools read 20 of our messages, in 5 compressions, and we read 2 of theirs");
}
