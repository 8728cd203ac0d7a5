//! Where Millstream's records go: a folder a connector, each behind its feature.
//!
//! This package imports `millstream-core`, may import `millstream-net`, and imports no other of the workspace. It never
//! sees a source, and it knows framings and compressions only by core's contracts.
#![warn(unreachable_pub)]

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "collect")]
pub mod collect;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "null")]
pub mod null;
#[cfg(feature = "stdout")]
pub mod stdout;

#[cfg(any(feature = "file", feature = "stdout"))]
mod gather;
#[cfg(any(feature = "file", feature = "stdout"))]
mod runs;
#[cfg(test)]
#[allow(dead_code, reason = "each connector's tests use a part of it, and each feature is built alone")]
mod support;
