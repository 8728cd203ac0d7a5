//! [`Actor`]: one part on one instance, over all its lives: it begins, ends, is dropped, and begins anew.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::super::arrivals::Arrivals;
use super::super::backoff::Backoff;
use super::super::committer::Ask;
use super::super::control::{Control, Phase};
use super::super::entry_end::{EntryEnd, SharedEntry};
use super::super::ledger::Ledger;
use super::super::locator::Locator;
use super::super::part::{Inlet, Outlet, Part};
use super::super::promises::Promises;
use super::super::running::Shown;
use super::super::setup::Setup;
use super::super::source_end::Partitions;
use super::super::summary::Ended;
use super::super::upstream::{self, SharedStore};
use crate::contracts::{Cause, Checkpoint, Error, ExitFactory, Report, Result};
use crate::data::{Partition, Position};
use crate::plan::Step;

/// How long to wait before a commit that could not be made just now is asked for again.
const AGAIN: Duration = Duration::from_millis(10);

/// How the source is opened, as [`Order::Open`](crate::contracts::Order::Open) says it.
#[derive(Clone)]
pub(super) struct Opening {
    pub(super) epoch: u64,
    pub(super) held: Option<Vec<Checkpoint>>,
    pub(super) claimed: Vec<Partition>,
}

/// What a part is told to do: the orders of the exchange that concern it.
#[derive(Clone)]
pub(super) enum Command {
    /// Open the source.
    Open(Opening),
    /// Drop the source's part, to be opened again.
    Close { gives_up: bool },
    /// The source reads no more.
    Drain,
    /// Nothing that the source's part waits for will come: it commits what it may, and ends.
    Finish,
    /// The run ends before this record of the source, or of a fold.
    Seal { partition: Partition, epoch: u64, sequence: u64 },
    /// Begin anew.
    Anew,
    /// Begin anew because what the sink holds can't be committed, and then answer.
    Reopen { id: u64 },
    /// Commit.
    Settle { id: u64 },
    /// Say where a record stands.
    Locate { id: u64, partition: Partition, epoch: u64, sequence: u64 },
    /// The run has failed for this reason: commit what has settled, and end.
    Fail(String),
    /// The run is over: what is still there is dropped.
    Over,
}

/// What an instance hears of its parts.
pub(super) enum Told {
    /// One has ended; `source`: the one that has the source.
    Ended { ended: Ended, source: bool },
    /// One has failed.
    Failed(Error),
}

/// One part on one instance.
pub(super) struct Actor {
    pub(super) setup: Arc<Setup>,
    pub(super) tasks: Range<usize>,
    /// The network stage before it; `None`: it has the source.
    pub(super) hop: Option<usize>,
    pub(super) has_sink: bool,
    pub(super) entry: Option<SharedEntry>,
    pub(super) exit: Option<Box<dyn ExitFactory>>,
    pub(super) arrivals: Option<Arc<Arrivals>>,
    /// Whether the sink, wherever it is, keeps positions of the source with its data.
    pub(super) positions: bool,
    /// Whether the source claims partitions before it reads them.
    pub(super) claims_first: bool,
    /// Whether the sink here has said that it has kept any.
    pub(super) keeps: bool,
    /// Where the source is.
    pub(super) store: Option<SharedStore>,
    /// Of the source as it was opened last.
    pub(super) partitions: Option<Arc<Partitions>>,
    pub(super) locator: Arc<Locator>,
    pub(super) shown: Arc<Shown>,
    pub(super) reports: mpsc::UnboundedSender<Report>,
    pub(super) tell: mpsc::UnboundedSender<Told>,
    /// Where its own commands come in.
    pub(super) commands: mpsc::WeakUnboundedSender<Command>,
    /// How long it waits before it begins again without being told to.
    pub(super) backoff: Backoff,
    /// Whether it was ever open.
    pub(super) has_lived: bool,
}

/// Why a part begins.
enum Start {
    /// The source is to be opened.
    Source(Opening),
    /// The run has begun.
    First,
    /// It was told to begin anew.
    Anew,
    /// What its sink held could not be committed.
    Reopen { id: u64 },
    /// The same, when it was about to end.
    Again,
}

