//! A job: an example with its input, its output and its state in a folder of its own.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::built::example;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(240);
/// How long to wait before looking again.
const GLANCE: Duration = Duration::from_millis(1);

/// An example, from files to a file, with its state.
pub(crate) struct Job {
    example: &'static str,
    /// Flags beside those of input, output and state.
    pub(crate) flags: Vec<String>,
    pub(crate) inputs: Vec<PathBuf>,
    pub(crate) output: PathBuf,
    pub(crate) state: PathBuf,
    /// What the output has to be in the end.
    pub(crate) expected: Vec<u8>,
    /// How many records the input has.
    pub(crate) records: u64,
    folder: tempfile::TempDir,
}

impl Job {
    /// A job without input.
    pub(crate) fn new(example: &'static str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let path = |name: &str| folder.path().join(name);
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let (output, state) = (path("output"), path("state"));
        Self { example, flags, inputs: Vec::new(), output, state, expected: Vec::new(), records: 0, folder }
    }

    /// With one more input of so many records, and what it adds to the output.
    pub(crate) fn input(mut self, name: &str, bytes: &[u8], records: u64, output: &[u8]) -> Self {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).expect("an input can be written");
        self.inputs.push(path);
        self.records += records;
        self.expected.extend_from_slice(output);
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What stands beside the output.
    pub(crate) fn positions(&self) -> PathBuf {
        let mut name = self.output.clone().into_os_string();
        name.push(".millstream-positions");
        name.into()
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(example(self.example));
        command.arg("--input").args(&self.inputs).arg("--output").arg(&self.output).arg("--state").arg(&self.state);
        command.args(&self.flags);
        command
    }

    pub(crate) fn start(&self) -> Running<'_> {
        let before = fs::read(self.positions()).ok();
        Running { process: Process::start(self.command()), job: self, least: u64::MAX, before }
    }

    /// Runs to the end, and sees that nothing was lost and nothing doubled. Returns what was said.
    #[track_caller]
    pub(crate) fn finish(&self) -> String {
        let ran = run(self.command());
        assert_eq!(ran.status.code(), Some(0), "{}", ran.said);
        self.check();
        ran.said
    }

    /// Sees that the output is what it has to be in the end.
    #[track_caller]
    pub(crate) fn check(&self) {
        let output = fs::read(&self.output).expect("the output is there");
        let same = output.iter().zip(&self.expected).take_while(|(a, b)| a == b).count();
        let (found, expected) = (output.len(), self.expected.len());
        assert!(same == found && found == expected, "{found} bytes for {expected}, the same up to byte {same}");
    }

    /// How many bytes the output has; 0 if it is not there.
    pub(crate) fn written(&self) -> u64 {
        fs::metadata(&self.output).map_or(0, |about| about.len())
    }

    /// Takes output and state away, to begin anew.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_dir_all(&self.state);
        let _ = fs::remove_file(&self.output);
        let _ = fs::remove_file(self.positions());
    }
}

/// A job's process that is under way.
pub(crate) struct Running<'j> {
    pub(crate) process: Process,
    job: &'j Job,
    /// The fewest bytes of output that were seen since it started.
    least: u64,
    /// What stood beside the output before it committed anything.
    before: Option<Vec<u8>>,
}

impl Running<'_> {
    /// Whether it has written records since it started: a start cuts the output back, and from there on it grows.
    pub(crate) fn has_written(&mut self) -> bool {
        let written = self.job.written();
        self.least = self.least.min(written);
        written > self.least
    }

    /// Whether it has committed something since it started; of a first start this has to be asked early, too.
    pub(crate) fn has_committed(&mut self) -> bool {
        let positions = fs::read(self.job.positions()).ok();
        if self.before.is_none() {
            self.before.clone_from(&positions);
        }
        positions != self.before
    }

    /// Waits until it has written records; `false` if it has ended before that was seen.
    pub(crate) fn until_written(&mut self) -> bool {
        self.until(|running| {
            running.has_committed();
            running.has_written()
        })
    }

    /// Waits until it has committed something; `false` if it has ended before that was seen.
    pub(crate) fn until_committed(&mut self) -> bool {
        self.until(Self::has_committed)
    }

    fn until(&mut self, mut so: impl FnMut(&mut Self) -> bool) -> bool {
        let began = Instant::now();
        while !so(self) {
            if self.process.has_ended() {
                return false;
            }
            assert!(began.elapsed() < PATIENCE, "this has not come about in {PATIENCE:?}");
            std::thread::sleep(GLANCE);
        }
        true
    }
}

/// What came of a process.
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    /// What it printed to standard error.
    pub(crate) said: String,
}

impl Ran {
    pub(crate) fn was_killed(&self) -> bool {
        self.status.signal() == Some(9)
    }

    /// The number of records that its summary says it has read.
    #[track_caller]
    pub(crate) fn records(&self) -> u64 {
        let (_, after) = self.said.split_once("records in ").expect("a summary");
        after.split(',').next().and_then(|number| number.parse().ok()).expect("a number")
    }

    /// Sees that it has failed with an error that has all of these parts.
    #[track_caller]
    pub(crate) fn fails(&self, parts: &[&str]) {
        assert_eq!(self.status.code(), Some(1), "{}", self.said);
        assert!(self.said.starts_with("error: "), "{}", self.said);
        for part in parts {
            assert!(self.said.contains(part), "`{part}` is not in: {}", self.said);
        }
    }
}

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(mut command: Command) -> Self {
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Self { child: command.spawn().expect("an example starts") }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_some()
    }

    /// SIGKILL, in whatever it is doing.
    pub(crate) fn kill(mut self) -> Ran {
        self.child.kill().expect("it is our child");
        self.wait()
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", self.id())]).status();
        assert!(sent.expect("there is a shell").success(), "the process is there to be sent SIG{signal}");
    }

    /// Waits for its end. It says little, so that nobody has to read it before.
    pub(crate) fn wait(mut self) -> Ran {
        let began = Instant::now();
        while !self.has_ended() {
            assert!(began.elapsed() < PATIENCE, "it has not ended in {PATIENCE:?}");
            std::thread::sleep(GLANCE);
        }
        let status = self.child.wait().expect("it has ended");
        Ran { status, said: self.said() }
    }

    /// What it has said, once it has ended.
    fn said(&mut self) -> String {
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = stderr.read_to_string(&mut said);
        }
        said
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After its end this is an error that says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a process to its end.
pub(crate) fn run(command: Command) -> Ran {
    Process::start(command).wait()
}
