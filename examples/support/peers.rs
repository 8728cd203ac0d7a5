//! The flags of instances: `--peers`, `--listen`, `--tls`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use millstream::contracts::Exchange;
use millstream::instances::Waiting;
use millstream::prelude::{Instances, Peers as Network};

/// Which instances there are, and which of them this is.
#[derive(clap::Args)]
pub(crate) struct Peers {
    /// All instances, HOST:PORT each, in the order that is the same for all: the same program runs on each of them
    #[arg(long, value_name = "A,B,C", value_delimiter = ',')]
    peers: Vec<String>,
    /// Which of the instances this is: one of the list, as it stands there
    #[arg(long, value_name = "A", requires = "peers")]
    listen: Option<String>,
    /// The folder with the instances' certificates, as `millstream certs new` writes it
    #[arg(long, value_name = "DIR", requires = "peers")]
    tls: Option<PathBuf>,
    /// No certificates: for tests on one machine
    #[arg(long, requires = "peers", conflicts_with = "tls", hide = true)]
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
        if self.listen.is_none() || (self.tls.is_none() && !self.plain_on_loopback_for_tests) {
            super::refuse(
                "`--peers A,B,C` needs `--listen A`, which of them this is, and `--tls DIR`, the certificates",
            );
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
        Some(Arc::new(Instances::over(network).on_waiting(move |now| {
            // What keeps an instance waiting for ever is said in any case.
            if !quiet || (now.trouble.is_some() && !now.begun) {
                say(now);
            }
        })))
    }
}

fn say(now: &Waiting) {
    let mut out = std::io::stderr().lock();
    // On a terminal the progress line may stand there: it is drawn again.
    let before = if out.is_terminal() { "\r\x1b[2K" } else { "" };
    // Where nobody reads it, nobody waits for it.
    let _ = writeln!(out, "{before}{now}");
}