/// How a part goes on.
enum Next {
    Start(Start),
    /// Nothing is at work.
    Idle,
    Over,
}

/// A part at work, as its actor sees it.
struct Life {
    control: Arc<Control>,
    asks: mpsc::UnboundedSender<Ask>,
    folds: Vec<Arc<Ledger>>,
    ended: JoinHandle<Result<Option<Ended>>>,
    gone: mpsc::Receiver<()>,
}

/// The commands, with those that have to wait until the part is open.
struct Commands {
    coming: mpsc::UnboundedReceiver<Command>,
    waiting: VecDeque<Command>,
}

impl Commands {
    /// The next; none come any more when the instance is gone. May be dropped at any time.
    async fn next(&mut self) -> Command {
        match self.waiting.pop_front() {
            Some(command) => command,
            None => self.coming.recv().await.unwrap_or(Command::Over),
        }
    }

    /// The next that ends the opening of a part; others wait. May be dropped at any time.
    async fn next_that_ends(&mut self) -> Command {
        loop {
            match self.coming.recv().await.unwrap_or(Command::Over) {
                ends @ (Command::Close { .. } | Command::Anew | Command::Fail(_) | Command::Over) => return ends,
                waits => self.waiting.push_back(waits),
            }
        }
    }
}

impl Actor {
    /// Follows commands until the run is over.
    pub(super) async fn run(mut self, coming: mpsc::UnboundedReceiver<Command>) {
        let mut commands = Commands { coming, waiting: VecDeque::new() };
        let mut next = if self.hop.is_some() { Next::Start(Start::First) } else { Next::Idle };
        loop {
            next = match next {
                Next::Start(start) => self.live(start, &mut commands).await,
                Next::Idle => {
                    let command = commands.next().await;
                    self.idle(command)
                }
                Next::Over => return,
            };
        }
    }

    /// Does what can be done while nothing is at work.
    fn idle(&self, command: Command) -> Next {
        match command {
            Command::Open(opening) => return Next::Start(Start::Source(opening)),
            Command::Anew => return Next::Start(Start::Anew),
            Command::Fail(_) | Command::Over => return Next::Over,
            Command::Close { .. } => self.report(Report::Closed),
            // There is nothing to be drained.
            Command::Drain | Command::Finish if self.hop.is_none() => self.report(Report::Committed),
            // One that was to begin anew has ended meanwhile.
            Command::Settle { id } | Command::Reopen { id } => {
                self.report(Report::Settled { id, held: self.held() });
            }
            Command::Locate { id, partition, epoch, sequence } => self.locate(id, &partition, epoch, sequence),
            Command::Drain | Command::Finish | Command::Seal { .. } => {}
        }
        Next::Idle
    }

    /// One life of the part.
    async fn live(&mut self, start: Start, commands: &mut Commands) -> Next {
        let part = tokio::select! {
            biased;
            command = commands.next_that_ends() => return self.idle(command),
            part = self.open(&start) => part,
        };
        let Part { control, asks, folds, end, gone } = match part {
            Ok(part) => part,
            Err(error) => return self.failed(error),
        };
        self.has_lived = true;
        let ended = tokio::spawn(end.wait());
        let mut life = Life { control, asks, folds, ended, gone };
        self.has_begun(start);
        loop {
            tokio::select! {
                biased;
                command = commands.next() => {
                    if let Some(next) = self.command(&mut life, command).await {
                        return next;
                    }
                }
                ended = &mut life.ended => {
                    self.see_off(&mut life).await;
                    if life.control.is_dropped() {
                        return Next::Start(Start::Again);
                    }
                    return self.has_ended(ended.unwrap_or_else(|error| Err(panicked(error))));
                }
            }
        }
    }

