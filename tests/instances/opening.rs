//! Opening goes from the sink up: while the sink's instance is not there, no source opens.

use std::fs;
use std::time::Duration;

use crate::cluster::Cluster;
use crate::joining::RECORDS;

/// How long a source is given to do what it must not.
const LOOK: Duration = Duration::from_millis(700);

/// Lets them be while the input is not there: a source that opens fails, and its process ends.
fn opens_nothing(cluster: &mut Cluster) {
    std::thread::sleep(LOOK);
    let ended = (0..2).any(|instance| cluster.process(instance).has_ended());
    assert!(!ended, "a source has opened\n{}", cluster.told());
}

/// Takes the input away.
fn hide(cluster: &Cluster) {
    fs::rename(cluster.path("input"), cluster.path("hidden")).expect("the input is there");
}

/// Puts it back.
fn show(cluster: &Cluster) {
    fs::rename(cluster.path("hidden"), cluster.path("input")).expect("the input was hidden");
}

#[test]
fn no_source_opens_before_the_sink_is_there() {
    let mut cluster = Cluster::on_loopback("the sink comes last", 3, 10_000);
    hide(&cluster);
    for instance in 0..2 {
        cluster.start(instance);
    }
    let waits = format!("joined 2 of 3: waits for {}", cluster.peer(2));
    for instance in 0..2 {
        cluster.until_said(instance, &waits);
    }
    opens_nothing(&mut cluster);
    show(&cluster);
    cluster.finish_all();
}

#[test]
fn no_source_opens_while_the_sink_is_away() {
    let mut cluster = Cluster::on_loopback("the sink is away", 3, RECORDS);
    cluster.start_all();
    assert!(cluster.until_further(), "it is under way");
    cluster.kill(2);
    cluster.until_said(0, "; the run waits for it");
    cluster.kill(0);
    hide(&cluster);
    cluster.start(0);
    let waits = format!("joined 2 of 3: the run has begun, and {} is not reached yet", cluster.peer(2));
    cluster.until_said(0, &waits);
    opens_nothing(&mut cluster);
    show(&cluster);
    cluster.finish();
}
