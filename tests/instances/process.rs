//! [`Process`]: an example's process, and what it says.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::hosts::Signals;

/// The longest that anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks.
pub(crate) const GLANCE: Duration = Duration::from_millis(5);

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    /// How it is sent signals, if not by its own number.
    signals: Option<Signals>,
    said: Arc<Mutex<String>>,
    /// Gone once it has been joined.
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("an example starts");
        let stderr = child.stderr.take().expect("it is piped");
        let said = Arc::default();
        let reader = Some(listen(stderr, &said));
        Self { child, signals: None, said, reader }
    }

    /// Sends it signals in this way, if there is one.
    pub(crate) fn by(mut self, signals: Option<Signals>) -> Self {
        self.signals = signals;
        self
    }

    /// What it has said to standard error so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn has_said(&self, what: &str) -> bool {
        self.said().contains(what)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// SIGKILL, in whatever it is doing. Returns `false` if it had ended before, and all that it said.
    pub(crate) fn kill(mut self) -> (bool, String) {
        use std::os::unix::process::ExitStatusExt as _;
        self.signal("KILL");
        let status = self.child.wait().expect("it is our child");
        self.join();
        // Who runs it for us ends as it did, or says so in a shell's way.
        (status.signal() == Some(9) || status.code() == Some(128 + 9), self.said())
    }

    /// SIGTERM.
    pub(crate) fn term(&mut self) {
        assert!(self.signal("TERM"), "the process is there to be sent SIGTERM");
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&mut self) {
        assert!(self.signal("STOP"), "the process is there to be sent SIGSTOP");
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self) {
        assert!(self.signal("CONT"), "the process is there to be sent SIGCONT");
    }

    /// Up to which byte it has read this file, if it has it open. Only of one that is our own process.
    pub(crate) fn has_read(&self, file: &Path) -> Option<u64> {
        let file = fs::canonicalize(file).ok()?;
        let process = Path::new("/proc").join(self.child.id().to_string());
        let open = fs::read_dir(process.join("fd")).ok()?.flatten();
        let mut of_it = open.filter(|one| fs::read_link(one.path()).is_ok_and(|at| at == file));
        let about = fs::read_to_string(process.join("fdinfo").join(of_it.next()?.file_name())).ok()?;
        about.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok())
    }

    /// Sends a signal by its name; `false` if it has ended before.
    fn signal(&mut self, name: &str) -> bool {
        let Some(signals) = &self.signals else {
            let kill = format!("kill -{name} {}", self.child.id());
            return Command::new("sh").args(["-c", &kill]).status().expect("there is a shell").success();
        };
        let began = Instant::now();
        // It may not be there yet.
        while !signals.send(name) {
            if self.child.try_wait().expect("a child can be waited for").is_some() {
                return false;
            }
            assert!(began.elapsed() < PATIENCE, "it could not be sent SIG{name} in {PATIENCE:?}");
            std::thread::sleep(GLANCE);
        }
        true
    }

    /// Waits for its end. Returns how it ended and all that it said.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        while !self.has_ended() {
            assert!(began.elapsed() < PATIENCE, "it has not ended in {PATIENCE:?}; it said: {}", self.said());
            std::thread::sleep(GLANCE);
        }
        let status = self.child.wait().expect("it has ended");
        self.join();
        (status, self.said())
    }

    /// Waits until all that it said is here.
    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("it only reads");
        }
    }
}

fn listen(stderr: ChildStderr, said: &Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    let said = said.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
    })
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.signal("KILL");
        }
        let _ = self.child.wait();
    }
}
