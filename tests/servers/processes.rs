//! What is started here ends here, whatever this process dies of.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::process::{Process, group, of_its_own};

const PATIENCE: Duration = Duration::from_secs(30);

/// Set for a test that runs as a process of its own, to be killed: where it leaves word.
const WORD: &str = "MILLSTREAM_TEST_LEAVES_WORD";

/// A server with a child, which answers nothing.
fn server() -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", r#"echo "begins with $WHAT"; sleep 1000 & echo >>begun; wait"#]).env("WHAT", "a child");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let process = Process::start("a server", folder, &command);
    wait_for_child(&process);
    process
}

fn wait_for_child(process: &Process) {
    process.until_ready(PATIENCE, || process.pids().len() == 2);
}

#[test]
fn a_server_is_killed_and_started_again_in_its_folder() {
    let server = server();
    let folder = server.folder().to_owned();
    let first = server.pid();
    assert_eq!(server.log(), "begins with a child");
    assert!(server.memory() > 0);
    server.kill();
    assert!(server.has_ended() && group(first).is_empty());
    server.restart();
    wait_for_child(&server);
    assert_ne!(server.pid(), first);
    assert_eq!(fs::read_to_string(folder.join("begun")).expect("it was begun"), "\n\n");
    let second = server.pid();
    drop(server);
    assert!(group(second).is_empty());
    assert!(!folder.exists());
}

#[test]
fn a_server_that_is_stopped_ends_too() {
    let server = server();
    let pid = server.pid();
    server.stop();
    wait_until(|| state(pid).starts_with('T'));
    server.cont();
    wait_until(|| state(pid).starts_with('S'));
    server.stop();
    drop(server);
    assert!(group(pid).is_empty());
}

#[test]
#[should_panic(expected = "a server has ended before it was ready; its log:\nno such thing")]
fn a_server_that_ends_at_once_shows_its_log() {
    let mut command = Command::new("sh");
    command.args(["-c", "echo no such thing"]);
    let folder = tempfile::tempdir().expect("there is room for a folder");
    Process::start("a server", folder, &command).until_ready(PATIENCE, || false);
}

#[test]
fn a_process_that_is_killed_leaves_no_server_behind() {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let word = folder.path().join("word");
    let mut test = of_its_own("processes::leaves_word_and_hangs");
    let mut test = test.env(WORD, &word).spawn().expect("this test can be started again");
    wait_until(|| word.exists());
    let said = fs::read_to_string(&word).expect("it left word");
    let (pid, servers_folder) = said.split_once(' ').expect("a number and a folder");
    let pid = pid.parse().expect("a number");
    assert_eq!(group(pid).len(), 2, "the server and its child are there");
    test.kill().expect("it is our child");
    test.wait().expect("it is our child");
    wait_until(|| group(pid).is_empty() && !Path::new(servers_folder).exists());
}

#[test]
#[ignore = "it is the process that another test kills"]
fn leaves_word_and_hangs() {
    let Some(word) = std::env::var_os(WORD) else { return };
    let server = server();
    let whole = Path::new(&word).with_extension("part");
    fs::write(&whole, format!("{} {}", server.pid(), server.folder().display())).expect("word can be left");
    fs::rename(whole, word).expect("word can be left");
    std::thread::sleep(PATIENCE);
}

fn wait_until(mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < PATIENCE, "this has not come about in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn state(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    status.lines().find_map(|line| line.strip_prefix("State:")).expect("it has a state").trim().to_owned()
}
