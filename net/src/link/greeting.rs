//! The first words on a link, and what is made of them. The dialer opens one stream both ways, the control stream:
//!
//! ```text
//! preamble, each way    "MLSTRM" | protocol: u16 LE                8 bytes
//! words, each way       length: u32 LE | postcard(Word)            length at most 64 KiB
//!
//! dialer    preamble  Greeting                    then Ping and Pong, by either side
//! listener            preamble  Greeting
//! ```
//!
//! Whoever doesn't like a greeting closes the connection, with a code and a text that says why. The preamble is read
//! before anything else and stays as it is in all versions.

use millstream_core::contracts::{Hello, PeerId};
use quinn::{ReadExactError, RecvStream, SendStream, WriteError};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::why::{Code, Verdict, Why};
use crate::exchange::PROTOCOL;

const MAGIC: &[u8; 6] = b"MLSTRM";
/// The longest word in bytes.
const MAX_WORD: usize = 64 << 10;
/// How much of a stage is shown where two plans differ, in characters.
const SHOWN: usize = 120;

/// What is said on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    /// Who is there.
    Greeting(Greeting),
    /// Are you there?
    Ping(u64),
    /// The answer, with the number of the question.
    Pong(u64),
}

/// Who is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// The list of peers.
    pub(super) peers: Vec<String>,
    /// The sender's place in it.
    pub(super) instance: u16,
    /// The place of the one that the sender means to speak to.
    pub(super) to: u16,
    /// When the sender started, in microseconds since the Unix epoch: those of one instance rise.
    pub(super) epoch: u64,
    /// The latest epoch of the other that the sender has met; 0: none.
    pub(super) met: u64,
    pub(super) started: i64,
    pub(super) pipeline: String,
    pub(super) plan: String,
    /// The longest frame.
    pub(super) max_frame: u64,
}

/// A greeting that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) text: String,
}

/// An instance, for people.
pub(super) fn named(peers: &[String], peer: PeerId) -> String {
    match peers.get(peer) {
        Some(name) => format!("instance {} ({name})", peer + 1),
        None => format!("instance {}", peer + 1),
    }
}

impl Greeting {
    /// What an instance says of itself; whom it says it to comes later.
    pub(super) fn new(hello: Hello, peers: Vec<String>, max_frame: usize) -> Result<Self, String> {
        let greeting = Self {
            peers,
            instance: u16::try_from(hello.instance).unwrap_or(u16::MAX),
            to: 0,
            epoch: hello.epoch,
            met: u64::MAX,
            started: hello.started,
            pipeline: hello.pipeline,
            plan: hello.plan,
            max_frame: max_frame as u64,
        };
        let bytes = postcard::to_stdvec(&Word::Greeting(greeting.clone())).map_or(usize::MAX - 2, |bytes| bytes.len());
        // Places in the list take up to two bytes more than the one that stands there now.
        if bytes + 2 > MAX_WORD {
            return Err(format!(
                "the plan in words and the list of peers have {bytes} bytes, and more than {MAX_WORD} don't fit into a \
                 greeting: shorten the names of stages"
            ));
        }
        Ok(greeting)
    }

    /// `met`: the latest epoch of the peer that was met.
    pub(super) fn to(&self, peer: PeerId, met: u64) -> Self {
        Self { to: u16::try_from(peer).unwrap_or(u16::MAX), met, ..self.clone() }
    }

    pub(super) fn hello(self) -> Hello {
        Hello {
            pipeline: self.pipeline,
            plan: self.plan,
            instance: usize::from(self.instance),
            epoch: self.epoch,
            started: self.started,
        }
    }

    fn me(&self) -> String {
        named(&self.peers, usize::from(self.instance))
    }

