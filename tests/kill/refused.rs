//! What is not as it was left: another process, another input, another pipeline, lost and damaged files. Each is an
//! error that names the way out and touches nothing; once it is mended, the job goes on and the output is right.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::inputs::lines;
use crate::job::{Job, run};

/// A job that was drained half-way.
fn half_done() -> Job {
    let text = lines(0..40_000);
    let job = Job::new("copy_lines", &["--throttle", "40000"]).input("in", text.as_bytes(), 40_000, text.as_bytes());
    let mut running = job.start();
    assert!(running.until_committed());
    running.process.signal("TERM");
    let ran = running.process.wait();
    assert_eq!(ran.status.code(), Some(0), "{}", ran.said);
    assert!(0 < ran.records() && ran.records() < 40_000, "{}", ran.said);
    job
}

/// All files below a folder, with what they hold; the lock's content is no matter.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !path.ends_with("checkpoints.lock") {
            found.insert(path.clone(), fs::read(&path).expect("a file can be read"));
        }
    }
    found
}

/// Makes all files below a folder what they were.
fn restore(folder: &Path, before: &BTreeMap<PathBuf, Vec<u8>>) {
    for path in files(folder).keys().filter(|path| !before.contains_key(*path)) {
        fs::remove_file(path).expect("a file can be removed");
    }
    for (path, content) in before {
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        fs::write(path, content).expect("a file can be written");
    }
}

