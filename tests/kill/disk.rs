//! Disks that are full and outputs that can't be written: an error, exit 1, and nothing is committed that is not there,
//! so that once there is room the next run goes on and the output is right.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::built::example;
use crate::inputs::lines;
use crate::job::{Job, Process, run};

/// A small disk of its own in memory.
struct SmallDisk {
    folder: tempfile::TempDir,
    /// What makes mounting possible: nothing, or sudo.
    by: &'static [&'static str],
}

impl SmallDisk {
    /// A disk of so many KiB; `None` where this user can't mount one. In CI that is a failure.
    fn new(kib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let options = format!("size={kib}k,mode=1777");
        for by in [&[][..], &["sudo", "-n"]] {
            if mount(by, &["-t", "tmpfs", "-o", &options, "tmpfs"], folder.path()) {
                return Some(Self { folder, by });
            }
        }
        let skipped = "SKIPPED: full disks, because this user may mount no tmpfs: run this test as root";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{skipped}");
        told!("{skipped}");
        None
    }

    fn grow(&self, kib: u32) {
        assert!(mount(self.by, &["-o", &format!("remount,size={kib}k")], self.folder.path()), "it can be made larger");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut umount = by(self.by, "umount");
        let _ = umount.arg("-l").arg(self.folder.path()).status();
    }
}

fn mount(who: &[&str], arguments: &[&str], folder: &Path) -> bool {
    by(who, "mount").args(arguments).arg(folder).output().is_ok_and(|done| done.status.success())
}

fn by(who: &[&str], program: &str) -> Command {
    match who {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    }
}

fn copying(flags: &[&str]) -> Job {
    let text = lines(0..100_000);
    Job::new("copy_lines", flags).input("in", text.as_bytes(), 100_000, text.as_bytes())
}

/// Runs out of room again and again, until there is enough.
fn fills(job: &Job, disk: &SmallDisk) {
    let mut written = 0;
    for kib in [3_000, 5_000, 7_000] {
        disk.grow(kib);
        let ran = run(job.command());
        ran.fails(&["full"]);
        let output = fs::read(&job.output).expect("the output is there");
        assert!(job.expected.starts_with(&output), "what is there is right");
        assert!(output.len() >= written, "what was committed is still there");
        written = output.len();
    }
    disk.grow(60_000);
    job.finish();
}

#[test]
fn a_full_disk_ends_the_run_and_loses_nothing() {
    let Some(disk) = SmallDisk::new(2_000) else { return };
    let mut job = copying(&["--throttle", "200000"]);
    job.output = disk.folder.path().join("output");
    fills(&job, &disk);
}

#[test]
fn a_full_disk_that_holds_the_state_too_loses_nothing() {
    // The store alone takes a megabyte or two.
    let Some(disk) = SmallDisk::new(2_000) else { return };
    let mut job = copying(&["--throttle", "200000"]);
    (job.output, job.state) = (disk.folder.path().join("output"), disk.folder.path().join("state"));
    fills(&job, &disk);
}

#[test]
fn a_full_disk_without_state_leaves_the_old_output() {
    let Some(disk) = SmallDisk::new(1_000) else { return };
    let job = copying(&[]);
    let output = disk.folder.path().join("output");
    fs::write(&output, "old\n").expect("there is room for this");
    let mut command = Command::new(example("copy_lines"));
    command.arg("--input").args(&job.inputs).arg("--output").arg(&output);
    run(command).fails(&["full"]);
    assert_eq!(fs::read_to_string(&output).expect("it is there"), "old\n");
    assert_eq!(fs::read_dir(disk.folder.path()).expect("it is there").count(), 1, "nothing is left beside it");
}

/// The user's limit on the size of files is a full disk that needs no rights to be made.
#[test]
fn a_limit_on_the_size_of_files_ends_the_run_and_loses_nothing() {
    let job = copying(&["--throttle", "200000"]);
    for kib in [3_000, 5_000] {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"")]);
        let command = job.command();
        shell.arg(command.get_program()).args(command.get_args());
        run(shell).fails(&["as large as its disk or this user's limits allow"]);
        assert!(job.expected.starts_with(&fs::read(&job.output).expect("the output is there")));
    }
    job.finish();
}

#[test]
fn an_output_that_can_not_be_written_is_an_error_before_anything_is_read() {
    let mut job = copying(&[]);
    let folder = job.folder().join("folder");
    job.output = folder.join("output");
    run(job.command()).fails(&["its folder doesn't exist", "make it first"]);
    fs::create_dir(&folder).expect("a folder can be made");
    job.finish();

    let mut job = copying(&[]);
    fs::create_dir(&job.output).expect("a folder can be made");
    run(job.command()).fails(&["it is a folder"]);
    fs::remove_dir(&job.output).expect("it is empty");
    job.finish();

    job.output = job.inputs[0].join("output");
    run(job.command()).fails(&["a part of its path is no folder"]);
}

#[test]
fn a_device_that_is_full_is_an_error() {
    let mut command = Command::new(example("copy_lines"));
    let job = copying(&[]);
    command.arg("--input").args(&job.inputs).args(["--output", "/dev/full"]);
    Process::start(command).wait().fails(&["full"]);
}
