//! [`QuicLinks`]: what the exchange sees of the links.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_core::contracts::{BoxFuture, Cause, Error, Hello, Lane, LinkEvent, Links, Network, PeerId, Result};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::greeting::{Greeting, named};
use super::hub::Hub;
use super::identity::Identity;
use super::inbox::Taken;
use super::lane::{self, Pieces};
use super::live::Live;
use super::peers::{Peers, Security};
use super::why::Code;
use super::{accept, check, dial, quic};

/// What was sent has so long to arrive when the links end.
const ARRIVAL: Duration = Duration::from_secs(3);
/// And so long to tell the peers that it is the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// The links of one instance.
struct QuicLinks {
    hub: Arc<Hub>,
    /// Where to send, for each peer that the exchange knows to be up.
    out: Vec<Option<Outgoing>>,
    /// Accepts and dials.
    tasks: JoinSet<()>,
    /// One for each lane.
    writers: JoinSet<()>,
}

/// The way to one peer.
struct Outgoing {
    live: Arc<Live>,
    lanes: BTreeMap<Lane, mpsc::UnboundedSender<Pieces>>,
}

/// Begins to listen and to dial.
pub(super) async fn open(peers: &Peers, hello: Hello) -> Result<Box<dyn Links>> {
    let wrong = check::mistakes(peers);
    if !wrong.is_empty() {
        return Err(Error::new(Cause::User, wrong.join("; ")));
    }
    let me = peers.me();
    if hello.instance != me {
        let text = format!("instance {} was to join as instance {}", me + 1, hello.instance + 1);
        return Err(Error::new(Cause::Bug, text));
    }
    let identity = match &peers.security {
        Security::Tls(folder) => {
            let read = Identity::read(folder, me, peers.peers.len());
            Some(read.map_err(|wrong| Error::new(Cause::User, wrong.join("; ")))?)
        }
        _ => None,
    };
    let greeting =
        Greeting::new(hello, peers.peers.clone(), peers.max_frame).map_err(|wrong| Error::new(Cause::User, wrong))?;
    let quic = quic::open(peers, &peers.peers[me], identity.as_ref()).await?;
    Ok(Box::new(QuicLinks::start(Arc::new(Hub::new(peers, quic, greeting)))))
}

impl QuicLinks {
    fn start(hub: Arc<Hub>) -> Self {
        let count = hub.greeting.peers.len();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept::accept(hub.clone()));
        tasks.spawn(dial::knock(hub.clone()));
        for peer in hub.me + 1..count {
            tasks.spawn(dial::keep(hub.clone(), peer));
        }
        let out = std::iter::repeat_with(|| None).take(count).collect();
        Self { hub, out, tasks, writers: JoinSet::new() }
    }

    async fn event(&mut self) -> Result<LinkEvent> {
        match self.hub.inbox.next().await {
            Taken::Up(peer, (hello, live)) => {
                while self.writers.try_join_next().is_some() {}
                self.out[peer] = Some(Outgoing { live, lanes: BTreeMap::new() });
                Ok(LinkEvent::Up(hello))
            }
            Taken::Down(peer, why) => {
                self.out[peer] = None;
                Ok(LinkEvent::Down { peer, why })
            }
            Taken::Frame(peer, lane, frame) => Ok(LinkEvent::Frame { peer, lane, frame }),
            Taken::Unreached(peer, why) => Ok(LinkEvent::Unreached { peer, why }),
            Taken::Fatal(error) => Err(error),
        }
    }

    async fn finish(&mut self) {
        self.tasks.abort_all();
        let endpoint = &self.hub.quic.endpoint;
        endpoint.set_server_config(None);
        // Nothing more is sent: each writer ends once the peer has all.
        self.out.iter_mut().for_each(|out| *out = None);
        let arrived = async { while self.writers.join_next().await.is_some() {} };
        if timeout(ARRIVAL, arrived).await.is_err() {
            tracing::warn!("not all that was sent has arrived within {ARRIVAL:?}");
        }
        endpoint.close(Code::Left.on_wire(), b"it has left");
        let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
    }
}

impl Links for QuicLinks {
    fn next(&mut self) -> BoxFuture<'_, Result<LinkEvent>> {
        Box::pin(self.event())
    }

    fn send(&mut self, peer: PeerId, lane: Lane, frame: Vec<Bytes>) {
        let length: usize = frame.iter().map(Bytes::len).sum();
        if length > self.hub.max_frame {
            let (max, to) = (self.hub.max_frame, named(&self.hub.greeting.peers, peer));
            let text = format!(
                "a batch for {to} takes {length} bytes, and at most {max} can be sent at once: raise `max_frame` of \
                 the peers on all instances, or make batches, or the records in them, smaller"
            );
            return self.hub.inbox.fail(Cause::User, text);
        }
        let Some(Some(out)) = self.out.get_mut(peer) else { return };
        let writers = &mut self.writers;
        let queue = out.lanes.entry(lane).or_insert_with(|| {
            let (queue, queued) = mpsc::unbounded_channel();
            writers.spawn(lane::write(out.live.connection.clone(), lane, queued));
            queue
        });
        // Nobody takes it where the link is down already.
        let _ = queue.send(frame);
    }

    fn cut(&mut self, peer: PeerId, why: &str) {
        if let Some(Some(out)) = self.out.get(peer) {
            out.live.close(Code::Malformed, why);
        }
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(self.finish())
    }
}

impl Drop for QuicLinks {
    fn drop(&mut self) {
        // After an orderly end this is without effect.
        self.hub.quic.endpoint.close(Code::GivenUp.on_wire(), b"it has given up");
    }
}
