//! How runs end before their input does: signals, and readers that go away.

use std::io::Read as _;

use crate::process::{Folder, USERS, run, start, start_unread, until};

/// The input of a run that takes some time.
fn long() -> String {
    USERS.repeat(20)
}

#[test]
fn a_signal_drains_and_the_next_run_goes_on_there() {
    let folder = Folder::new();
    let text = long();
    let (input, output, state) = (folder.put("in", &text), folder.path("out"), folder.path("state"));
    let args = ["--input", &input, "--output", &output, "--state", &state];
    for signal in ["TERM", "INT"] {
        let before = folder.len("out");
        let copying = start("copy_lines", &[&args[..], &["--throttle", "3000"]].concat());
        until(|| folder.len("out") > before);
        copying.signal(signal);
        let ran = copying.end();
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.starts_with("drained: records in "), "{}", ran.err);
        let copied = folder.get("out");
        assert!(copied.len() < text.len() && copied.ends_with('\n'), "it ended in the middle");
        assert!(text.starts_with(&copied), "what was copied is the beginning");
        // A position in mid-batch is the end of a record, before its line end.
        let committed = |bytes: usize| format!("committed files: {input}:{bytes}\n");
        let ends = [committed(copied.len()), committed(copied.len() - 1)];
        assert!(ends.iter().any(|end| ran.err.ends_with(end)), "{ends:?} {}", ran.err);
    }
    run("copy_lines", &args).text();
    assert!(folder.get("out") == text, "the copy is the input");
}

#[test]
fn a_drain_does_not_wait_for_input() {
    let mut idle = start("copy_lines", &["--input", "-", "--output", "-"]);
    let stdin = idle.stdin.take();
    std::io::Write::write_all(&mut stdin.as_ref().expect("it is piped"), b"one\n").expect("it reads");
    assert_eq!(idle.line(), "one");
    idle.signal("TERM");
    let ran = idle.wait();
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert!(ran.err.starts_with("drained: records in 1, out 1,"), "{}", ran.err);
    drop(stdin);
}

#[test]
fn a_second_signal_ends_what_hangs() {
    let folder = Folder::new();
    let input = folder.put("in", long());
    let mut stuck = start_unread("json_filter", &["--input", &input]);
    // Something is printed, and nobody reads on: the first signal can't let the rest through.
    stuck.stdout().read_exact(&mut [0]).expect("it prints");
    stuck.signal("TERM");
    stuck.signal("INT");
    let ran = stuck.wait();
    assert_eq!((ran.code, &*ran.err), (Some(130), ""));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let folder = Folder::new();
    let input = folder.put("in", long());
    for workers in ["1", "2"] {
        let mut filtering = start_unread("json_filter", &["--input", &input, "--workers", workers]);
        filtering.stdout().read_exact(&mut [0]).expect("it prints");
        filtering.stop_reading();
        let ran = filtering.wait();
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(ran.err.starts_with("ended, because whoever read the output went away: "), "{}", ran.err);
    }
}

#[test]
fn a_reader_that_goes_away_commits_nothing_that_it_may_not_have_read() {
    let folder = Folder::new();
    let (input, state) = (folder.put("in", long()), folder.path("state"));
    let args = ["--input", &input, "--state", &state];
    let mut filtering = start_unread("json_filter", &args);
    filtering.stdout().read_exact(&mut [0]).expect("it prints");
    filtering.stop_reading();
    assert_eq!(filtering.wait().code, Some(0));
    let again = run("json_filter", &args);
    assert!(long().ends_with(again.text()), "the next run prints the rest");
    assert!(again.text().len() > long().len() / 2, "most of it was never read: {}", again.err);
}
