//! [`Topics`]: which topics, and how they are read.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use millstream_core::contracts::{Active, Commits, Ends, Places, Shares, SourceFactory, SourceTraits};
use millstream_core::data::{Bytes, Kv};
use millstream_net::kafka::{Cluster, Group, Message, Role};

use super::form::Form;
use super::known::Keeps;
use super::source::KafkaSource;

/// How partitions are shared out.
const COOPERATIVE: &str = "cooperative-sticky";

/// Kafka topics, read as a member of a consumer group: `Topics::new("127.0.0.1:9092", ["orders"], "billing")`.
///
/// Records are the values of the messages ([`Bytes`]) unless [`keyed`](Self::keyed) or [`messages`](Self::messages) says
/// otherwise. A record's event time is the message's timestamp. Partitions are shared among the members of the group; run
/// the same program several times to read faster.
#[derive(Debug)]
pub struct Topics<T = Bytes> {
    pub(super) cluster: Cluster,
    pub(super) what: What,
    pub(super) group: String,
    pub(super) instance: Option<String>,
    pub(super) start: Start,
    pub(super) expired: Expired,
    pub(super) until_end: bool,
    pub(super) batch_records: usize,
    pub(super) batch_bytes: usize,
    pub(super) revoke_wait: Duration,
    /// What its sources share with a sink that commits the group's offsets.
    pub(super) shared: Arc<Group>,
    /// What its run knows, while there is no source.
    pub(super) known: Keeps,
    form: PhantomData<fn() -> T>,
}

/// A copy is another member of the group.
impl<T> Clone for Topics<T> {
    fn clone(&self) -> Self {
        Self { shared: Group::of(&*self.group, self.instance.clone()), known: Keeps::default(), ..self.same() }
    }
}

/// Which topics.
#[derive(Debug, Clone)]
pub(super) enum What {
    Topics(Vec<String>),
    Pattern(String),
}

/// Where partitions begin that neither the sink nor the state folder holds a position of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first record that there is, whatever the group has committed.
    Earliest,
    /// With the first record that comes after the start, whatever the group has committed.
    Latest,
    /// With the first record of this time (milliseconds since the Unix epoch) or later, whatever the group has committed.
    Timestamp(i64),
    /// Where the group has committed; where it has not, as said here.
    Committed(Fallback),
}

/// Where a partition begins of which the group has committed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// With the first record that there is.
    Earliest,
    /// With the first record that comes.
    Latest,
    /// With the first record of this time (milliseconds since the Unix epoch) or later.
    Timestamp(i64),
    /// Nowhere: it is an error.
    Fail,
}

/// What to do when records that are to be read next are gone: the topic keeps records only for a time, or was made anew, or a
/// leader was lost with the last of them. A partition that goes on before what was read of it is read from there on, once
/// what was read has settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expired {
    /// An error that says so.
    Fail,
    /// Go on with the first record that there is, and say so in the log.
    Earliest,
    /// Go on with the first record that comes, and say so in the log.
    Latest,
}

impl Topics<Bytes> {
    /// These topics of the cluster, read as a member of `group`. Each has to be there; partitions that are added to them
    /// later are picked up (librdkafka's `topic.metadata.refresh.interval.ms`, 5 minutes by default).
    pub fn new(
        cluster: impl Into<Cluster>,
        topics: impl IntoIterator<Item = impl Into<String>>,
        group: impl Into<String>,
    ) -> Self {
        let topics = topics.into_iter().map(Into::into).collect();
        Self::of(cluster.into(), What::Topics(topics), group.into())
    }

    /// All topics whose names match `pattern`, a regular expression that begins with `^`. Topics and partitions that come
    /// later are picked up (librdkafka's `topic.metadata.refresh.interval.ms`, 5 minutes by default).
    pub fn matching(cluster: impl Into<Cluster>, pattern: impl Into<String>, group: impl Into<String>) -> Self {
        Self::of(cluster.into(), What::Pattern(pattern.into()), group.into())
    }
}

impl<T> Topics<T> {
    fn of(cluster: Cluster, what: What, group: String) -> Self {
        Self {
            shared: Group::of(&*group, None),
            cluster,
            what,
            group,
            instance: None,
            start: Start::Committed(Fallback::Earliest),
            expired: Expired::Fail,
            until_end: false,
            batch_records: 1_024,
            batch_bytes: 1 << 20,
            revoke_wait: Duration::from_secs(20),
            known: Keeps::default(),
            form: PhantomData,
        }
    }

