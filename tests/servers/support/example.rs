//! [`Process`]: an example's process.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::built::example;

/// The longest that it may take to end.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(10);

/// An example's process, killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    said: PathBuf,
    /// Keeps what it says.
    _folder: tempfile::TempDir,
}

impl Process {
    /// Starts an example with these arguments. What it prints is among what it says.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::begin(name, arguments, None, Some("warn"))
    }

    /// Starts an example with these arguments; what it prints goes there.
    pub(crate) fn start_printing(name: &str, arguments: &[&str], prints: Stdio) -> Self {
        Self::begin(name, arguments, Some(prints), Some("warn"))
    }

    /// Starts an example as its users do, who ask for no logs.
    pub(crate) fn start_without_logs(name: &str, arguments: &[&str]) -> Self {
        Self::begin(name, arguments, None, None)
    }

    fn begin(name: &str, arguments: &[&str], prints: Option<Stdio>, logs: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let said = folder.path().join("said");
        let says = File::create(&said).expect("a file can be made");
        let prints = prints.unwrap_or_else(|| says.try_clone().expect("a handle").into());
        let mut command = Command::new(example(name));
        command
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(logs.map(|logs| ("RUST_LOG", logs)))
            .stdin(Stdio::null())
            .stdout(prints)
            .stderr(says);
        Self { child: command.spawn().expect("it starts"), said, _folder: folder }
    }

    /// What it has said to standard error, and printed if that goes nowhere else.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// What it prints, if that goes into a pipe; once.
    pub(crate) fn prints(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("it is piped")
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_none()
    }

    /// Sends a signal, such as `-STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// SIGTERM.
    pub(crate) fn ask_to_end(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("it is there");
    }

    /// SIGKILL; whether that ended it.
    pub(crate) fn kill(mut self) -> bool {
        let _ = self.child.kill();
        self.child.wait().expect("it is our child").signal() == Some(9)
    }

    /// Waits for its end, and that it was a good one. Returns what it has said.
    #[track_caller]
    pub(crate) fn ends_well(mut self) -> String {
        let began = Instant::now();
        while self.runs() {
            assert!(began.elapsed() < PATIENCE, "it doesn't end; it has said: {}", self.said());
            std::thread::sleep(GLANCE);
        }
        let status = self.child.wait().expect("it has ended");
        assert!(status.success(), "{status}: {}", self.said());
        self.said()
    }

    /// SIGTERM, and a good end. Returns what it has said.
    #[track_caller]
    pub(crate) fn drain(self) -> String {
        self.ask_to_end();
        self.ends_well()
    }

    /// The most memory that it ever held, in MB.
    pub(crate) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        let kib: u64 = line.trim().strip_suffix("kB").and_then(|kib| kib.trim().parse().ok()).expect("a number");
        (kib * 1_024).div_ceil(1_000_000)
    }

    /// Whether it has a connection from this port of its own.
    pub(crate) fn has_port(&self, port: u16) -> bool {
        let table = fs::read_to_string("/proc/net/tcp").expect("Linux says so");
        let from = format!(":{port:04X}");
        let inode = table.lines().skip(1).find_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            fields[1].ends_with(&from).then(|| format!("socket:[{}]", fields[9]))
        });
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id())).into_iter().flatten().flatten();
        let mut links = open.filter_map(|file| fs::read_link(file.path()).ok());
        inode.is_some_and(|inode| links.any(|link| link.as_os_str() == inode.as_str()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After its end this is an error that says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that a program may print to.
pub(crate) fn prints_to(path: &Path) -> Stdio {
    File::create(path).expect("a file can be made").into()
}
