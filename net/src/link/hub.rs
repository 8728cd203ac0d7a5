//! [`Hub`]: what all tasks of one instance's links share, and what is decided about peers once for all.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millstream_core::contracts::{Cause, Hello, PeerId};
use quinn::{Connection, WriteError};

use super::greeting::{Greeting, Refusal, Unread, named};
use super::inbox::Inbox;
use super::live::Live;
use super::quic::Quic;
use super::tls;
use super::why::{Code, Verdict, Why};

/// Connections of strangers are told of once in so long.
const QUIET: Duration = Duration::from_secs(1);
/// So many of the texts about them are remembered, to say none of these again.
const REMEMBERED: usize = 16;

/// See the module.
pub(super) struct Hub {
    pub(super) me: PeerId,
    pub(super) quic: Quic,
    /// Whether peers have to show certificates.
    pub(super) mutual: bool,
    pub(super) greeting: Greeting,
    pub(super) detection: Duration,
    pub(super) handshake: Duration,
    pub(super) redial: (Duration, Duration),
    pub(super) max_frame: usize,
    pub(super) inbox: Arc<Inbox<(Hello, Arc<Live>)>>,
    slots: Vec<Slot>,
    /// Whether there was ever a link: the instance is in a run, which nothing that others say may end.
    joined: AtomicBool,
    next_link: AtomicU64,
    strangers: Mutex<Strangers>,
}

/// What is known of one peer.
#[derive(Default)]
struct Slot {
    live: Mutex<Option<Arc<Live>>>,
    /// Held while it is decided whether a new connection takes the place of the old.
    admitting: tokio::sync::Mutex<()>,
    /// Why it is not reached, as it was last told.
    said: Mutex<String>,
    /// The latest epoch that it was met with; 0: none.
    met: AtomicU64,
}

/// What was told of those who have dialed and not become peers: floods of them don't flood the log.
#[derive(Default)]
struct Strangers {
    last: Option<Instant>,
    untold: u64,
    /// The last texts.
    said: VecDeque<String>,
}

impl Strangers {
    fn was_said(&self, text: &str) -> bool {
        self.said.iter().any(|said| said == text)
    }

    fn remember(&mut self, text: &str) {
        self.said.truncate(REMEMBERED - 1);
        self.said.push_front(text.to_owned());
    }

    /// What to add to the text; `None`: it is too soon for another.
    fn may_be_told_of(&mut self) -> Option<String> {
        if self.last.is_some_and(|last| last.elapsed() < QUIET) {
            self.untold += 1;
            return None;
        }
        self.last = Some(Instant::now());
        match std::mem::take(&mut self.untold) {
            0 => Some(String::new()),
            1 => Some(" (of another unknown caller before nothing was said here)".to_owned()),
            untold => Some(format!(" (of {untold} other unknown callers before nothing was said here)")),
        }
    }
}

impl Hub {
    pub(super) fn new(peers: &super::Peers, quic: Quic, greeting: Greeting) -> Self {
        let count = greeting.peers.len();
        Self {
            me: usize::from(greeting.instance),
            quic,
            mutual: super::quic::is_mutual(peers),
            greeting,
            detection: peers.detection,
            handshake: peers.handshake,
            redial: peers.redial,
            max_frame: peers.max_frame,
            inbox: Inbox::new(count),
            slots: std::iter::repeat_with(Slot::default).take(count).collect(),
            joined: AtomicBool::new(false),
            next_link: AtomicU64::new(0),
            strangers: Mutex::default(),
        }
    }

    pub(super) fn name(&self, peer: PeerId) -> String {
        named(&self.greeting.peers, peer)
    }

    /// The link to a peer, if one is up.
    pub(super) fn live(&self, peer: PeerId) -> Option<Arc<Live>> {
        self.slot(peer).clone()
    }

    /// What this instance says to a peer.
    pub(super) fn greeting_to(&self, peer: PeerId) -> Greeting {
        self.greeting.to(peer, self.met(peer))
    }

    /// Judges the epochs of this instance and a peer.
    pub(super) fn judge_epochs(&self, theirs: &Greeting) -> Result<(), Refusal> {
        self.greeting.judge_epochs(theirs, self.met(usize::from(theirs.instance)))
    }

    fn met(&self, peer: PeerId) -> u64 {
        self.slots.get(peer).map_or(0, |slot| slot.met.load(Relaxed))
    }