    /// Begins it: after a wait where it could not commit, and once it has lived, again and again while what is outside
    /// doesn't let it. May be dropped at any time.
    async fn open(&mut self, start: &Start) -> Result<Part> {
        let clock = self.setup.settings.world.clock.clone();
        if matches!(start, Start::Again) {
            self.backoff.wait(&*clock).await;
        }
        loop {
            match self.begin(start).await {
                Err(error) if self.has_lived && self.backoff.tries_again(&error) => self.backoff.wait(&*clock).await,
                begun => return begun,
            }
        }
    }

    async fn begin(&mut self, start: &Start) -> Result<Part> {
        let control = Arc::new(Control::new());
        self.forget_last_life();
        let inlet = match (start, &self.entry) {
            (Start::Source(opening), _) => self.open_source(opening.clone(), &control).await?,
            (_, Some(entry)) => {
                let entry = EntryEnd::new(entry.clone(), self.arrivals.clone(), control.listen());
                Inlet::Entry(entry, self.arrivals.clone(), self.locator.clone())
            }
            (_, None) => return Err(Error::new(Cause::Bug, "the exchange gave no entry for a part that runs here")),
        };
        let outlet = match &mut self.exit {
            _ if self.has_sink => self.open_sink().await?,
            Some(exit) => {
                let promises = Promises { hop: self.hop, reports: self.reports.clone() };
                Outlet::Exit(exit.make(), promises)
            }
            None => return Err(Error::new(Cause::Bug, "the exchange gave no exit for a part that runs here")),
        };
        Part::begin(&self.setup, self.tasks.clone(), control, inlet, outlet)
    }

    /// Where a limit ended the last life counts no more; nor does what it counted, where a fold behind it begins afresh.
    fn forget_last_life(&self) {
        if let Some(arrivals) = &self.arrivals {
            arrivals.forget_seals();
        }
        let folds = self.setup.has_step(&self.tasks, |step| matches!(step, Step::Fold { .. }));
        if folds && self.hop.is_some() {
            self.setup.tallies(&self.tasks).iter().for_each(|tally| tally.begin_anew());
        }
    }

    /// Opens the source: where the sink says that it stands, or else where the store says.
    async fn open_source(&mut self, opening: Opening, control: &Arc<Control>) -> Result<Inlet> {
        let Opening { epoch, held, claimed } = opening;
        if let Some(store) = self.store.as_ref().filter(|_| self.positions) {
            check_sink(store, held.as_deref()).await?;
        }
        let held = match (held, &self.store) {
            (Some(held), _) => held,
            (None, Some(store)) => store.lock().await.load().await?,
            (None, None) => Vec::new(),
        };
        for tally in self.setup.tallies(&self.tasks) {
            self.partitions.iter().for_each(|before| before.give_back(&held, &tally));
        }
        let others = self.setup.others(self.reports.clone(), self.claims_first.then_some(claimed));
        let (source, partitions) = self.setup.open_source(held, epoch, control, Some(others)).await?;
        if let Some(store) = &self.store {
            upstream::begins(store).await?;
        }
        self.shown.source(&partitions);
        self.partitions = Some(partitions.clone());
        Ok(Inlet::Source(source, partitions, self.store.clone()))
    }

    /// Opens the sink, which cuts off what was not committed, and takes note of what it holds.
    async fn open_sink(&mut self) -> Result<Outlet> {
        let committed = match &self.store {
            Some(store) => Some(store.lock().await.load().await?),
            None => None,
        };
        let (sink, held) = self.setup.open_sink(committed, !self.positions).await?;
        self.keeps = held.is_some();
        if let Some(arrivals) = &self.arrivals {
            for (partition, position) in self.setup.kept(held.unwrap_or_default()).held.all() {
                arrivals.kept.held.put(partition, position);
            }
            if self.positions {
                self.shown.sink(&arrivals.kept);
            }
        }
        Ok(Outlet::Sink(sink))
    }

    /// The part is open.
    fn has_begun(&self, start: Start) {
        let Some(hop) = self.hop else { return };
        match start {
            Start::Anew => self.report(Report::Anew { hop }),
            Start::Reopen { id } => return self.report(Report::Settled { id, held: self.held() }),
            Start::Again => return,
            Start::First | Start::Source(_) => {}
        }
        self.report(Report::Ready { hop });
    }

