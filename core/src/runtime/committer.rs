//! Decides when to commit, and sees to the order of acts: the sink's durability first, our own checkpoint second, the
//! upstream acknowledgement last.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use super::control::{Control, Phase};
use super::kept::Upto;
use super::ledger::Ledger;
use super::metrics::Meters;
use super::sink_end::SinkRequest;
use super::source_end::{Partitions, SourceRequest};
use super::upstream::{Upstream, ask};
use crate::commit::Blocking;
use crate::contracts::{Cause, Clock, Error, Result};
use crate::data::PartitionId;

/// Commits are at most as frequent as this.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);

/// Where outcomes travel on to other instances, a sink that keeps no positions is flushed at most as often as this: the
/// instances that sent the records keep them until then.
const SPACING: Duration = Duration::from_millis(5);

/// However long a commit takes, the next one is not put off for longer than this.
const LONGEST: Duration = Duration::from_secs(10);

/// Asks for a commit now; the answer says whether it could be made.
pub(super) type Ask = oneshot::Sender<bool>;

/// Decides when to commit.
pub(super) struct Committer {
    pub(super) upstream: Upstream,
    /// The sink, if it is in the same part.
    pub(super) sink: Option<mpsc::Sender<SinkRequest>>,
    /// Whether the sink keeps positions with its data.
    pub(super) transactional: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) meters: Arc<Meters>,
    pub(super) interval: Duration,
    /// How many rows the sink had taken at the last commit.
    pub(super) written: u64,
    /// What folds have emitted.
    pub(super) folds: Vec<Arc<Ledger>>,
    pub(super) control: Arc<Control>,
    pub(super) asks: mpsc::UnboundedReceiver<Ask>,
    /// The sink asks for a commit before it is due.
    pub(super) soon: Arc<Notify>,
}

/// Why the committer does something.
enum Turn<T> {
    Ended(T),
    Asked(Ask),
    Due,
}

impl Committer {
    /// Commits as long as the run goes on; ends when `until` does.
    pub(super) async fn run<T>(&mut self, until: &mut (impl Future<Output = T> + Unpin)) -> Result<T> {
        let interval = self.spacing();
        let (mut last, mut wait) = (self.clock.elapsed(), interval);
        loop {
            let turn = self.turn(last + wait, until).await;
            let began = self.clock.elapsed();
            match turn {
                Turn::Ended(ended) => return Ok(ended),
                Turn::Asked(answer) => {
                    let done = self.commit(true).await?;
                    let _ = answer.send(done);
                }
                Turn::Due => {
                    let done = self.commit(false).await?;
                    if !done && self.is_lost() && !self.is_ending() {
                        // Only without what can't be committed can it go on.
                        self.control.give_up();
                    }
                    self.check_abandoned()?;
                }
            }
            last = self.clock.elapsed();
            // Slow commits get rarer, so that short of that they take no more than a third of the time.
            wait = interval.max(((last - began) * 2).min(LONGEST));
        }
    }

    /// Waits for the next commit to fall due: not before `time`, and where outcomes travel on, once there are any.
    async fn turn<T>(&mut self, time: Duration, until: &mut (impl Future<Output = T> + Unpin)) -> Turn<T> {
        let Self { upstream, clock, asks, soon, sink, .. } = self;
        let due = async {
            if let Upstream::Entry(arrivals) = upstream {
                arrivals.changed().await;
            }
            clock.sleep(time.saturating_sub(clock.elapsed())).await;
        };
        tokio::select! {
            biased;
            ended = until => Turn::Ended(ended),
            Some(answer) = asks.recv() => Turn::Asked(answer),
            () = soon.notified(), if sink.is_some() => Turn::Due,
            () = due => Turn::Due,
        }
    }

    fn spacing(&self) -> Duration {
        match &self.upstream {
            Upstream::Entry(_) if !self.transactional => self.interval.min(SPACING),
            _ => self.interval,
        }
    }

    /// Commits what may be committed now; `false`: the sink can't just now. The `last` commit makes durable whatever the
    /// sink holds, even if no position has moved.
    pub(super) async fn commit(&mut self, last: bool) -> Result<bool> {
        // A sink may settle what it keeps only when it flushes: what it has taken since is reason enough.
        let written = match self.sink {
            Some(_) => self.meters.stages.last().map_or(0, |sink| sink.rows_in.load(Relaxed)),
            None => 0,
        };
        if !self.upstream.has_news() && !last && written == self.written {
            return Ok(true);
        }
        let Some(positions) = self.make_durable().await? else { return Ok(false) };
        self.written = written;
        self.meters.commits.fetch_add(1, Relaxed);
        self.control.committed();
        self.upstream.acknowledge(positions).await?;
        Ok(true)
    }

