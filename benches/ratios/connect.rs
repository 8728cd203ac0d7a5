//! Kafka Connect's file sink, beside ours.

use std::cell::Cell;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use millstream::kafka::{Cluster, Topics};
use millstream::prelude::*;
use rustix::param::clock_ticks_per_second;

use crate::kafka::{broker, fill};
use crate::measure::{Spent, spend_from_first};
use crate::report::{Report, Target, Unit};
use crate::support::kafka::Kafka;
use crate::support::port::Port;
use crate::support::process::Process;
use crate::{Bench, Failure};

/// How many messages go to a file.
const MESSAGES: u64 = 3_000_000;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Messages with values of 100 bytes, a line each. Counted is what each takes from its first line on, and not how it starts:
/// Connect to its last line, and we to the end of the run, with all committed.
pub(crate) fn to_file(bench: &Bench, report: &mut Report) -> Result<(), Failure> {
    let Some(kafka) = broker() else { return Ok(()) };
    let (topic, messages) = ("to-file", bench.scaled(MESSAGES));
    fill(kafka, topic, messages)?;
    let (mut engine, mut connect) = (Vec::new(), Vec::new());
    for run in 0..bench.runs {
        let [ours, theirs, state] =
            ["engine", "connect", "state"].map(|what| bench.path(&format!("topic-{what}-{run}")));
        let group = format!("to-file-{run}");
        let has_come = || length(&ours) > 0;
        engine.push(spend_from_first(has_come, || {
            let source = Topics::new(Cluster::new(kafka.brokers()), [topic], &group).until_end();
            let sink = Output::create(&ours, Lines::default());
            bench.run(Pipeline::source(source).sink(sink).store(Embedded::at(&state))).map(drop)
        })?);
        connect.push(by_connect(kafka, topic, &theirs, length(&ours))?);
        same_lines(&ours, &theirs)?;
        fs::remove_file(&theirs)?;
    }
    let against = "Kafka Connect's file sink from its first line to its last (we from our first to the end), one task, started as its script does";
    report.ratio("kafka-connect", against, &engine.into(), &connect.into(), Unit::Millis, Target::Either(3.0));
    Ok(())
}

/// How much has been written.
fn length(output: &Path) -> u64 {
    fs::metadata(output).map_or(0, |about| about.len())
}

/// Has Connect write so many bytes, and takes the time from the first on.
fn by_connect(kafka: &Kafka, topic: &str, output: &Path, bytes: u64) -> Result<Spent, Failure> {
    let connect = start(kafka, topic, output)?;
    let (began, first) = (Instant::now(), Cell::new(None));
    loop {
        let now = length(output);
        if now > 0 && first.get().is_none() {
            first.set(Some((Instant::now(), cpu(&connect)?)));
        }
        if let (Some((wall, before)), true) = (first.get(), now >= bytes) {
            return Ok(Spent { wall: wall.elapsed(), cpu: cpu(&connect)?.saturating_sub(before) });
        }
        if connect.has_ended() || began.elapsed() > PATIENCE {
            return Err(format!("Connect wrote {now} of {bytes} bytes:\n{}", connect.log()).into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Connect by itself, with its defaults; what its script tells Java.
fn start(kafka: &Kafka, topic: &str, output: &Path) -> Result<Process, Failure> {
    let folder = tempfile::Builder::new().prefix("millstream-connect-").tempdir()?;
    let (worker, connector, port) = (folder.path().join("worker"), folder.path().join("connector"), Port::free());
    let text = format!(
        "bootstrap.servers={}\nlisteners=HTTP://127.0.0.1:{port}\nkey.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.storage.StringConverter\noffset.storage.file.filename={}\n\
         consumer.auto.offset.reset=earliest\n",
        kafka.brokers(),
        folder.path().join("offsets").display(),
    );
    fs::write(&worker, text)?;
    // Its group is named after the connector: each run has one of its own.
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    let text = format!(
        "name={name}-{port}\nconnector.class=org.apache.kafka.connect.file.FileStreamSinkConnector\ntasks.max=1\n\
         topics={topic}\nfile={}\n",
        output.display()
    );
    fs::write(&connector, text)?;
    let mut command = kafka.tool("org.apache.kafka.connect.cli.ConnectStandalone");
    command.env("JDK_JAVA_OPTIONS", "-Xms256M -Xmx2G").args([worker, connector]);
    Ok(Process::start("Kafka Connect", folder, &command))
}

/// User and system time of Connect so far.
fn cpu(connect: &Process) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", connect.pid()))?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("a process without a name")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs(ticks) / clock_ticks_per_second() as u32)
}

/// The same lines, whatever their order: each has the partitions' in another.
fn same_lines(ours: &Path, theirs: &Path) -> Result<(), Failure> {
    let sorted = |path: &Path| -> Result<Vec<u64>, Failure> {
        let mut numbers = fs::read_to_string(path)?.lines().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
        numbers.sort_unstable();
        Ok(numbers)
    };
    if sorted(ours)? == sorted(theirs)? { Ok(()) } else { Err("the files differ".into()) }
}
