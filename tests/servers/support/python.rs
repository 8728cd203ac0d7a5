//! [`Python`]: a program of Debian's Python, which has the clients that `tests/servers/install` installs.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::install::{install, or_skip};

/// Debian's own, whichever else there is.
const PYTHON: &str = "/usr/bin/python3";

/// A program that runs. It is killed when it is dropped.
pub(crate) struct Python {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Python {
    /// Runs a program with these arguments. `None` if the clients can't be had: the test is skipped.
    #[track_caller]
    pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<Self> {
        or_skip(install("clients").map_err(|reason| format!("no clients in Python: {reason}")))?;
        let mut command = Command::new(PYTHON);
        // A folder of packages for another Python would stand in the way.
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME");
        command.args(["-u", "-c", program]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("there is Debian's Python");
        let says = BufReader::new(child.stdout.take().expect("it is piped"));
        Some(Self { child, says })
    }

    /// The next line that it prints, without its end; `None` at the end of its output.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.says.read_line(&mut line).expect("it prints text");
        (bytes > 0).then(|| line.trim_end_matches('\n').to_owned())
    }

    /// Waits for its end, and panics unless it succeeds. Returns the lines that it has printed since.
    #[track_caller]
    pub(crate) fn end(mut self) -> Vec<String> {
        let lines = std::iter::from_fn(|| self.line()).collect();
        let status = self.child.wait().expect("it is our child");
        assert!(status.success(), "a program in Python has failed: {status}, after {lines:?}");
        lines
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // After its end this is an error that says so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
