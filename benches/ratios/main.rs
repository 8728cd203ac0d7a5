//! Millstream against hand-written loops that do the same work in the same run.
//!
//! ```text
//! cargo bench                 every row, three runs of each side, the sides in turn
//! cargo bench -- xml          the rows whose names begin with xml
//! cargo bench -- --brief      every row once, on small inputs: that both sides still make the same
//! ```
//!
//! One table is printed. A ratio is the loop's time over the engine's, each by its best run: 1.00 is as fast as the
//! loop. CPU time (user and system, all threads) stands beside wall time. Every loop stands in the file of its row, as
//! fast as we could make it; both sides' outputs are compared, and a difference is a failure. A missed target is not:
//! the table shows it.
//!
//! ```text
//! main.rs      which rows, and the head of the table
//! measure.rs   contenders in turn, wall and CPU time
//! report.rs    the table
//! inputs.rs    the files that are read: always the same
//! amqp.rs      a queue of RabbitMQ, which is started as the tests start it
//! kafka.rs connect.rs     topics of a Kafka broker, and Kafka Connect beside us; with the feature `kafka`
//! arrivals.rs  a sink that only looks
//! by_hand.rs   what the loops share: blocks in, blocks out
//! lines.rs xml.rs json.rs avro.rs numbers.rs words.rs     a pipeline and its loops each
//! claims.rs    tracker and tickets
//! process.rs   memory and start of a real process, and what that process runs
//! latency.rs   how much later records arrive
//! instances.rs several instances, each a process
//! cluster.rs   several processes at once, and what they say
//! member.rs    what each of them runs
//! streams.rs   split and merge by hand, over plain QUIC streams
//! ```

mod amqp;
mod arrivals;
mod avro;
mod by_hand;
mod claims;
mod cluster;
#[cfg(feature = "kafka")]
mod connect;
mod inputs;
mod instances;
mod json;
#[cfg(feature = "kafka")]
mod kafka;
mod latency;
mod lines;
mod measure;
mod member;
mod numbers;
mod process;
mod report;
mod streams;
#[allow(dead_code, reason = "the tests of servers use the rest")]
#[path = "../../tests/servers/support/mod.rs"]
mod support;
mod words;
mod xml;

use std::error::Error;
use std::path::PathBuf;

use millstream::prelude::*;
use tokio::runtime::Runtime;

use crate::report::Report;

/// What our programs use.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a row may fail with: then there is no table.
type Failure = Box<dyn Error + Send + Sync>;

/// What every row is given.
struct Bench {
    /// Whether it is only to be seen that everything works.
    brief: bool,
    /// How often each side runs.
    runs: usize,
    /// A new folder for inputs and outputs.
    folder: tempfile::TempDir,
    /// What a program's `#[tokio::main]` makes.
    runtime: Runtime,
}

impl Bench {
    fn new(brief: bool) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { brief, runs: if brief { 1 } else { 3 }, folder: tempfile::tempdir()?, runtime })
    }

    /// As many of something as are measured, or a hundredth.
    fn scaled(&self, full: u64) -> u64 {
        if self.brief { full / 100 } else { full }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, pipeline: Pipeline) -> Result<Summary, Failure> {
        Ok(self.runtime.block_on(pipeline.run())?)
    }
}

type Row = fn(&Bench, &mut Report) -> Result<(), Failure>;

/// The rows, by the names they are asked for with.
const ROWS: &[(&str, Row)] = &[
    ("lines-copy", lines::copy),
    ("lines-filter", lines::filter),
    ("xml", xml::one_worker),
    ("xml-par", xml::two_workers),
    ("json", json::one_worker),
    ("avro-decode", avro::decode),
    ("avro-decode-typed", avro::decode_typed),
    ("avro-encode", avro::encode),
    ("avro-encode-typed", avro::encode_typed),
    ("numbers", numbers::three_stages),
    ("tickets", claims::tickets),
    ("memory", process::memory),
    ("start", process::start),
    ("latency", latency::idle),
    ("latency-busy", latency::busy),
    ("words", words::count),
    ("split-merge-100", instances::split_merge_100),
    ("split-merge-1k", instances::split_merge_1k),
    ("hop-latency", instances::latency),
    ("xml-instances", instances::xml_filter),
    ("instance-memory", instances::memory),
    ("amqp-file", amqp::to_file),
    #[cfg(feature = "kafka")]
    ("kafka", kafka::at_least_once),
    #[cfg(feature = "kafka")]
    ("kafka-exactly", kafka::exactly_once),
    #[cfg(feature = "kafka")]
    ("kafka-connect", connect::to_file),
];

fn main() -> Result<(), Failure> {
    // Cargo passes `--bench`.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == process::CHILD) {
        return process::child();
    }
    if let [first, task] = &arguments[..]
        && first == cluster::MEMBER
    {
        return member::run(task);
    }
    let (options, names): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| argument.starts_with("--"));
    if let Some(unknown) = options.iter().find(|option| **option != "--brief") {
        return Err(format!("expected --brief or the beginning of a row's name, found {unknown}").into());
    }
    let asked = |row: &str| names.is_empty() || names.iter().any(|name| row.starts_with(name.as_str()));
    let rows: Vec<_> = ROWS.iter().filter(|(name, _)| asked(name)).collect();
    if rows.is_empty() {
        let known: Vec<_> = ROWS.iter().map(|(name, _)| *name).collect();
        return Err(format!("no row's name begins with that; there are {}", known.join(", ")).into());
    }
    let bench = Bench::new(!options.is_empty())?;
    let mut report = Report::begin(bench.runs, !bench.brief);
    for (name, row) in rows {
        row(&bench, &mut report).map_err(|error| format!("{name}: {error}"))?;
    }
    report.end();
    Ok(())
}
