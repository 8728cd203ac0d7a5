//! Origins that are taken over elsewhere: a queue is on every instance, and its broker lets one at a time have it.

use std::collections::BTreeMap;
use std::time::Duration;

use millstream::prelude::*;

use crate::again;
use crate::broker::{Broker, Turn};
use crate::cluster::{Cluster, Job, faults};
use crate::consumer::consumer;

/// How many records of a turn arrive before anything happens to it.
const SOME: usize = 500;

/// How many records an instance works on at once, and how long one takes on average, in milliseconds.
const AT_ONCE: usize = 20;
const WORK: u64 = 8;

/// Commits are so frequent that some land between two moves.
const COMMITS: Duration = Duration::from_millis(20);

/// The instance of the merge and the sink.
pub(crate) const SINK: usize = 2;

/// A pipeline whose source is a queue.
pub(crate) struct Queue {
    name: String,
    pub(crate) broker: Broker,
    pub(crate) cluster: Cluster,
    /// The turns that a fault has ended.
    pub(crate) ended: Vec<usize>,
}

impl Queue {
    pub(crate) fn new(name: &str) -> Self {
        let line = again::line("moves::reads_a_queue_as_one_instance", 0);
        let job = Job { input: String::new(), output: String::new(), records: 0, line };
        let mut cluster = Cluster::doing(name, 3, job);
        let broker = Broker::new(&cluster.path("broker"), cluster.path("output"));
        cluster.start_all();
        Self { name: name.to_owned(), broker, cluster, ended: Vec::new() }
    }

    /// Waits until all others stand by, and some of the last turn has arrived and some not; returns who has it.
    #[track_caller]
    pub(crate) fn owner(&mut self) -> usize {
        self.until("all stand by", |broker| broker.consumers() == 3);
        self.until("some of it arrives", |broker| broker.arrived() >= SOME);
        self.broker.active().expect("one is chosen")
    }

    /// Waits for the same; whoever has it is not this instance.
    #[track_caller]
    pub(crate) fn owner_beside(&mut self, instance: usize) -> usize {
        let mut owner = self.owner();
        while owner == instance {
            self.lands(owner, |broker, _| assert!(broker.moves(true), "another waits"));
            owner = self.owner();
        }
        owner
    }

    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, so: impl Fn(&Broker) -> bool) {
        let Self { broker, cluster, .. } = self;
        let so = cluster.until(what, |_| so(broker));
        assert!(so, "one has ended before: {what}\n{}", cluster.told());
    }

    /// Lets a fault end the turn that is, and waits until another instance has the queue. More turns may follow: whoever
    /// gets a partition again that it had lost opens anew, and the broker goes on to the next.
    #[track_caller]
    fn lands(&mut self, owner: usize, fault: impl FnOnce(&Broker, &mut Cluster)) {
        let turn = self.broker.turns().len() - 1;
        self.cluster.tell(&format!("turn {turn} is ended, of instance {}", owner + 1));
        fault(&self.broker, &mut self.cluster);
        self.until("another takes over", |broker| {
            broker.turns().get(turn + 1).is_some_and(|next| next.instance != owner)
        });
        self.ended.push(turn);
    }

    /// Lets all end, and sees that nothing is lost, that each turn is in order, and that nothing comes again that was
    /// acknowledged.
    #[track_caller]
    pub(crate) fn finish(&mut self) {
        let records = self.broker.no_more();
        self.cluster.let_all_end();
        let (turns, rows) = (self.broker.turns(), self.broker.rows());
        let told = format!("{}\n{turns:?}", self.cluster.told());
        assert_eq!(self.broker.wrong(), [""; 0], "{told}");
        let passed = in_order(&turns, &rows).unwrap_or_else(|wrong| panic!("{wrong}\n{told}"));
        let lost: Vec<u64> = (0..records).filter(|number| !rows.iter().any(|(_, row)| row == number)).collect();
        assert!(lost.is_empty(), "{} are lost, first {:?}\n{told}", lost.len(), lost.first());
        self.counts(records, &turns, &passed);
    }

    /// Counts what the faults have met with, and fails if it is nothing.
    #[track_caller]
    fn counts(&self, records: u64, turns: &[Turn], passed: &[u64]) {
        let landed: Vec<_> = self.ended.iter().filter(|&&turn| turns[turn].in_flight() > 0).collect();
        let sum = |of: fn(&Turn, u64) -> u64| landed.iter().map(|&&turn| of(&turns[turn], passed[turn])).sum::<u64>();
        let in_flight = sum(|turn, _| turn.in_flight());
        let again = sum(|turn, passed| passed - turn.acknowledged);
        let (name, landed, late) = (&self.name, landed.len(), self.broker.late());
        told!(
            "{name}: {records} records in {} turns, {landed} faults landed with {in_flight} records in flight: {again} \
             had arrived and came again, {} were discarded; {late} acknowledgements came too late",
            turns.len(),
            in_flight - again,
        );
        assert!(landed > 0 && landed == self.ended.len(), "a fault met with nothing: this test proves nothing");
        assert!(in_flight > again, "nothing was discarded: this test proves nothing");
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: {}", self.name, self.broker.told());
        }
    }
}

