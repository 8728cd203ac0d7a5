//! [`Kafka`]: a Kafka broker of the tests' own, which is its own controller.

mod wire;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::certs::Certs;
use super::install::{install, or_skip};
use super::port::Port;
use super::process::Process;
use super::proxy::{Protocol, Proxy};
pub(crate) use wire::{End, Failed, PartitionOf, Wire};

/// It is ready after 2 to 6 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(20);
/// How many fault proxies a broker can have at a time.
const PROXIES: usize = 4;
/// Any; 16 bytes as base64.
const CLUSTER: &str = "bWlsbHN0cmVhbS10ZXN0cw";

/// Who may log in by SASL, and do anything that no access control list forbids.
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "alice-secret";

/// A broker with these listeners, all on loopback:
///
/// - plain, whose clients may do anything;
/// - four whose address, as the broker gives it to clients, is a fault proxy's;
/// - TLS, where a client may show its certificate, and is `User:CN=…` then;
/// - TLS with SASL: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 for [`USER`].
///
/// Topics are not made by themselves. Sessions of a group may be as short as a second; a transaction that has timed out
/// is aborted within a second; what is to expire does so within a second.
pub(crate) struct Kafka {
    process: Process,
    java: Java,
    ports: Ports,
    certs: Certs,
    /// Of the proxied listeners those that nobody has.
    proxies: Mutex<Vec<usize>>,
}

/// Kafka's classes, and how they are run.
struct Java {
    jars: PathBuf,
    /// As soon as can be, for a short life; or as fast as can be, in the long run.
    starts_soon: bool,
}

struct Ports {
    plain: Port,
    controller: Port,
    tls: Port,
    sasl: Port,
    /// Where the broker listens behind its proxies.
    behind: [Port; PROXIES],
    /// Where clients find the proxies.
    proxied: [Arc<Port>; PROXIES],
}

/// A fault proxy before a broker. Clients that know the broker by its address stay behind it.
pub(crate) struct Proxied<'a> {
    kafka: &'a Kafka,
    number: usize,
    /// Gone before the number is given back.
    proxy: Option<Proxy>,
}

