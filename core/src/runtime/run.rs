//! Starts a job, and joins it.

use std::sync::Arc;

use super::control::Control;
use super::end::End;
use super::instance;
use super::job::{Job, Settings};
use super::part::{Inlet, Outlet, Part};
use super::running::{Handle, Running, Shown, summary};
use super::setup::Setup;
use super::summary::Summary;
use super::upstream;
use crate::contracts::{Cause, Error, Result};

/// Opens everything and starts a job: the store, the sink (which settles or cuts off what a crash left behind, and says
/// what it holds), dead letters, and the source last. What can't be opened is an error here; nothing runs before all are
/// open. A plan with network stages first joins the other instances, which may take as long as they do (dropping the
/// future gives it up), and each end is opened where it runs once the others are ready for it: what can't be opened
/// then ends the run, on all of them. The one instance that has the source needs none of them where the input had ended
/// in its last run, with all of it committed, and there is no more of it now: the run has ended then, well and without
/// having read anything. Must be called in a tokio runtime.
pub async fn start(job: Job, settings: Settings) -> Result<Running> {
    match settings.exchange.clone() {
        exchange if job.graph.network.is_empty() => {
            let here = exchange.map_or(Ok(true), |exchange| instance::is_here(&job, &*exchange))?;
            let setup = Setup::new(job, settings, None)?;
            if here { alone(setup).await } else { Ok(instance::nothing(&setup)) }
        }
        Some(exchange) => instance::start(job, settings, exchange).await,
        None => Err(Error::new(
            Cause::User,
            format!(
                "this plan has network stages ({}), and there is no network to run them: plan it for one instance",
                job.graph.network.join(", ")
            ),
        )),
    }
}

/// The whole pipeline as one part. Opens from the sink up: what the sink holds wins over the store.
async fn alone(setup: Arc<Setup>) -> Result<Running> {
    let store = setup.open_store().await?;
    let committed = match &store {
        Some(store) => store.lock().await.load().await?,
        None => Vec::new(),
    };
    let (sink, held) = setup.open_sink(committed.clone()).await?;
    setup.open_letters().await?;
    let control = Arc::new(Control::new());
    let (source, partitions) = setup.open_source(held.unwrap_or(committed), 0, &control, None).await?;
    if let Some(store) = &store {
        upstream::begins(store).await?;
    }
    let shown = Arc::new(Shown::default());
    shown.source(&partitions);
    let tasks = 0..setup.job.graph.tasks.len();
    let inlet = Inlet::Source(source, partitions, store);
    let part = Part::begin(&setup, tasks, control.clone(), inlet, Outlet::Sink(sink))?;
    let joined = tokio::spawn(join(setup.clone(), part.end, shown.clone()));
    Ok(Running { handle: Handle::Alone(control), meters: setup.meters.clone(), shown, joined: Some(joined) })
}

/// Waits for the end of the whole pipeline.
async fn join(setup: Arc<Setup>, end: End, shown: Arc<Shown>) -> Result<Summary> {
    let clock = setup.settings.world.clock.clone();
    let began = clock.elapsed();
    match end.wait().await? {
        Some(ended) => Ok(summary(&setup, &shown, ended, clock.elapsed() - began)),
        None => Err(Error::new(Cause::Bug, "the run ended without saying how")),
    }
}
