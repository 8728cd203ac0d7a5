//! [`Peers`]: declares who the instances are, which one this is, and how they reach each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millstream_core::contracts::{BoxFuture, Hello, Links, Network, PeerId, Result};

use super::{check, links};

/// How the peers know that they are peers.
#[derive(Debug, Clone, Default)]
pub(super) enum Security {
    /// Nothing was said.
    #[default]
    Undeclared,
    /// By the certificates in this folder.
    Tls(PathBuf),
    /// They don't.
    PlainOnLoopback,
}

/// The instances of a pipeline: a list that is the same for all, and which of them this is. They reach each other over
/// QUIC (one UDP port each), and know each other by certificates.
///
/// ```
/// use millstream_net::link::Peers;
///
/// let peers = Peers::new(["10.0.0.1:7400", "10.0.0.2:7400", "10.0.0.3:7400"]).me("10.0.0.2:7400").tls("certs");
/// # drop(peers);
/// ```
///
/// Declaring opens nothing. What is wrong with it (addresses, certificates, times) is found before anything is opened,
/// all of it at once.
#[derive(Debug, Clone)]
pub struct Peers {
    pub(super) peers: Vec<String>,
    pub(super) me: Option<String>,
    pub(super) listen: Option<String>,
    pub(super) security: Security,
    pub(super) detection: Duration,
    pub(super) redial: (Duration, Duration),
    pub(super) handshake: Duration,
    pub(super) max_frame: usize,
}

impl Peers {
    /// The instances, each as `host:port` (a host name, an IPv4 address, or an IPv6 address in brackets), in the order
    /// that is the same for all: an instance is known by its place. Host names are looked up whenever they are dialed.
    pub fn new<I>(peers: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            peers: peers.into_iter().map(Into::into).collect(),
            me: None,
            listen: None,
            security: Security::default(),
            detection: Duration::from_secs(5),
            redial: (Duration::from_millis(500), Duration::from_secs(2)),
            handshake: Duration::from_secs(5),
            max_frame: 128 << 20,
        }
    }

    /// Which of the instances this is: one of the list, written as it stands there.
    #[must_use]
    pub fn me(mut self, peer: impl Into<String>) -> Self {
        self.me = Some(peer.into());
        self
    }

    /// Listens on this address and port. Default: on that of [`me`](Self::me) if it is an IP address or `localhost`, and
    /// on all of this machine's, with that port, if it is another host name.
    #[must_use]
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// The folder with the certificates: `ca.pem`, and for the instance in place N of the list `instance-N.pem` and
    /// `instance-N.key`. `millstream certs new` and [`Certs`](super::Certs) make them. They are read when the pipeline
    /// starts, once.
    #[must_use]
    pub fn tls(mut self, folder: impl AsRef<Path>) -> Self {
        self.security = Security::Tls(folder.as_ref().to_owned());
        self
    }

    /// No certificates: whoever reaches the port is believed. Only for tests, and only where all addresses are loopback
    /// addresses of one machine: anything else is a mistake.
    #[must_use]
    pub fn plain_on_loopback_for_tests(mut self) -> Self {
        self.security = Security::PlainOnLoopback;
        self
    }

    /// A peer of which nothing has come for so long is taken for lost: its work is dealt anew, or waits for it. Default
    /// 5 s; 100 ms to 1 h. A quarter of it is the interval of keep-alives (about 70 bytes each way and pair, and only
    /// where nothing else is sent): shorter finds losses sooner, and takes a slow moment for one. The shorter one of two
    /// peers counts.
    #[must_use]
    pub fn detection(mut self, time: Duration) -> Self {
        self.detection = time;
        self
    }

    /// Tries to reach a peer that is not there after so long, then after twice as long, and so on up to `longest`.
    /// Default 500 ms and 2 s; 10 ms to 1 h. Shorter finds sooner those that come up, for about 1,200 bytes an attempt.
    #[must_use]
    pub fn redial(mut self, first: Duration, longest: Duration) -> Self {
        self.redial = (first, longest);
        self
    }

    /// Whoever hasn't said within this time who it is, and shown that it may, is dropped. Default 5 s; 100 ms to 1 h.
    #[must_use]
    pub fn handshake(mut self, time: Duration) -> Self {
        self.handshake = time;
        self
    }

    /// The longest frame in bytes, the same for all instances: a batch of records, which has at least one, has to fit
    /// into it, or the run ends with an error that says so. Default 128 MiB: with records of 16 MiB, which is what
    /// framings take unless set otherwise, a batch as it is read has up to 64 MiB. 1 MiB to 1 GiB. It bounds what one
    /// peer can make another keep in memory, for each network stage.
    #[must_use]
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = bytes;
        self
    }

    /// This instance's place in the list, if it stands there.
    pub(super) fn place(&self) -> Option<PeerId> {
        self.peers.iter().position(|peer| Some(peer) == self.me.as_ref())
    }
}

impl Network for Peers {
    fn peers(&self) -> Vec<String> {
        self.peers.clone()
    }

    /// The first of the list as long as [`check`](Network::check) finds that it isn't said rightly.
    fn me(&self) -> PeerId {
        self.place().unwrap_or(0)
    }

    fn check(&self) -> Vec<String> {
        check::mistakes(self)
    }

    fn open(&self, hello: Hello) -> BoxFuture<'_, Result<Box<dyn Links>>> {
        Box::pin(links::open(self, hello))
    }
}
