//! [`Cluster`]: an example that runs as several instances, and what has to come of it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use millstream::link::Certs;

use crate::built::example;
use crate::hosts::Hosts;
use crate::inputs::orders;
use crate::process::{GLANCE, PATIENCE, Process};

/// How often each fault is repeated.
pub(crate) fn faults() -> u32 {
    std::env::var("MILLSTREAM_FAULTS").map_or(3, |faults| faults.parse().expect("MILLSTREAM_FAULTS is a number"))
}

/// One that was started and has not joined the others after this time came too late.
const LATE: Duration = Duration::from_secs(5);

/// The program of an instance and its arguments, to be run in the cluster's folder.
pub(crate) type Line = Box<dyn Fn(&Cluster, usize) -> Vec<OsString>>;

/// What the instances of a cluster do: the first reads the file `input`, all work, the last writes the file `output`.
pub(crate) struct Job {
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) records: u64,
    pub(crate) line: Line,
}

impl Job {
    /// `xml_filter` on orders.
    fn orders(records: u64) -> Self {
        let (input, output) = orders(records);
        Self { input, output, records, line: Box::new(Cluster::xml_filter) }
    }
}

/// A program that runs as several instances.
pub(crate) struct Cluster {
    /// For people.
    name: String,
    line: Line,
    flags: Vec<String>,
    peers: Vec<String>,
    /// Dropped before the networks that they run in.
    processes: Vec<Option<Process>>,
    hosts: Option<Hosts>,
    expected: Vec<u8>,
    records: u64,
    folder: tempfile::TempDir,
    /// Faults that landed while something was left to do.
    landed: u32,
    began: Instant,
    /// The most bytes of output that there were, as far as anyone looked.
    most: u64,
    story: String,
    /// What each instance said in its lives that are over.
    said: Vec<String>,
    /// Whether what is left of a test that fails is kept.
    keeps: bool,
}

impl Cluster {
    /// Filters orders on so many instances, on this machine's own ports.
    pub(crate) fn on_loopback(name: &str, instances: usize, records: u64) -> Self {
        Self::new(name, loopback(instances), None, Job::orders(records))
    }

    /// Filters orders on so many instances, each in a network of its own; `None` where that can't be.
    pub(crate) fn in_networks(name: &str, instances: usize, records: u64) -> Option<Self> {
        let hosts = Hosts::new(instances)?;
        Some(Self::new(name, networks(instances), Some(hosts), Job::orders(records)))
    }

    /// Does this job on so many instances, on this machine's own ports. What is left is kept if it fails.
    pub(crate) fn doing(name: &str, instances: usize, job: Job) -> Self {
        Self::new(name, loopback(instances), None, job).kept()
    }

    fn new(name: &str, peers: Vec<String>, hosts: Option<Hosts>, job: Job) -> Self {
        let Job { input, output, records, line } = job;
        let folder = tempfile::tempdir().expect("there is room for a folder");
        fs::write(folder.path().join("input"), input).expect("an input can be written");
        fs::write(folder.path().join("peers"), peers.join(",")).expect("a list can be written");
        Certs::new(folder.path().join("tls"), peers.len()).write().expect("certificates can be made");
        let said = vec![String::new(); peers.len()];
        let flags = ["--record", "order", "--where", "status=paid", "--detection", "1"];
        Self {
            name: name.to_owned(),
            line,
            flags: flags.map(str::to_owned).to_vec(),
            processes: peers.iter().map(|_| None).collect(),
            peers,
            hosts,
            expected: output.into_bytes(),
            records,
            folder,
            landed: 0,
            began: Instant::now(),
            most: 0,
            story: String::new(),
            said,
            keeps: false,
        }
    }

    /// Does this job on so many instances: each in a network of its own, or on loopback where that can't be. What is left
    /// is kept if it fails.
    pub(crate) fn anywhere(name: &str, instances: usize, job: Job) -> Self {
        let (peers, hosts) = match Hosts::new(instances) {
            None => (loopback(instances), None),
            Some(hosts) => (networks(instances), Some(hosts)),
        };
        Self::new(name, peers, hosts, job).kept()
    }

    fn kept(mut self) -> Self {
        self.keeps = true;
        self
    }

    /// Whether a pair can be cut off from each other.
    pub(crate) fn has_networks(&self) -> bool {
        self.hosts.is_some()
    }