    fn has_ended(&self, ended: Result<Option<Ended>>) -> Next {
        match ended {
            Ok(Some(ended)) => {
                self.tell(Told::Ended { ended, source: self.hop.is_none() });
                match self.hop {
                    Some(hop) => self.report_end(hop, ended),
                    None => self.report(Report::Committed),
                }
                Next::Idle
            }
            // The exchange has dropped it, and says what comes next.
            Ok(None) => Next::Idle,
            Err(error) => self.failed(error),
        }
    }

    fn report_end(&self, hop: usize, ended: Ended) {
        // Of a sink whose reader has gone the others hear as of a limit: nothing more is wanted.
        if matches!(ended, Ended::Limit | Ended::ReaderGone) {
            let seals = self.arrivals.as_ref().map(|arrivals| arrivals.seals()).unwrap_or_default();
            self.report(Report::Limited { hop, seals });
        }
        self.report(Report::Ended { hop });
    }

    fn failed(&self, error: Error) -> Next {
        self.tell(Told::Failed(error));
        Next::Idle
    }

    /// Does what it is told while it is at work. `Some`: this life is over.
    async fn command(&mut self, life: &mut Life, command: Command) -> Option<Next> {
        match command {
            Command::Open(opening) => {
                life.control.park();
                self.drop(life).await;
                return Some(Next::Start(Start::Source(opening)));
            }
            Command::Close { gives_up } => {
                if !gives_up {
                    life.control.park();
                }
                self.drop(life).await;
                self.report(Report::Closed);
                return Some(Next::Idle);
            }
            Command::Anew => {
                self.drop(life).await;
                return Some(Next::Start(Start::Anew));
            }
            // It was begun anew since, for another who asked.
            Command::Reopen { id } if self.arrivals.as_ref().is_some_and(|arrivals| !arrivals.is_lost()) => {
                self.settle(life, id);
            }
            Command::Reopen { id } => {
                self.drop(life).await;
                return Some(Next::Start(Start::Reopen { id }));
            }
            Command::Over => {
                self.drop(life).await;
                return Some(Next::Over);
            }
            Command::Fail(why) => {
                self.fail(life, why).await;
                return Some(Next::Over);
            }
            Command::Drain if self.hop.is_none() => life.control.enter(Phase::Draining),
            Command::Finish if self.hop.is_none() => life.control.finish(),
            Command::Drain | Command::Finish => {}
            Command::Seal { partition, epoch, sequence } => self.seal(life, &partition, epoch, sequence),
            Command::Settle { id } => self.settle(life, id),
            Command::Locate { id, partition, epoch, sequence } => self.locate(id, &partition, epoch, sequence),
        }
        None
    }

    /// The run has failed: what has settled is committed, and no more.
    async fn fail(&mut self, life: &mut Life, why: String) {
        life.control.fail(Error::new(Cause::Outside, why));
        if !self.has_sink {
            // Nothing that leaves by a network stage arrives any more.
            life.control.enter(Phase::Aborting);
        }
        let _ = (&mut life.ended).await;
        self.see_off(life).await;
    }

    /// Drops it as it stands.
    async fn drop(&mut self, life: &mut Life) {
        life.control.give_up();
        let _ = (&mut life.ended).await;
        self.see_off(life).await;
        if let Some(partitions) = &self.partitions {
            self.shown.reads_again(partitions.lag());
        }
        let instance = self.setup.instance.unwrap_or_default();
        for tally in self.setup.tallies(&self.tasks) {
            life.folds.iter().for_each(|fold| fold.give_back(instance, None, &tally));
        }
    }

    /// Waits until no task of it is left. Whatever its sink has not made durable by then is given up.
    async fn see_off(&mut self, life: &mut Life) {
        let _ = life.gone.recv().await;
        if life.control.has_committed() {
            self.backoff.reset();
        }
        if let Some(arrivals) = &self.arrivals {
            arrivals.give_up();
        }
    }

