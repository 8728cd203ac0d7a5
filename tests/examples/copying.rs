//! `copy_lines`: all of it, a part of it, and exactly once.

use crate::process::{Folder, USERS, run, run_on, start, until};

const USERS_FILE: &str = "examples/data/users.jsonl";

/// As many of the first lines of a text.
fn first(lines: usize, text: &str) -> String {
    text.split_inclusive('\n').take(lines).collect()
}

#[test]
fn it_copies_files_and_standard_input() {
    let folder = Folder::new();
    let output = folder.path("copy");
    assert_eq!(run("copy_lines", &["--input", USERS_FILE, "--output", &output]).text(), "");
    assert_eq!(folder.get("copy"), USERS);
    assert_eq!(run_on("copy_lines", &["--input", "-", "--output", "-"], USERS.as_bytes()).text(), USERS);
    assert_eq!(run_on("copy_lines", &["--input", "-", "--output", &output], b"\r\n\nlast").text(), "");
    assert_eq!(folder.get("copy"), "\r\n\nlast\n");
}

#[test]
fn a_limit_copies_as_many_lines_and_the_next_run_goes_on_there() {
    let folder = Folder::new();
    let (output, state) = (folder.path("copy"), folder.path("state"));
    for copied in [200, 400, 500, 500] {
        let args = ["--input", USERS_FILE, "--output", &output, "--state", &state, "--limit", "200"];
        let ran = run("copy_lines", &args);
        assert_eq!(ran.text(), "");
        assert_eq!(folder.get("copy"), first(copied, USERS), "{}", ran.err);
    }
}

#[test]
fn what_a_limit_leaves_is_not_counted() {
    let ran = run("copy_lines", &["--input", USERS_FILE, "--output", "-", "--limit", "7"]);
    assert_eq!(ran.text(), first(7, USERS));
    assert!(ran.err.starts_with("done, up to the limit: records in 7, out 7,"), "{}", ran.err);
}

#[test]
fn a_second_process_on_the_same_state_is_told_so() {
    let folder = Folder::new();
    let (output, state) = (folder.path("copy"), folder.path("state"));
    let args = ["--input", USERS_FILE, "--output", &output, "--state", &state];
    let running = start("copy_lines", &[&args[..], &["--throttle", "20"]].concat());
    until(|| folder.len("copy") > 0);
    let other = folder.path("other");
    let second = run("copy_lines", &["--input", USERS_FILE, "--output", &other, "--state", &state]);
    assert!(second.fails(1).contains(&state), "{}", second.err);
    running.signal("TERM");
    assert_eq!(running.end().code, Some(0));
    assert_eq!(run("copy_lines", &args).text(), "");
    assert_eq!(folder.get("copy"), USERS);
}

#[test]
fn a_changed_input_is_refused() {
    let folder = Folder::new();
    let input = folder.put("in", first(300, USERS));
    let (output, state) = (folder.path("copy"), folder.path("state"));
    let args = ["--input", &input, "--output", &output, "--state", &state];
    run("copy_lines", &[&args[..], &["--limit", "100"]].concat()).text();
    folder.put("in", USERS.replace("userid", "number"));
    let changed = run("copy_lines", &args);
    assert!(changed.fails(1).contains(&input), "{}", changed.err);
    assert_eq!(folder.get("copy"), first(100, USERS));
}

#[test]
fn a_missing_input_and_an_impossible_output_fail() {
    let folder = Folder::new();
    let (missing, output) = (folder.path("missing"), folder.path("copy"));
    let ran = run("copy_lines", &["--input", USERS_FILE, &missing, "--output", &output]);
    assert!(ran.fails(1).contains(&missing) && ran.err.contains("No such file"), "{}", ran.err);
    assert_eq!(folder.len("copy"), 0);
    let nowhere = folder.path("no/such/folder");
    let ran = run("copy_lines", &["--input", USERS_FILE, "--output", &nowhere]);
    assert!(ran.fails(1).contains(&nowhere), "{}", ran.err);
    let ran = run("copy_lines", &["--input", USERS_FILE, "--output", &folder.path("")]);
    assert_ne!(ran.code, Some(0));
}
