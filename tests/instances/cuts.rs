//! Pairs that are cut off from each other, in network namespaces: neither side hears that it is.

use std::time::Duration;

use crate::cluster::{Cluster, faults};
use crate::joining::RECORDS;

/// Shorter than the detection, and longer.
const LASTS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(2_500)];

const PAIRS: [(usize, usize); 3] = [(0, 1), (1, 2), (0, 2)];

#[test]
fn each_pair_may_be_cut_and_healed() {
    for (a, b) in PAIRS {
        let name = format!("link {}–{} is cut", a + 1, b + 1);
        let Some(mut cluster) = Cluster::in_networks(&name, 3, RECORDS) else { return };
        cluster.start_all();
        for lasts in LASTS.into_iter().cycle().take(faults() as usize) {
            if !cluster.until_further() {
                break;
            }
            cluster.cut(a, b);
            std::thread::sleep(lasts);
            cluster.heal(a, b);
        }
        cluster.finish();
    }
}

#[test]
fn an_origin_that_does_not_reach_the_merge_is_frozen_whoever_else_reaches_it() {
    let Some(mut cluster) = Cluster::in_networks("the origin is cut off from the merge", 3, RECORDS) else { return };
    cluster.start_all();
    assert!(cluster.until_further(), "it is under way");
    cluster.cut(0, 2);
    // Until that is noticed what is on its way by the others passes.
    std::thread::sleep(Duration::from_millis(1_500));
    cluster.stands_still(Duration::from_secs(2));
    cluster.heal(0, 2);
    assert!(cluster.until_further(), "it goes on");
    cluster.finish();
}

#[test]
fn work_goes_round_a_worker_that_is_cut_off() {
    for pair in [(0, 1), (1, 2)] {
        let name = format!("a worker is cut off, link {}–{}", pair.0 + 1, pair.1 + 1);
        let Some(mut cluster) = Cluster::in_networks(&name, 3, RECORDS) else { return };
        cluster.start_all();
        assert!(cluster.until_further(), "it is under way");
        cluster.cut(pair.0, pair.1);
        assert!(cluster.until_further() && cluster.until_further(), "the others go on");
        cluster.heal(pair.0, pair.1);
        cluster.finish();
    }
}

#[test]
fn an_instance_may_be_killed_and_come_back_behind_a_cut() {
    let Some(mut cluster) = Cluster::in_networks("killed behind a cut", 3, RECORDS) else { return };
    cluster.start_all();
    for ((a, b), instance) in PAIRS.into_iter().zip([0, 1, 2]).cycle().take(faults() as usize) {
        if !cluster.until_further() {
            break;
        }
        cluster.cut(a, b);
        cluster.kill(instance);
        cluster.start(instance);
        std::thread::sleep(LASTS[1]);
        cluster.heal(a, b);
    }
    cluster.finish();
}
