//! What one of several processes runs: a pipeline as one of its instances, or the plain streams of [`streams`].

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use millstream::data::Packed;
use millstream::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use crate::arrivals::{Arrivals, Looks};
use crate::cluster::{RECORD, Saw, Task, Work, now};
use crate::process::status_of;
use crate::{Failure, streams};

/// Said to standard error when the first record has arrived.
pub(crate) const ARRIVED: &str = "a record has arrived";

/// Does what the argument says, and says what it saw.
#[allow(clippy::print_stdout, reason = "the process that began this one reads it")]
pub(crate) fn run(argument: &str) -> std::result::Result<(), Failure> {
    let task: Task = serde_json::from_str(argument)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut saw = runtime.block_on(work(&task))?;
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    saw.cpu = cpu.tv_sec.unsigned_abs() * 1_000_000_000 + cpu.tv_nsec.unsigned_abs();
    saw.peak = status_of("self", "VmHWM:");
    println!("{}", serde_json::to_string(&saw)?);
    Ok(())
}

async fn work(task: &Task) -> std::result::Result<Saw, Failure> {
    match &task.work {
        Work::Lines { input } => lines(task, input.clone()).await,
        Work::Paced { records, rate } => paced(task, *records, *rate).await,
        Work::Xml { inputs, output } => xml(task, inputs.clone(), output.clone()).await,
        Work::RawLines { input, .. } => streams::lines(task, input).await,
        Work::RawPaced { records, rate } => streams::paced(task, *records, *rate).await,
    }
}

async fn lines(task: &Task, input: PathBuf) -> std::result::Result<Saw, Failure> {
    let (begin, arrivals) = (First::default(), Seen::of(Check::Order));
    let first = begin.clone();
    let pipeline = Pipeline::source(Files::new([input], Lines::default()))
        .filter(move |line: &[u8]| {
            first.note();
            !line.is_empty()
        })
        .sink(arrivals.clone());
    pipeline.start(settings(task)).await?.join().await?;
    Ok(arrivals.with(|seen| Saw { begin: begin.0.get().copied(), ..seen.saw.clone() }))
}

async fn paced(task: &Task, records: u64, rate: u64) -> std::result::Result<Saw, Failure> {
    let (begin, arrivals) = (First::default(), Seen::of(Check::Time));
    let first = begin.clone();
    let made = move |n: u64| {
        // The first record is made when the source begins.
        let due = first.note() + n * 1_000_000_000 / rate;
        let mut record = vec![b'.'; RECORD];
        record[..8].copy_from_slice(&due.to_le_bytes());
        Bytes::from(record)
    };
    let pipeline = Pipeline::source(Generate::with(made).count(records).rate(rate))
        .filter(|record: &[u8]| !record.is_empty())
        .sink(arrivals.clone());
    pipeline.start(settings(task)).await?.join().await?;
    Ok(arrivals.with(|seen| Saw { begin: begin.0.get().copied(), ..seen.saw.clone() }))
}

async fn xml(task: &Task, inputs: Vec<PathBuf>, output: PathBuf) -> std::result::Result<Saw, Failure> {
    let begin = First::default();
    let first = begin.clone();
    let pipeline = Pipeline::source(Files::new(inputs, xml::Elements::named("order")))
        .filter(move |order: &xml::Node| {
            first.note();
            order.text_of("status") == Some("paid")
        })
        .sink(Output::create(&output, Lines::default()));
    pipeline.start(settings(task)).await?.join().await?;
    let end = if task.place + 1 == task.peers.len() { Some(put_in_place(&output)?) } else { None };
    Ok(Saw { begin: begin.0.get().copied(), end, ..Saw::default() })
}

/// When a file got its name, by the clock that all processes share.
fn put_in_place(path: &Path) -> std::result::Result<u64, Failure> {
    let about = std::fs::metadata(path)?;
    let put = Duration::new(about.ctime().unsigned_abs(), about.ctime_nsec() as u32);
    let ago = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + put).unwrap_or_default();
    Ok(now().saturating_sub(ago.as_nanos() as u64))
}

/// Those of a program with one instance, or of one of several.
fn settings(task: &Task) -> Settings {
    if task.peers.len() == 1 {
        return Settings::default();
    }
    let peers = Peers::new(task.peers.clone())
        .me(&task.peers[task.place])
        .tls(&task.certificates)
        .redial(Duration::from_millis(20), Duration::from_millis(100));
    Settings { exchange: Some(Arc::new(Instances::over(peers))), ..Settings::default() }
}

/// When something first happened.
#[derive(Clone, Default)]
struct First(Arc<OnceLock<u64>>);

impl First {
    fn note(&self) -> u64 {
        *self.0.get_or_init(now)
    }
}

/// What is looked at in what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Whether lines that begin with ascending numbers come in that order.
    Order,
    /// How long a record was on its way since the time that it begins with.
    Time,
}

/// What has arrived.
struct Seen {
    check: Check,
    saw: Saw,
    /// The number of the last line.
    last: [u8; DIGITS],
}

/// A line begins with a number of so many digits.
pub(crate) const DIGITS: usize = 12;

impl Seen {
    fn of(check: Check) -> Arrivals<Self> {
        Arrivals::of(Self { check, saw: Saw::default(), last: [0; DIGITS] })
    }
}

impl Looks for Seen {
    #[allow(clippy::print_stderr, reason = "the process that began this one waits for it")]
    fn look(&mut self, column: &Packed<Bytes>) -> std::result::Result<(), String> {
        let time = now();
        if self.saw.records == 0 {
            eprintln!("{ARRIVED}");
        }
        for row in 0..column.len() {
            let record = column.get(row);
            self.saw.records += 1;
            self.saw.bytes += record.len() as u64;
            let number = record.first_chunk::<DIGITS>().ok_or("a record is shorter than its number")?;
            match self.check {
                Check::Order if is_above(number, &self.last) => self.last = *number,
                Check::Order => return Err("the order is not that of the input".into()),
                Check::Time => {
                    let due = number.first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                    self.saw.late.push(time.saturating_sub(due.unwrap_or(time)));
                }
            }
        }
        self.saw.end = Some(time);
        Ok(())
    }
}

#[inline]
fn is_above(one: &[u8; DIGITS], other: &[u8; DIGITS]) -> bool {
    // A call to compare so few bytes would cost as much as all else here.
    let number = |digits: &[u8; DIGITS]| digits.iter().fold(0_u128, |number, digit| number << 8 | u128::from(*digit));
    number(one) > number(other)
}
