//! Several processes of this program at once, and what each says at its end.
//!
//! A process is told its [`Task`] as JSON in its only other argument, and says on standard output what it [`Saw`]. None
//! outlives the row: what has not ended in time is killed, and the row fails with what it said.

use std::fs::File;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use millstream::link::Certs;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::measure::{Runs, Spent};
use crate::process::status_of;
use crate::{Bench, Failure};

/// The argument that makes this program one of several.
pub(crate) const MEMBER: &str = "--member";

/// Said to standard error by one that listens for the others, when its socket is there.
pub(crate) const LISTENS: &str = "listens";

/// The bytes of a paced record; when it was due stands in the first eight.
pub(crate) const RECORD: usize = 100;

/// What a process does, and as which of how many.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) work: Work,
    pub(crate) place: usize,
    pub(crate) peers: Vec<String>,
    pub(crate) certificates: PathBuf,
}

/// What all processes of a cluster do together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Work {
    /// The lines of a file pass everywhere, and come together again.
    Lines { input: PathBuf },
    /// The same bytes by plain streams; `told`: what the engine tells QUIC, it is told here too.
    RawLines { input: PathBuf, told: bool },
    /// So many records of 100 bytes at so many a second.
    Paced { records: u64, rate: u64 },
    /// The same by plain streams.
    RawPaced { records: u64, rate: u64 },
    /// The paid orders of documents.
    Xml { inputs: Vec<PathBuf>, output: PathBuf },
}

impl Work {
    /// What a process says once it can be reached, where others wait for that.
    fn listens(&self) -> Option<&'static str> {
        matches!(self, Self::RawLines { .. } | Self::RawPaced { .. }).then_some(LISTENS)
    }
}

/// What a process saw of it. Times are nanoseconds of a clock that all processes share.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Saw {
    /// When its first record came by, if any did.
    pub(crate) begin: Option<u64>,
    /// When nothing more was to be done, if it is the one who knows.
    pub(crate) end: Option<u64>,
    /// User and system time of the process, in nanoseconds.
    pub(crate) cpu: u64,
    /// The most memory that was resident, in MB, where it can be told.
    pub(crate) peak: Option<f64>,
    /// Records that arrived here.
    pub(crate) records: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
    /// How long each was on its way, in nanoseconds, if that was asked for.
    pub(crate) late: Vec<u64>,
}

/// The processes, while they run.
pub(crate) struct Cluster {
    /// By their places, once all are there.
    children: Vec<Member>,
    /// What they say.
    folder: tempfile::TempDir,
    begun: Instant,
    patience: Duration,
}

struct Member {
    place: usize,
    child: Child,
}

/// What the processes of a cluster saw, in their order.
pub(crate) struct Seen(pub(crate) Vec<Saw>);

impl Cluster {
    /// Has `count` processes do this.
    pub(crate) fn start(bench: &Bench, count: usize, work: Work) -> Result<Self, Failure> {
        let folder = tempfile::tempdir_in(bench.folder.path())?;
        let (certificates, peers) = (certificates(bench)?, ports(count)?);
        let patience = Duration::from_secs(if bench.brief { 30 } else { 120 });
        let mut cluster = Self { children: Vec::new(), folder, begun: Instant::now(), patience };
        // Those by hand dial only those that listen.
        for place in (0..count).rev() {
            let (work, peers, certificates) = (work.clone(), peers.clone(), certificates.clone());
            let listens = work.listens();
            let task = serde_json::to_string(&Task { work, place, peers, certificates })?;
            let mut command = Command::new(std::env::current_exe()?);
            command.args([MEMBER, &task]).stdin(std::process::Stdio::null());
            command.stdout(File::create(cluster.out(place))?).stderr(File::create(cluster.err(place))?);
            cluster.children.insert(0, Member { place, child: command.spawn()? });
            if let Some(said) = listens {
                cluster.wait_for(0, said)?;
            }
        }
        Ok(cluster)
    }

    /// Waits for all to end well.
    pub(crate) fn end(mut self) -> Result<Seen, Failure> {
        while !self.have_ended()? {
            self.nap()?;
        }
        let saw = (0..self.children.len()).map(|place| Ok(serde_json::from_slice(&std::fs::read(self.out(place))?)?));
        Ok(Seen(saw.collect::<Result<_, Failure>>()?))
    }

