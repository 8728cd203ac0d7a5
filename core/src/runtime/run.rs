//! Starts a job.

use super::job::{Job, Settings};
use super::running::Running;
use super::setup::Setup;
use super::{alone, instance};
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
            if here { alone::start(setup).await } else { Ok(instance::nothing(&setup)) }
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