/// What is done to a job, by what, and words of the error that has to come of it.
type Case<'c> = (&'c str, &'c dyn Fn(), &'c [&'c str]);

/// One damage after the other; each is refused with these words, and touches nothing.
fn each_is_refused(job: &Job, cases: &[Case<'_>]) {
    let before = files(job.folder());
    for (name, damage, words) in cases {
        damage();
        let damaged = files(job.folder());
        let ran = run(job.command());
        told!("{name}: {}", ran.said.trim_end());
        ran.fails(words);
        let after = files(job.folder());
        // A whole store notes in its own file that it was opened; what it holds is seen once the job goes on.
        let is_noted = |path: &Path| path.ends_with("checkpoints.redb") && before.get(path) == damaged.get(path);
        let touched = damaged.iter().filter(|(path, content)| !is_noted(path) && after.get(*path) != Some(content));
        let touched: Vec<_> = touched.map(|(path, _)| path).collect();
        assert!(touched.is_empty(), "{name}: {touched:?} were touched");
        restore(job.folder(), &before);
    }
    job.finish();
}

fn change(path: &Path, with: impl Fn(&mut Vec<u8>)) {
    let mut content = fs::read(path).expect("it is there");
    with(&mut content);
    fs::write(path, content).expect("it can be written");
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("it can be removed");
}

#[test]
fn a_changed_or_lost_input_is_refused() {
    let job = half_done();
    let input = &job.inputs[0];
    let done = job.written() as usize;
    let way_out = "restore it, or start over with";
    each_is_refused(
        &job,
        &[
            ("another beginning", &|| change(input, |text| text[3] ^= 1), &["has changed", way_out]),
            (
                "other bytes before the position",
                &|| change(input, |text| text[done - 9] ^= 1),
                &["has changed", way_out],
            ),
            (
                "a line more before it",
                &|| change(input, |text| text.splice(2_000..2_000, *b"x\n").for_each(drop)),
                &["has changed", way_out],
            ),
            ("shorter", &|| change(input, |text| text.truncate(done / 2)), &["has become shorter", way_out]),
            ("empty", &|| change(input, Vec::clear), &["has become shorter", way_out]),
            ("gone", &|| remove(input), &["is gone", way_out]),
        ],
    );
}

#[test]
fn a_lost_or_changed_output_is_refused() {
    let job = half_done();
    let (output, positions) = (&job.output, &job.positions());
    let both = || {
        remove(output);
        remove(positions);
    };
    each_is_refused(
        &job,
        &[
            ("no output", &|| remove(output), &["is gone", "bring it back, or remove"]),
            ("no positions", &|| remove(positions), &["are gone", "bring it back, or remove"]),
            ("neither", &both, &["is gone, and so is", "bring both back, or remove"]),
            (
                "a shorter output",
                &|| change(output, |text| text.truncate(text.len() - 1)),
                &["it was cut or replaced", "bring it back, or remove"],
            ),
            (
                "another output",
                &|| change(output, |text| text.fill(b'x')),
                &["it was changed or replaced", "bring it back, or remove"],
            ),
            ("damaged positions", &|| change(positions, |bytes| bytes[40] ^= 1), &["damaged"]),
            ("cut positions", &|| change(positions, |bytes| bytes.truncate(50)), &["damaged"]),
        ],
    );
}

#[test]
fn a_damaged_state_is_refused() {
    let job = half_done();
    let store = &job.state.join("checkpoints.redb");
    each_is_refused(
        &job,
        &[
            ("an empty store", &|| change(store, Vec::clear), &["damaged: ", "bring back a copy of"]),
            ("a cut store", &|| change(store, |bytes| bytes.truncate(5_000)), &["damaged: ", "bring back a copy of"]),
            ("another file", &|| change(store, |bytes| *bytes = b"not a store".to_vec()), &["damaged: "]),
        ],
    );
}

/// The last resort that the errors name, for an output that can't be brought back: to begin anew without what is left.
#[test]
fn the_way_out_that_is_named_leads_out() {
    let job = half_done();
    let before = files(job.folder());
    let (output, positions) = (&job.output, &job.positions());
    let cases: [(&[&Path], &[&Path]); 4] = [
        (&[output], &[positions, &job.state]),
        (&[positions], &[output, &job.state]),
        (&[output, positions], &[&job.state]),
        (&[&job.state.join("checkpoints.redb")], &[&job.state]),
    ];
    for (damaged, removed) in cases {
        damaged.iter().for_each(|path| change(path, Vec::clear));
        let both = damaged.len() == 2 || damaged[0] == output;
        damaged.iter().filter(|_| both).for_each(|path| remove(path));
        run(job.command()).fails(&["bring", "remove"]);
        for path in removed.iter().chain(damaged).filter(|path| path.exists()) {
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("it can be removed");
        }
        job.finish();
        restore(job.folder(), &before);
    }
}

/// The output and its positions are all that is needed to go on: they win over the state folder.
#[test]
fn a_lost_state_folder_is_no_loss() {
    let job = half_done();
    fs::remove_dir_all(&job.state).expect("it can be removed");
    let ran = run(job.command());
    assert_eq!(ran.status.code(), Some(0), "{}", ran.said);
    assert!(ran.records() < job.records, "{}", ran.said);
    job.check();
}

#[test]
fn another_pipeline_or_input_over_the_same_state_is_refused() {
    let mut job = half_done();
    let before = files(job.folder());
    let refused = |command: Command, words: &[&str]| {
        let ran = run(command);
        told!("{}", ran.said.trim_end());
        ran.fails(words);
        assert!(files(job.folder()) == before, "nothing is touched");
    };
    let way_out = "a state folder of its own";
    let mut filter = Command::new(crate::built::example("json_filter"));
    filter.arg("--input").args(&job.inputs).arg("--output").arg(&job.output).arg("--state").arg(&job.state);
    refused(filter, &["belongs to another run", way_out]);

    let other = tempfile::NamedTempFile::new().expect("there is room");
    fs::copy(&job.inputs[0], other.path()).expect("it can be copied");
    let mut input = Command::new(crate::built::example("copy_lines"));
    input.arg("--input").arg(other.path()).arg("--output").arg(&job.output).arg("--state").arg(&job.state);
    refused(input, &["belongs to another run", way_out]);

    job.inputs.push(other.path().to_owned());
    let ran = run(job.command());
    ran.fails(&["belongs to another run", way_out]);
    job.inputs.pop();
    job.finish();
}

#[test]
fn another_input_over_the_same_output_is_refused_whatever_the_state() {
    let job = half_done();
    let other = tempfile::NamedTempFile::new().expect("there is room");
    fs::copy(&job.inputs[0], other.path()).expect("it can be copied");
    let before = files(job.folder());
    let state = tempfile::tempdir().expect("there is room");
    let mut input = Command::new(crate::built::example("copy_lines"));
    input.arg("--input").arg(other.path()).arg("--output").arg(&job.output).arg("--state").arg(state.path());
    let ran = run(input);
    told!("{}", ran.said.trim_end());
    let [there, here] = [job.inputs[0].as_path(), other.path()].map(|path| path.display().to_string());
    ran.fails(&["holds what was made of another input", &there, &here, "name another output"]);
    assert!(files(job.folder()) == before, "nothing is touched");
    job.finish();
}

#[test]
fn a_second_process_on_the_same_state_or_output_ends_at_once() {
    let text = lines(0..60_000);
    let mut job =
        Job::new("copy_lines", &["--throttle", "30000"]).input("in", text.as_bytes(), 60_000, text.as_bytes());
    let state = job.state.clone();
    let first = {
        let mut running = job.start();
        assert!(running.until_written());
        running.process
    };
    let id = first.id().to_string();
    run(job.command()).fails(&["is in use by process", &id, "wait for it to end"]);
    job.state = job.folder().join("another-state");
    run(job.command()).fails(&["is being written by another run", "wait for it to end"]);
    job.state = state;
    let ran = first.wait();
    assert_eq!((ran.status.code(), ran.records()), (Some(0), 60_000), "{}", ran.said);
    job.check();
}