impl Kafka {
    /// The broker that all tests of a run share; nobody kills it. `None` if there can be none: the test is skipped.
    #[track_caller]
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Result<Kafka, String>> = LazyLock::new(|| Kafka::start(&[], true));
        or_skip(SHARED.as_ref().map_err(Clone::clone))
    }

    /// A broker of a test's own, with more lines for its properties.
    #[track_caller]
    pub(crate) fn own(more: &[&str]) -> Option<Self> {
        or_skip(Self::start(more, true))
    }

    /// A broker to measure with: what Java does is compiled as well as it can.
    #[allow(dead_code, reason = "benches have it")]
    #[track_caller]
    pub(crate) fn measured() -> Option<Self> {
        or_skip(Self::start(&[], false))
    }

    fn start(more: &[&str], starts_soon: bool) -> Result<Self, String> {
        let jars = install("kafka").map_err(|reason| format!("no Kafka: {reason}"))?;
        let java = Java { jars, starts_soon };
        let folder = tempfile::Builder::new().prefix("millstream-kafka-").tempdir().expect("there is room");
        let certs = Certs::new(&folder.path().join("tls"));
        let ports = Ports::free();
        fs::create_dir(folder.path().join("tmp")).expect("a folder can be made");
        let properties = folder.path().join("properties");
        fs::write(&properties, configuration(folder.path(), &ports, &certs, more)).expect("a file can be written");
        format_storage(&java, folder.path(), &properties);
        let mut command = java.command(folder.path());
        command.arg("-Xmx512m").arg("kafka.Kafka").arg(&properties);
        let process = Process::start("Kafka", folder, &command);
        let kafka = Self { process, java, ports, certs, proxies: Mutex::new((0..PROXIES).collect()) };
        kafka.until_ready();
        Ok(kafka)
    }

    /// It is there, and leads all that it has.
    fn until_ready(&self) {
        let leads = |(brokers, partitions): (usize, Vec<PartitionOf>)| {
            brokers == 1 && partitions.iter().all(|partition| partition.leader >= 0)
        };
        let asks = || Wire::connect(self.port()).and_then(|mut wire| wire.metadata());
        self.process.until_ready(PATIENCE, || asks().is_ok_and(leads));
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// SIGKILL.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again after a kill, with the same ports and data, and waits until it is ready.
    pub(crate) fn restart(&self) {
        self.process.restart();
        self.until_ready();
    }

    /// The port of plain connections.
    pub(crate) fn port(&self) -> u16 {
        self.ports.plain.number()
    }

    /// `bootstrap.servers` of plain connections.
    pub(crate) fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// `bootstrap.servers` of connections by TLS. The certificate is made out to `localhost` and `127.0.0.1`.
    pub(crate) fn tls_brokers(&self) -> String {
        format!("localhost:{}", self.ports.tls)
    }

    /// `bootstrap.servers` of connections by TLS with SASL.
    pub(crate) fn sasl_brokers(&self) -> String {
        format!("localhost:{}", self.ports.sasl)
    }

    /// The certificates of its listeners and of a client.
    pub(crate) fn certs(&self) -> &Certs {
        &self.certs
    }

    /// A fault proxy of the test's own. There are four at a time; another test's is waited for.
    pub(crate) fn proxied(&self) -> Proxied<'_> {
        let began = Instant::now();
        let number = loop {
            if let Some(number) = self.proxies.lock().unwrap_or_else(PoisonError::into_inner).pop() {
                break number;
            }
            assert!(began.elapsed() < PATIENCE, "no proxy of the broker has become free in {PATIENCE:?}");
            std::thread::sleep(GLANCE);
        };
        let proxy = Proxy::on(self.ports.proxied[number].clone(), self.ports.behind[number].number());
        let proxy = proxy.speaks(Protocol::Kafka);
        Proxied { kafka: self, number, proxy: Some(proxy) }
    }

    /// Makes a topic with so many partitions and settings such as `("cleanup.policy", "compact")`.
    #[track_caller]
    pub(crate) fn add_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        self.must("make a topic", |wire| wire.create_topic(name, partitions, settings));
        // It is known a little later than it is made.
        self.must("see that topic", |wire| wire.offset(name, partitions - 1, End::High));
    }

    #[track_caller]
    pub(crate) fn delete_topic(&self, name: &str) {
        self.must("delete a topic", |wire| wire.delete_topic(name));
    }

    /// Gives a topic more partitions: so many in all.
    #[track_caller]
    pub(crate) fn set_partitions(&self, topic: &str, count: i32) {
        self.must("add partitions", |wire| wire.set_partitions(topic, count));
        self.must("see those partitions", |wire| wire.offset(topic, count - 1, End::High));
    }

    /// Removes the records of a partition before this offset, as their expiry does.
    #[track_caller]
    pub(crate) fn expire(&self, topic: &str, partition: i32, before: i64) {
        self.must("delete records", |wire| wire.delete_records(topic, partition, before));
    }

    /// The first offset of a partition, and the one behind its last record, whatever came of its transaction.
    #[track_caller]
    pub(crate) fn offsets(&self, topic: &str, partition: i32) -> (i64, i64) {
        let offset = |end| self.must("look at offsets", |wire| wire.offset(topic, partition, end));
        (offset(End::First), offset(End::High))
    }

    /// Waits until all transactions of a topic are decided: brokers have taken a commit some time before they tell the
    /// partitions of it.
    #[track_caller]
    pub(crate) fn until_decided(&self, topic: &str) {
        let offset = |partition, end| self.must("look at offsets", |wire| wire.offset(topic, partition, end));
        let (_, all) = self.must("tell its partitions", Wire::metadata);
        for PartitionOf { partition, .. } in all.into_iter().filter(|it| it.topic == topic) {
            let (began, high) = (Instant::now(), offset(partition, End::High));
            while offset(partition, End::Stable) < high {
                assert!(began.elapsed() < PATIENCE, "a transaction of {topic}/{partition} is open for {PATIENCE:?}");
                std::thread::sleep(GLANCE);
            }
        }
    }

    /// What a group has committed for a partition; `None` if it has nothing.
    #[track_caller]
    pub(crate) fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        self.must("look at commits", |wire| wire.committed(group, topic, partition))
    }

    /// Forbids [`USER`], or `CN=…` of a certificate, to write to a topic.
    #[track_caller]
    pub(crate) fn forbid_writing(&self, user: &str, topic: &str) {
        self.must("forbid something", |wire| wire.forbid_writing(user, topic));
    }

    /// Asks the broker over its protocol, again while it says that it isn't ready for that.
    #[track_caller]
    pub(crate) fn must<T>(&self, what: &str, mut asks: impl FnMut(&mut Wire) -> wire::Result<T>) -> T {
        let began = Instant::now();
        loop {
            match Wire::connect(self.port()).and_then(|mut wire| asks(&mut wire)) {
                Ok(got) => return got,
                Err(Failed::Broker(error, _)) if passes(error) && began.elapsed() < PATIENCE => {
                    std::thread::sleep(GLANCE);
                }
                Err(failed) => panic!("Kafka was to {what}: {failed:?}"),
            }
        }
    }

    /// A tool of Kafka's own, by its class: `org.apache.kafka.tools.consumer.ConsoleConsumer`, …. It takes seconds.
    pub(crate) fn tool(&self, class: &str) -> Command {
        let mut command = self.java.command(self.process.folder());
        command.arg(class).stdin(Stdio::null());
        command
    }

    /// `kcat`, connected to this broker, which ends after five minutes at the latest. `None` if it can't be had: the test is
    /// skipped.
    #[track_caller]
    pub(crate) fn kcat(&self, arguments: &[&str]) -> Option<Command> {
        or_skip(install("clients").map_err(|reason| format!("no kcat: {reason}")))?;
        let mut command = Command::new("timeout");
        command.args(["300", "kcat", "-b", &self.brokers()]).args(arguments).stdin(Stdio::null());
        Some(command)
    }
}

