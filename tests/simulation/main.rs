//! The seeded simulation: whole pipelines of several instances in one thread, on simulated time and over a network in
//! memory that delays, cuts and reorders; instances are killed and come back, sinks are slow and fail. A seed decides all
//! of it: the pipeline, how many instances, every size and delay, and what goes wrong when.
//!
//! ```text
//!   scenario  what a seed decides                    upstream    what the source reads from; outlives instances
//!   shape     its pipeline                           queue       … where each record is acknowledged by itself
//!   faults    what goes wrong, and when              downstream  what the sink has written; outlives instances
//!   cluster   runs it: starts, kills, cuts, heals    folds       what folds have taken in
//!   truth     what has to become of each record      timing      when records happened, and whether that order holds
//!   verdict   what was not as promised
//! ```
//!
//! While it runs each commit is held against what is durable, and each row against the order of its origin; after the
//! last fault everything is healed and the run has to end by itself. Then guarantee, order and commit are checked as the
//! plan promises them.
//!
//! ```sh
//! cargo test --test simulation                                             # 100 seeds, and those that are pinned
//! MILLSTREAM_SEEDS=5000 cargo test --release --test simulation             # the long setting
//! MILLSTREAM_SEEDS=5000-9000 cargo test --release --test simulation        # others than those
//! MILLSTREAM_SEED=17 cargo test --test simulation -- --nocapture           # one alone, told as a story
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what passed and what landed is part of the result")]

#[macro_use]
#[path = "../kill/told.rs"]
mod told;

mod cluster;
mod disk;
mod downstream;
mod engine;
mod faults;
mod folds;
mod life;
mod outside;
mod queue;
mod scenario;
mod shape;
mod story;
mod tally;
mod timing;
mod truth;
mod upstream;
mod verdict;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use cluster::Outcome;
use scenario::{PINNED, PINNED_LATELY, PINNED_OF_MOVES, PINNED_SINCE, Scenario};
use tally::Tally;

/// How many seeds are run unless told otherwise.
const SEEDS: u64 = 100;

#[test]
fn whatever_happens_what_the_plan_promises_holds() {
    if let Some(seed) = number_in("MILLSTREAM_SEED") {
        // What the engine itself says, between the lines of the story, if `RUST_LOG` asks for it.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).without_time().try_init();
        let outcome = run(seed);
        told!("{}", outcome.told);
        assert!(outcome.wrong.is_empty(), "seed {seed}:\n{}", outcome.wrong.join("\n"));
        return;
    }
    let pinned = PINNED.into_iter().chain(PINNED_SINCE).chain(PINNED_LATELY).chain(PINNED_OF_MOVES);
    let seeds: Vec<u64> = seeds().chain(pinned).collect::<BTreeSet<_>>().into_iter().collect();
    let (tally, failed) = run_all(&seeds);
    let seeds = seeds.len();
    told!("{seeds} seeds: {tally}");
    if let Some(Outcome { seed, told, .. }) = failed.first() {
        told!("{told}");
        failed.iter().for_each(|outcome| told!("seed {}: {}", outcome.seed, outcome.wrong[0]));
        panic!(
            "{} of {seeds} seeds failed; the first, alone: MILLSTREAM_SEED={seed} cargo test --test simulation -- \
             --nocapture",
            failed.len()
        );
    }
    tally.proves_something();
}

/// Runs all seeds, on all cores. Returns what happened, and those that failed in their order.
fn run_all(seeds: &[u64]) -> (Tally, Vec<Outcome>) {
    let (next, done) = (AtomicUsize::new(0), Mutex::new((Tally::default(), Vec::new())));
    let work = || {
        while let Some(&seed) = seeds.get(next.fetch_add(1, Relaxed)) {
            let outcome = run(seed);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.0.add(&outcome.tally);
            if !outcome.wrong.is_empty() {
                done.1.push(outcome);
            }
        }
    };
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).for_each(|_| drop(scope.spawn(work)));
    });
    let (tally, mut failed) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.sort_by_key(|outcome| outcome.seed);
    (tally, failed)
}

/// Runs one seed, in a runtime of its own.
fn run(seed: u64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime needs nothing from outside").block_on(cluster::run(Scenario::of(seed)))
}

/// Which seeds are to be run: so many, or from one to another.
fn seeds() -> Range<u64> {
    let Ok(value) = std::env::var("MILLSTREAM_SEEDS") else { return 0..SEEDS };
    let (from, to) = value.split_once('-').unwrap_or(("0", &value));
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) => from..to,
        _ => panic!("MILLSTREAM_SEEDS is a number, or two with a hyphen between them, not {value}"),
    }
}

fn number_in(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {value}")))
}
