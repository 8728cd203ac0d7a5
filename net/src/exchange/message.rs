//! [`Message`]: what instances tell each other beside records.

use millstream_core::commit::{Outcome, RemoteHold};
use millstream_core::contracts::{Checkpoint, Key};
use millstream_core::data::{Partition, Position};
use serde::{Deserialize, Serialize};

use super::origin::Origin;

/// The most bytes of a text for people, 64 KiB: an error may be of any length, and a frame of messages is not.
const MAX_TEXT: usize = 64 << 10;

/// As much of a text for people as travels.
pub(crate) fn short(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    format!("{} … ({} bytes in all)", &text[..text.floor_char_boundary(MAX_TEXT)], text.len())
}

/// A position as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WirePosition {
    /// What the source wrote; at most [`Position::MAX_BYTES`].
    pub(crate) bytes: Vec<u8>,
    /// For people.
    pub(crate) label: String,
}

/// A checkpoint as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireCheckpoint {
    pub(crate) pipeline: String,
    pub(crate) stage: String,
    pub(crate) partition: String,
    pub(crate) position: WirePosition,
}

/// An origin as it travels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct WireOrigin {
    pub(crate) instance: u16,
    pub(crate) stage: String,
    pub(crate) partition: String,
    pub(crate) epoch: u64,
}

/// A run, as those know it who are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Told apart from every other run.
    pub(crate) id: u64,
    /// The instance that joined last when it began.
    pub(crate) last_joined: u16,
}

/// A hold that was granted on another instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct WireHold {
    pub(crate) holder: u16,
    pub(crate) epoch: u64,
    pub(crate) id: u64,
    /// The record that it is on, by sequence number at its origin.
    pub(crate) record: u64,
}

/// What became of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum WireOutcome {
    Delivered,
    Disposed,
    Absorbed,
    Abandoned,
}

/// What instances tell each other, beside records. Unless said otherwise it goes over the control lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The first word on a link: the run that the sender is in, if it is in one.
    Welcome { run: Option<Run> },
    /// The run has begun.
    Begun { run: Run },
    /// The instances that the sender reaches, itself among them.
    Reach { peers: Vec<u16> },
    /// The part behind network stage `hop` is open on the sender. Another `anchor` than before: what it had taken in is
    /// lost, and origins have to open anew.
    Ready { hop: u16, anchor: u64 },
    /// The sender's source wants to open as this epoch; older ones are over.
    Open { epoch: u64 },
    /// To an origin: the answer, with the positions that the sink keeps. `more`: others follow.
    Opened { epoch: u64, hop: u16, held: Option<Vec<WireCheckpoint>>, more: bool },
    /// To anchors: the sender's source, in this epoch, has these partitions; whoever had them before has them no more.
    Claim { epoch: u64, partitions: Vec<String> },
    /// To an origin: another instance has claimed this partition.
    Fenced { epoch: u64, partition: String },
    /// To an origin: all holds of the sender with an id below this are given back, and these.
    Release { below: u64, holds: Vec<u64> },
    /// A limit ends the run before this record. Told to all, who drop what is beyond, and tell it again with `Limited`.
    Seal { at: WireOrigin, sequence: u64 },
    /// A limit has ended the run: a source that was not sealed commits what may be committed, and ends. Whoever hears it
    /// tells all others, who may be cut off from where the limit is.
    Limited,
    /// To an origin: what is the position before this record?
    Locate { id: u64, at: WireOrigin, sequence: u64 },
    /// The answer.
    Located { id: u64, position: Option<WirePosition> },
    /// All that the sender's part before network stage `hop` ever sent is acknowledged, or taken in by a fold, and
    /// nothing more comes of it: for good, or (`paused`) until it opens anew. While all drain a fold in the sink's part says
    /// so of the one beyond the last.
    Drained { hop: u16, paused: bool },
    /// All that the sender may commit is committed.
    Done,
    /// The sender wants to leave, and can't before all sources have been drained: none reads on.
    Quiesce,
    /// The sender wants no more work.
    Leaving,
    /// To one that is leaving: it gets no more work from the sender.
    Spared,
    /// The run has failed on this instance. Whoever hears it ends with it, and tells all others, the sender too: who says so
    /// knows.
    Failed { on: u16, why: String },
    /// To feeders of a merge: it waits for this record of this origin, and it alone can go on; or for none of it any more.
    Need { hop: u16, origin: WireOrigin, sequence: Option<u64> },
    /// So many more bytes may be sent over network stage `hop`.
    Grant { hop: u16, bytes: u64 },
    /// Over the outcomes lane: what became of records of the piece `tag` of network stage `hop`.
    Outcome { hop: u16, tag: u64, from: u64, to: u64, outcome: WireOutcome, holds: Vec<WireHold> },
    /// Over the outcomes lane: a dead letter is asked for.
    Bury { hop: u16, tag: u64, record: u64, id: u64, letters: u32, stage: String, reason: String },
    /// Over the outcomes lane: the answer; `None`: it is durable.
    Buried { id: u64, failed: Option<String> },
    /// To a merge that compares records of different origins: nothing of this one, which is the sender's, from this
    /// record on is earlier by event time, or has a lower turn.
    Promise { hop: u16, origin: WireOrigin, sequence: u64, from: i64 },
    /// To an anchor: the sender's source may open as this epoch once what came of older ones, and what others had sent of
    /// what it has claimed, has settled: say so.
    Ask { epoch: u64 },
}

impl WirePosition {
    pub(crate) fn of(position: &Position) -> Self {
        Self { bytes: position.bytes().to_vec(), label: position.label().to_owned() }
    }

    /// `None` if it is longer than any may be.
    pub(crate) fn position(self) -> Option<Position> {
        Position::new(self.bytes, self.label).ok()
    }
}

impl WireCheckpoint {
    pub(crate) fn of(checkpoint: &Checkpoint) -> Self {
        let key = &checkpoint.key;
        Self {
            pipeline: key.pipeline.clone(),
            stage: key.stage.clone(),
            partition: key.partition.name().to_owned(),
            position: WirePosition::of(&checkpoint.position),
        }
    }

    pub(crate) fn checkpoint(&self) -> Option<Checkpoint> {
        let Self { pipeline, stage, partition, position } = self.clone();
        let key = Key { pipeline, stage, partition: Partition::new(partition) };
        Some(Checkpoint { key, position: position.position()? })
    }
}

impl WireHold {
    pub(crate) fn of(hold: RemoteHold, record: u64) -> Self {
        let RemoteHold { holder, epoch, id } = hold;
        Self { holder, epoch, id, record }
    }
}

impl WireOutcome {
    pub(crate) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered => Self::Delivered,
            Outcome::Disposed => Self::Disposed,
            Outcome::Absorbed => Self::Absorbed,
            Outcome::Abandoned => Self::Abandoned,
        }
    }

    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Delivered => Outcome::Delivered,
            Self::Disposed => Outcome::Disposed,
            Self::Absorbed => Outcome::Absorbed,
            Self::Abandoned => Outcome::Abandoned,
        }
    }
}

impl WireOrigin {
    pub(crate) fn of(origin: &Origin) -> Self {
        let Origin { instance, stage, partition, epoch } = origin.clone();
        Self { instance, stage: stage.to_string(), partition: partition.name().to_owned(), epoch }
    }

    pub(crate) fn origin(&self) -> Origin {
        let Self { instance, stage, partition, epoch } = self;
        Origin {
            instance: *instance,
            stage: stage.as_str().into(),
            partition: Partition::new(partition),
            epoch: *epoch,
        }
    }
}
