//! [`Wire`]: a connection to a Kafka broker that speaks as much of its protocol as tests need to set things up and to
//! look at them. It depends on no client library, and takes milliseconds where Kafka's own tools take seconds.
//!
//! ```text
//! request    length i32 | api i16 | version i16 | correlation i32 | client id (i16 -1: none) | body
//! answer     length i32 | correlation i32 | body
//! string     length i16 (-1: none) | UTF-8             array    count i32 | elements
//! ```
//!
//! Versions are the last ones before what the protocol calls flexible, or older; Kafka 4 has them all.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The longest that an answer takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the broker may take for it, in milliseconds.
const PATIENCE_MS: i32 = 15_000;
/// No answer here is longer.
const MOST: i32 = 16 * 1024 * 1024;

/// See the module.
pub(crate) struct Wire(TcpStream);

/// What went wrong.
#[derive(Debug)]
pub(crate) enum Failed {
    /// Nobody is there, or what came is not what the protocol says.
    Io(io::Error),
    /// An error number of the protocol, and what the broker says to it.
    Broker(i16, String),
}

pub(crate) type Result<T> = std::result::Result<T, Failed>;

/// A partition, by the broker's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartitionOf {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The broker that leads it; -1 while none does.
    pub(crate) leader: i32,
}

/// What is asked of a partition's offsets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    First,
    /// Behind the last record, of whichever transaction.
    High,
    /// Before the first record of which it isn't decided whether it is committed.
    Stable,
}

impl Wire {
    /// The broker that listens on this port of loopback.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(stream))
    }

    /// How many brokers are there, and all partitions of all topics.
    pub(crate) fn metadata(&mut self) -> Result<(usize, Vec<PartitionOf>)> {
        let mut answer = self.ask(3, 1, Body::default().i32(-1))?;
        let brokers = answer.array(|broker| {
            broker.i32()?;
            broker.string()?;
            broker.i32()?;
            broker.string()
        })?;
        answer.i32()?;
        let topics = answer.array(|topic| {
            topic.i16()?;
            let name = topic.string()?;
            topic.i8()?;
            topic.array(|partition| partition_of(&name, partition))
        })?;
        Ok((brokers.len(), topics.concat()))
    }

    /// Makes a topic, with settings such as `cleanup.policy`.
    pub(crate) fn create_topic(&mut self, name: &str, partitions: i32, settings: &[(&str, &str)]) -> Result<()> {
        let body = Body::default().i32(1).string(name).i32(partitions).i16(1).i32(0);
        let body = body.array(settings, |body, (key, value)| body.string(key).string(value));
        let mut answer = self.ask(19, 2, body.i32(PATIENCE_MS).i8(0))?;
        answer.i32()?;
        answer.outcomes(|topic| {
            topic.string()?;
            topic.outcome_and_text()
        })
    }

    pub(crate) fn delete_topic(&mut self, name: &str) -> Result<()> {
        let mut answer = self.ask(20, 1, Body::default().i32(1).string(name).i32(PATIENCE_MS))?;
        answer.i32()?;
        answer.outcomes(|topic| {
            topic.string()?;
            topic.outcome()
        })
    }

    /// Gives a topic more partitions: so many in all.
    pub(crate) fn set_partitions(&mut self, topic: &str, count: i32) -> Result<()> {
        let body = Body::default().i32(1).string(topic).i32(count).i32(-1);
        let mut answer = self.ask(37, 0, body.i32(PATIENCE_MS).i8(0))?;
        answer.i32()?;
        answer.outcomes(|topic| {
            topic.string()?;
            topic.outcome_and_text()
        })
    }

    /// Removes the records of a partition before this offset.
    pub(crate) fn delete_records(&mut self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let body = Body::default().i32(1).string(topic).i32(1).i32(partition).i64(before);
        let mut answer = self.ask(21, 0, body.i32(PATIENCE_MS))?;
        answer.i32()?;
        answer.outcomes(|topic| {
            topic.string()?;
            topic.outcomes(|partition| {
                partition.i32()?;
                partition.i64()?;
                partition.outcome()
            })
        })
    }

    /// The first offset of a partition, or one of its ends.
    pub(crate) fn offset(&mut self, topic: &str, partition: i32, end: End) -> Result<i64> {
        let (time, committed) = match end {
            End::First => (-2, 0),
            End::High => (-1, 0),
            End::Stable => (-1, 1),
        };
        let body = Body::default().i32(-1).i8(committed).i32(1).string(topic).i32(1).i32(partition).i64(time);
        let mut answer = self.ask(2, 2, body)?;
        answer.i32()?;
        let offsets = answer.array(|topic| {
            topic.string()?;
            topic.array(|partition| {
                partition.i32()?;
                partition.outcome()?;
                partition.i64()?;
                partition.i64()
            })
        })?;
        offsets.concat().first().copied().ok_or_else(malformed)
    }

    /// The offset that a group has committed for a partition; `None` if it has none.
    pub(crate) fn committed(&mut self, group: &str, topic: &str, partition: i32) -> Result<Option<i64>> {
        // Who asks first for the coordinator of any group has it made.
        self.ask(10, 0, Body::default().string(group))?.outcome()?;
        let body = Body::default().string(group).i32(1).string(topic).i32(1).i32(partition);
        let mut answer = self.ask(9, 1, body)?;
        let offsets = answer.array(|topic| {
            topic.string()?;
            topic.array(|partition| {
                partition.i32()?;
                let offset = partition.i64()?;
                partition.string()?;
                partition.outcome()?;
                Ok(offset)
            })
        })?;
        let offset = offsets.concat().first().copied().ok_or_else(malformed)?;
        Ok((offset >= 0).then_some(offset))
    }

    /// Forbids a user to write to a topic. Where something is said of a topic, all else has to be allowed.
    pub(crate) fn forbid_writing(&mut self, user: &str, topic: &str) -> Result<()> {
        const TOPIC: i8 = 2;
        const LITERAL: i8 = 3;
        const WRITE: i8 = 4;
        const ALL: i8 = 2;
        const DENY: i8 = 2;
        const ALLOW: i8 = 3;
        let rule = |body: Body, user: &str, what, how| {
            let body = body.i8(TOPIC).string(topic).i8(LITERAL);
            body.string(&format!("User:{user}")).string("*").i8(what).i8(how)
        };
        let body = rule(Body::default().i32(2), "*", ALL, ALLOW);
        let body = rule(body, user, WRITE, DENY);
        let mut answer = self.ask(30, 1, body)?;
        answer.i32()?;
        answer.outcomes(Answer::outcome_and_text)
    }

    fn ask(&mut self, api: i16, version: i16, body: Body) -> Result<Answer> {
        let mut request = Body::default().i16(api).i16(version).i32(0).i16(-1).0;
        request.extend(body.0);
        let length = i32::try_from(request.len()).expect("a request is short");
        self.0.write_all(&[&length.to_be_bytes(), &request[..]].concat())?;
        let mut length = [0; 4];
        self.0.read_exact(&mut length)?;
        let length = i32::from_be_bytes(length);
        if !(4..=MOST).contains(&length) {
            return Err(malformed());
        }
        let mut bytes = vec![0; usize::try_from(length).expect("it is between 4 and the most")];
        self.0.read_exact(&mut bytes)?;
        Ok(Answer { bytes, at: 4 })
    }
}

