//! What those do who have waited for thirty seconds for one that is away.

use std::path::{Path, PathBuf};

use millstream::commit::Ticket;
use millstream::contracts::{Checkpoint, Result, Sink, SinkContext, SinkFactory, SinkTraits, WriteError};
use millstream::data::{Data, Records};
use millstream::prelude::*;

use crate::again;
use crate::cluster::{Cluster, Job};
use crate::inputs::lines;
use crate::moves::{Queue, SINK};
use crate::process::GLANCE;

/// How many lines are copied.
const RECORDS: u64 = 5_000;

/// A sink that doesn't close before there is a file `close` in its folder, and makes one called `closing` when it would.
struct Patient<S>(S);

impl<F: SinkFactory> SinkFactory for Patient<F> {
    type Sink = Patient<F::Sink>;

    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        self.0.traits(keeps_positions)
    }

    fn writes(&self) -> Option<PathBuf> {
        self.0.writes()
    }

    fn make(&self) -> Self::Sink {
        Patient(self.0.make())
    }
}

impl<S: Sink> Sink for Patient<S> {
    type In = S::In;

    async fn open(&mut self, context: &SinkContext) -> Result<Option<Vec<Checkpoint>>> {
        self.0.open(context).await
    }

    async fn write(
        &mut self,
        records: Records<'_, <S::In as Data>::Column>,
        ticket: &mut Option<Ticket>,
    ) -> Result<(), WriteError> {
        self.0.write(records, ticket).await
    }

    async fn flush(&mut self) -> Result<()> {
        self.0.flush().await
    }

    async fn commit(&mut self, positions: &[Checkpoint]) -> Result<()> {
        self.0.commit(positions).await
    }

    async fn close(&mut self) -> Result<()> {
        std::fs::write("closing", "").expect("a file can be written");
        while !Path::new("close").exists() {
            std::thread::sleep(GLANCE);
        }
        self.0.close().await
    }
}

/// Not a test of its own: the process that others run.
#[test]
fn copies_lines_and_does_not_end() {
    let Some((instance, _)) = again::told() else { return };
    let pipeline = Pipeline::called("waits")
        .source(Files::new(["input"], Lines::default()))
        .map(|line: Bytes| line)
        .sink(Patient(Output::create("output", Lines::default())))
        .store(Embedded::at(format!("state-{}", instance + 1)));
    again::run(instance, pipeline, Settings::default());
}

/// An origin that has committed everything, and doesn't hear that the output is in its place, fails and says so. All are
/// started again to see it through.
fn no_last_word() {
    let input = lines(0..RECORDS);
    let line = again::line("waits::copies_lines_and_does_not_end", 0);
    let mut cluster = Cluster::doing("no last word", 3, Job { output: input.clone(), input, records: RECORDS, line });
    cluster.start_all();
    let closing = cluster.path("closing");
    assert!(cluster.until("the sink is about to close", |_| closing.exists()), "nobody ends before");
    assert!(cluster.kill(SINK), "it was there");
    let (status, said) = cluster.wait(0);
    assert_eq!(status.code(), Some(1), "{said}");
    let doubt = format!("everything is committed here, but {} did not say that", cluster.peer(SINK));
    assert!(said.contains(&doubt), "{said}");
    let (status, said) = cluster.wait(1);
    assert_eq!(status.code(), Some(0), "{said}");
    std::fs::write(cluster.path("close"), "").expect("a file can be written");
    cluster.end_all();
    told!("no last word: {RECORDS} records, the origin was in doubt, the output is right");
}

/// What a broker can move is given up when the merge stays away, and read again once it is back.
fn no_merge() {
    let mut queue = Queue::new("the merge stays away");
    queue.owner_beside(SINK);
    let turn = queue.broker.turns().len() - 1;
    assert!(queue.cluster.kill(SINK), "it was there");
    queue.cluster.until_said(0, "; the run waits for it");
    assert_eq!(queue.broker.consumers(), 2, "it is not given up at once");
    queue.until("it is given up", |broker| broker.consumers() == 0);
    queue.ended.push(turn);
    queue.cluster.start(SINK);
    queue.owner();
    queue.finish();
}

/// Both at once, because both take their time.
#[test]
fn whoever_has_waited_for_thirty_seconds_gives_up() {
    std::thread::scope(|scope| {
        scope.spawn(no_last_word);
        scope.spawn(no_merge);
    });
}
