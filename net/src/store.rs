//! Checkpoint stores, a file each. Their contract is [`Store`](millstream_core::contracts::Store).

#[cfg(feature = "embedded")]
mod embedded;

#[cfg(feature = "embedded")]
pub use embedded::Embedded;
