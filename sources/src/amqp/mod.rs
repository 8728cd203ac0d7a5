//! Queues of a broker that speaks AMQP 0.9.1, such as RabbitMQ: [`Queue`].
//!
//! A partition is what one channel brings: it opens with the channel's first message, and closes when the channel is lost.
//! The delivery tags of a channel count its messages from 1, so record `n` of the partition has the tag `n + 1`. They die
//! with the channel: what was not acknowledged on it comes again on another, and what is acknowledged late is dropped.
//!
//! ```text
//! config      which queue, and how it is read
//! source      reads, acknowledges, reconnects
//! record      what becomes of a message: its body, or the whole
//! times       when a message happened
//! tags        which acknowledgements say what has settled
//! ages        how old what is in flight is
//! buffer      what has come and was not taken, and since when
//! tries       how often it was tried to connect in vain
//! ```

mod ages;
mod buffer;
mod config;
mod record;
mod source;
mod tags;
mod times;
mod tries;

pub use config::Queue;
pub use record::Record;
pub use source::QueueSource;
