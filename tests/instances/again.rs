//! The program of an instance that is this test's own: a test that does nothing unless it is told which instance it is.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use millstream::prelude::*;
use millstream::terminal::{self, Options};

use crate::cluster::Line;

/// Where a program finds out which instance it is, and what else it is told.
const TOLD: &str = "MILLSTREAM_INSTANCE";

/// When a peer of which nothing comes is taken for lost.
const DETECTION: Duration = Duration::from_secs(1);

/// Little enough that what is lost with an instance doesn't take long to be done again.
const WINDOW: u64 = 256 << 10;

/// Runs the test of this name as an instance, and tells it this.
pub(crate) fn line(test: &'static str, what: u64) -> Line {
    Box::new(move |_, instance| {
        let program = std::env::current_exe().expect("a test knows its own path");
        // As arguments, because sudo passes none of its own environment on.
        let log = std::env::var("RUST_LOG").unwrap_or("info".to_owned());
        let variables = [format!("{TOLD}={instance} {what}"), format!("RUST_LOG={log}")];
        let mut line = vec!["env".into()];
        line.extend(variables.map(OsString::from));
        line.extend([program.into(), test.into(), "--exact".into(), "--nocapture".into()]);
        line
    })
}

/// Which instance this process is, and what it was told; `None` if it runs tests.
pub(crate) fn told() -> Option<(usize, u64)> {
    let told = std::env::var(TOLD).ok()?;
    let (instance, what) = told.split_once(' ').expect("it is told both");
    Some((instance.parse().expect("a number"), what.parse().expect("a number")))
}

/// Runs a pipeline as this instance of those in the list of its folder, to its end. If that is no good one the process
/// ends here.
pub(crate) fn run(instance: usize, pipeline: Pipeline, settings: Settings) {
    let list = std::fs::read_to_string("peers").expect("the list of peers is there");
    let peers: Vec<&str> = list.split(',').collect();
    let network = Peers::new(peers.clone()).me(peers[instance]).tls("tls").detection(DETECTION);
    // As the examples do.
    let instances = Instances::over(network).window(WINDOW).on_waiting(|now| eprintln!("{now}"));
    let settings = Settings { exchange: Some(Arc::new(instances)), ..settings };
    let code = terminal::run_with(pipeline, Options { settings, quiet: false });
    if code != ExitCode::SUCCESS {
        std::process::exit(1);
    }
}