impl std::ops::Deref for Proxied<'_> {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        self.proxy.as_ref().expect("it is there until the end")
    }
}

impl Proxied<'_> {
    /// `bootstrap.servers` of plain connections through the proxy.
    pub(crate) fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }
}

impl Drop for Proxied<'_> {
    fn drop(&mut self) {
        drop(self.proxy.take());
        self.kafka.proxies.lock().unwrap_or_else(PoisonError::into_inner).push(self.number);
    }
}

impl Ports {
    fn free() -> Self {
        Self {
            plain: Port::free(),
            controller: Port::free(),
            tls: Port::free(),
            sasl: Port::free(),
            behind: std::array::from_fn(|_| Port::free()),
            proxied: std::array::from_fn(|_| Arc::new(Port::free())),
        }
    }

    /// The listeners' names, protocols and ports, and the port that clients are told.
    fn listeners(&self) -> Vec<(String, &'static str, &Port, &Port)> {
        let mut listeners = vec![
            ("PLAIN".to_owned(), "PLAINTEXT", &self.plain, &self.plain),
            ("TLS".to_owned(), "SSL", &self.tls, &self.tls),
            ("SASL".to_owned(), "SASL_SSL", &self.sasl, &self.sasl),
        ];
        for (number, (behind, proxied)) in self.behind.iter().zip(&self.proxied).enumerate() {
            listeners.push((format!("PROXIED{number}"), "PLAINTEXT", behind, proxied));
        }
        listeners
    }
}

