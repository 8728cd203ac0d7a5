//! Sources for Millstream, one folder a connector, each behind the feature of its name.
//!
//! Imports `millstream-core` (and `millstream-net` where a source and a sink share a connection's settings) and no other
//! package of the workspace: framing and compression are passed in, as core's contracts.

#[cfg(any(feature = "file", feature = "stdin"))]
mod blocks;
#[cfg(any(feature = "file", feature = "stdin"))]
#[cfg_attr(not(feature = "file"), allow(dead_code, reason = "only files go back to where they stood"))]
mod frames;

#[cfg(feature = "amqp")]
pub mod amqp;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "generate")]
pub mod generate;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(feature = "list")]
pub mod list;
#[cfg(feature = "stdin")]
pub mod stdin;

#[cfg(all(test, any(feature = "file", feature = "generate", feature = "list", feature = "stdin")))]
mod testing;
