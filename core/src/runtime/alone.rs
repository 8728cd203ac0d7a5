//! The whole pipeline as one part, over all its lives. Where the sink can't commit what it was given (a transaction that
//! has to be aborted, a partition that was lost meanwhile), both ends are made and opened anew, and it goes on from the
//! last commit:
//!
//! ```text
//!   open sink, letters, source -> run -> end
//!     ^                            |
//!     +---- wait <---- given up <--+
//! ```

use std::sync::Arc;

use tokio::sync::mpsc;

use super::backoff::Backoff;
use super::control::{Control, Phase};
use super::part::{Inlet, Outlet, Part};
use super::running::{Running, Shown, Wish, aborted, summary};
use super::setup::Setup;
use super::source_end::Partitions;
use super::summary::{Ended, Summary};
use super::upstream::{self, SharedStore};
use crate::contracts::{Cause, Error, Result};

/// The whole pipeline on one instance.
struct Alone {
    setup: Arc<Setup>,
    store: Option<SharedStore>,
    shown: Arc<Shown>,
    /// How often it was opened.
    lives: u64,
    /// Of the source as it was opened last.
    partitions: Option<Arc<Partitions>>,
    /// It was asked to end.
    wish: Option<Wish>,
}

/// Where it is asked to end.
type Wishes = mpsc::UnboundedReceiver<Wish>;

/// Opens from the sink up, what the sink holds wins over the store, and runs.
pub(super) async fn start(setup: Arc<Setup>) -> Result<Running> {
    let store = setup.open_store().await?;
    let (wishes, wished) = mpsc::unbounded_channel();
    let (meters, shown) = (setup.meters.clone(), Arc::new(Shown::default()));
    let mut alone = Alone { setup, store, shown: shown.clone(), lives: 0, partitions: None, wish: None };
    let part = alone.open().await?;
    let joined = tokio::spawn(alone.run(part, wished));
    Ok(Running { wishes, meters, shown, joined: Some(joined) })
}

impl Alone {
    async fn open(&mut self) -> Result<Part> {
        let setup = self.setup.clone();
        let committed = match &self.store {
            Some(store) => Some(store.lock().await.load().await?),
            None => None,
        };
        let (sink, held) = setup.open_sink(committed.clone(), false).await?;
        let held = held.or(committed).unwrap_or_default();
        if self.lives == 0 {
            setup.open_letters().await?;
        }
        let tasks = 0..setup.job.graph.tasks.len();
        let control = Arc::new(Control::new());
        let epoch = self.partitions.as_ref().map_or(0, |partitions| partitions.next_epoch());
        let (source, partitions) = setup.open_source(held, epoch, &control, None).await?;
        if let Some(store) = &self.store {
            upstream::begins(store).await?;
        }
        self.lives += 1;
        self.shown.source(&partitions);
        self.partitions = Some(partitions.clone());
        let inlet = Inlet::Source(source, partitions, self.store.clone());
        Part::begin(&setup, tasks, control, inlet, Outlet::Sink(sink))
    }

    /// Runs to the end of the whole pipeline.
    async fn run(mut self, mut part: Part, mut wishes: Wishes) -> Result<Summary> {
        let clock = self.setup.settings.world.clock.clone();
        let (began, mut backoff) = (clock.elapsed(), Backoff::new());
        let ended = loop {
            let control = part.control.clone();
            if let Some(ended) = self.live(part, &mut wishes).await? {
                break ended;
            }
            if control.has_committed() {
                backoff.reset();
            }
            part = match self.begin_anew(&mut backoff, &mut wishes).await? {
                Some(part) => part,
                None => {
                    self.let_go(&mut wishes).await?;
                    self.setup.close_letters().await?;
                    break Ended::Drained;
                }
            };
        };
        Ok(summary(&self.setup, &self.shown, ended, clock.elapsed() - began))
    }

    /// One life; `None`: it was given up.
    async fn live(&mut self, part: Part, wishes: &mut Wishes) -> Result<Option<Ended>> {
        let Part { control, folds, end, mut gone, .. } = part;
        let ended = {
            let mut end = Box::pin(end.wait());
            loop {
                tokio::select! {
                    biased;
                    ended = &mut end => break ended,
                    Some(wish) = wishes.recv() => {
                        self.wish = self.wish.max(Some(wish));
                        obey(&control, wish);
                    }
                }
            }
        };
        if !control.is_dropped() || self.wish == Some(Wish::Abort) {
            let unsaid = || Error::new(Cause::Bug, "the run ended without saying how");
            return ended?.ok_or_else(unsaid).map(Some);
        }
        // Whatever of it still hangs has both ends.
        tokio::select! {
            biased;
            _ = gone.recv() => {}
            Some(wish) = wishes.recv() => self.wish = self.wish.max(Some(wish)),
        }
        let tallies = self.setup.tallies(&(0..self.setup.job.graph.tasks.len()));
        for tally in &tallies {
            folds.iter().for_each(|fold| fold.take_back(0, tally));
        }
        let again = self.partitions.iter().map(|partitions| partitions.take_back(&tallies)).sum();
        self.shown.reads_again(again);
        Ok(None)
    }

    /// Opens both ends anew after a wait, again and again while what is outside doesn't let it; `None`: it was asked to
    /// end.
    async fn begin_anew(&mut self, backoff: &mut Backoff, wishes: &mut Wishes) -> Result<Option<Part>> {
        let clock = self.setup.settings.world.clock.clone();
        while self.wish.is_none() {
            let opening = async {
                backoff.wait(&*clock).await;
                self.open().await
            };
            let opened = tokio::select! {
                biased;
                Some(wish) = wishes.recv() => {
                    self.wish = Some(wish);
                    break;
                }
                opened = opening => opened,
            };
            match opened {
                Ok(part) => return Ok(Some(part)),
                Err(error) if backoff.tries_again(&error) => {}
                Err(error) => return Err(error),
            }
        }
        if self.wish == Some(Wish::Abort) { Err(aborted()) } else { Ok(None) }
    }

    /// Closes the source, which was dropped to be opened anew and may keep for that what others wait for: it is opened to
    /// be closed. Where that can't be done within the grace period it ends without: nothing of it is lost.
    async fn let_go(&mut self, wishes: &mut Wishes) -> Result<()> {
        let clock = self.setup.settings.world.clock.clone();
        tokio::select! {
            biased;
            closed = self.close_source() => {
                if let Err(error) = closed {
                    tracing::warn!(error = error.chain(), "the source can't be closed, and is left as it is");
                }
            }
            () = aborts(wishes) => return Err(aborted()),
            () = clock.sleep(self.setup.settings.grace) => tracing::warn!("the source is left as it is, not closed in time"),
        }
        Ok(())
    }

    async fn close_source(&self) -> Result<()> {
        let Some(before) = &self.partitions else { return Ok(()) };
        let (held, epoch) = (before.kept.checkpoints(), before.next_epoch());
        let (source, _) = self.setup.open_source(held, epoch, &Arc::new(Control::new()), None).await?;
        source.close().await
    }
}

/// Waits until it is asked to end at once.
async fn aborts(wishes: &mut Wishes) {
    while let Some(wish) = wishes.recv().await {
        if wish == Wish::Abort {
            return;
        }
    }
    std::future::pending().await
}

fn obey(control: &Control, wish: Wish) {
    match wish {
        Wish::Drain => control.enter(Phase::Draining),
        Wish::Abort => {
            control.fail(aborted());
            control.enter(Phase::Aborting);
        }
    }
}
