//! Processes of the examples.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::built::example;

use super::client::PATIENCE;

/// A process of an example, which ends with this value.
pub(crate) struct Process {
    child: Child,
    said: PathBuf,
    /// Keeps what it says.
    _folder: tempfile::TempDir,
}

impl Process {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let said = folder.path().join("said");
        let out = File::create(&said).expect("a file can be made");
        let mut command = Command::new(example(name));
        command.args(arguments).env("RUST_LOG", "warn").stdin(Stdio::null());
        command.stdout(out.try_clone().expect("a handle")).stderr(out);
        Self { child: command.spawn().expect("it starts"), said, _folder: folder }
    }

    /// What it has said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.said).unwrap_or_default()
    }

    /// Whether it runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state is known").is_none()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }

    /// SIGKILL; whether it still ran.
    pub(crate) fn kill(mut self) -> bool {
        let ran = self.runs();
        let _ = self.child.kill();
        let _ = self.child.wait();
        ran
    }

    /// Waits for its end, and that it was a good one.
    #[track_caller]
    pub(crate) fn ends_well(mut self) -> String {
        let began = Instant::now();
        while self.runs() {
            assert!(began.elapsed() < PATIENCE, "it doesn't end; it has said: {}", self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        let status = self.child.wait().expect("it has ended");
        assert!(status.success(), "{status}: {}", self.said());
        self.said()
    }

    /// SIGTERM, and a good end.
    #[track_caller]
    pub(crate) fn drain(self) -> String {
        self.signal("-TERM");
        self.ends_well()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
