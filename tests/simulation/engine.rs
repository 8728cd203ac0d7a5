//! Starts one instance as a program would: everything that depends on how instances are joined is here.

use std::sync::Arc;
use std::time::Duration;

use millstream::contracts::{Host, Network, World};
use millstream::declare::Pipeline;
use millstream::runtime::{Running, Settings};
use millstream::{Engine as _, Error};
use millstream_net::instances::Instances;

use crate::outside::Outside;
use crate::scenario::Scenario;

/// Starts one instance of the pipeline.
pub(crate) async fn start(
    pipeline: Pipeline,
    scenario: &Scenario,
    outside: &Outside,
    network: impl Network,
) -> Result<Running, Error> {
    let mut settings = settings(scenario, outside);
    if scenario.instances > 1 {
        settings.exchange = Some(Arc::new(Instances::over(network).window(scenario.window)));
    }
    pipeline.start(settings).await
}

fn settings(scenario: &Scenario, outside: &Outside) -> Settings {
    let (in_flight_records, in_flight_bytes) = scenario.in_flight;
    Settings {
        world: World { clock: outside.clock.clone(), workers: Host::Inline },
        in_flight_bytes,
        in_flight_records,
        grace: Duration::from_secs(30),
        commit_interval: scenario.commit_interval,
        ..Settings::default()
    }
}
