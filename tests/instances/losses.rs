//! Instances that are lost and come back.

use std::cell::Cell;
use std::time::Duration;

use crate::cluster::{Cluster, faults};
use crate::joining::RECORDS;

/// Longer than the detection.
const AWAY: Duration = Duration::from_millis(1_800);

/// Kills an instance in mid-run, again and again; in between `meanwhile` looks at what the others do.
fn lose(name: &str, instance: usize, meanwhile: impl Fn(&mut Cluster)) {
    let mut cluster = Cluster::on_loopback(name, 3, RECORDS);
    cluster.start_all();
    for _ in 0..faults() {
        if !cluster.until_further() {
            break;
        }
        cluster.kill(instance);
        meanwhile(&mut cluster);
        cluster.start(instance);
    }
    cluster.finish();
}

#[test]
fn what_was_dealt_to_a_lost_worker_is_dealt_anew_and_it_may_return() {
    lose("a worker is lost", 1, |cluster| {
        // The others go on, once they have noticed.
        cluster.until_further();
    });
}

#[test]
fn a_lost_origin_is_frozen_until_it_returns() {
    let times = Cell::new(0);
    lose("the origin is lost", 0, |cluster| {
        times.set(times.get() + 1);
        let lost = format!("instance 1 ({}) is not reached any more", cluster.peer(0));
        cluster.until_said_times(2, &lost, times.get());
        cluster.stands_still(AWAY);
    });
}

#[test]
fn everyone_waits_for_a_lost_merge_until_it_returns() {
    lose("the merge is lost", 2, |cluster| cluster.stands_still(AWAY));
}

#[test]
fn an_instance_may_return_before_anyone_has_noticed_that_it_was_gone() {
    let mut cluster = Cluster::on_loopback("quick restarts", 3, RECORDS).without("--detection");
    cluster.start_all();
    for instance in (0..3).cycle().take(faults() as usize * 2) {
        if !cluster.until_further() {
            break;
        }
        cluster.kill(instance);
        cluster.start(instance);
    }
    cluster.finish();
}

#[test]
fn all_may_be_killed_and_started_again_at_once() {
    let mut cluster = Cluster::on_loopback("all are killed", 3, RECORDS);
    cluster.start_all();
    for _ in 0..faults() {
        if !cluster.until_further() {
            break;
        }
        for instance in 0..3 {
            cluster.kill(instance);
        }
        cluster.start_all();
    }
    cluster.finish();
}

#[test]
fn two_of_three_may_be_lost_at_once() {
    let mut cluster = Cluster::on_loopback("two are lost", 3, RECORDS);
    cluster.start_all();
    for stays in (0..3).cycle().take(faults() as usize) {
        if !cluster.until_further() {
            break;
        }
        for instance in (0..3).filter(|&instance| instance != stays) {
            cluster.kill(instance);
        }
        std::thread::sleep(AWAY);
        cluster.start_all();
    }
    cluster.finish();
}
