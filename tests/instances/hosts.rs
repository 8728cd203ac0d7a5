//! [`Hosts`]: a machine's network for each instance, in network namespaces.
//!
//! ```text
//!   namespace 1            hub                namespace 2
//!   10.77.0.1  --veth--  [bridge 1–2]  --veth--  10.77.0.2
//!       \------veth----  [bridge 1–3]  --veth--  10.77.0.3 in namespace 3
//! ```
//!
//! Each pair has a bridge of its own, which stands between both. To take it down cuts the pair: what either sends is
//! gone, and nothing tells them so.

use std::io::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A machine's network for each instance. Gone when it is dropped.
pub(crate) struct Hosts {
    /// What the names of its namespaces begin with.
    name: String,
    count: usize,
    /// What makes it possible: nothing, or sudo.
    by: &'static [&'static str],
}

impl Hosts {
    /// Networks for so many; `None` where this user may make none. In CI that is a failure.
    pub(crate) fn new(count: usize) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("ms{:x}-{}-", std::process::id(), NEXT.fetch_add(1, Relaxed));
        for by in [&[][..], &["sudo", "-n"]] {
            let hosts = Self { name: name.clone(), count, by };
            if hosts.ip(&["netns", "add", &hosts.hub()]) {
                hosts.make();
                return Some(hosts);
            }
        }
        skip();
        None
    }

    /// The address of an instance.
    pub(crate) fn address(instance: usize) -> String {
        format!("10.77.0.{}", instance + 1)
    }

    /// Runs a program in the network of an instance. Its process is the program's own, or sudo's.
    pub(crate) fn command(&self, instance: usize, program: &std::path::Path) -> Command {
        let mut command = self.command_of("ip");
        command.args(["netns", "exec", &self.host(instance)]).arg(program);
        command
    }

    /// How to send a signal to what runs in the network of an instance, where its process isn't ours.
    pub(crate) fn signals(&self, instance: usize) -> Option<Signals> {
        (!self.by.is_empty()).then(|| Signals { host: self.host(instance), by: self.by })
    }

    pub(crate) fn cut(&self, a: usize, b: usize) {
        self.must(&self.hub(), &format!("link set {} down", bridge(a, b)));
    }

    pub(crate) fn heal(&self, a: usize, b: usize) {
        self.must(&self.hub(), &format!("link set {} up", bridge(a, b)));
    }

    fn make(&self) {
        for host in 0..self.count {
            assert!(self.ip(&["netns", "add", &self.host(host)]), "a namespace can be made beside another");
            self.must(&self.host(host), "link set lo up");
            self.must(&self.host(host), &format!("addr add {}/32 dev lo", Self::address(host)));
        }
        for a in 0..self.count {
            (a + 1..self.count).for_each(|b| self.join(a, b));
        }
    }

    /// Joins a pair by its bridge.
    fn join(&self, a: usize, b: usize) {
        let (hub, bridge) = (self.hub(), bridge(a, b));
        self.must(&hub, &format!("link add {bridge} type bridge"));
        self.must(&hub, &format!("link set {bridge} up"));
        for (one, other) in [(a, b), (b, a)] {
            let (host, port, plug) = (self.host(one), format!("port{one}to{other}"), format!("to{other}"));
            self.must(&hub, &format!("link add {port} type veth peer name {plug} netns {host}"));
            self.must(&hub, &format!("link set {port} master {bridge} up"));
            self.must(&host, &format!("link set {plug} up"));
            let (there, here) = (Self::address(other), Self::address(one));
            self.must(&host, &format!("route add {there}/32 dev {plug} src {here}"));
        }
    }

    fn hub(&self) -> String {
        format!("{}hub", self.name)
    }

    fn host(&self, instance: usize) -> String {
        format!("{}{instance}", self.name)
    }

    /// Runs `ip` in a namespace.
    fn must(&self, namespace: &str, words: &str) {
        let mut arguments = vec!["-n", namespace];
        arguments.extend(words.split(' '));
        assert!(self.ip(&arguments), "ip {}", arguments.join(" "));
    }

    fn ip(&self, arguments: &[&str]) -> bool {
        self.command_of("ip").args(arguments).output().is_ok_and(|done| done.status.success())
    }

    fn command_of(&self, program: &str) -> Command {
        command_by(self.by, program)
    }
}

/// Sends signals to the one program that runs in a network of its own: by sudo, because it is root's.
pub(crate) struct Signals {
    host: String,
    by: &'static [&'static str],
}

impl Signals {
    /// Sends one of these names; `false` if there is nobody, who may have ended or not begun.
    pub(crate) fn send(&self, name: &str) -> bool {
        let listed = command_by(self.by, "ip").args(["netns", "pids", &self.host]).output();
        let pids = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
        let mut kill = command_by(self.by, "kill");
        kill.arg(format!("-{name}")).args(pids.split_whitespace());
        !pids.trim().is_empty() && kill.output().is_ok_and(|done| done.status.success())
    }
}

fn command_by(by: &[&str], program: &str) -> Command {
    match by {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    }
}

/// Says which test cuts nothing. Past what the test harness captures of a test that passes.
fn skip() {
    let thread = std::thread::current();
    let skipped = format!(
        "SKIPPED: {}: no cuts between network namespaces, because there is no `ip` (iproute2) or this user may make \
         none: install it, and run this as root",
        thread.name().unwrap_or("a test")
    );
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{skipped}");
    // Nobody reads it if that fails.
    let _ = std::io::stderr().write_all(format!("{skipped}\n").as_bytes());
}

fn bridge(a: usize, b: usize) -> String {
    format!("bridge{}to{}", a.min(b), a.max(b))
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in (0..self.count).map(|host| self.host(host)).chain([self.hub()]) {
            self.ip(&["netns", "del", &name]);
        }
    }
}
