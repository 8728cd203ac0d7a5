//! Whole pipelines, declared, planned and run, with scripted ends that write down what happened in which order. Time is
//! simulated wherever a test doesn't say otherwise: timers are exact, and no test waits for the real clock.

mod anew;
mod asynchronous;
mod bounds;
mod drain;
mod exact;
mod folds;
mod limits;
mod model;
mod panics;
mod partitions;
mod pessimistic;
mod policies;
mod prototype;
mod retries;
mod sinks;
mod threads;
mod throttle;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use millstream::Engine as _;
use millstream::contracts::{Error, Host, World};
use millstream::declare::Pipeline;
use millstream::runtime::{Running, Settings, Summary};
use millstream_core::testkit::SimulatedClock;

/// Simulated time, and workers that run inline.
fn simulated() -> Settings {
    let world = World { clock: Arc::new(SimulatedClock::new()), workers: Host::Inline };
    Settings { world, ..Settings::default() }
}

async fn start_with(pipeline: Pipeline, settings: Settings) -> Running {
    match pipeline.start(settings).await {
        Ok(running) => running,
        Err(error) => panic!("it should start: {error}"),
    }
}

async fn start(pipeline: Pipeline) -> Running {
    start_with(pipeline, simulated()).await
}

/// Waits for the end: a day of simulated time is for ever.
async fn end(running: Running) -> Result<Summary, Error> {
    let day = Duration::from_secs(86_400);
    tokio::time::timeout(day, running.join()).await.expect("it should come to an end")
}

async fn run_with(pipeline: Pipeline, settings: Settings) -> Result<Summary, Error> {
    end(start_with(pipeline, settings).await).await
}

async fn run(pipeline: Pipeline) -> Result<Summary, Error> {
    run_with(pipeline, simulated()).await
}

async fn runs(pipeline: Pipeline) -> Summary {
    run(pipeline).await.unwrap_or_else(|error| panic!("it should run well: {}", error.chain()))
}

async fn fails(pipeline: Pipeline) -> Error {
    match run(pipeline).await {
        Ok(summary) => panic!("it should fail: {summary:?}"),
        Err(error) => error,
    }
}

/// Each record becomes a row.
fn one(_: &str, _: u64) -> usize {
    1
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn numbers(records: std::ops::Range<u64>) -> Vec<u64> {
    records.collect()
}
