//! What one of several processes runs: a pipeline as one of its instances, or the plain streams of [`streams`].

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use millstream::commit::Ticket;
use millstream::contracts::{Checkpoint, Result, Sink, SinkContext, SinkFactory, SinkTraits, WriteError};
use millstream::data::{Packed, Records};
use millstream::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use crate::cluster::{Saw, Task, Work, now};
use crate::process::status_of;
use crate::{Failure, streams};

/// The bytes of a paced record; when it was due stands in the first eight.
pub(crate) const RECORD: usize = 100;

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
    let (begin, arrivals) = (First::default(), Arrivals::of(Check::Order));
    let first = begin.clone();
    let pipeline = Pipeline::source(Files::new([input], Lines::default()))
        .filter(move |line: &[u8]| {
            first.note();
            !line.is_empty()
        })
        .sink(arrivals.clone());
    pipeline.start(settings(task)).await?.join().await?;
    Ok(arrivals.saw(begin.0.get().copied()))
}

async fn paced(task: &Task, records: u64, rate: u64) -> std::result::Result<Saw, Failure> {
    let (begin, arrivals) = (First::default(), Arrivals::of(Check::Time));
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
    Ok(arrivals.saw(begin.0.get().copied()))
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

/// A sink that only looks.
#[derive(Clone)]
struct Arrivals(Check, Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    saw: Saw,
    /// The number of the last line.
    last: [u8; DIGITS],
}

/// A line begins with a number of so many digits.
pub(crate) const DIGITS: usize = 12;

impl Arrivals {
    fn of(check: Check) -> Self {
        Self(check, Arc::default())
    }

    fn saw(&self, begin: Option<u64>) -> Saw {
        let seen = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        Saw { begin, ..seen.saw.clone() }
    }
}

impl Seen {
    #[allow(clippy::print_stderr, reason = "the process that began this one waits for it")]
    fn take(&mut self, check: Check, column: &Packed<Bytes>) -> std::result::Result<(), String> {
        let time = now();
        if self.saw.records == 0 {
            eprintln!("{ARRIVED}");
        }
        for row in 0..column.len() {
            let record = column.get(row);
            self.saw.records += 1;
            self.saw.bytes += record.len() as u64;
            let number = record.first_chunk::<DIGITS>().ok_or("a record is shorter than its number")?;
            match check {
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

impl SinkFactory for Arrivals {
    type Sink = Self;

    fn traits(&self, _: bool) -> SinkTraits {
        SinkTraits {
            kind: "ARRIVALS".into(),
            output: "memory".into(),
            place: Where::Last,
            ordered: true,
            transactional: Err("what is kept in memory is gone with the process".into()),
            local_state: false,
            durable_at_close: false,
            blocking: false,
        }
    }

    fn make(&self) -> Self {
        self.clone()
    }
}

impl Sink for Arrivals {
    type In = Bytes;

    async fn open(&mut self, _: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        Ok(None)
    }

    async fn write(
        &mut self,
        records: Records<'_, Packed<Bytes>>,
        _: &mut Option<Ticket>,
    ) -> std::result::Result<(), WriteError> {
        let mut seen = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = seen.take(self.0, records.column());
        taken.map_err(|why| millstream::contracts::Error::new(millstream::contracts::Cause::Bug, why).into())
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}
