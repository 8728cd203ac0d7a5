//! What outlives or joins instances: the checkpoint stores that keep the positions of sources without a server to keep
//! them.
//!
//! This package imports `millstream-core` and no other of the workspace; sources and sinks may import it.
#![warn(unreachable_pub)]

pub mod store;
