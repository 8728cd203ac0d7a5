//! The middle of Millstream: records, the builder, plans and graphs as data, contracts, commits, and the runtime. It
//! imports no other package of the workspace, and all others import it; it names no connector, no coder and no transport.
//!
//! # The modules
//!
//! ```text
//! data        what travels: values, columns, stamps, positions, batches
//! commit      what may be committed: tickets, the tracker, cuts; pure bookkeeping
//! contracts   what a source, a sink, a coder, a framing, a store, a clock, a network has to do
//! transforms  the loops of the built-in stages
//! plan        a pipeline as plain data: declared, in phases, as a graph
//! declare     the typed builder
//! runtime     runs a graph: tasks, channels, policies, commits, drain
//! testkit     for tests and authors of connectors
//! ```
//!
//! ```text
//! data  <-  commit  <-  contracts  <-  transforms, plan
//! data, contracts, transforms, plan  <-  declare
//! data, commit, contracts, plan      <-  runtime
//! all  <-  testkit
//! ```
//!
//! `declare` and `runtime` never meet: a [`plan::Graph`] and a table of factories stand between them, which the planner
//! makes of the one and the other runs. A test of the workspace (`tests/arrows.rs`) holds the `use` lines against this.
//!
//! # The life of one record
//!
//! 1. A [`Source`](contracts::Source) gives a [`Chunk`](contracts::Chunk): a column of values, with
//!    [`Marks`](data::Marks) that can turn a place in it into a [`Position`](data::Position).
//! 2. The partition's [`Tracker`](commit::Tracker) gives it sequence numbers and a slot, if its bounds in records and
//!    bytes have room: that is the backpressure. It becomes a [`Batch`](data::Batch), and with it travels a
//!    [`Ticket`](commit::Ticket), the source's claim to hear what becomes of each record.
//! 3. Tasks take the batch through their steps: in a segment, one call an operation and batch, and typed loops inside. A
//!    filter empties a batch and never removes it. A record that fails meets its stage's policy before it settles.
//! 4. The [`Sink`](contracts::Sink) takes the batch over, and the ticket settles: each record once, as
//!    [delivered](commit::Outcome::Delivered) or [disposed](commit::Outcome::Disposed). A ticket that is dropped means
//!    [abandoned](commit::Outcome::Abandoned). A fold [absorbs](commit::Outcome::Absorbed) what it takes in, holds the
//!    commit behind it, and is a new origin for what it emits.
//! 5. The tracker knows the contiguous prefix of what has settled, to the record. At a commit its end becomes a
//!    position, and then: the sink makes its data durable, the [`Store`](contracts::Store) keeps the position, the source
//!    acknowledges upstream. A sink that keeps positions with its data commits both at a [`Cut`](commit::Cut) instead.
//!
//! # Over several instances
//!
//! Network stages cut the graph into parts, and each instance runs those that are placed on it. A part ends in an
//! [`Exit`](contracts::Exit) where another follows: the batch goes to an instance that has room, and what the ticket owes
//! stays here. It comes into the next part by an [`Entry`](contracts::Entry), with a [`Claim`](contracts::Claim) in the
//! place of the source's. A merge brings records together by sequence number; that is why it is dense, and why an empty
//! batch travels on. Outcomes go back hop by hop: the part with the sink tells them once they are durable, each exit on
//! the way settles what it owes, and in the end the source's ticket settles as if all had happened here. What was dealt to
//! an instance that is lost is abandoned, and dealt anew.
//!
//! When sources open, close and end is decided by the [`Exchange`](contracts::Exchange), which the runtime is given and
//! follows; how instances reach each other is a [`Network`](contracts::Network).
//!
//! `docs/architecture.md` in the repository says why it is so.
#![warn(unreachable_pub)]

pub mod commit;
pub mod contracts;
pub mod data;
pub mod declare;
pub mod plan;
pub mod runtime;
pub mod testkit;
pub mod transforms;
