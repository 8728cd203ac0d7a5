//! Instances that are stopped for longer than the detection, and go on: the same process, in the same epoch.

use std::time::Duration;

use crate::cluster::{Cluster, faults};
use crate::copying::copies;

/// Enough for a few seconds.
const RECORDS: u64 = 60_000;

/// How long a line takes on average.
const WORK: Duration = Duration::from_millis(10);

/// Longer than what is on its way takes, and shorter than a test should.
const LOOK: Duration = Duration::from_millis(300);

/// Stops an instance in mid-run until `by` has lost it, has `meanwhile` look at what the others do, and lets it go on;
/// again and again. In the end the source has been opened once, and each record read once.
fn freeze(name: &str, instance: usize, by: usize, meanwhile: impl Fn(&mut Cluster)) {
    let mut cluster = Cluster::doing(name, 3, copies(RECORDS, WORK));
    let named = format!("instance {} ({})", instance + 1, cluster.peer(instance));
    let lost = format!("{named} is not reached any more: nothing has come from it");
    let back = format!("{named} is back");
    let of = |cluster: &Cluster, what: &str| cluster.times_said(by, what);
    cluster.start_all();
    for _ in 0..faults().div_ceil(2) {
        // One that is stopped at the very end may find nobody any more, and can't know that all is done.
        if !cluster.until_further() || cluster.is_quarter_written() {
            break;
        }
        let (times_lost, times_back) = (of(&cluster, &lost), of(&cluster, &back));
        cluster.freeze(instance);
        cluster.until_said_times(by, &lost, times_lost + 1);
        meanwhile(&mut cluster);
        cluster.thaw(instance);
        cluster.until_said_times(by, &back, times_back + 1);
    }
    cluster.finish();
    assert_eq!(cluster.times_said(0, "the source opens"), 1, "it goes on in the same epoch\n{}", cluster.told());
    let read = format!("done: records in {RECORDS},");
    assert_eq!(cluster.times_said(0, &read), 1, "each record is read once\n{}", cluster.told());
}

#[test]
fn an_origin_that_was_stopped_goes_on_in_its_epoch() {
    freeze("the origin is stopped", 0, 2, |cluster| cluster.stands_still(LOOK));
}

#[test]
fn a_worker_that_was_stopped_finds_its_work_dealt_anew() {
    freeze("a worker is stopped", 1, 2, |cluster| {
        cluster.until_further();
    });
}

#[test]
fn sources_pause_while_the_merge_is_stopped() {
    freeze("the merge is stopped", 2, 0, |cluster| {
        let (input, mut before) = (cluster.path("input"), None);
        let pauses = cluster.until("the source pauses", |cluster| {
            std::thread::sleep(LOOK);
            let read = cluster.process(0).has_read(&input);
            read == std::mem::replace(&mut before, read)
        });
        let all = std::fs::metadata(&input).expect("the input is there").len();
        assert!(
            pauses && before.is_some_and(|read| read < all),
            "{before:?} of {all} bytes are read\n{}",
            cluster.told()
        );
    });
}