fn partition_of(topic: &str, answer: &mut Answer) -> Result<PartitionOf> {
    answer.i16()?;
    let (partition, leader) = (answer.i32()?, answer.i32()?);
    answer.array(Answer::i32)?;
    answer.array(Answer::i32)?;
    Ok(PartitionOf { topic: topic.to_owned(), partition, leader })
}

/// A request, as far as it is written.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn i8(self, value: i8) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn i16(self, value: i16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn i32(self, value: i32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn i64(self, value: i64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    fn string(self, value: &str) -> Self {
        self.i16(i16::try_from(value.len()).expect("a name is short")).bytes(value.as_bytes())
    }

    fn array<T>(self, values: &[T], one: impl Fn(Self, &T) -> Self) -> Self {
        let count = i32::try_from(values.len()).expect("a list is short");
        values.iter().fold(self.i32(count), one)
    }
}

/// An answer, as far as it is read.
struct Answer {
    bytes: Vec<u8>,
    at: usize,
}

impl Answer {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let from = self.at;
        self.at += count;
        self.bytes.get(from..self.at).ok_or_else(malformed)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        Ok(self.take(N)?.try_into().expect("so many were taken"))
    }

    fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// None is empty.
    fn string(&mut self) -> Result<String> {
        let length = self.i16()?;
        let bytes = self.take(usize::try_from(length).unwrap_or_default())?;
        String::from_utf8(bytes.to_vec()).map_err(|_| malformed())
    }

    fn array<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.i32()?;
        (0..count).map(|_| one(self)).collect()
    }

    /// An array that holds how each has gone.
    fn outcomes(&mut self, one: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.array(one).map(drop)
    }

    fn outcome(&mut self) -> Result<()> {
        match self.i16()? {
            0 => Ok(()),
            error => Err(Failed::Broker(error, String::new())),
        }
    }

    fn outcome_and_text(&mut self) -> Result<()> {
        let error = self.i16()?;
        let text = self.string()?;
        if error == 0 { Ok(()) } else { Err(Failed::Broker(error, text)) }
    }
}

fn malformed() -> Failed {
    Failed::Io(io::Error::new(io::ErrorKind::InvalidData, "the answer is not what the protocol says"))
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
