//! Whether all is done already, which the instance that has the source may know before it joins the others: they may
//! have ended, and not come back.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::contracts::{Commits, DynEvent, Ends, Error, Result};
use crate::runtime::kept::Kept;
use crate::runtime::running::{Running, Shown, summary};
use crate::runtime::setup::Setup;
use crate::runtime::summary::Ended;
use crate::runtime::upstream::SharedStore;

/// A run that has ended, if the store says that the input had, and it still ends there.
pub(super) async fn done(setup: &Arc<Setup>, store: Option<&SharedStore>) -> Result<Option<Running>> {
    let traits = &setup.source.1;
    // Of an input without end the next record may be waited for, and what isn't acknowledged by position can't be read
    // only to see whether there is more.
    if traits.ends != Ends::Bounded || traits.commits != Commits::Optimistic {
        return Ok(None);
    }
    let Some(kept) = ended_at(setup, store).await? else { return Ok(None) };
    if has_more(setup, &kept).await.map_err(|error| error.in_stage(kept.stage.to_string()))? {
        tracing::debug!("the input had ended, and there is more of it now");
        return Ok(None);
    }
    tracing::info!("the input has ended and is committed: nothing is left to join the others for");
    Ok(Some(over(setup, &kept)))
}

/// Where the input had ended by what the store says; `None`: it had not.
async fn ended_at(setup: &Setup, store: Option<&SharedStore>) -> Result<Option<Kept>> {
    let Some(store) = store else { return Ok(None) };
    let mut store = store.lock().await;
    match store.ended().await? {
        true => Ok(Some(setup.kept(store.load().await?))),
        false => Ok(None),
    }
}

/// Whether there is anything behind what is committed.
async fn has_more(setup: &Setup, kept: &Kept) -> Result<bool, Error> {
    let mut source = setup.source.0.make();
    source.open(&kept.held).await?;
    let more = !matches!(source.next().await?, DynEvent::End);
    source.close().await?;
    Ok(more)
}

/// A run that ended before it did anything.
pub(super) fn over(setup: &Arc<Setup>, kept: &Kept) -> Running {
    let shown = Arc::new(Shown::default());
    shown.committed_before(kept);
    let summary = summary(setup, &shown, Ended::Input, std::time::Duration::ZERO);
    // Whatever is wished for finds nobody.
    let wishes = mpsc::unbounded_channel().0;
    let joined = Some(tokio::spawn(std::future::ready(Ok(summary))));
    Running { wishes, meters: setup.meters.clone(), shown, joined }
}
