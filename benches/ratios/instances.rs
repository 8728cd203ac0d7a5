//! Several instances on this machine, each a process: what split and merge cost over plain QUIC streams, how much later
//! records arrive, what an XML filter gains and how much memory each instance takes.
//!
//! Here all of them share the cores of one machine: more instances do more work on as many cores.

use std::path::PathBuf;

use crate::cluster::{self, Cluster, Seen, Work};
use crate::measure::{Runs, Spent, best};
use crate::member::ARRIVED;
use crate::report::{Report, Target, Unit};
use crate::{Bench, Failure, by_hand, inputs, xml};

const BYTES: u64 = 1_000_000_000;
const INSTANCES: usize = 3;
const RATE: u64 = 200;
const RECORDS: u64 = 1_000;

/// Records of 100 bytes.
pub(crate) fn split_merge_100(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    split_merge(bench, report, "split-merge-100", 100)
}

/// Records of 1 KiB.
pub(crate) fn split_merge_1k(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    split_merge(bench, report, "split-merge-1k", 1_024)
}

/// Lines through split and merge, in order, against the same bytes by plain streams.
fn split_merge(bench: &Bench, report: &mut Report, row: &str, record: usize) -> Result<(), Failure> {
    let input = bench.path(&format!("{row}.txt"));
    inputs::numbered(&input, bench.scaled(BYTES), record)?;
    let size = cluster::size(&input)?;
    let raw = |told| Work::RawLines { input: input.clone(), told };
    // Lines arrive without their ends.
    let lines = (Work::Lines { input: input.clone() }, size - size / record as u64);
    let sides = [lines, (raw(true), size), (raw(false), size)];
    let (mut taken, mut peaks) = (<[Vec<Spent>; 3]>::default(), <[Vec<f64>; 3]>::default());
    for _ in 0..bench.runs {
        for (((work, arrive), taken), peaks) in sides.iter().zip(&mut taken).zip(&mut peaks) {
            let seen = Cluster::start(bench, INSTANCES, work.clone())?.end()?;
            let bytes = seen.last()?.bytes;
            if bytes != *arrive {
                return Err(format!("{bytes} bytes of {arrive} arrived").into());
            }
            peaks.extend(seen.peak());
            taken.push(seen.spent()?);
        }
    }
    let [engine, told, untold] = taken.map(Runs::from);
    let against = "plain quinn streams that carry the same bytes between three processes the same ways, unread; QUIC is \
                   told what the engine tells it";
    report.ratio(row, against, &engine, &told, Unit::Millis, Target::Either(0.7));
    report.ratio(row, "the same; QUIC is told nothing", &engine, &untold, Unit::Millis, Target::None);
    let each =
        |runs: &Runs| -> Vec<f64> { runs.cpu().iter().map(|cpu| cpu.as_secs_f64() * 1e9 / size as f64).collect() };
    let what = "CPU seconds of all three processes a GB of records, four thirds of which cross a link";
    report.figure(row, what, &each(&engine), &each(&told), " s", Target::None);
    if !peaks[0].is_empty() {
        let what = "the most resident memory of any of the three, at full load";
        report.figure(row, what, &peaks[0], &peaks[1], " MB", Target::None);
    }
    Ok(std::fs::remove_file(input)?)
}

/// How late records are at 200 a second: across split and merge, without them, and over plain streams.
pub(crate) fn latency(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let records = bench.scaled(RECORDS).max(100);
    let (paced, plain) = (Work::Paced { records, rate: RATE }, Work::RawPaced { records, rate: RATE });
    let sides = [(INSTANCES, paced.clone()), (1, paced), (INSTANCES, plain)];
    let mut late: [[Vec<f64>; 2]; 3] = Default::default();
    for _ in 0..bench.runs {
        for ((count, work), late) in sides.iter().zip(&mut late) {
            let seen = Cluster::start(bench, *count, work.clone())?.end()?;
            for (percentile, late) in percentiles(&seen, records)?.into_iter().zip(late) {
                late.push(percentile);
            }
        }
    }
    let least = |all: &[f64]| all.iter().copied().fold(f64::INFINITY, f64::min);
    let [across, alone, plain] = late;
    for (at, name) in ["p50", "p99"].iter().enumerate() {
        let what = format!(
            "{name} from due to sink on 3 instances, {RATE} records a second; the loop is the same on one instance: {:.2} \
             ms added by split and merge; plain quinn streams, from sent to received: {:.2} ms",
            least(&across[at]) - least(&alone[at]),
            least(&plain[at])
        );
        report.figure("hop-latency", &what, &across[at], &alone[at], " ms", Target::None);
    }
    Ok(())
}

/// An XML filter on one, two and three instances.
pub(crate) fn xml_filter(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let inputs = xml::halves(bench)?.to_vec();
    let outputs: Vec<PathBuf> = (1..=INSTANCES).map(|count| bench.path(&format!("xml-on-{count}.xml"))).collect();
    let on = |count: usize| {
        let (inputs, output) = (inputs.clone(), outputs[count - 1].clone());
        let seen = Cluster::start(bench, count, Work::Xml { inputs, output })?.end()?;
        by_hand::same(&outputs[0], &[&outputs[count - 1]])?;
        seen.spent()
    };
    let taken = cluster::in_turn(bench, &[&|| on(1), &|| on(2), &|| on(3)])?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let bytes: u64 = inputs.iter().map(|input| cluster::size(input)).sum::<Result<_, _>>()?;
    let rate = |runs: &Runs| bytes as f64 / 1e6 / best(&runs.wall()).as_secs_f64();
    for count in 2..=INSTANCES {
        let (one, here) = (rate(&taken[0]), rate(&taken[count - 1]));
        let against = format!(
            "{count} instances at {here:.0} MB/s against the same filter on one at {one:.0} MB/s; all share {cores} cores"
        );
        report.ratio("xml-instances", &against, &taken[count - 1], &taken[0], Unit::Millis, Target::None);
    }
    Ok(())
}

/// The resident memory of instances that have joined and have little to do.
pub(crate) fn memory(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let mut found = Vec::new();
    for _ in 0..bench.runs {
        let cluster = Cluster::start(bench, INSTANCES, Work::Paced { records: 1_000, rate: 1 })?;
        found.extend(cluster.memory_after(ARRIVED)?.into_iter().reduce(f64::max));
    }
    if !found.is_empty() {
        let what = "the most resident memory of any of three joined instances, at one record a second";
        report.figure("instance-memory", what, &found, &[], " MB", Target::None);
    }
    Ok(())
}

/// Of how long records were on their way, in milliseconds: the median, and the 99th percentile.
fn percentiles(seen: &Seen, records: u64) -> Result<[f64; 2], Failure> {
    let mut late = seen.last()?.late.clone();
    if late.len() as u64 != records {
        return Err(format!("{} of {records} records arrived", late.len()).into());
    }
    late.sort_unstable();
    Ok([50, 99].map(|percent| late[(late.len() * percent / 100).min(late.len() - 1)] as f64 / 1e6))
}