    fn slot(&self, peer: PeerId) -> MutexGuard<'_, Option<Arc<Live>>> {
        self.slots[peer].live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time decides about a peer's connections.
    pub(super) async fn admitting(&self, peer: PeerId) -> tokio::sync::MutexGuard<'_, ()> {
        self.slots[peer].admitting.lock().await
    }

    pub(super) fn next_link(&self) -> u64 {
        self.next_link.fetch_add(1, Relaxed)
    }

    /// A link is up, in the place of any that was.
    pub(super) fn up(&self, live: &Arc<Live>, hello: Hello) {
        self.joined.store(true, Relaxed);
        self.slots[live.peer].met.fetch_max(hello.epoch, Relaxed);
        let old = self.slot(live.peer).replace(live.clone());
        if let Some(old) = old {
            old.close(Code::Replaced, "it has been reached anew");
        }
        self.slots[live.peer].said.lock().unwrap_or_else(PoisonError::into_inner).clear();
        tracing::info!("{} is reached", self.name(live.peer));
        self.inbox.up(live.peer, live.id, (hello, live.clone()));
    }

    /// A link is down, and all that came by it has been passed on.
    pub(super) fn down(&self, live: &Arc<Live>, why: String) {
        let mut slot = self.slot(live.peer);
        if slot.as_ref().is_some_and(|now| now.id == live.id) {
            *slot = None;
        }
        drop(slot);
        tracing::info!("{} is not reached any more: {why}", self.name(live.peer));
        self.inbox.gone(live.peer, live.id, why);
    }

    /// The instances that the certificate at the other end is made out to; `None`: nobody has to show one.
    pub(super) fn shown(&self, connection: &Connection) -> Option<Vec<PeerId>> {
        if !self.mutual {
            return None;
        }
        let chain = connection.peer_identity().and_then(|chain| {
            let chain: Box<Vec<rustls::pki_types::CertificateDer<'static>>> = chain.downcast().ok()?;
            Some(tls::instances_of(chain.first()?, self.greeting.peers.len()))
        });
        Some(chain.unwrap_or_default())
    }

    /// This side doesn't accept what a peer says: the peer is told, and an instance that has joined nobody yet ends.
    /// `peer`: none if it has not shown who it is.
    pub(super) fn refuse(&self, connection: &Connection, peer: Option<PeerId>, who: &str, refusal: &Refusal) {
        let Refusal { code, text } = refusal;
        connection.close(code.on_wire(), text.as_bytes());
        let ours = matches!(code, Code::Protocol | Code::Pipeline | Code::Peers | Code::Settings | Code::Clock);
        if ours && !self.joined.load(Relaxed) {
            self.inbox.fail(Cause::User, format!("{who} can't be joined: {text}"));
            return;
        }
        let text = format!("refused {who}: {text}");
        match peer {
            Some(peer) => self.tell(peer, text),
            None => self.tell_of_stranger(text),
        }
    }

    /// A peer that was dialed is not reached.
    pub(super) fn unreached(&self, peer: PeerId, why: &Why) {
        let (who, text) = (self.name(peer), &why.text);
        let alone = || self.slots.iter().enumerate().all(|(peer, _)| self.live(peer).is_none());
        match why.verdict {
            Verdict::Unfit if !self.joined.load(Relaxed) => {
                self.inbox.fail(Cause::User, format!("{who} refuses this instance: {text}"));
            }
            Verdict::Twin if alone() => self.inbox.fail(Cause::State, text.clone()),
            Verdict::Unfit | Verdict::Twin => self.tell(peer, format!("{who} refuses this instance: {text}")),
            Verdict::Refused => self.tell(peer, format!("refused {who}: {text}")),
            Verdict::Unknown if peer == self.me => self.tell(peer, format!("{text} (that is {who}, this one)")),
            Verdict::Unknown => self.tell(peer, format!("{text} (that is {who})")),
            Verdict::Lost => tracing::debug!("{who} is not reached: {text}"),
        }
    }

    /// Says why a peer is not reached, unless that was the last to be said of it.
    fn tell(&self, peer: PeerId, text: String) {
        let mut said = self.slots[peer].said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != text {
            said.clone_from(&text);
            self.inbox.unreached(Some(peer), text);
        }
    }

    /// Somebody has dialed and not become a peer.
    pub(super) fn stranger(&self, from: SocketAddr, why: &Why) {
        let text = &why.text;
        match why.verdict {
            Verdict::Lost | Verdict::Unknown => tracing::debug!("a connection from {from} is gone: {text}"),
            Verdict::Refused => self.tell_of_stranger(format!("refused a connection from {from}: {text}")),
            // Nobody has proven who says that: it ends nothing.
            Verdict::Unfit | Verdict::Twin => {
                self.tell_of_stranger(format!("{} refuses this instance: {text}", self.caller(from)));
            }
        }
    }

    /// Somebody who has dialed, for people: instances dial from the port that they listen on.
    fn caller(&self, from: SocketAddr) -> String {
        let at = SocketAddr::new(from.ip().to_canonical(), from.port()).to_string();
        match self.greeting.peers.iter().position(|peer| *peer == at) {
            Some(peer) => format!("somebody at the address of {}", self.name(peer)),
            None => format!("somebody at {at}"),
        }
    }

    /// Somebody has dialed and not said who it is.
    pub(super) fn silent(&self, from: SocketAddr) {
        let within = self.handshake;
        if let Some(also) = self.strangers().may_be_told_of() {
            tracing::warn!("a connection from {from} has not said who it is within {within:?}{also}");
        }
    }

    fn tell_of_stranger(&self, text: String) {
        let mut strangers = self.strangers();
        if strangers.was_said(&text) {
            return;
        }
        if let Some(also) = strangers.may_be_told_of() {
            strangers.remember(&text);
            drop(strangers);
            self.inbox.unreached(None, text + &also);
        }
    }

    fn strangers(&self) -> MutexGuard<'_, Strangers> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an error of writing means.
    pub(super) fn unwritten(&self, error: &WriteError) -> Unread {
        Unread::Ended(match error {
            WriteError::ConnectionLost(error) => Why::of(error, self.detection),
            other => Why::lost(other.to_string()),
        })
    }
}
