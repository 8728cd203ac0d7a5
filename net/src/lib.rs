//! What outlives or joins instances: the checkpoint stores that keep the positions of sources without a server to keep
//! them, and the exchange that makes one pipeline of identical instances.
//!
//! An exchange is one instance's side of the network stages: what leaves a part of the graph by an exit is dealt to an
//! instance that has room, kept until its outcome comes back, and dealt anew when that instance is lost; what comes in by
//! an entry is brought into the order of its origin where that is asked for. It reaches the others by core's contract for
//! links and knows nothing of QUIC, so that a simulation runs the same code on a network of its own.
//!
//! This package imports `millstream-core` and no other of the workspace; sources and sinks may import it.
//!
//! ```text
//! store      checkpoint stores
//! instances  what a program declares to run as one of several instances
//! exchange   the network stages at work: pure state machines, and the task around them
//! link       how instances reach each other: QUIC
//! amqp       how a broker of AMQP is reached, and what a message is
//! kafka      what the source and the sink of Kafka share
//! pieces     what their messages are made of between instances
//! testkit    for tests: a proxy that does to packets what networks do
//! ```
#![warn(unreachable_pub)]

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "instances")]
mod exchange;
#[cfg(feature = "instances")]
pub mod instances;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "instances")]
pub mod link;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod pieces;
pub mod store;
#[cfg(any(feature = "testkit", all(test, feature = "instances")))]
pub mod testkit;

#[cfg(all(fuzzing, feature = "instances"))]
#[doc(hidden)]
pub use exchange::fuzzing;

/// The coders of the messages that connectors share: each makes what stages look at of a whole message.
pub fn coders() -> Vec<millstream_core::contracts::Coder> {
    let all: &[fn() -> Vec<millstream_core::contracts::Coder>] = &[
        #[cfg(feature = "amqp")]
        amqp::coders,
        #[cfg(feature = "kafka")]
        kafka::coders,
    ];
    all.iter().flat_map(|coders| coders()).collect()
}
