//! [`RabbitMq`]: a RabbitMQ broker of the tests' own.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};

use super::certs::{CLIENT, Certs};
use super::http::{Http, escaped};
use super::install::{install, or_skip};
use super::port::Port;
use super::process::Process;
use super::proxy::{Protocol, Proxy};

/// It is ready after 5 to 15 s.
const PATIENCE: Duration = Duration::from_secs(120);
const NODE: &str = "n1@localhost";
/// Debian's.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// A broker with a plain and a TLS listener, for the user `guest` with the password `guest`, and for the client's
/// certificate by SASL EXTERNAL. Queues and such are made by its management API.
pub(crate) struct RabbitMq {
    process: Process,
    ports: Ports,
    certs: Certs,
    http: Http,
}

struct Ports {
    plain: Port,
    tls: Port,
    http: Port,
    between_nodes: Port,
    /// Of `epmd`, which knows nodes by name.
    names: Port,
}

/// A connection, as the broker sees it. What it says may be half a second old.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Its name at the broker.
    pub(crate) name: String,
    /// What the client has named it.
    pub(crate) named: Option<String>,
    pub(crate) user: String,
}

impl RabbitMq {
    /// The broker that all tests of a run share; nobody kills it. `None` if there can be none: the test is skipped.
    #[track_caller]
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Result<RabbitMq, String>> = LazyLock::new(|| RabbitMq::start(&[]));
        or_skip(SHARED.as_ref().map_err(Clone::clone))
    }

    /// A broker of a test's own, with more lines for its `rabbitmq.conf`.
    #[track_caller]
    pub(crate) fn own(more: &[&str]) -> Option<Self> {
        or_skip(Self::start(more))
    }

    fn start(more: &[&str]) -> Result<Self, String> {
        install("rabbitmq").map_err(|reason| format!("no RabbitMQ: {reason}"))?;
        let folder = tempfile::Builder::new().prefix("millstream-rabbitmq-").tempdir().expect("there is room");
        let certs = Certs::new(&folder.path().join("tls"));
        let [plain, tls, http, between_nodes, names] = std::array::from_fn(|_| Port::free());
        let ports = Ports { plain, tls, http, between_nodes, names };
        write_config(folder.path(), &ports, &certs, more).expect("a configuration can be written");
        let command = command(folder.path(), &ports);
        let process = Process::start("RabbitMQ", folder, &command);
        let http = Http::new(ports.http.number(), &[("authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=")]);
        let broker = Self { process, ports, certs, http };
        broker.until_ready();
        broker.add_user(CLIENT, None);
        Ok(broker)
    }

    fn until_ready(&self) {
        let listens = |port: &Port| std::net::TcpStream::connect(("127.0.0.1", port.number())).is_ok();
        let answers = || self.http.ask("GET", "/api/overview", None).is_ok_and(|answer| answer.status == 200);
        self.process.until_ready(PATIENCE, || listens(&self.ports.plain) && listens(&self.ports.tls) && answers());
    }

    /// Has its command line tool do something.
    pub(crate) fn control(&self, arguments: &[&str]) {
        let mut command = Command::new(CONTROL);
        environment(&mut command, self.process.folder(), &self.ports);
        let done = command.args(arguments).output().expect("it runs");
        assert!(done.status.success(), "{done:?}");
    }

    /// Its processes.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// SIGKILL, once it has written which queues, exchanges and bindings there are: it does that every two seconds, and
    /// one that was made right before would be lost, as durable as it is. Messages that it has confirmed aren't.
    pub(crate) fn kill(&self) {
        self.settle();
        self.process.kill();
    }

    /// Waits until all that was declared so far is written.
    pub(crate) fn settle(&self) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let word = format!("settled {}", NEXT.fetch_add(1, Relaxed));
        // What comes behind all else in the one log of what there is.
        self.http.must("PUT", "/api/global-parameters/settled", Some(&json!({"name": "settled", "value": word})));
        let log = self.process.folder().join(format!("mnesia/{NODE}"));
        let holds =
            |file: &Path| fs::read(file).is_ok_and(|bytes| memchr::memmem::find(&bytes, word.as_bytes()).is_some());
        let files = || fs::read_dir(&log).expect("there is its data").flatten().map(|entry| entry.path());
        self.process.until_ready(PATIENCE, || files().any(|file| file.is_file() && holds(&file)));
    }

    /// Starts it again after a kill, with the same ports and data, and waits until it is ready.
    pub(crate) fn restart(&self) {
        self.process.restart();
        self.until_ready();
    }

    /// The port of plain connections, such as a fault proxy stands before.
    pub(crate) fn port(&self) -> u16 {
        self.ports.plain.number()
    }

    /// The port of TLS connections.
    pub(crate) fn tls_port(&self) -> u16 {
        self.ports.tls.number()
    }

    /// The port of the management API.
    pub(crate) fn http_port(&self) -> u16 {
        self.ports.http.number()
    }

    /// A fault proxy before its plain listener; [`url`] has the URL of its port.
    pub(crate) fn proxied(&self) -> Proxy {
        Proxy::to(self.port()).speaks(Protocol::Amqp)
    }

    /// `amqp://…`, as `guest`.
    pub(crate) fn url(&self) -> String {
        url(self.port())
    }

    /// `amqps://…`, as `guest`.
    pub(crate) fn tls_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/%2f", self.tls_port())
    }

    /// `amqps://…`, without a user: who has the client's certificate is known by it.
    pub(crate) fn external_url(&self) -> String {
        format!("amqps://localhost:{}/%2f?auth_mechanism=external", self.tls_port())
    }

    /// The certificates of its listener and of a client.
    pub(crate) fn certs(&self) -> &Certs {
        &self.certs
    }

    /// Its management API.
    pub(crate) fn http(&self) -> &Http {
        &self.http
    }

    /// Adds a user who may do anything; without a password it is one who has a certificate.
    pub(crate) fn add_user(&self, name: &str, password: Option<&str>) {
        let user = match password {
            Some(password) => json!({"password": password, "tags": ""}),
            None => json!({"password_hash": "", "tags": ""}),
        };
        self.http.must("PUT", &format!("/api/users/{}", escaped(name)), Some(&user));
        let anything = json!({"configure": ".*", "write": ".*", "read": ".*"});
        self.http.must("PUT", &format!("/api/permissions/%2F/{}", escaped(name)), Some(&anything));
    }

    /// Makes a durable queue, with arguments such as `{"x-queue-type": "quorum"}`.
    pub(crate) fn add_queue(&self, name: &str, arguments: &Value) {
        let queue = json!({"durable": true, "auto_delete": false, "arguments": arguments});
        self.http.must("PUT", &queue_path(name), Some(&queue));
    }

    pub(crate) fn delete_queue(&self, name: &str) {
        self.http.must("DELETE", &queue_path(name), None);
    }

    /// Makes a durable exchange of this type: `direct`, `fanout`, `topic`, `headers`.
    pub(crate) fn add_exchange(&self, name: &str, kind: &str) {
        let exchange = json!({"type": kind, "durable": true, "auto_delete": false});
        self.http.must("PUT", &format!("/api/exchanges/%2F/{}", escaped(name)), Some(&exchange));
    }

    pub(crate) fn bind(&self, exchange: &str, queue: &str, routing_key: &str) {
        let path = format!("/api/bindings/%2F/e/{}/q/{}", escaped(exchange), escaped(queue));
        self.http.must("POST", &path, Some(&json!({"routing_key": routing_key})));
    }

    /// What the broker says of a queue; `None` if there is none of that name.
    pub(crate) fn queue(&self, name: &str) -> Option<Value> {
        let answer = self.http.ask("GET", &queue_path(name), None).expect("the broker answers");
        assert!(matches!(answer.status, 200 | 404), "{answer:?}");
        (answer.status == 200).then(|| serde_json::from_str(&answer.body).expect("the broker answers in JSON"))
    }

    /// How many messages a queue has, those that are with a consumer included. It may be half a second old.
    #[track_caller]
    pub(crate) fn messages(&self, queue: &str) -> u64 {
        let about = self.queue(queue).unwrap_or_else(|| panic!("there is no queue {queue}"));
        about["messages"].as_u64().unwrap_or_default()
    }

    /// Puts a text into a queue. Not for many.
    pub(crate) fn publish(&self, queue: &str, properties: &Value, text: &str) {
        let payload = json!({
            "routing_key": queue, "properties": properties, "payload": text, "payload_encoding": "string",
        });
        let answer = self.http.must("POST", "/api/exchanges/%2F/amq.default/publish", Some(&payload));
        assert_eq!(answer["routed"], true, "there is no queue {queue}");
    }

    /// Takes at most so many messages out of a queue: `payload`, `properties`, `routing_key`, `redelivered`, ….
    pub(crate) fn take(&self, queue: &str, most: usize) -> Vec<Value> {
        let request = json!({"count": most, "ackmode": "ack_requeue_false", "encoding": "auto"});
        let answer = self.http.must("POST", &format!("{}/get", queue_path(queue)), Some(&request));
        answer.as_array().expect("a list of messages").clone()
    }

    pub(crate) fn connections(&self) -> Vec<Connection> {
        let connections = self.http.must("GET", "/api/connections", None);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let connection = |one: &Value| {
            let named = text(&one["client_properties"]["connection_name"]);
            Some(Connection { name: text(&one["name"])?, named, user: text(&one["user"])? })
        };
        connections.as_array().expect("a list of connections").iter().filter_map(connection).collect()
    }

    /// Has the broker close a connection, as its administrator might; `false` if it was gone.
    pub(crate) fn close(&self, connection: &Connection) -> bool {
        let path = format!("/api/connections/{}", escaped(&connection.name));
        self.http.ask("DELETE", &path, None).expect("the broker answers").status == 204
    }
}

