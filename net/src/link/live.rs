//! [`Live`]: one link that is up, and the task that reads it until it ends.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use millstream_core::contracts::{Hello, Lane, PeerId};
use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::greeting::{Unread, Word, read_word, write_word};
use super::hub::Hub;
use super::inbox::LinkId;
use super::lane::{self, Reader};
use super::why::{Code, Why};

/// A link that seems to be up is asked, and has so long to answer.
pub(super) const PROBE: Duration = Duration::from_secs(1);
/// Words that wait to be said.
const WORDS: usize = 8;

/// See the module.
pub(super) struct Live {
    pub(super) id: LinkId,
    pub(super) peer: PeerId,
    pub(super) epoch: u64,
    pub(super) connection: Connection,
    /// Why this side has closed it, if it has.
    closed: OnceLock<String>,
    words: mpsc::Sender<Word>,
    /// The highest question that was answered.
    pongs: watch::Sender<u64>,
    /// The lanes that the peer has opened.
    lanes: Mutex<BTreeSet<Lane>>,
}

/// The control stream, both ways.
pub(super) type Control = (SendStream, RecvStream);

impl Live {
    /// A link is up: tells the inbox, and reads it until it ends.
    pub(super) fn start(hub: &Arc<Hub>, connection: Connection, control: Control, hello: Hello) -> JoinHandle<()> {
        let (words, to_say) = mpsc::channel(WORDS);
        let live = Arc::new(Self {
            id: hub.next_link(),
            peer: hello.instance,
            epoch: hello.epoch,
            connection,
            closed: OnceLock::new(),
            words,
            pongs: watch::Sender::new(0),
            lanes: Mutex::default(),
        });
        hub.up(&live, hello);
        tokio::spawn(run(live, hub.clone(), control, to_say))
    }

    /// Closes it; the first reason counts.
    pub(super) fn close(&self, code: Code, why: &str) {
        let _ = self.closed.set(why.to_owned());
        self.connection.close(code.on_wire(), why.as_bytes());
    }

    /// Whether the peer answers within [`PROBE`].
    pub(super) async fn answers(&self) -> bool {
        let mut pongs = self.pongs.subscribe();
        // Answers count up: any that comes from now on is a sign of life.
        let asked = *pongs.borrow_and_update() + 1;
        let answer = async {
            self.words.send(Word::Ping(asked)).await.ok()?;
            pongs.changed().await.ok()
        };
        matches!(timeout(PROBE, answer).await, Ok(Some(())))
    }
}

/// Reads a link until it ends.
async fn run(live: Arc<Live>, hub: Arc<Hub>, (send, recv): Control, to_say: mpsc::Receiver<Word>) {
    let mut control = JoinSet::new();
    control.spawn(speak(send, to_say));
    control.spawn(listen(live.clone(), recv, hub.detection));
    let mut lanes = JoinSet::new();
    let error = loop {
        tokio::select! {
            stream = live.connection.accept_uni() => match stream {
                Ok(stream) => drop(lanes.spawn(read(live.clone(), hub.clone(), stream))),
                Err(error) => break error,
            },
            Some(_) = lanes.join_next() => {}
        }
    };
    // What had come before the end is still read.
    while lanes.join_next().await.is_some() {}
    hub.down(&live, why(&live, &error, hub.detection));
}

fn why(live: &Live, error: &ConnectionError, silence: Duration) -> String {
    live.closed.get().cloned().unwrap_or_else(|| Why::of(error, silence).text)
}

async fn speak(mut stream: SendStream, mut to_say: mpsc::Receiver<Word>) {
    while let Some(word) = to_say.recv().await {
        if write_word(&mut stream, &word).await.is_err() {
            return;
        }
    }
}

/// Hears what is said on the control stream.
async fn listen(live: Arc<Live>, mut stream: RecvStream, silence: Duration) {
    loop {
        match read_word(&mut stream, silence).await {
            Ok(Word::Ping(asked)) => drop(live.words.send(Word::Pong(asked)).await),
            Ok(Word::Pong(answered)) => drop(live.pongs.send_replace(answered)),
            Ok(Word::Greeting(_)) => return live.close(Code::Malformed, "it has greeted twice"),
            Err(Unread::Refused(refusal)) => return live.close(refusal.code, &refusal.text),
            Err(Unread::Ended(why)) => {
                if live.connection.close_reason().is_none() {
                    live.close(Code::Malformed, &why.text);
                }
                return;
            }
        }
    }
}

/// Reads one lane to its end.
async fn read(live: Arc<Live>, hub: Arc<Hub>, stream: RecvStream) {
    if let Err(lane::Unread::Malformed(text)) = read_frames(&live, &hub, stream).await {
        tracing::warn!("the link to {} is closed: {text}", hub.name(live.peer));
        live.close(Code::Malformed, &text);
    }
}

async fn read_frames(live: &Live, hub: &Hub, stream: RecvStream) -> Result<(), lane::Unread> {
    let mut reader = Reader::new(stream, hub.max_frame);
    let lane = reader.lane().await?;
    if !live.lanes.lock().unwrap_or_else(PoisonError::into_inner).insert(lane) {
        return Err(lane::Unread::Malformed(format!("the lane {lane:?} is opened twice")));
    }
    while let Some((frame, room)) = reader.frame().await? {
        hub.inbox.frame(live.peer, live.id, lane, frame, room);
    }
    Ok(())
}
