//! [`Registry`]: a schema registry of the tests' own with the Confluent API: Apicurio.

use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::certs::Certs;
use super::http::{Http, escaped};
use super::install::{install, or_skip};
use super::port::Port;
use super::process::Process;

/// It is ready after 5 to 15 s.
const PATIENCE: Duration = Duration::from_secs(120);
/// The Confluent API.
const API: &str = "/apis/ccompat/v7";

/// A registry that keeps its schemas in memory: a kill loses them, SIGSTOP doesn't.
pub(crate) struct Registry {
    process: Process,
    plain: Port,
    tls: Port,
    certs: Certs,
    http: Http,
}

impl Registry {
    /// The registry that all tests of a run share; nobody stops it. `None` if there can be none: the test is skipped.
    #[track_caller]
    pub(crate) fn shared() -> Option<&'static Self> {
        static SHARED: LazyLock<Result<Registry, String>> = LazyLock::new(Registry::start);
        or_skip(SHARED.as_ref().map_err(Clone::clone))
    }

    /// A registry of a test's own.
    #[track_caller]
    pub(crate) fn own() -> Option<Self> {
        or_skip(Self::start())
    }

    fn start() -> Result<Self, String> {
        let jars = install("registry").map_err(|reason| format!("no schema registry: {reason}"))?;
        let mut jars = std::fs::read_dir(&jars).expect("it is installed").flatten().map(|entry| entry.path());
        let jar = jars.find(|path| path.extension().is_some_and(|end| end == "jar")).expect("there is its jar");
        let folder = tempfile::Builder::new().prefix("millstream-registry-").tempdir().expect("there is room");
        let certs = Certs::new(&folder.path().join("tls"));
        let (plain, tls) = (Port::free(), Port::free());
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.arg(format!("-Djava.io.tmpdir={}", folder.path().display()));
        command.arg("-Dquarkus.http.host=127.0.0.1").arg(format!("-Dquarkus.http.port={plain}"));
        command.arg(format!("-Dquarkus.http.ssl-port={tls}"));
        command.arg(format!("-Dquarkus.http.ssl.certificate.files={}", certs.certificate("server").display()));
        command.arg(format!("-Dquarkus.http.ssl.certificate.key-files={}", certs.key("server").display()));
        command.arg("-jar").arg(jar);
        let http = Http::new(plain.number(), &[("content-type", "application/json")]);
        let registry =
            Self { process: Process::start("the schema registry", folder, &command), plain, tls, certs, http };
        registry.until_ready();
        Ok(registry)
    }

    fn until_ready(&self) {
        let asks = || self.http.ask("GET", &format!("{API}/subjects"), None);
        self.process.until_ready(PATIENCE, || asks().is_ok_and(|answer| answer.status == 200));
    }

    /// Its process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// SIGKILL. Its schemas are lost.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// Starts it again after a kill, on the same ports and without a schema, and waits until it is ready.
    pub(crate) fn restart(&self) {
        self.process.restart();
        self.until_ready();
    }

    /// The port of plain HTTP, such as a fault proxy stands before.
    pub(crate) fn port(&self) -> u16 {
        self.plain.number()
    }

    /// The base URL of the Confluent API.
    pub(crate) fn url(&self) -> String {
        url(self.port())
    }

    /// The same by TLS.
    pub(crate) fn tls_url(&self) -> String {
        format!("https://localhost:{}{API}", self.tls)
    }

    /// The certificates of its listener.
    pub(crate) fn certs(&self) -> &Certs {
        &self.certs
    }

    /// Registers an Avro schema under a subject. Returns its id.
    #[track_caller]
    pub(crate) fn register(&self, subject: &str, schema: &str) -> u64 {
        let answer =
            self.must("POST", &format!("/subjects/{}/versions", escaped(subject)), Some(&json!({"schema": schema})));
        answer["id"].as_u64().expect("an id")
    }

    /// Asks a path of the Confluent API, such as `/config/SUBJECT`, and panics unless the answer is a success.
    #[track_caller]
    pub(crate) fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.http.must(method, &format!("{API}{path}"), body)
    }
}

/// The base URL of the Confluent API behind this port of loopback, which may be a fault proxy's.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}{API}")
}
