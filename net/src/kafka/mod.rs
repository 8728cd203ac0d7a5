//! What the Kafka source and the Kafka sink share: the settings of a cluster, the message, how positions are written, and
//! what librdkafka's errors mean.
//!
//! ```text
//! cluster   brokers and properties; which of them the engine owns
//! message   a message as data that travels
//! column    how a batch of messages is stored
//! coder     from a message to its value
//! letter    a dead letter as a message
//! wire      a message between instances
//! position  how far a partition has been read, as bytes
//! failure   what went wrong: by whom, and whether it is worth a retry
//! group     what a source and a sink of one group share
//! questions where the brokers are asked what has to be waited for
//! said      what the client library says: into the log, and the last of it for errors
//! ```

mod cluster;
mod coder;
mod column;
mod failure;
mod group;
mod letter;
mod message;
mod position;
mod questions;
mod said;
mod wire;

pub use cluster::{Cluster, Role};
pub use coder::coders;
pub use column::{MessageColumn, MessageView};
pub use failure::{Meaning, failed, meaning};
pub use group::{Committing, Group, Metadata};
pub use message::{Header, Message, Origin};
pub use position::{Place, cluster_of, decode, encode, listed, marked, partition_name, split_name};
pub use questions::{Answer, Questions, thread, unanswered};
pub use said::Said;