    /// Without this flag and its value.
    pub(crate) fn without(mut self, flag: &str) -> Self {
        let at = self.flags.iter().position(|one| one == flag).expect("the flag is there");
        self.flags.drain(at..at + 2);
        self
    }

    /// The name of an instance in the list of peers.
    pub(crate) fn peer(&self, instance: usize) -> &str {
        &self.peers[instance]
    }

    pub(crate) fn count(&self) -> usize {
        self.peers.len()
    }

    /// The path of a file of its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn output(&self) -> PathBuf {
        self.path("output")
    }

    /// Writes into the story what happens.
    pub(crate) fn tell(&mut self, what: &str) {
        let (at, written) = (self.began.elapsed().as_secs_f64(), self.written());
        // Writing to a string can't fail.
        let _ = writeln!(self.story, "{at:8.3} s  {what} ({written} of {} bytes written)", self.expected.len());
    }

    /// What starts an instance.
    pub(crate) fn command(&self, instance: usize) -> Command {
        let line = (self.line)(self, instance);
        let (program, arguments) = line.split_first().expect("a program is named");
        let mut command = match &self.hosts {
            Some(hosts) => hosts.command(instance, Path::new(program)),
            None => Command::new(program),
        };
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    fn xml_filter(&self, instance: usize) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec![example("xml_filter").into()];
        let state = format!("state-{}", instance + 1);
        for (flag, file) in [("--input", "input"), ("--output", "output"), ("--state", &state), ("--tls", "tls")] {
            line.extend([flag.into(), self.path(file).into()]);
        }
        line.extend(["--peers".into(), self.peers.join(",").into()]);
        line.extend(["--listen".into(), (&self.peers[instance]).into()]);
        line.extend(self.flags.iter().map(OsString::from));
        line
    }

    pub(crate) fn start(&mut self, instance: usize) {
        self.tell(&format!("instance {} started", instance + 1));
        let signals = self.hosts.as_ref().and_then(|hosts| hosts.signals(instance));
        self.processes[instance] = Some(Process::start(self.command(instance)).by(signals));
    }

    pub(crate) fn start_all(&mut self) {
        for instance in 0..self.count() {
            if self.processes[instance].is_none() {
                self.start(instance);
            }
        }
    }

    /// SIGKILL. `false` if it had ended before.
    pub(crate) fn kill(&mut self, instance: usize) -> bool {
        let mid_run = self.is_mid_run();
        self.tell(&format!("instance {} killed", instance + 1));
        let Some(process) = self.processes[instance].take() else { return false };
        let (landed, said) = process.kill();
        self.said[instance].push_str(&said);
        self.landed += u32::from(landed && mid_run);
        landed
    }

    /// SIGTERM; returns how it ended, which may have to wait for others.
    pub(crate) fn term(&mut self, instance: usize) {
        // One that has only just been started doesn't listen to signals yet.
        self.until("it has said something", |cluster| !cluster.process(instance).said().is_empty());
        self.landed += u32::from(self.is_mid_run());
        self.tell(&format!("instance {} asked to end", instance + 1));
        self.process(instance).term();
    }

    /// SIGSTOP: nothing comes of it any more, and its ends of links and files stay where they are.
    pub(crate) fn freeze(&mut self, instance: usize) {
        self.landed += u32::from(self.is_mid_run());
        self.tell(&format!("instance {} stopped", instance + 1));
        self.process(instance).freeze();
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self, instance: usize) {
        self.tell(&format!("instance {} goes on", instance + 1));
        self.process(instance).thaw();
    }

    /// Waits for the end of an instance.
    #[track_caller]
    pub(crate) fn wait(&mut self, instance: usize) -> (ExitStatus, String) {
        let ended = self.processes[instance].take().expect("it was started").wait();
        self.said[instance].push_str(&ended.1);
        self.tell(&format!("instance {} ended", instance + 1));
        ended
    }

    pub(crate) fn cut(&mut self, a: usize, b: usize) {
        self.landed += u32::from(self.is_mid_run());
        self.tell(&format!("link {}–{} cut", a + 1, b + 1));
        self.hosts.as_ref().expect("it runs in networks").cut(a, b);
    }

    pub(crate) fn heal(&mut self, a: usize, b: usize) {
        self.tell(&format!("link {}–{} healed", a + 1, b + 1));
        self.hosts.as_ref().expect("it runs in networks").heal(a, b);
    }

    pub(crate) fn process(&mut self, instance: usize) -> &mut Process {
        self.processes[instance].as_mut().expect("it was started")
    }

    /// How many bytes of output there are; 0 if there is none.
    pub(crate) fn written(&self) -> u64 {
        fs::metadata(self.output()).map_or(0, |about| about.len())
    }

    /// Whether all is there.
    pub(crate) fn is_written(&self) -> bool {
        self.written() >= self.expected.len() as u64
    }

    fn is_mid_run(&self) -> bool {
        (1..self.expected.len() as u64).contains(&self.written())
    }

    /// Waits until this is so; `false` if an instance has ended before that.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, mut so: impl FnMut(&mut Self) -> bool) -> bool {
        let began = Instant::now();
        while !so(self) {
            if self.processes.iter_mut().flatten().any(Process::has_ended) {
                return false;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}\n{}", self.told());
            std::thread::sleep(GLANCE);
        }
        true
    }

    /// Waits until so many more bytes are written than now; `false` if it has ended before that.
    #[track_caller]
    pub(crate) fn until_written(&mut self, bytes: u64) -> bool {
        let wanted = self.written() + bytes;
        self.until("records are written", |cluster| cluster.written() >= wanted)
    }

    /// Waits until some more of it is written, a twentieth.
    #[track_caller]
    pub(crate) fn until_further(&mut self) -> bool {
        self.until_written(self.expected.len() as u64 / 20)
    }

    /// Waits until some more is written than ever before. Nobody may have ended before all is.
    #[track_caller]
    pub(crate) fn until_more_than_ever(&mut self) {
        let wanted = self.most + self.expected.len() as u64 / 2_000;
        let more =
            self.until("more is written than ever", |cluster| cluster.written() >= wanted || cluster.is_written());
        assert!(more || self.is_written(), "an instance has ended, and not all is written\n{}", self.told());
        self.most = self.written();
    }

    /// Whether a quarter of it is there.
    pub(crate) fn is_quarter_written(&self) -> bool {
        self.written() >= self.expected.len() as u64 / 4
    }

    /// Whether all but a twentieth is there.
    pub(crate) fn is_nearly_written(&self) -> bool {
        self.written() >= self.expected.len() as u64 / 20 * 19
    }

    /// Sees that nothing is written for so long, while something is left to do; what is on its way may come first.
    #[track_caller]
    pub(crate) fn stands_still(&mut self, time: Duration) {
        std::thread::sleep(Duration::from_millis(500));
        let before = self.written();
        std::thread::sleep(time);
        assert_eq!(self.written(), before, "nothing is written\n{}", self.told());
    }

    /// How often an instance has said this, in all its lives.
    pub(crate) fn times_said(&self, instance: usize, what: &str) -> usize {
        let said = self.processes[instance].as_ref().map(Process::said).unwrap_or_default();
        self.said[instance].matches(what).count() + said.matches(what).count()
    }

    /// Waits until an instance has said this so often, in all its lives.
    #[track_caller]
    pub(crate) fn until_said_times(&mut self, instance: usize, what: &str, times: usize) {
        let said = self.until(what, |cluster| cluster.times_said(instance, what) >= times);
        assert!(said, "one has ended before {} said `{what}` {times} times\n{}", instance + 1, self.told());
    }

    /// Waits until an instance says this.
    #[track_caller]
    pub(crate) fn until_said(&mut self, instance: usize, what: &str) {
        let said = self.until(what, |cluster| cluster.process(instance).has_said(what));
        assert!(said, "it ended before it said `{what}`\n{}", self.told());
    }

    /// Starts those that are not there, lets all end by themselves, and sees that nothing was lost, doubled or out of
    /// order. Fails when no fault landed.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        self.finish_all();
        assert!(self.landed > 0, "no fault landed: this test proves nothing\n{}", self.told());
    }

    /// Like [`finish`](Self::finish), and goes on.
    #[track_caller]
    pub(crate) fn finish_all(&mut self) {
        self.end_all();
        let Self { name, records, landed, .. } = self;
        told!("{name}: {records} records, {landed} faults landed, the output is right");
    }

    /// Like [`finish_all`](Self::finish_all), and says nothing.
    #[track_caller]
    pub(crate) fn end_all(&mut self) {
        self.let_all_end();
        self.check();
    }

    /// Starts those that are not there, and sees all end well by themselves.
    #[track_caller]
    pub(crate) fn let_all_end(&mut self) {
        self.start_all();
        let mut ended = vec![false; self.count()];
        while let Some(instance) = self.until_one_ends(&ended) {
            let (status, said) = self.wait(instance);
            assert_eq!(status.code(), Some(0), "instance {}: {said}\n{}", instance + 1, self.told());
            ended[instance] = true;
        }
    }

    /// Starts those that are not there, and lets all end by themselves. Those that did not hear the last word of one that
    /// was killed at its end say so, and are started again with it.
    #[track_caller]
    pub(crate) fn finish_without_a_last_word(&mut self) {
        self.start_all();
        let mut ended = vec![false; self.count()];
        while let Some(instance) = self.until_one_ends(&ended) {
            let (status, said) = self.wait(instance);
            let is_unsure = status.code() == Some(1) && said.contains("start the pipeline again to see it through");
            assert!(is_unsure || status.code() == Some(0), "instance {}: {said}\n{}", instance + 1, self.told());
            ended[instance] = true;
        }
        self.finish_all();
    }

    /// Waits for the next one to end, if there is one left. Those that were started too late to hear of the end, and wait
    /// for others that have nothing left to do, are asked to end.
    fn until_one_ends(&mut self, ended: &[bool]) -> Option<usize> {
        let began = Instant::now();
        loop {
            let left: Vec<usize> = (0..ended.len()).filter(|&instance| !ended[instance]).collect();
            let one = left.iter().find(|&&instance| self.process(instance).has_ended());
            if one.is_some() || left.is_empty() {
                return one.copied();
            }
            if began.elapsed() > LATE && left.len() < ended.len() && left.iter().all(|&one| self.is_waiting(one)) {
                // These came too late, and nobody will tell them.
                left.iter().for_each(|&one| self.process(one).term());
                return left.first().copied();
            }
            assert!(began.elapsed() < PATIENCE, "no more have ended in {PATIENCE:?}\n{}", self.told());
            std::thread::sleep(GLANCE);
        }
    }

    /// Whether an instance has not joined the others.
    fn is_waiting(&mut self, instance: usize) -> bool {
        let (said, all) = (self.process(instance).said(), self.count());
        !said.contains(&format!("joined {all} of {all}"))
    }

    /// Sees that the output is what it has to be in the end.
    #[track_caller]
    pub(crate) fn check(&self) {
        let output = fs::read(self.output()).expect("the output is there");
        let same = output.iter().zip(&self.expected).take_while(|(a, b)| a == b).count();
        let (found, expected) = (output.len(), self.expected.len());
        assert!(
            same == found && found == expected,
            "{found} bytes for {expected}, the same up to byte {same}\n{}",
            self.told()
        );
    }

    /// What happened, and what those said that are there.
    pub(crate) fn told(&self) -> String {
        let mut told = self.story.clone();
        for (instance, process) in self.processes.iter().enumerate() {
            let said = process.as_ref().map(Process::said).unwrap_or_default();
            let _ = writeln!(told, "instance {} said: {said}", instance + 1);
        }
        told
    }

    /// Keeps its files, and beside them what happened and what each instance said in all its lives.
    fn keep(&mut self) {
        for (instance, process) in self.processes.iter_mut().enumerate() {
            let last = process.take().map(|process| process.kill().1).unwrap_or_default();
            let said = format!("{}{last}", self.said[instance]);
            let _ = fs::write(self.folder.path().join(format!("said-{}", instance + 1)), said);
        }
        let _ = fs::write(self.path("story"), &self.story);
        self.folder.disable_cleanup(true);
        eprintln!("{}: what is left is kept in {}", self.name, self.folder.path().display());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.keeps && std::thread::panicking() {
            self.keep();
        }
    }
}

pub(crate) fn loopback(count: usize) -> Vec<String> {
    free_ports(count).into_iter().map(|port| format!("127.0.0.1:{port}")).collect()
}

fn networks(count: usize) -> Vec<String> {
    (0..count).map(|instance| format!("{}:7400", Hosts::address(instance))).collect()
}

/// Ports that are free now, all of them at once.
fn free_ports(count: usize) -> Vec<u16> {
    let sockets: Vec<_> =
        (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports")).collect();
    sockets.iter().map(|socket| socket.local_addr().expect("it is bound").port()).collect()
}