    /// Judges what another says. `shown`: the instances that its certificate is made out to, if it had to show one.
    pub(super) fn judge(&self, other: &Self, shown: Option<&[PeerId]>) -> Result<(), Refusal> {
        let refuse = |code, text| Err(Refusal { code, text });
        if let Some(text) = self.other_list(other) {
            return refuse(Code::Peers, text);
        }
        if let Some(text) = self.other_instance(other, shown) {
            return refuse(Code::Identity, text);
        }
        if let Some(text) = self.other_plan(other) {
            return refuse(Code::Pipeline, text);
        }
        if self.max_frame != other.max_frame {
            let (me, them, mine, theirs) = (self.me(), other.me(), self.max_frame, other.max_frame);
            let text =
                format!("the longest frame is {mine} bytes on {me} and {theirs} on {them}: set the same for all");
            return refuse(Code::Settings, text);
        }
        Ok(())
    }

    /// Judges the epoch of another, of which this one was met before, and its own by what the other has met. Records of an
    /// epoch that is not above all before it would be taken for old ones, and dropped.
    pub(super) fn judge_epochs(&self, other: &Self, met: u64) -> Result<(), Refusal> {
        let (who, here, before) = match () {
            () if other.epoch < met => (other, other.epoch, met),
            () if self.epoch < other.met => (self, self.epoch, other.met),
            () => return Ok(()),
        };
        let behind = Duration::from_micros(before - here);
        let text = format!(
            "a process of {} was here that started {behind:?} later than this one says: its clock was set back. Set it \
             right and start it again, or stop all instances and start them again",
            who.me()
        );
        Err(Refusal { code: Code::Clock, text })
    }

    fn other_list(&self, other: &Self) -> Option<String> {
        let (me, them) = (self.me(), other.me());
        let (mine, theirs) = (self.peers.len(), other.peers.len());
        if let Some(at) = (0..mine.min(theirs)).find(|at| self.peers[*at] != other.peers[*at]) {
            let (mine, theirs) = (&self.peers[at], &other.peers[at]);
            let place = at + 1;
            return Some(format!(
                "the lists of peers differ: place {place} is {mine} on {me} and {theirs} on {them}; give all the same list"
            ));
        }
        (mine != theirs).then(|| {
            format!("the lists of peers differ: {me} has {mine} of them, {them} has {theirs}; give all the same list")
        })
    }

    fn other_instance(&self, other: &Self, shown: Option<&[PeerId]>) -> Option<String> {
        let instance = usize::from(other.instance);
        if instance >= self.peers.len() {
            return Some(format!("there is no instance {}: the list has {} peers", instance + 1, self.peers.len()));
        }
        if let Some(shown) = shown
            && !shown.contains(&instance)
        {
            let shown: Vec<String> = shown.iter().map(|peer| named(&self.peers, *peer)).collect();
            let (them, shown) = (other.me(), shown.join(", "));
            return Some(format!("it says that it is {them}, and its certificate is made out to {shown}"));
        }
        (other.to != self.instance).then(|| {
            let meant = named(&self.peers, usize::from(other.to));
            format!("{} meant to reach {meant}, and has reached {}: check its address", other.me(), self.me())
        })
    }

    fn other_plan(&self, other: &Self) -> Option<String> {
        let (me, them) = (self.me(), other.me());
        if self.pipeline != other.pipeline {
            let (mine, theirs) = (&self.pipeline, &other.pipeline);
            return Some(format!("{me} runs the pipeline `{}`, {them} runs `{}`", around(mine, 0), around(theirs, 0)));
        }
        let differs = difference(&self.plan, &other.plan, &me, &them)?;
        Some(format!("the plans differ: {differs}; run the same program with the same settings everywhere"))
    }
}