    /// Makes durable in the sink what has settled, and returns the positions up to which it has.
    async fn make_durable(&mut self) -> Result<Option<Upto>> {
        if let Some(sink) = self.sink.as_ref().filter(|_| self.transactional) {
            return ask(sink, SinkRequest::Commit).await;
        }
        // The positions first: what settles while the sink flushes may not be durable yet.
        let positions = self.upstream.positions()?;
        if let Some(sink) = &self.sink {
            ask(sink, SinkRequest::Flush).await?;
        }
        self.upstream.hold(&positions);
        Ok(Some(positions.into_iter().map(|(id, _, position)| (id, position)).collect()))
    }

    /// Commits all that may be: also what settles only when the sink flushes. `false`: what the sink holds can't be, and a
    /// run must not end as if all were well with that.
    pub(super) async fn commit_all(&mut self) -> Result<bool> {
        for last in [true, false] {
            self.commit(last).await?;
            if self.is_lost() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the sink holds what can't be committed any more.
    fn is_lost(&self) -> bool {
        matches!(&self.upstream, Upstream::Entry(arrivals) if arrivals.is_lost())
    }

    fn is_ending(&self) -> bool {
        matches!(&self.upstream, Upstream::Entry(arrivals) if arrivals.is_ending())
    }

    /// What extends visibility, beside the commits: these may have to wait for the sink.
    pub(super) fn extender(&self) -> Option<Extender> {
        let source = self.upstream.source()?;
        Some(Extender {
            partitions: source.partitions.clone(),
            source: source.source.clone(),
            clock: self.clock.clone(),
            visibility: source.visibility?,
        })
    }

    /// Nobody runs an abandoned record again whose part has the sink: to go on would be to commit nothing more, in
    /// silence. Where it goes on by a network stage, that sees to it.
    fn check_abandoned(&self) -> Result<()> {
        if self.control.phase() > Phase::Running || self.sink.is_none() {
            return Ok(());
        }
        let partitions = self.upstream.source().map(|source| source.partitions.all()).unwrap_or_default();
        for ledger in partitions.iter().chain(&self.folds) {
            if let Some(Blocking::Abandoned(sequence)) = ledger.standing().blocking {
                let message = format!(
                    "record {sequence} of partition {} was dropped without an outcome: a sink or a task lost it. Nothing \
                     past it is committed; run again to go on from there",
                    ledger.partition
                );
                return Err(Error::new(Cause::Bug, message));
            }
        }
        Ok(())
    }

    /// The run is over, and all is well: the sink puts its output in its place.
    pub(super) async fn close_sink(&mut self) -> Result<()> {
        match &self.sink {
            Some(sink) => ask(sink, SinkRequest::Close).await,
            None => Ok(()),
        }
    }

    /// The run is over, well or not.
    pub(super) async fn close_source(&mut self) -> Result<()> {
        match self.upstream.source() {
            Some(source) => ask(&source.source, SourceRequest::Close).await,
            None => Ok(()),
        }
    }
}

/// Visibility is extended at most as often as this.
const SHORTEST: Duration = Duration::from_millis(10);

/// Extends the time that what is in flight stays invisible to others, three times in that time.
pub(super) struct Extender {
    partitions: Arc<Partitions>,
    source: mpsc::Sender<SourceRequest>,
    clock: Arc<dyn Clock>,
    visibility: Duration,
}

impl Extender {
    /// Never ends. An error fails the run.
    pub(super) async fn run(self, control: &Control) {
        loop {
            self.clock.sleep((self.visibility / 3).max(SHORTEST)).await;
            if let Err(error) = self.extend().await {
                control.fail(error);
                break;
            }
        }
        std::future::pending().await
    }

    async fn extend(&self) -> Result<()> {
        let open = |ledger: &Arc<Ledger>| {
            let id = ledger.id;
            ledger.in_flight().into_iter().map(move |records| (id, records))
        };
        let in_flight: Vec<(PartitionId, Range<u64>)> = self.partitions.all().iter().flat_map(open).collect();
        if in_flight.is_empty() {
            return Ok(());
        }
        ask(&self.source, |answer| SourceRequest::Extend(in_flight, answer)).await
    }
}
