//! [`Exchange`]: the network stages at work, as the runtime sees them.
//!
//! ```text
//!   runtime of one instance                             exchange of that instance
//!   part with the source  --[Exit]-->  split  ~~~ links ~~~  merge  --[Entry]-->  part with the sink
//!                         <-- Order -- [`Crossing::orders`]
//!                          -- Report --> [`Crossing::reports`]
//! ```
//!
//! A part of the graph is what stands between two network stages. Batches leave it by an [`Exit`] and come into the next
//! by an [`Entry`]; the two know nothing of instances. What became of records goes back by the [`Settle`] of their
//! claims, hop by hop. The exchange decides *when* sources open, close and end; the runtime does it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::source::BoxFuture;
use super::{Checkpoint, Clock, PeerId, Result};
use crate::commit::{Note, Settle, Ticket};
use crate::data::{Batch, Partition, Position, Shared};

/// What a network stage does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetKind {
    /// Deals batches to the instances that have room.
    Split,
    /// Deals each key to its instance.
    SplitByKey,
    /// Brings records together on one instance, in the order of each origin.
    MergeSort,
    /// Brings records together on one instance, as they come.
    Merge,
}

/// How a network stage that restores order puts records of different origins. Those of one keep theirs in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// Origins take turns.
    Any,
    /// By event time.
    EventTime {
        /// How long it waits at most for an origin that has nothing.
        idle: Duration,
    },
    /// What the folds of all instances emit, by when the first record came that each row is made of
    /// ([`Shared::turns`]): as one fold would emit it.
    FirstRecord,
}

/// One network stage, as it works in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// Its name, for people: `NET-SPLIT`.
    pub name: String,
    /// What it does.
    pub kind: NetKind,
    /// The instances that the part before it runs on.
    pub from: Vec<PeerId>,
    /// The instances that the part behind it runs on.
    pub to: Vec<PeerId>,
    /// Whether records begin in the part before it: it has the source, or a fold.
    pub begins: bool,
    /// Whether it is a fold that they begin in last: nobody claims its partition.
    pub by_fold: bool,
    /// Whether the part behind it keeps something of what came in: it has the sink or a fold, or it is a merge.
    pub anchors: bool,
    /// Whether a fold stands in the part behind it: what it has taken in is lost with its instance.
    pub folds: bool,
    /// How it orders records of different origins, where it restores order.
    pub across: Across,
    /// Whether positions travel with the records, because the sink keeps them with its data.
    pub positions: bool,
}

/// What the exchange has to know of a run.
pub struct About {
    /// The pipeline's name.
    pub pipeline: String,
    /// What the pipeline does; see [`Hello::plan`](super::Hello::plan).
    pub plan: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A declared exchange: how the instances of a run reach each other. Declaring one opens nothing.
pub trait Exchange: Send + Sync + 'static {
    /// The names of the instances, in the order that is the same for all.
    fn peers(&self) -> Vec<String>;

    /// Which of them this is: what the [`Roll`] says once it has joined.
    fn me(&self) -> PeerId;

    /// What is wrong with its settings, one message each with what to do; found before anything is opened.
    fn check(&self) -> Vec<String>;

    /// Joins the others. Waits until the run has begun: all have joined, or one that is here already says so.
    fn join(&self, about: About) -> BoxFuture<'_, Result<Box<dyn Joined>>>;
}

/// An instance that has joined a run.
pub trait Joined: Send {
    /// The instances.
    fn roll(&self) -> Roll;

    /// Begins the network stages. `source` says where the source may run and whether its broker can move it.
    fn begin(self: Box<Self>, hops: Vec<Hop>, source: SourcePlace) -> Crossing;
}

/// The instances of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roll {
    /// Which of them this is.
    pub me: PeerId,
    /// Their names, in the order that is the same for all.
    pub peers: Vec<String>,
    /// The one that joined last, for as long as the run lives.
    pub last_joined: PeerId,
    /// The epoch of this one: those of its folds are not below it.
    pub epoch: u64,
}

/// Where a source may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePlace {
    /// The instances that have it.
    pub on: Vec<PeerId>,
    /// Whether its broker gives it to another when this one gives it up.
    pub movable: bool,
    /// Whether it claims partitions before it asks where to begin: its broker deals them out among several instances, and the
    /// sink keeps their positions with its data.
    pub claims_first: bool,
}