/// The URL of a broker behind this port of loopback, which may be a fault proxy's.
pub(crate) fn url(port: u16) -> String {
    format!("amqp://guest:guest@127.0.0.1:{port}/%2f")
}

fn queue_path(name: &str) -> String {
    format!("/api/queues/%2F/{}", escaped(name))
}

fn write_config(folder: &Path, ports: &Ports, certs: &Certs, more: &[&str]) -> io::Result<()> {
    let Ports { plain, tls, http, .. } = ports;
    let (authority, certificate, key) = (certs.authority(), certs.certificate("server"), certs.key("server"));
    let (authority, certificate, key) = (authority.display(), certificate.display(), key.display());
    let more = more.join("\n");
    let config = format!(
        "listeners.tcp.1 = 127.0.0.1:{plain}
listeners.ssl.1 = 127.0.0.1:{tls}
ssl_options.cacertfile = {authority}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = false
ssl_cert_login_from = common_name
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
management.tcp.ip = 127.0.0.1
management.tcp.port = {http}
loopback_users = none
disk_free_limit.absolute = 50MB
collect_statistics_interval = 500
log.file = false
log.console = true
{more}
"
    );
    fs::write(folder.join("rabbitmq.conf"), config)?;
    // It looks this often, in milliseconds, for consumers that don't acknowledge.
    fs::write(folder.join("advanced.config"), "[{rabbit, [{channel_tick_interval, 500}]}].\n")?;
    fs::write(folder.join("enabled_plugins"), "[rabbitmq_management,rabbitmq_auth_mechanism_ssl].\n")
}

/// Both the server and the `epmd` that it needs, which would go its own way if the server started it.
fn command(folder: &Path, ports: &Ports) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", r#"epmd -port "$ERL_EPMD_PORT" -address 127.0.0.1 & exec "$0""#, SERVER]);
    environment(&mut command, folder, ports);
    command
}

/// Where the server is, and what it has.
fn environment(command: &mut Command, folder: &Path, ports: &Ports) {
    let of_folder = [
        ("HOME", ""),
        ("RABBITMQ_MNESIA_BASE", "mnesia"),
        ("RABBITMQ_LOG_BASE", "log-base"),
        ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
        ("RABBITMQ_CONFIG_FILES", "conf.d"),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
        ("RABBITMQ_CONF_ENV_FILE", "env.conf"),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
        ("RABBITMQ_PID_FILE", "pid"),
    ];
    command.envs(of_folder.map(|(name, file)| (name, folder.join(file))));
    command.env("RABBITMQ_NODENAME", NODE).env("ERL_EPMD_ADDRESS", "127.0.0.1");
    command.env("RABBITMQ_DIST_PORT", ports.between_nodes.to_string()).env("ERL_EPMD_PORT", ports.names.to_string());
}
