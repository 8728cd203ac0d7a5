//! How much later than due a record arrives at the sink, at 200 records a second.
//!
//! A record is due at the first record's time and a multiple of 5 ms. Its way: a timer, the source, the JSON decoder and
//! a filter on a thread of their own, a sink on tokio's workers. So what is measured holds the timer's lateness, all
//! wake-ups and all work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use millstream::data::Packed;
use millstream::prelude::*;

use crate::arrivals::{Arrivals, Looks};
use crate::report::{Report, Target};
use crate::{Bench, Failure};

const RATE: u64 = 200;
const RECORDS: u64 = 1_000;

/// While nothing else runs.
pub(crate) fn idle(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let (mut engine, mut hand) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        engine.push(bench.runtime.block_on(p99_of_engine(bench.scaled(RECORDS).max(50)))?);
        hand.push(p99_by_hand(bench.scaled(RECORDS).max(50))?);
    }
    let against = "p99 at 200 records a second through decoder and filter; the loop is a thread that sleeps";
    report.figure("latency", against, &engine, &hand, " ms", Target::AtMost(5.0));
    Ok(())
}

/// While another pipeline of the same program, or plain threads beside the loop, keep every core busy.
pub(crate) fn busy(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let (mut engine, mut hand) = (Vec::new(), Vec::new());
    for _ in 0..bench.runs {
        engine.push(bench.runtime.block_on(beside_a_pipeline(bench.scaled(RECORDS).max(50)))?);
        hand.push(beside_threads(bench.scaled(RECORDS).max(50))?);
    }
    let against = "the same while another pipeline's par() keeps every core busy; beside the loop plain threads do";
    report.figure("latency-busy", against, &engine, &hand, " ms", Target::AtMost(5.0));
    Ok(())
}

async fn beside_a_pipeline(records: u64) -> std::result::Result<f64, Failure> {
    let load = Pipeline::source(Generate::sequence())
        .map(|n: u64| work(n))
        .par(cores())
        .sink(Null::<u64>::new())
        .start(Settings::default())
        .await?;
    let measured = p99_of_engine(records).await;
    load.drain();
    load.join().await?;
    measured
}

fn beside_threads(records: u64) -> std::result::Result<f64, Failure> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for core in 0..cores() {
            let done = &done;
            scope.spawn(move || {
                let mut n = core as u64;
                while !done.load(Ordering::Relaxed) {
                    n = std::hint::black_box(work(n));
                }
            });
        }
        let measured = p99_by_hand(records);
        done.store(true, Ordering::Relaxed);
        measured
    })
}

fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// About 5 µs of work.
fn work(n: u64) -> u64 {
    (0..4_000).fold(n, |n, _| std::hint::black_box(n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1)))
}

async fn p99_of_engine(records: u64) -> std::result::Result<f64, Failure> {
    let (arrivals, begun) = (Arrivals::of(Times::default()), Arc::new(OnceLock::new()));
    let first = begun.clone();
    let made = move |n| {
        // The first record is made when the source begins.
        first.get_or_init(Instant::now);
        record(n)
    };
    let pipeline =
        Pipeline::source(Generate::with(made).count(records).rate(RATE)).filter(passes).sink(arrivals.clone());
    pipeline.run().await?;
    let times = arrivals.with(|seen| std::mem::take(&mut seen.0));
    p99(begun.get().copied().ok_or("no record was made")?, times, records)
}

/// A thread that sleeps until a record is due, makes it, decodes it and looks at it.
fn p99_by_hand(records: u64) -> std::result::Result<f64, Failure> {
    let start = Instant::now();
    let mut times = Vec::with_capacity(records as usize);
    for n in 0..records {
        std::thread::sleep((start + due(n)).saturating_duration_since(Instant::now()));
        if passes(&json::Value::parse(record(n))?) {
            times.push(Instant::now());
        }
    }
    p99(start, times, records)
}

fn due(n: u64) -> Duration {
    Duration::from_nanos(n * 1_000_000_000 / RATE)
}

fn record(n: u64) -> Bytes {
    Bytes::from(format!("{{\"number\":{n},\"status\":\"paid\"}}"))
}

fn passes(record: &json::Value) -> bool {
    record.get("status").and_then(|status| status.as_str()).is_some_and(|status| status == "paid")
}

/// The 99th percentile of how much later than due they arrived, in milliseconds.
fn p99(start: Instant, times: Vec<Instant>, records: u64) -> std::result::Result<f64, Failure> {
    if times.len() as u64 != records {
        return Err(format!("{} of {records} records arrived", times.len()).into());
    }
    let late = |(n, time): (usize, &Instant)| time.duration_since(start).saturating_sub(due(n as u64));
    let mut late: Vec<_> = times.iter().enumerate().map(late).collect();
    late.sort_unstable();
    let p99 = late[(late.len() * 99 / 100).min(late.len() - 1)];
    Ok(p99.as_secs_f64() * 1e3)
}

/// When each came.
#[derive(Default)]
struct Times(Vec<Instant>);

impl Looks for Times {
    fn look(&mut self, records: &Packed<Bytes>) -> std::result::Result<(), String> {
        let now = Instant::now();
        self.0.extend((0..records.len()).map(|_| now));
        Ok(())
    }
}