    /// The resident memory of each in MB, some time after the last has said this; they are killed then.
    pub(crate) fn memory_after(mut self, said: &str) -> Result<Vec<f64>, Failure> {
        self.wait_for(self.children.len() - 1, said)?;
        std::thread::sleep(Duration::from_millis(500));
        Ok(self.children.iter().filter_map(|member| status_of(&member.child.id().to_string(), "VmRSS:")).collect())
    }

    /// Waits until one of them has said this to standard error.
    fn wait_for(&mut self, member: usize, said: &str) -> Result<(), Failure> {
        let place = self.children[member].place;
        while !std::fs::read_to_string(self.err(place))?.contains(said) {
            self.have_ended()?;
            self.nap()?;
        }
        Ok(())
    }

    /// Whether all have ended. One that has failed is the reason why others wait.
    fn have_ended(&mut self) -> Result<bool, Failure> {
        let mut ended = true;
        for at in 0..self.children.len() {
            let Member { place, ref mut child } = self.children[at];
            match child.try_wait()? {
                Some(status) if !status.success() => {
                    return Err(format!("process {} ended with {status}: {}", place + 1, self.words(place)).into());
                }
                status => ended &= status.is_some(),
            }
        }
        Ok(ended)
    }

    fn nap(&mut self) -> Result<(), Failure> {
        if self.begun.elapsed() < self.patience {
            std::thread::sleep(Duration::from_millis(5));
            return Ok(());
        }
        let mut late = Vec::new();
        for at in 0..self.children.len() {
            let Member { place, ref mut child } = self.children[at];
            if child.try_wait()?.is_none() {
                late.push(format!("process {}, which said: {}", place + 1, self.words(place)));
            }
        }
        Err(format!("not at its end after {:?}: {}", self.patience, late.join("; ")).into())
    }

    fn out(&self, place: usize) -> PathBuf {
        self.folder.path().join(format!("{place}.out"))
    }

    fn err(&self, place: usize) -> PathBuf {
        self.folder.path().join(format!("{place}.err"))
    }

    /// The end of what a process has said to standard error.
    fn words(&self, place: usize) -> String {
        let said = std::fs::read_to_string(self.err(place)).unwrap_or_default();
        let lines: Vec<_> = said.lines().rev().take(5).collect();
        match lines.is_empty() {
            true => "it said nothing".to_owned(),
            false => lines.into_iter().rev().collect::<Vec<_>>().join(" | "),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for Member { child, .. } in &mut self.children {
            // One that has ended is none the worse for it.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Seen {
    /// From the first record anywhere to the end, and the CPU time of all processes.
    pub(crate) fn spent(&self) -> Result<Spent, Failure> {
        let begin = self.0.iter().filter_map(|saw| saw.begin).min();
        let end = self.0.iter().filter_map(|saw| saw.end).max();
        let (Some(begin), Some(end)) = (begin, end) else { return Err("no process saw a record".into()) };
        let cpu = self.0.iter().map(|saw| saw.cpu).sum();
        Ok(Spent { wall: Duration::from_nanos(end.saturating_sub(begin)), cpu: Duration::from_nanos(cpu) })
    }

    /// What arrived at the last: records, bytes, how long each took.
    pub(crate) fn last(&self) -> Result<&Saw, Failure> {
        self.0.last().ok_or_else(|| "a cluster has processes".into())
    }

    /// The most memory that any of them had, in MB.
    pub(crate) fn peak(&self) -> Option<f64> {
        self.0.iter().filter_map(|saw| saw.peak).reduce(f64::max)
    }
}

/// Has both sides run in turn.
pub(crate) fn in_turn(bench: &Bench, sides: &[&dyn Fn() -> Result<Spent, Failure>]) -> Result<Vec<Runs>, Failure> {
    let mut taken = vec![Vec::new(); sides.len()];
    for _ in 0..bench.runs {
        for (side, taken) in sides.iter().zip(&mut taken) {
            taken.push(side()?);
        }
    }
    Ok(taken.into_iter().map(Runs::from).collect())
}

/// What the clock says that all processes share.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// As many certificates as there are places.
fn certificates(bench: &Bench) -> Result<PathBuf, Failure> {
    let folder = bench.path("certificates");
    if !folder.exists() {
        Certs::new(&folder, 3).days(1).write()?;
    }
    Ok(folder)
}

/// Addresses that nobody has just now.
fn ports(count: usize) -> Result<Vec<String>, Failure> {
    let sockets: Vec<_> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    sockets.iter().map(|socket| Ok(socket.local_addr()?.to_string())).collect()
}

/// The size of a file.
pub(crate) fn size(path: &Path) -> Result<u64, Failure> {
    Ok(std::fs::metadata(path)?.len())
}
