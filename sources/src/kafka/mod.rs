//! Kafka topics, read as a member of a consumer group.
//!
//! [`Topics`] are read by partition: each partition that the group assigns to this member is one of the source's, named
//! `topic/number`. What a record is, is up to the declaration: the value of a message as bytes, key and value, or the
//! whole message.
//!
//! ```text
//! config    which topics, how, from where on
//! inbox     what the client says, and what is this member's by that
//! member    membership in the group: the client, and the thread that serves it
//! begin     where partitions that were assigned begin
//! commit    commits of the group's offsets, and what became of them
//! known     what a run knows of its partitions, over all sources that are made in it
//! decide    whether transactions are open before the end of a bounded run
//! opened    one partition that is being read
//! form      what becomes of a message
//! marks     where the records of a batch stand
//! rest      whether the group is at rest; resting, what a member knows of that
//! orphans   partitions that a group has forgotten
//! source    what the engine asks for; within it assigned and revoked, what the group gives and takes away, commits, and
//!           parked, what one source leaves to the next
//! ```

mod begin;
mod commit;
mod config;
mod decide;
mod form;
mod inbox;
mod known;
mod marks;
mod member;
mod opened;
mod orphans;
mod rest;
mod resting;
mod source;
#[cfg(test)]
mod tests;

pub use config::{Expired, Fallback, Start, Topics};
pub use form::Form;
pub use source::KafkaSource;
