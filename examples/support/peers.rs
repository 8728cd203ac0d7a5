//! The flags of instances: `--peers`, `--listen`, `--tls`.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millstream::contracts::Exchange;
use millstream::prelude::{Instances, Peers as Network};

/// Which instances there are, and which of them this is.
#[derive(clap::Args)]
pub(crate) struct Peers {
    /// All instances, HOST:PORT each, in the order that is the same for all: the same program runs on each of them
    #[arg(long, value_name = "A,B,C", value_delimiter = ',', requires_all = ["listen", "security"])]
    peers: Vec<String>,
    /// Which of the instances this is
    #[arg(long, value_name = "A", requires = "peers")]
    listen: Option<String>,
    /// The folder with the instances' certificates, as `millstream certs new` writes it
    #[arg(long, value_name = "DIR", requires = "peers", group = "security")]
    tls: Option<PathBuf>,
    /// No certificates: for tests on one machine
    #[arg(long, requires = "peers", group = "security", hide = true)]
    plain_on_loopback_for_tests: bool,
    /// How long a peer may be silent before it counts as lost
    #[arg(long, value_name = "SECONDS", requires = "peers", default_value_t = 5.0, hide = true)]
    detection: f64,
}

impl Peers {
    /// How many instances there are.
    pub(crate) fn count(&self) -> usize {
        self.peers.len().max(1)
    }

    /// What joins them; `None` for one alone.
    pub(crate) fn exchange(&self, quiet: bool) -> Option<Arc<dyn Exchange>> {
        if self.peers.is_empty() {
            return None;
        }
        let detection = Duration::try_from_secs_f64(self.detection).unwrap_or_default();
        let mut network = Network::new(self.peers.clone()).detection(detection);
        if let Some(me) = &self.listen {
            network = network.me(me);
        }
        if let Some(folder) = &self.tls {
            network = network.tls(folder);
        }
        if self.plain_on_loopback_for_tests {
            network = network.plain_on_loopback_for_tests();
        }
        let mut instances = Instances::over(network);
        if !quiet {
            instances = instances.on_waiting(|now| say(&now.missing, now.of, now.trouble.as_deref()));
        }
        Some(Arc::new(instances))
    }
}

fn say(missing: &[String], of: usize, trouble: Option<&str>) {
    let joined = of - missing.len();
    let line = match (trouble, missing) {
        (Some(trouble), _) => trouble.to_owned(),
        (None, []) => format!("joined {joined} of {of}"),
        (None, missing) => format!("joined {joined} of {of}: waits for {}", missing.join(", ")),
    };
    // Where nobody reads it, nobody waits for it.
    let _ = writeln!(std::io::stderr(), "{line}");
}
