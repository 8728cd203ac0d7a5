//! [`Process`]: a server's processes, which end with this one, however that ends.
//!
//! ```text
//! this process   --standard input-->   supervisor                    -->   server and its children
//!    "start"                             starts the server                   a group of their own
//!    its end, or ours                    kills the group, removes
//!                                        the server's folder, ends
//! ```
//!
//! The end of the supervisor's standard input can't be missed: the kernel closes it, whatever this process dies of. The
//! server itself may be killed, stopped and started again as often as a test likes.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// What the supervisor does: `$1` is the server's folder, the rest its command.
const SUPERVISOR: &str = r#"
folder=$1; shift
while read -r _; do
    setsid "$@" </dev/null >>"$folder/log" 2>&1 &
    server=$!
    echo "$server"
done
if [ -n "${server:-}" ]; then
    # Until it has a group it isn't killed with it.
    while kill -s 0 "$server" && ! kill -s KILL -- "-$server"; do :; done
    wait "$server"
fi
# Its children may take a moment longer, and write.
tries=100
until rm -rf "$folder" || [ "$tries" -eq 0 ]; do sleep 0.05; tries=$((tries - 1)); done
"#;

/// The longest that the end of a killed process takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(20);
/// How much of a log is shown: its last lines.
const SHOWN: usize = 60;

/// See the module. It is killed and its folder removed when it is dropped.
pub(crate) struct Process {
    name: &'static str,
    folder: PathBuf,
    supervisor: Mutex<Supervisor>,
    /// The number of the server's first process, which names its group.
    server: AtomicI32,
}

struct Supervisor {
    child: Child,
    pids: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a server in its folder, which is its working folder, gets its `log`, and is removed after its end. Of the
    /// command its program, arguments and environment count.
    pub(crate) fn start(name: &'static str, folder: tempfile::TempDir, command: &Command) -> Self {
        let folder = folder.keep();
        let words =
            [OsString::from(SUPERVISOR), "supervisor".into(), folder.clone().into(), command.get_program().into()];
        let mut shell = Command::new("sh");
        shell.arg("-c").args(words).args(command.get_args()).current_dir(&folder).process_group(0);
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = shell.spawn().expect("there is a shell");
        let pids = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut supervisor = Supervisor { child, pids };
        let server = AtomicI32::new(supervisor.begin());
        Self { name, folder, supervisor: Mutex::new(supervisor), server }
    }

    /// Waits until it is ready, which `asks` finds out. Panics with the end of its log if it ends before, or isn't ready
    /// within this time.
    #[track_caller]
    pub(crate) fn until_ready(&self, within: Duration, mut asks: impl FnMut() -> bool) {
        let began = Instant::now();
        while !asks() {
            assert!(!self.has_ended(), "{} has ended before it was ready; its log:\n{}", self.name, self.log());
            let log = || format!("{} is not ready after {within:?}; its log:\n{}", self.name, self.log());
            assert!(began.elapsed() < within, "{}", log());
            std::thread::sleep(GLANCE);
        }
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of its first process.
    pub(crate) fn pid(&self) -> i32 {
        self.server.load(Relaxed)
    }

    /// The numbers of all its processes that are still there.
    pub(crate) fn pids(&self) -> Vec<i32> {
        group(self.pid())
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.pids().is_empty()
    }

    /// How much memory its processes have in use, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.pids().into_iter().filter_map(resident).sum()
    }

    /// SIGKILL to all its processes, in whatever they are doing. They are gone when this returns.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        assert!(self.ends(), "{} is there {PATIENCE:?} after its kill: {:?}", self.name, self.pids());
    }

    /// Waits for the end of all its processes; `false` if that doesn't come.
    fn ends(&self) -> bool {
        let began = Instant::now();
        while !self.has_ended() {
            if began.elapsed() > PATIENCE {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// SIGSTOP to all its processes: they answer nothing any more, and the kernel still takes what they are sent.
    pub(crate) fn stop(&self) {
        assert!(self.signal(Signal::STOP), "{} is there to be stopped", self.name);
    }

    /// SIGCONT.
    pub(crate) fn cont(&self) {
        assert!(self.signal(Signal::CONT), "{} is there to go on", self.name);
    }

    /// Starts it again as it was started first, after its end.
    pub(crate) fn restart(&self) {
        let mut supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(self.has_ended(), "{} is still there: kill it first", self.name);
        self.server.store(supervisor.begin(), Relaxed);
    }

    /// The end of what it has said on its outputs.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }

    /// `false` if none of its processes is there.
    fn signal(&self, signal: Signal) -> bool {
        Pid::from_raw(self.pid()).is_some_and(|server| kill_process_group(server, signal).is_ok())
    }
}

impl Supervisor {
    /// Starts the server, and returns its number when it has its group.
    fn begin(&mut self) -> i32 {
        let stdin = self.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(b"start\n").expect("the supervisor reads");
        let mut line = String::new();
        self.pids.read_line(&mut line).expect("the supervisor can be read");
        let pid = line.trim().parse().ok().and_then(Pid::from_raw).expect("the supervisor says the server's number");
        let began = Instant::now();
        while rustix::process::getpgid(Some(pid)).is_ok_and(|group| group != pid) {
            assert!(began.elapsed() < PATIENCE, "the server has no group of its own after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        pid.as_raw_nonzero().get()
    }
}

/// One of the tests that are ignored, as a process of its own, which says nothing.
pub(crate) fn of_its_own(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test knows its own path"));
    command.args(["--exact", test, "--ignored"]).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The processes of a group, but for those that have ended.
pub(crate) fn group(leader: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("there is /proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| group_of(*pid) == Some(leader)).collect()
}

/// The group of a process; `None` if it has ended, whether or not that was noticed by its parent.
fn group_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // A name may hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<_> = fields.split(' ').collect();
    // One thread may end before the others, which still hold ports and files.
    let ended = matches!(fields[0], "Z" | "X") && fields[17] == "1";
    if ended { None } else { fields[2].parse().ok() }
}

fn resident(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

impl Drop for Process {
    fn drop(&mut self) {
        let supervisor = self.supervisor.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(supervisor.child.stdin.take());
        let _ = supervisor.child.wait();
        self.ends();
    }
}
