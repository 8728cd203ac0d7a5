//! What has to be there before a server can be started, by `tests/servers/install`; and tests that are skipped because
//! it can't be had.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};

/// Sees to it that this is there: one of the things that `tests/servers/install` knows. Returns its folder, if it has
/// one, or why it can't be had. What has to be fetched is said, because it takes a while.
pub(crate) fn install(what: &str) -> Result<PathBuf, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/install");
    let mut command = Command::new("bash");
    command.arg(script).arg(folder()).arg(what).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn();
    let mut child = child.map_err(|error| format!("there is no bash to run tests/servers/install with: {error}"))?;
    let said = pass_on(child.stderr.take().expect("it is piped"));
    let ran = child.wait_with_output().expect("it is our child");
    if ran.status.success() { Ok(String::from_utf8_lossy(&ran.stdout).trim().into()) } else { Err(said) }
}

/// Passes on what is said, and returns the last line of it.
fn pass_on(said: ChildStderr) -> String {
    let mut last = "tests/servers/install has failed".to_owned();
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        loudly(&line);
        last = line;
    }
    last
}

/// `target/servers`, which all runs share.
fn folder() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(3).expect("tests are built into target/PROFILE/deps").join("servers")
}

/// What a test needs; `None` if it can't be had, which is said loudly with the test's name. In CI that is a failure.
#[track_caller]
pub(crate) fn or_skip<T>(needed: Result<T, String>) -> Option<T> {
    needed.map_err(|reason| skip(&reason)).ok()
}

#[track_caller]
fn skip(reason: &str) {
    let thread = std::thread::current();
    let skipped = format!("SKIPPED: {}: {reason}", thread.name().unwrap_or("a test"));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{skipped}");
    loudly(&skipped);
}

/// Past what the test harness captures of a test that passes.
fn loudly(line: &str) {
    // Nobody reads it if that fails.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