/// Up to which record those of each turn have arrived: each turn's are in order, without a gap, from its first one on, and
/// none comes after those of a later turn.
fn in_order(turns: &[Turn], rows: &[(usize, u64)]) -> Result<Vec<u64>, String> {
    let mut passed: Vec<u64> = turns.iter().map(|turn| turn.from).collect();
    let mut last = 0;
    for &(turn, number) in rows {
        if turn < last {
            return Err(format!("record {number} of turn {turn} came after those of turn {last}"));
        }
        if number != passed[turn] || number >= turns[turn].given {
            return Err(format!("record {number} of turn {turn} came for {}", passed[turn]));
        }
        (passed[turn], last) = (number + 1, turn);
    }
    Ok(passed)
}

/// Not a test of its own: the process that others run.
#[test]
fn reads_a_queue_as_one_instance() {
    let Some((instance, _)) = again::told() else { return };
    let pipeline = Pipeline::called("moves")
        .source(consumer(instance))
        .map_async(AT_ONCE, |record: Bytes| async move {
            let time = WORK / 2 + record.iter().map(|&byte| u64::from(byte)).sum::<u64>() % WORK;
            tokio::time::sleep(Duration::from_millis(time)).await;
            record
        })
        .sink(Output::append("output", Lines::default()));
    again::run(instance, pipeline, Settings { commit_interval: COMMITS, ..Settings::default() });
}

#[test]
fn another_takes_the_queue_over_from_one_that_was_killed() {
    let mut queue = Queue::new("the owner is killed");
    for _ in 0..faults() {
        let owner = queue.owner();
        queue.lands(owner, |_, cluster| assert!(cluster.kill(owner), "it was there"));
        queue.cluster.start(owner);
    }
    queue.finish();
}

#[test]
fn the_broker_may_choose_another_while_records_are_in_flight() {
    let mut queue = Queue::new("the broker moves its choice");
    for round in 0..faults() * 2 {
        let owner = queue.owner();
        queue.lands(owner, |broker, _| match round % 2 {
            0 => assert!(broker.moves(true), "another waits"),
            _ => broker.drops(),
        });
    }
    queue.finish();
}

#[test]
fn an_owner_that_was_stopped_finds_itself_fenced() {
    let mut queue = Queue::new("the owner is stopped");
    let mut fenced = BTreeMap::<usize, usize>::new();
    for _ in 0..faults().div_ceil(2) {
        let owner = queue.owner_beside(SINK);
        let lost = format!("instance {} ({}) is not reached any more", owner + 1, queue.cluster.peer(owner));
        let times = queue.cluster.times_said(SINK, &lost);
        queue.cluster.freeze(owner);
        queue.cluster.until_said_times(SINK, &lost, times + 1);
        // Nobody tells it.
        queue.lands(owner, |broker, _| assert!(broker.moves(false), "another waits"));
        queue.until("the others go on", |broker| broker.arrived() >= SOME);
        queue.cluster.thaw(owner);
        let fenced = fenced.entry(owner).or_default();
        *fenced += 1;
        queue.cluster.until_said_times(owner, "another instance has this partition now", *fenced);
    }
    queue.finish();
}