/// Where two plans differ first, stage by stage; `None`: they don't.
fn difference(mine: &str, theirs: &str, me: &str, them: &str) -> Option<String> {
    if mine == theirs {
        return None;
    }
    let (mine, theirs): (Vec<_>, Vec<_>) = (mine.split(" >> ").collect(), theirs.split(" >> ").collect());
    if let Some(at) = (0..mine.len().min(theirs.len())).find(|at| mine[*at] != theirs[*at]) {
        let (mine, theirs) = (mine[at], theirs[at]);
        let same = mine.chars().zip(theirs.chars()).take_while(|(a, b)| a == b).count();
        let (mine, theirs) = (around(mine, same), around(theirs, same));
        return Some(format!("stage {} is `{mine}` on {me} and `{theirs}` on {them}", at + 1));
    }
    let (longer, who) = if mine.len() > theirs.len() { (&mine, me) } else { (&theirs, them) };
    let at = mine.len().min(theirs.len());
    Some(format!("{who} has a stage {} behind all that the other has: `{}`", at + 1, around(longer[at], 0)))
}

/// A text cut down to what stands around this character.
fn around(text: &str, at: usize) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let from = at.saturating_sub(SHOWN / 3);
    let (before, after) = (if from > 0 { "…" } else { "" }, if from + SHOWN < text.chars().count() { "…" } else { "" });
    format!("{before}{}{after}", text.chars().skip(from).take(SHOWN).collect::<String>())
}

/// Speaks first.
pub(super) async fn write_preamble(stream: &mut SendStream) -> Result<(), WriteError> {
    let [low, high] = PROTOCOL.to_le_bytes();
    let [a, b, c, d, e, f] = *MAGIC;
    stream.write_all(&[a, b, c, d, e, f, low, high]).await
}

/// Says one word.
pub(super) async fn write_word(stream: &mut SendStream, word: &Word) -> Result<(), WriteError> {
    let mut bytes = vec![0; 4];
    // A word is plain data, and serializing that into memory can't fail.
    bytes = postcard::to_extend(word, bytes).unwrap_or_default();
    let length = u32::try_from(bytes.len().saturating_sub(4)).unwrap_or(u32::MAX);
    if let Some(head) = bytes.get_mut(..4) {
        head.copy_from_slice(&length.to_le_bytes());
    }
    stream.write_all(&bytes).await
}

/// Why a word could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// The connection is no more.
    Ended(Why),
    /// What came is not a word: the connection has to be closed.
    Refused(Refusal),
}

impl Unread {
    fn of(error: &ReadExactError, silence: Duration) -> Self {
        Self::Ended(match error {
            ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error)) => Why::of(error, silence),
            _ => Why { verdict: Verdict::Lost, text: "it has closed the control stream".to_owned() },
        })
    }

    fn malformed(text: impl Into<String>) -> Self {
        Self::Refused(Refusal { code: Code::Malformed, text: text.into() })
    }
}

/// Reads what a peer says first.
pub(super) async fn read_preamble(stream: &mut RecvStream, silence: Duration) -> Result<(), Unread> {
    let mut bytes = [0; 8];
    stream.read_exact(&mut bytes).await.map_err(|error| Unread::of(&error, silence))?;
    let [magic @ .., low, high] = bytes;
    if magic != *MAGIC {
        return Err(Unread::malformed("this is not the protocol of Millstream"));
    }
    match u16::from_le_bytes([low, high]) {
        PROTOCOL => Ok(()),
        other => Err(Unread::Refused(Refusal {
            code: Code::Protocol,
            text: format!(
                "the two speak different versions of the protocol, {other} and {PROTOCOL}: run the same version of the \
                 program everywhere"
            ),
        })),
    }
}

/// Reads one word. Not to be dropped before it is done.
pub(super) async fn read_word(stream: &mut RecvStream, silence: Duration) -> Result<Word, Unread> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.map_err(|error| Unread::of(&error, silence))?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_WORD {
        return Err(Unread::malformed(format!("a word of {length} bytes is longer than any may be ({MAX_WORD})")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.map_err(|error| Unread::of(&error, silence))?;
    postcard::from_bytes(&bytes).map_err(|error| Unread::malformed(format!("a word can't be read ({error})")))
}

#[cfg(test)]
mod tests;