    /// The same declaration: what is made of it is the same member.
    fn same<U>(&self) -> Topics<U> {
        Topics {
            cluster: self.cluster.clone(),
            what: self.what.clone(),
            group: self.group.clone(),
            instance: self.instance.clone(),
            start: self.start,
            expired: self.expired,
            until_end: self.until_end,
            batch_records: self.batch_records,
            batch_bytes: self.batch_bytes,
            revoke_wait: self.revoke_wait,
            shared: self.shared.clone(),
            known: self.known.clone(),
            form: PhantomData,
        }
    }

    /// Records are key and value. A message without a key, and a tombstone, are refused: they meet the source's error
    /// policy.
    #[must_use]
    pub fn keyed(self) -> Topics<Kv<Bytes, Bytes>> {
        self.same()
    }

    /// Records are whole messages: key, value, headers, timestamp, topic, partition and offset; tombstones too.
    #[must_use]
    pub fn messages(self) -> Topics<Message> {
        self.same()
    }

    /// Where partitions begin that neither the sink nor the state folder holds a position of. Default:
    /// `Start::Committed(Fallback::Earliest)`, so that nothing is left out that nobody asked to be. What is said here
    /// counts for the partitions that are there when the run begins; those that come later begin where the group has
    /// committed, or else with their first record; with the first of that time or later, where it names a time.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// What to do when the records that are to be read next are gone. Default: [`Expired::Fail`].
    #[must_use]
    pub fn on_expired(mut self, expired: Expired) -> Self {
        self.expired = expired;
        self
    }

    /// Ends when all partitions of this member have been read up to where they ended when they were assigned (their *high
    /// watermarks*), instead of waiting for more, and none is on its way from one member to another. Partitions that another
    /// member reads are not waited for, and one that was killed is a member until its session is over; a transaction that was
    /// open then is, until it is committed or aborted. Where the brokers don't tell how the group stands
    /// (`group.protocol=consumer`, or one of them is away), it ends once the group has been silent for 10 seconds.
    #[must_use]
    pub fn until_end(mut self) -> Self {
        self.until_end = true;
        self
    }

    /// The name under which the group knows this member over restarts (`group.instance.id`): one that is back within the
    /// session time-out gets its partitions again, and nobody else's are moved. Each member needs one of its own. While
    /// it is away nobody else reads its partitions. Default: none.
    #[must_use]
    pub fn static_member(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self.shared = Group::of(&*self.group, self.instance.clone());
        self
    }

    /// The most records in a batch; 1,024 by default. A batch is never waited for: it is what is there.
    #[must_use]
    pub fn batch_records(mut self, records: usize) -> Self {
        self.batch_records = records;
        self
    }

    /// About how many bytes a batch has at most; 1 MiB by default.
    #[must_use]
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// When the group takes a partition away: how long at most it is kept until what was read of it has arrived and is
    /// committed; 20 seconds by default. Until then the new owner waits. After that it is given up: the new owner reads
    /// again what had not been committed. It has to be shorter than `max.poll.interval.ms`, 5 minutes by default.
    #[must_use]
    pub fn revoke_wait(mut self, wait: Duration) -> Self {
        self.revoke_wait = wait;
        self
    }

