//! [`Network`]: how an instance reaches its peers.

use bytes::Bytes;

use super::Result;
use super::source::BoxFuture;

/// The number of an instance: its place in the list of peers, from 0.
pub type PeerId = usize;

/// What an instance says of itself when it reaches a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The pipeline's name.
    pub pipeline: String,
    /// What the pipeline does, in words: names, types, options, placement. A peer with other words is refused, and told
    /// where they differ.
    pub plan: String,
    /// Which of the peers it is.
    pub instance: PeerId,
    /// Told apart from every other start of the same instance, and above all before it: a network refuses one that it
    /// knows not to be, because peers would take its records for old ones.
    pub epoch: u64,
    /// When it started, in microseconds since the Unix epoch.
    pub started: i64,
}

/// One ordered stream of frames to a peer. Order holds within a lane, and between lanes there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// Who is here, what is open, what has ended.
    Control,
    /// What became of records.
    Outcomes,
    /// Records that cross one network stage, by its number.
    Records(u16),
}

/// What happens on the links.
#[derive(Debug)]
pub enum LinkEvent {
    /// A peer is reached. Where a link to it was up before, that one is down from now on, without a word of its own.
    Up(Hello),
    /// A peer is not reached any more: nothing of this link comes after it, and what was sent over it may be lost.
    Down {
        /// The peer.
        peer: PeerId,
        /// Why, for people.
        why: String,
    },
    /// A peer can't be reached, or was refused, for a reason that does not go away by itself: said when the reason
    /// changes, and not at each try. Silence is no such reason.
    Unreached {
        /// The peer; `None`: somebody who has not shown who it is.
        peer: Option<PeerId>,
        /// Who has refused whom, and why, for people: it names the peer, or where it is.
        why: String,
    },
    /// A peer has sent this.
    Frame {
        /// The peer.
        peer: PeerId,
        /// The lane.
        lane: Lane,
        /// What it sent, whole.
        frame: Bytes,
    },
}

/// The links of one instance to all others. It goes on trying to reach those that it doesn't.
pub trait Links: Send {
    /// The next thing to happen; an error ends the run: a peer runs another pipeline, or this instance already runs
    /// elsewhere. May be dropped at any time.
    fn next(&mut self) -> BoxFuture<'_, Result<LinkEvent>>;

    /// Sends a frame, given in pieces, to a peer that is up; to one that is down it is dropped. Never waits: what may be
    /// on its way is bounded by who sends.
    fn send(&mut self, peer: PeerId, lane: Lane, frame: Vec<Bytes>);

    /// Gives up the link to a peer that has sent what can't be read: it is down, and is reached anew like any other.
    fn cut(&mut self, peer: PeerId, why: &str);

    /// Ends all links once what was sent has arrived, or after a few seconds.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// A declared network: a list of peers that is the same for all, and which of them this is. Declaring one opens
/// nothing.
pub trait Network: Send + Sync + 'static {
    /// The names of the peers, in the order that is the same for all.
    fn peers(&self) -> Vec<String>;

    /// Which of them this instance is.
    fn me(&self) -> PeerId;

    /// What is wrong with its settings, one message each with what to do; found before anything is opened.
    fn check(&self) -> Vec<String> {
        Vec::new()
    }

    /// Begins to listen and to reach the peers.
    fn open(&self, hello: Hello) -> BoxFuture<'_, Result<Box<dyn Links>>>;
}
