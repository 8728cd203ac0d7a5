//! Ends: SIGTERM on one and on all, and the last word, which may be lost.

use std::time::Duration;

use crate::cluster::{Cluster, faults};
use crate::joining::RECORDS;

/// Asks an instance to end, again and again, and starts it again.
fn leaves(name: &str, instance: usize) {
    let mut cluster = Cluster::on_loopback(name, 3, RECORDS);
    cluster.start_all();
    for _ in 0..faults() {
        if !cluster.until_further() {
            break;
        }
        cluster.term(instance);
        let (status, said) = cluster.wait(instance);
        assert_eq!(status.code(), Some(0), "{said}");
        cluster.start(instance);
    }
    cluster.finish();
}

#[test]
fn a_worker_that_is_asked_to_end_finishes_what_it_has() {
    leaves("a worker leaves", 1);
}

#[test]
fn an_origin_that_is_asked_to_end_drains_its_source() {
    leaves("the origin leaves", 0);
}

#[test]
fn a_merge_that_is_asked_to_end_has_the_others_drain_through_it_first() {
    leaves("the merge leaves", 2);
}

#[test]
fn a_merge_that_is_asked_to_end_does_not_wait_for_an_origin_that_is_dead() {
    let mut cluster = Cluster::on_loopback("the merge leaves alone", 3, RECORDS);
    for _ in 0..faults() {
        cluster.start_all();
        if !cluster.until_further() {
            break;
        }
        assert!(cluster.kill(0), "it runs");
        for instance in [2, 1] {
            cluster.term(instance);
            let (status, said) = cluster.wait(instance);
            assert_eq!(status.code(), Some(0), "{said}");
        }
    }
    cluster.finish();
}

#[test]
fn all_may_be_asked_to_end_at_once_and_go_on_where_they_were() {
    let mut cluster = Cluster::on_loopback("all leave", 3, RECORDS);
    for _ in 0..faults() {
        cluster.start_all();
        if !cluster.until_further() {
            break;
        }
        (0..3).for_each(|instance| cluster.term(instance));
        for instance in 0..3 {
            let (status, said) = cluster.wait(instance);
            assert_eq!(status.code(), Some(0), "{said}");
        }
    }
    cluster.finish();
}

#[test]
fn whoever_is_killed_at_the_very_end_finds_that_all_is_done() {
    let mut landed = 0;
    for instance in 0..3 {
        let mut cluster = Cluster::on_loopback("the last word", 3, 10_000);
        cluster.start_all();
        cluster.until("all is written", |cluster| cluster.is_written());
        // Just before its end, or at it.
        std::thread::sleep(Duration::from_millis(10 * instance as u64));
        landed += u32::from(cluster.kill(instance));
        match instance {
            // It alone knows that all is done: the others can't.
            2 => cluster.finish_without_a_last_word(),
            _ => cluster.finish_all(),
        }
    }
    told!("{landed} of 3 kills landed at the very end");
    assert!(landed > 0, "all had ended before: this test proves nothing");
}

#[test]
fn one_whose_input_is_done_needs_no_others_to_find_that_out() {
    let mut cluster = Cluster::on_loopback("done", 3, 10_000);
    cluster.finish_all();
    cluster.start(0);
    let (status, said) = cluster.wait(0);
    assert_eq!(status.code(), Some(0), "{said}");
    cluster.check();
}
