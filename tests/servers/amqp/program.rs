//! [`Program`]: an example's process.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use super::flow::until;
use crate::built::example;

/// An example's process, killed when it is dropped.
pub(super) struct Program {
    pub(super) child: Child,
    said: Arc<Mutex<String>>,
}

impl Program {
    /// Starts an example with these arguments; what it prints goes there.
    pub(super) fn start(name: &str, arguments: &[&str], prints: Stdio) -> Self {
        let mut command = Command::new(example(name));
        command.args(arguments).env_remove("RUST_LOG").stdin(Stdio::null()).stdout(prints).stderr(Stdio::piped());
        let mut child = command.spawn().expect("an example starts");
        let said = Arc::<Mutex<String>>::default();
        let (reads, hears) = (child.stderr.take().expect("it is piped"), said.clone());
        std::thread::spawn(move || {
            for line in BufReader::new(reads).lines().map_while(Result::ok) {
                let mut said = hears.lock().unwrap_or_else(PoisonError::into_inner);
                *said += &(line + "\n");
            }
        });
        Self { child, said }
    }

    /// What it has said to standard error.
    pub(super) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// SIGKILL; `false` if it had ended before.
    pub(super) fn kill(mut self) -> bool {
        let _ = self.child.kill();
        self.child.wait().expect("it is our child").signal() == Some(9)
    }

    /// SIGTERM.
    pub(super) fn ask_to_end(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it is there");
    }

    /// Waits for its end; its exit code.
    #[track_caller]
    pub(super) fn end(mut self) -> Option<i32> {
        until("a program to end", || self.has_ended());
        self.child.wait().expect("it has ended").code()
    }

    /// The most memory that it ever held, in MB.
    pub(super) fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        let kib: u64 = line.trim().strip_suffix("kB").and_then(|kib| kib.trim().parse().ok()).expect("a number");
        (kib * 1_024).div_ceil(1_000_000)
    }

    /// Whether it has a connection from this port of its own.
    pub(super) fn has_port(&self, port: u16) -> bool {
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

impl Drop for Program {
    fn drop(&mut self) {
        // After its end this is an error that says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that a program may print to.
pub(super) fn prints_to(path: &std::path::Path) -> Stdio {
    File::create(path).expect("a file can be made").into()
}