/// Errors of the protocol that pass: what is asked for is under way, or isn't known everywhere yet.
fn passes(error: i16) -> bool {
    const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    const LEADER_NOT_AVAILABLE: i16 = 5;
    const NOT_LEADER_OR_FOLLOWER: i16 = 6;
    const REQUEST_TIMED_OUT: i16 = 7;
    const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
    const COORDINATOR_NOT_AVAILABLE: i16 = 15;
    const NOT_COORDINATOR: i16 = 16;
    const NOT_CONTROLLER: i16 = 41;
    const REPLICA_NOT_AVAILABLE: i16 = 9;
    const OFFSET_NOT_AVAILABLE: i16 = 78;
    matches!(
        error,
        UNKNOWN_TOPIC_OR_PARTITION
            | LEADER_NOT_AVAILABLE
            | NOT_LEADER_OR_FOLLOWER
            | REQUEST_TIMED_OUT
            | COORDINATOR_LOAD_IN_PROGRESS
            | COORDINATOR_NOT_AVAILABLE
            | NOT_COORDINATOR
            | NOT_CONTROLLER
            | REPLICA_NOT_AVAILABLE
            | OFFSET_NOT_AVAILABLE
    )
}

impl Java {
    /// A Java that leaves nothing behind outside the server's folder, and says what is of interest.
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new("java");
        command.args(["-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.showDateTime=true"]);
        if self.starts_soon {
            command.args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        }
        command.arg("-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn");
        command.arg(format!("-Djava.io.tmpdir={}", folder.join("tmp").display()));
        command.arg("-cp").arg(self.jars.join("*"));
        command
    }
}

fn format_storage(java: &Java, folder: &Path, properties: &Path) {
    let mut command = java.command(folder);
    command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(properties);
    for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
        command.arg("--add-scram").arg(format!("{mechanism}=[name={USER},password={PASSWORD}]"));
    }
    let ran = command.output().expect("there is Java");
    assert!(ran.status.success(), "Kafka's storage can't be formatted: {}", String::from_utf8_lossy(&ran.stderr));
}

fn configuration(folder: &Path, ports: &Ports, certs: &Certs, more: &[&str]) -> String {
    let mut text = listeners(ports);
    text += &security(certs);
    text += &format!("log.dirs={}\n", folder.join("data").display());
    text += SETTINGS;
    text += &more.join("\n");
    text
}

fn listeners(ports: &Ports) -> String {
    let listeners = ports.listeners();
    let list = |one: fn(&(String, &str, &Port, &Port)) -> String| -> String {
        listeners.iter().map(one).collect::<Vec<_>>().join(",")
    };
    let bound = list(|(name, _, bound, _)| format!("{name}://127.0.0.1:{bound}"));
    // TLS names hosts.
    let told = list(|(name, protocol, _, told)| {
        let host = if protocol.contains("SSL") { "localhost" } else { "127.0.0.1" };
        format!("{name}://{host}:{told}")
    });
    let protocols = list(|(name, protocol, ..)| format!("{name}:{protocol}"));
    let controller = &ports.controller;
    format!(
        "process.roles=broker,controller
node.id=1
listeners={bound},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={told}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAIN
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
"
    )
}

fn security(certs: &Certs) -> String {
    let (own, authority) = (certs.key_and_certificate("server"), certs.authority());
    let (own, authority) = (own.display(), authority.display());
    format!(
        "ssl.keystore.type=PEM
ssl.keystore.location={own}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
listener.name.tls.ssl.client.auth=requested
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
 user_{USER}=\"{PASSWORD}\";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"
    )
}

/// One small broker, which does soon what it would do later.
///
/// A broker that was killed is taken back only once its session has ended.
const SETTINGS: &str = "auto.create.topics.enable=false
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
log.initial.task.delay.ms=500
log.retention.check.interval.ms=1000
log.segment.delete.delay.ms=1000
log.cleaner.backoff.ms=1000
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
background.threads=2
";