/// The ends of the network stages on one instance.
pub struct Crossing {
    /// Where records come in, by network stage; `None` where the part behind it doesn't run here.
    pub entries: Vec<Option<Box<dyn Entry>>>,
    /// Where records go out, by network stage; `None` where the part before it doesn't run here.
    pub exits: Vec<Option<Box<dyn ExitFactory>>>,
    /// What the runtime is told to do.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// What the runtime has done.
    pub reports: mpsc::UnboundedSender<Report>,
    /// What the records of this instance met with, as it stands.
    pub traffic: watch::Receiver<Traffic>,
}

/// What the records of one instance met with between instances, counted since its run began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Links that were lost.
    pub lost_links: u64,
    /// Times that the source was opened anew.
    pub reopened: u64,
    /// Times that a merge froze what began on an instance that was not reached.
    pub frozen: u64,
    /// Records that were dealt anew.
    pub redealt: u64,
    /// Records that were handed back, because their merge was lost or to make room.
    pub handed_back: u64,
    /// Records that were dropped before they passed a merge, because their origin was closed.
    pub discarded: u64,
    /// Records that passed a merge again, because what it had passed them to let go of them.
    pub replayed: u64,
    /// Records that passed a merge by event time late: it had given up waiting for them.
    pub passed_late: u64,
    /// Records and outcomes that came when they counted no more: dropped.
    pub late: u64,
}

/// Where records come into a part.
pub trait Entry: Send {
    /// The next thing to happen. May be dropped at any time.
    fn next(&mut self) -> BoxFuture<'_, Arrival>;
}

/// What comes in by an [`Entry`].
pub enum Arrival {
    /// Records, and the claim to hear what becomes of them.
    Batch(Batch, Claim),
    /// Nothing more comes: all that was sent here has been acknowledged, or taken in by a fold. `drained`: the input goes
    /// on when the run does; a fold without a trigger emits nothing then.
    End {
        /// Whether the run was asked to end here.
        drained: bool,
    },
    /// The part is dropped as it stands.
    Gone,
}

/// Who hears what becomes of a batch that came in. Sent again, the same records come under the same slot.
#[derive(Clone)]
pub struct Claim {
    /// The origin, one for all batches of the same origin and entry.
    pub origin: Arc<dyn Settle>,
    /// The batch, for that origin.
    pub slot: u64,
}

/// Makes the exit of a part, anew each time the part begins anew: what a former one still held is given up.
pub trait ExitFactory: Send {
    /// Makes it.
    fn make(&mut self) -> Box<dyn Exit>;
}

/// Where records leave a part.
pub trait Exit: Send {
    /// Waits until there is room for another batch. May be dropped at any time.
    fn ready(&mut self) -> BoxFuture<'_, ()>;

    /// Sends a batch of bytes, or of pairs of bytes.
    fn send(&mut self, batch: Batch, ticket: Ticket);

    /// Nothing more is sent. Dropped without it, the part has failed or was given up.
    fn end(&mut self);
}

/// What the runtime is told to do.
pub enum Order {
    /// Open the source and begin its part, as this epoch. `held`: the positions that the sink keeps with its data, which
    /// win over the store; `None`: the sink keeps none.
    Open {
        /// Stamps carry it.
        epoch: u64,
        /// Where the sink stands.
        held: Option<Vec<Checkpoint>>,
        /// Where partitions are [claimed first](SourcePlace::claims_first), those that were claimed before the sink said so:
        /// nothing that others have read of them is written any more, unless another claims them. Of a partition that has
        /// come since, see [`Report::Reopen`].
        claimed: Vec<Partition>,
    },
    /// Drop the source's part as it stands: it is opened again later. Answered by [`Report::Closed`].
    Close {
        /// Close the source, too: its broker may give what it reads to another instance meanwhile. A source that isn't
        /// closed is about to be opened again.
        gives_up: bool,
    },
    /// The source reads no more; what is in flight goes through.
    Drain,
    /// The source's part has ended, and nothing it waits for will come any more (a fold holds the commit): commit what
    /// may be committed, and say [`Report::Committed`].
    Finish,
    /// A limit ends the run before this record: the commit goes so far and no further.
    Seal {
        /// The partition of the source.
        partition: Partition,
        /// The epoch.
        epoch: u64,
        /// The record's sequence number.
        sequence: u64,
    },
    /// Drop the part behind this network stage as it stands and begin it anew: its fold starts afresh. Answered by
    /// [`Report::Anew`].
    Anew {
        /// The network stage.
        hop: usize,
    },
    /// Make durable what the sink has, and say which positions it holds. Answered by [`Report::Settled`].
    Settle {
        /// Names the question.
        id: u64,
    },
    /// Say what the position before this record is. Answered by [`Report::Located`].
    Locate {
        /// Names the question.
        id: u64,
        /// The partition of the source.
        partition: Partition,
        /// The epoch.
        epoch: u64,
        /// The record's sequence number.
        sequence: u64,
    },
    /// Write a dead letter of this record, durably. Answered by [`Report::Buried`].
    Bury {
        /// Names the question.
        id: u64,
        /// The batch that the record came in.
        shared: Arc<Shared>,
        /// The record of the span.
        record: u32,
        /// What is to be told.
        note: Note,
    },
    /// Where a record of the sink's part stands, as its origin has answered.
    Placed {
        /// Names the question of [`Report::Locate`].
        id: u64,
        /// The position, if it can be told.
        position: Option<Position>,
    },
    /// All parts of all instances have ended, or the run has failed elsewhere.
    Over(Result<()>),
}

