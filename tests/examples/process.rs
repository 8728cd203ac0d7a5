//! Processes of examples, and what came of them. Nothing here waits for ever.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait before looking again.
const GLANCE: Duration = Duration::from_millis(5);

/// The users that ship with the examples, a JSON object a line.
pub(crate) const USERS: &str = include_str!("../../examples/data/users.jsonl");
/// The orders that ship with the examples.
pub(crate) const ORDERS: &str = include_str!("../../examples/data/orders.xml");

/// An example's program.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("tests are built into target/PROFILE/deps");
    let program = folder.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is not there: run `cargo test`, or `cargo build --examples`", program.display());
    let mut command = Command::new(program);
    command.env_remove("RUST_LOG");
    command
}

/// What came of a process.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ran {
    /// What it printed, from a process that was to succeed.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}", self.err);
        std::str::from_utf8(&self.out).expect("it prints text")
    }

    /// What it said, from a process that was to end with this code.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}", self.err);
        assert!(self.err.starts_with("error: "), "{}", self.err);
        &self.err
    }
}

/// Runs an example to its end.
pub(crate) fn run(name: &str, args: &[&str]) -> Ran {
    run_on(name, args, b"")
}

/// Runs an example to its end; `input` is what it finds on standard input.
pub(crate) fn run_on(name: &str, args: &[&str], input: &[u8]) -> Ran {
    let mut started = start(name, args);
    let mut stdin = started.stdin.take().expect("standard input is piped");
    let input = input.to_vec();
    // A process that reads no more is none of the test's business here.
    let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let ran = started.end();
    feeding.join().expect("the feeder doesn't panic");
    ran
}

/// A process that is under way.
pub(crate) struct Started {
    child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    err: Receiver<String>,
}

/// Starts an example. What it prints is read along.
pub(crate) fn start(name: &str, args: &[&str]) -> Started {
    let mut started = start_unread(name, args);
    let mut out = BufReader::new(started.child.stdout.take().expect("standard output is piped"));
    let (tell, lines) = channel();
    started.lines = lines;
    std::thread::spawn(move || {
        let mut line = String::new();
        while out.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && tell.send(std::mem::take(&mut line)).is_ok() {}
    });
    started
}

/// Starts an example whose standard output nobody reads.
pub(crate) fn start_unread(name: &str, args: &[&str]) -> Started {
    let mut command = example(name);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("an example starts");
    let mut stderr = child.stderr.take().expect("standard error is piped");
    let (tell, err) = channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        let _ = tell.send(text);
    });
    Started { stdin: child.stdin.take(), child, lines: channel().1, err }
}

impl Started {
    /// The next line that it prints, without its end.
    pub(crate) fn line(&self) -> String {
        let mut line = self.lines.recv_timeout(PATIENCE).expect("it prints another line");
        line.pop();
        line
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", self.child.id())]).status();
        assert!(sent.expect("there is a shell").success(), "the process is there to be sent SIG{signal}");
    }

    /// Takes its standard output away: whoever reads it is gone.
    pub(crate) fn stop_reading(&mut self) {
        drop(self.child.stdout.take());
    }

    /// Its standard output, unless it is read along.
    pub(crate) fn stdout(&mut self) -> &mut std::process::ChildStdout {
        self.child.stdout.as_mut().expect("nobody else reads it")
    }

    /// Ends its standard input, and waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        drop(self.stdin.take());
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Ran {
        until(|| self.child.try_wait().expect("a child can be waited for").is_some());
        let code = self.child.wait().expect("it has ended").code();
        let err = self.err.recv_timeout(PATIENCE).expect("what it said is read");
        let out = self.lines.iter().collect::<String>().into_bytes();
        Ran { code, out, err }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // After its end this is an error that says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "this has not come about in {PATIENCE:?}");
        std::thread::sleep(GLANCE);
    }
}

/// A folder of a test's own.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a folder"))
    }

    /// A path in it.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("such paths are text").to_owned()
    }

    /// A file in it that holds this; its path.
    pub(crate) fn put(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        std::fs::write(self.0.path().join(name), contents).expect("a file can be written");
        self.path(name)
    }

    /// What a file in it holds.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path().join(name)).expect("the file is there")
    }

    /// How many bytes a file in it has; 0 if it is not there.
    pub(crate) fn len(&self, name: &str) -> u64 {
        std::fs::metadata(self.0.path().join(name)).map_or(0, |data| data.len())
    }

    /// The names in it.
    pub(crate) fn names(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.path()).expect("the folder is there");
        entries.map(|entry| entry.expect("an entry can be read").file_name().into()).collect()
    }
}
