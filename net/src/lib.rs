//! What outlives or joins instances: the checkpoint stores that keep the positions of sources without a server to keep
//! them, and the exchange that makes one pipeline of identical instances.
//!
//! This package imports `millstream-core` and no other of the workspace; sources and sinks may import it.
//!
//! ```text
//! store      checkpoint stores
//! instances  what a program declares to run as one of several instances
//! exchange   the network stages at work: pure state machines, and the task around them
//! link       how instances reach each other: QUIC
//! testkit    for tests: a proxy that does to packets what networks do
//! ```
#![warn(unreachable_pub)]

#[cfg(feature = "instances")]
mod exchange;
#[cfg(feature = "instances")]
pub mod instances;
#[cfg(feature = "instances")]
pub mod link;
pub mod store;
#[cfg(any(feature = "testkit", all(test, feature = "instances")))]
pub mod testkit;

#[cfg(all(fuzzing, feature = "instances"))]
#[doc(hidden)]
pub use exchange::fuzzing;