    /// A limit elsewhere ends the run before this record, of the source or of a fold of this part.
    fn seal(&self, life: &Life, partition: &Partition, epoch: u64, sequence: u64) {
        let source = self.partitions.as_ref().and_then(|partitions| partitions.find(partition));
        let ledgers = source.into_iter().chain(life.folds.iter().cloned());
        for ledger in ledgers.filter(|ledger| ledger.epoch == epoch && ledger.partition == *partition) {
            ledger.seal_at(sequence);
            life.control.enter(Phase::Limited);
        }
    }

    /// Has a commit made now, and answers once it is.
    fn settle(&self, life: &Life, id: u64) {
        let Some(arrivals) = self.arrivals.clone().filter(|_| self.has_sink) else {
            return self.report(Report::Settled { id, held: None });
        };
        let (asks, reports, commands) = (life.asks.clone(), self.reports.clone(), self.commands.clone());
        let clock = self.setup.settings.world.clock.clone();
        let (positions, keeps) = (self.positions, self.keeps);
        tokio::spawn(async move {
            loop {
                let again = match commit(&asks).await {
                    Some(true) => break,
                    // Only without what can't be committed can the sink say where it stands.
                    Some(false) if arrivals.is_lost() => Some(Command::Reopen { id }),
                    Some(false) => None,
                    // The part has ended, or begins anew.
                    None => Some(Command::Settle { id }),
                };
                clock.sleep(AGAIN).await;
                if let Some(again) = again {
                    let _ = commands.upgrade().map(|commands| commands.send(again));
                    return;
                }
            }
            let held = positions.then(|| arrivals.kept.checkpoints());
            let held = held.filter(|held| keeps || !held.is_empty());
            let _ = reports.send(Report::Settled { id, held });
        });
    }

    fn locate(&self, id: u64, partition: &Partition, epoch: u64, sequence: u64) {
        let position = self.position(partition, epoch, sequence).unwrap_or_else(|why| {
            tracing::warn!(why, "a position can't be told");
            None
        });
        self.report(Report::Located { id, position });
    }

    fn position(&self, partition: &Partition, epoch: u64, sequence: u64) -> Result<Option<Position>, String> {
        let partitions = self.partitions.as_ref().filter(|partitions| partitions.opened_as.1 == epoch);
        let ledger = partitions.and_then(|partitions| partitions.find(partition));
        ledger.map_or(Ok(None), |ledger| ledger.locate(sequence))
    }

    /// What the sink holds, if it keeps positions.
    fn held(&self) -> Option<Vec<Checkpoint>> {
        let arrivals = self.arrivals.as_ref().filter(|_| self.has_sink && self.positions)?;
        // One that has never committed anything leaves it to the store where the source begins.
        Some(arrivals.kept.checkpoints()).filter(|held| self.keeps || !held.is_empty())
    }

    /// An exchange that is gone needs no word.
    fn report(&self, report: Report) {
        let _ = self.reports.send(report);
    }

    fn tell(&self, told: Told) {
        let _ = self.tell.send(told);
    }
}

/// A sink that keeps positions with its data and holds none of those that the store says were committed has lost them,
/// and its output with them.
async fn check_sink(store: &SharedStore, held: Option<&[Checkpoint]>) -> Result<()> {
    let lacks = |committed: &&Checkpoint| !held.unwrap_or_default().iter().any(|held| held.key == committed.key);
    let committed = store.lock().await.load().await?;
    let Some(Checkpoint { key, position }) = committed.iter().find(lacks) else { return Ok(()) };
    let message = format!(
        "the state folder says that {} is read up to {}, and the sink's instance holds nothing of it: its output, or what \
         it keeps beside it, is gone. Bring it back, or remove the state folder to begin from the start",
        key.partition,
        position.label()
    );
    Err(Error::new(Cause::User, message))
}

/// Asks for a commit. `None`: there is nobody who could make one.
async fn commit(asks: &mpsc::UnboundedSender<Ask>) -> Option<bool> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    asks.send(answer).ok()?;
    answered.await.ok()
}

fn panicked(error: tokio::task::JoinError) -> Error {
    Error::new(Cause::Bug, "a part of the run panicked").because(error)
}