/// What the runtime has done, or asks for.
pub enum Report {
    /// The part behind this network stage is open: its sink has recovered, its folds are empty.
    Ready {
        /// The network stage.
        hop: usize,
    },
    /// The source is open, with these partitions.
    Opened {
        /// The partitions.
        partitions: Vec<Partition>,
    },
    /// The source has got another partition.
    Claimed {
        /// The partition.
        partition: Partition,
    },
    /// Whatever this origin emits from this record on is no earlier.
    Promised {
        /// The network stage before the part that it begins in; `None`: it is of the source.
        hop: Option<usize>,
        /// The first record that it holds for.
        at: OriginAt,
        /// The event time in microseconds since the Unix epoch, or the turn where what it emits has those
        /// ([`Shared::turns`]).
        from: i64,
    },
    /// The source has given a partition up: another instance may have it.
    Unclaimed {
        /// The partition.
        partition: Partition,
    },
    /// The source reads nothing more until it is opened anew. It has got back a partition that it had given up since it was
    /// opened: its records have to be of another epoch, so that nobody takes them for those that it had before. Or it has a
    /// partition that others may have read on since the sink said where it stands.
    Reopen {
        /// The partitions that it has beside those that were told.
        gained: Vec<Partition>,
    },
    /// The source's part is dropped.
    Closed,
    /// The part behind this network stage is dropped and has begun anew.
    Anew {
        /// The network stage.
        hop: usize,
    },
    /// The source's part has ended, and all that it may commit is committed.
    Committed,
    /// The part behind this network stage has ended, and its sink is closed.
    Ended {
        /// The network stage.
        hop: usize,
    },
    /// A limit in the part behind this network stage has ended the run: each origin's first record that is not in it.
    Limited {
        /// The network stage.
        hop: usize,
        /// The first record that didn't pass the limit, of each origin that came in.
        seals: Vec<OriginAt>,
    },
    /// The answer to [`Order::Settle`].
    Settled {
        /// The question.
        id: u64,
        /// What the sink holds; `None` if it keeps no positions.
        held: Option<Vec<Checkpoint>>,
    },
    /// The answer to [`Order::Locate`].
    Located {
        /// The question.
        id: u64,
        /// The position, if the source has any.
        position: Option<Position>,
    },
    /// The answer to [`Order::Bury`].
    Buried {
        /// The question.
        id: u64,
        /// Whether the letter is durable, or why not.
        buried: Result<(), String>,
    },
    /// The sink's part has to know the position before a record. Answered by [`Order::Placed`].
    Locate {
        /// Names the question.
        id: u64,
        /// The record.
        at: OriginAt,
    },
    /// This instance was asked to end.
    Drain,
    /// Something failed here: the run ends everywhere.
    Failed {
        /// What, for people.
        why: String,
    },
}

/// A record, by its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginAt {
    /// The instance that the origin is on.
    pub instance: u16,
    /// The stage.
    pub stage: Arc<str>,
    /// The partition.
    pub partition: Partition,
    /// The epoch.
    pub epoch: u64,
    /// The sequence number.
    pub sequence: u64,
}
