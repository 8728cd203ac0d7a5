//! [`Cluster`]: an example that runs as several instances, and what has to come of it.

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
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

/// An example that runs as several instances. The first reads, all work, the last writes.
pub(crate) struct Cluster {
    /// For people.
    name: String,
    example: &'static str,
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
    story: String,
}

impl Cluster {
    /// Filters orders on so many instances, on this machine's own ports.
    pub(crate) fn on_loopback(name: &str, instances: usize, records: u64) -> Self {
        let peers = free_ports(instances).into_iter().map(|port| format!("127.0.0.1:{port}")).collect();
        Self::new(name, peers, None, records)
    }

    /// Filters orders on so many instances, each in a network of its own; `None` where that can't be.
    pub(crate) fn in_networks(name: &str, instances: usize, records: u64) -> Option<Self> {
        let hosts = Hosts::new(instances)?;
        let peers = (0..instances).map(|instance| format!("{}:7400", Hosts::address(instance))).collect();
        Some(Self::new(name, peers, Some(hosts), records))
    }

    fn new(name: &str, peers: Vec<String>, hosts: Option<Hosts>, records: u64) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let (document, paid) = orders(records);
        fs::write(folder.path().join("in.xml"), document).expect("an input can be written");
        Certs::new(folder.path().join("tls"), peers.len()).write().expect("certificates can be made");
        let flags = ["--record", "order", "--where", "status=paid", "--detection", "1"];
        Self {
            name: name.to_owned(),
            example: "xml_filter",
            flags: flags.map(str::to_owned).to_vec(),
            processes: peers.iter().map(|_| None).collect(),
            peers,
            hosts,
            expected: paid.into_bytes(),
            records,
            folder,
            landed: 0,
            began: Instant::now(),
            story: String::new(),
        }
    }

    /// Without this flag and its value.
    pub(crate) fn without(mut self, flag: &str) -> Self {
        let at = self.flags.iter().position(|one| one == flag).expect("the flag is there");
        self.flags.drain(at..at + 2);
        self
    }

    pub(crate) fn count(&self) -> usize {
        self.peers.len()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn output(&self) -> PathBuf {
        self.path("output")
    }

    fn tell(&mut self, what: &str) {
        let (at, written) = (self.began.elapsed().as_secs_f64(), self.written());
        // Writing to a string can't fail.
        let _ = writeln!(self.story, "{at:8.3} s  {what} ({written} of {} bytes written)", self.expected.len());
    }

    /// What starts an instance.
    pub(crate) fn command(&self, instance: usize) -> Command {
        let program = example(self.example);
        let mut command = match &self.hosts {
            Some(hosts) => hosts.command(instance, &program),
            None => Command::new(program),
        };
        command.arg("--input").arg(self.path("in.xml")).arg("--output").arg(self.output());
        command.arg("--state").arg(self.path(&format!("state-{}", instance + 1)));
        command.arg("--peers").arg(self.peers.join(",")).arg("--listen").arg(&self.peers[instance]);
        command.arg("--tls").arg(self.path("tls")).args(&self.flags);
        command
    }

    pub(crate) fn start(&mut self, instance: usize) {
        self.tell(&format!("instance {} started", instance + 1));
        self.processes[instance] = Some(Process::start(self.command(instance)));
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
        let landed = self.processes[instance].take().is_some_and(Process::kill);
        self.landed += u32::from(landed && mid_run);
        landed
    }

    /// SIGTERM; returns how it ended, which may have to wait for others.
    pub(crate) fn term(&mut self, instance: usize) {
        self.landed += u32::from(self.is_mid_run());
        self.tell(&format!("instance {} asked to end", instance + 1));
        self.process(instance).term();
    }

    /// Waits for the end of an instance.
    #[track_caller]
    pub(crate) fn wait(&mut self, instance: usize) -> (ExitStatus, String) {
        let ended = self.processes[instance].take().expect("it was started").wait();
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

    /// Sees that nothing is written for so long, while something is left to do; what is on its way may come first.
    #[track_caller]
    pub(crate) fn stands_still(&mut self, time: Duration) {
        std::thread::sleep(Duration::from_millis(500));
        let before = self.written();
        std::thread::sleep(time);
        assert_eq!(self.written(), before, "nothing is written\n{}", self.told());
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
    pub(crate) fn finish(mut self) {
        self.finish_all();
        assert!(self.landed > 0, "no fault landed: this test proves nothing\n{}", self.told());
    }

    /// Like [`finish`](Self::finish), and goes on.
    #[track_caller]
    pub(crate) fn finish_all(&mut self) {
        self.start_all();
        let mut ended = vec![false; self.count()];
        while let Some(instance) = self.until_one_ends(&ended) {
            let (status, said) = self.wait(instance);
            assert_eq!(status.code(), Some(0), "instance {}: {said}\n{}", instance + 1, self.told());
            ended[instance] = true;
        }
        self.check();
        let Self { name, records, landed, .. } = self;
        println!("{name}: {records} records, {landed} faults landed, the output is right");
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
    fn told(&self) -> String {
        let mut told = self.story.clone();
        for (instance, process) in self.processes.iter().enumerate() {
            let said = process.as_ref().map(Process::said).unwrap_or_default();
            let _ = writeln!(told, "instance {} said: {said}", instance + 1);
        }
        told
    }
}

/// Ports that are free now, all of them at once.
fn free_ports(count: usize) -> Vec<u16> {
    let sockets: Vec<_> =
        (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").expect("loopback has free ports")).collect();
    sockets.iter().map(|socket| socket.local_addr().expect("it is bound").port()).collect()
}