    /// One of [librdkafka's properties](https://github.com/confluentinc/librdkafka/blob/v2.12.1/CONFIGURATION.md), for
    /// this source alone; see [`Cluster::property`].
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.cluster = self.cluster.property(name, value);
        self
    }

    /// The topics, for people.
    pub(super) fn named(&self) -> String {
        match &self.what {
            What::Topics(topics) => topics.join(", "),
            What::Pattern(pattern) => format!("topics that match {pattern}"),
        }
    }

    pub(super) fn client_config(&self) -> rdkafka::ClientConfig {
        let reset = match self.expired {
            Expired::Fail => "error",
            Expired::Earliest => "earliest",
            Expired::Latest => "latest",
        };
        let mut own = vec![
            ("group.id", self.group.as_str()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", reset),
            ("enable.partition.eof", if self.until_end { "true" } else { "false" }),
        ];
        own.extend(self.instance.as_deref().map(|name| ("group.instance.id", name)));
        if self.until_end {
            // The end is the leader's: a follower may not know of all that is before it.
            own.push(("client.rack", ""));
        }
        let mut defaults = vec![
            ("client.id", "millstream"),
            ("isolation.level", "read_committed"),
            // For each partition; librdkafka's own 64 MiB would be much for many.
            ("queued.max.messages.kbytes", "16384"),
            // How long it waits before it looks whether there is room again: a second by itself, in which nothing comes.
            ("fetch.queue.backoff.ms", "10"),
        ];
        if self.until_end {
            // At the end a broker keeps a fetch for so long, and what is asked of it behind that: half a second by itself.
            defaults.push(("fetch.wait.max.ms", "10"));
        }
        if self.cluster.get("group.protocol") != Some("consumer") {
            defaults.push(("partition.assignment.strategy", COOPERATIVE));
        }
        self.cluster.client_config(&defaults, &own)
    }

    /// The topics, or the pattern.
    pub(super) fn names(&self) -> Vec<String> {
        match &self.what {
            What::Topics(topics) => topics.clone(),
            What::Pattern(pattern) => vec![pattern.clone()],
        }
    }

    /// That of a client that asks where partitions end, if they do: behind what isn't committed yet, too.
    pub(super) fn ends_config(&self) -> Option<rdkafka::ClientConfig> {
        self.until_end.then(|| {
            let mut config = self.client_config();
            config.set("isolation.level", "read_uncommitted");
            // It is no member.
            config.remove("group.id");
            config.remove("group.instance.id");
            config
        })
    }

    fn check_topics(&self, wrong: &mut Vec<String>) {
        match &self.what {
            What::Topics(topics) if topics.is_empty() => wrong.push("no topic to read: give at least one".to_owned()),
            What::Topics(topics) => {
                if topics.iter().any(String::is_empty) {
                    wrong.push("an empty topic: give its name".to_owned());
                }
                wrong.extend(topics.iter().filter(|topic| topic.starts_with('^')).map(|topic| {
                    format!("the topic {topic} begins with ^, which a name can't: a pattern is declared by `Topics::matching`")
                }));
            }
            What::Pattern(pattern) if !pattern.starts_with('^') => {
                wrong.push(format!("the pattern {pattern} does not begin with ^: put it before, as in ^{pattern}"));
            }
            What::Pattern(_) => {}
        }
    }

    /// Whether records come before it is decided whether they are committed.
    pub(super) fn reads_uncommitted(&self) -> bool {
        self.cluster.get("isolation.level") == Some("read_uncommitted")
    }

    /// How long the broker waits for a poll, in milliseconds.
    fn poll_interval(&self) -> u64 {
        self.cluster.get("max.poll.interval.ms").and_then(|millis| millis.parse().ok()).unwrap_or(300_000)
    }
}

impl<T: Form> SourceFactory for Topics<T> {
    type Source = KafkaSource<T>;

    fn traits(&self) -> SourceTraits {
        SourceTraits {
            ends: if self.until_end { Ends::Bounded } else { Ends::Unbounded },
            commits: Commits::Optimistic,
            keeps_positions: true,
            server: Some(self.cluster.server()),
            places: Places::Everywhere(Active::Each),
            // Which cluster it is, positions say.
            identity: Some(format!("{} as {}; {}", self.named(), self.group, T::WHAT)),
            ..SourceTraits::new(
                "KAFKA",
                format!("{} at {} as {}; {}", self.named(), self.cluster.brokers(), self.group, T::WHAT),
            )
        }
    }

    fn check(&self) -> Vec<String> {
        let mut wrong = self.cluster.check(Role::Consumer);
        self.check_topics(&mut wrong);
        if self.group.trim().is_empty() {
            wrong.push("no group: give the name of the consumer group that this is a member of".to_owned());
        }
        if self.instance.as_ref().is_some_and(|name| name.trim().is_empty()) {
            wrong.push("an empty name of a static member: give one, or leave it out".to_owned());
        }
        if let Some(found) = self.cluster.get("partition.assignment.strategy").filter(|found| *found != COOPERATIVE) {
            wrong.push(format!(
                "the property `partition.assignment.strategy`: partitions are shared out so that a member keeps what stays its \
                 own, and given back one by one; expected {COOPERATIVE}, or nothing, found {found}. All members of the group \
                 have to be of it"
            ));
        }
        if self.until_end && self.cluster.get("client.rack").is_some_and(|rack| !rack.is_empty()) {
            wrong.push(
                "the property `client.rack` with `until_end`: where a partition ends its leader alone knows, and all is read \
                 from that; leave it out"
                    .to_owned(),
            );
        }
        if self.batch_records == 0 || u32::try_from(self.batch_records).is_err() {
            let found = self.batch_records;
            wrong.push(format!("batches of {found} records: expected 1 to {}; leave it out for 1,024", u32::MAX));
        }
        if self.batch_bytes == 0 || self.batch_bytes > 1 << 30 {
            let found = self.batch_bytes;
            wrong.push(format!("batches of {found} bytes: expected 1 to {}; leave it out for 1 MiB", 1 << 30));
        }
        let poll = self.poll_interval();
        if self.revoke_wait.as_millis() >= u128::from(poll) {
            wrong.push(format!(
                "a wait of {:?} for partitions that are taken away: the broker gives up on this member after \
                 `max.poll.interval.ms` ({poll}); give less",
                self.revoke_wait
            ));
        }
        wrong
    }

    fn shares(&self) -> Option<Shares> {
        Some(self.shared.clone())
    }

    fn make(&self) -> KafkaSource<T> {
        KafkaSource::new(self.same())
    }
}
