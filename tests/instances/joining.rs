//! Joining and opening: nobody begins before all are there, and the source opens last.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use millstream::link::Certs;

use crate::cluster::Cluster;
use crate::process::Process;

/// Enough for a few seconds.
pub(crate) const RECORDS: u64 = if cfg!(debug_assertions) { 60_000 } else { 600_000 };

#[test]
fn three_instances_write_what_one_would() {
    let mut cluster = Cluster::on_loopback("undisturbed", 3, RECORDS);
    cluster.finish_all();
}

#[test]
fn nothing_is_read_before_all_are_there_and_whoever_waits_says_for_whom() {
    let mut cluster = Cluster::on_loopback("joining", 3, 10_000);
    cluster.start(0);
    cluster.until_said(0, "joined 1 of 3");
    cluster.start(2);
    cluster.until_said(0, "joined 2 of 3");
    cluster.until_said(2, "joined 2 of 3");
    cluster.stands_still(Duration::from_secs(1));
    assert_eq!(cluster.written(), 0);
    cluster.finish_all();
}

#[test]
fn a_second_process_of_an_instance_that_is_there_is_refused() {
    let mut cluster = Cluster::on_loopback("a second of the same", 3, RECORDS);
    cluster.start_all();
    assert!(cluster.until_further(), "it is under way");
    for instance in 0..3 {
        let (status, said) = Process::start(cluster.command(instance)).wait();
        assert_eq!(status.code(), Some(1), "{said}");
        assert!(said.starts_with("error: "), "{said}");
    }
    cluster.finish_all();
}

/// The command with another value for this flag.
fn with(command: &Command, flag: &str, value: &OsStr) -> Command {
    let mut other = Command::new(command.get_program());
    let mut before = OsStr::new("");
    for arg in command.get_args() {
        other.arg(if before == flag { value } else { arg });
        before = arg;
    }
    other
}

/// How often two that differ are started.
const PAIRS: usize = 6;

/// Starts the two at once, so often. Each time both end, and both say this.
fn both_end(cluster: &mut Cluster, other: impl Fn(&mut Command), differs: &[&str]) {
    for round in 0..PAIRS {
        let mut both = [cluster.command(0), cluster.command(1)];
        other(&mut both[1]);
        // Either may be the first.
        both.rotate_left(round % 2);
        let both = both.map(Process::start);
        for (status, said) in both.map(Process::wait) {
            assert_eq!(status.code(), Some(1), "{said}");
            for part in differs {
                assert!(said.contains(part), "it says how they differ, `{part}`: {said}");
            }
        }
    }
    assert_eq!(cluster.written(), 0);
}

#[test]
fn two_of_different_plans_both_end_and_say_how_they_differ() {
    let mut cluster = Cluster::on_loopback("two plans", 2, 100);
    let other = |command: &mut Command| {
        command.args(["--where", "customer/name"]);
    };
    both_end(&mut cluster, other, &["the plans differ", "status=paid", "customer/name"]);
}

#[test]
fn two_of_different_lists_both_end_and_say_how_they_differ() {
    let mut cluster = Cluster::on_loopback("two lists", 2, 100);
    // Behind those that are given already.
    let other = |command: &mut Command| {
        command.args(["--peers", "127.0.0.1:9"]);
    };
    both_end(&mut cluster, other, &["the lists of peers differ", " has 2", " has 3"]);
}

#[test]
fn whoever_waits_says_whose_certificate_is_foreign() {
    let mut cluster = Cluster::on_loopback("a foreign authority", 2, 10_000);
    cluster.start(0);
    cluster.until_said(0, "joined 1 of 2: waits for ");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let foreign = folder.path().join("tls");
    Certs::new(&foreign, 2).write().expect("certificates can be made");
    let second = Process::start(with(&cluster.command(1), "--tls", foreign.as_os_str()));
    cluster.until_said(0, "): its certificate is signed by a foreign authority");
    let told = "refuses this instance: this instance's certificate is signed by a foreign authority";
    assert!(cluster.until(told, |_| second.has_said(told)), "the other goes on");
    drop(second);
    cluster.finish_all();
}

#[test]
fn an_instance_with_another_pipeline_is_refused_and_told_how_it_differs() {
    let mut cluster = Cluster::on_loopback("another pipeline", 3, 10_000);
    cluster.start(0);
    cluster.start(1);
    cluster.until_said(0, "joined 2 of 3");
    let mut other = cluster.command(2);
    other.args(["--where", "customer/name"]);
    let (status, said) = Process::start(other).wait();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("status=paid") && said.contains("customer/name"), "it says how they differ: {said}");
    cluster.finish_all();
}
