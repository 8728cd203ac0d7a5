//! `kafka::Topics` and `kafka::Topic` on a real broker.
//!
//! Records are numbers; that of partition p of n is the next that leaves p when divided by n, so that what a partition
//! holds, and in which order, follows from how many there are.

pub(crate) mod client;
mod conformance;
mod counts;
mod exactly_once;
mod faults;
mod letters;
mod members;
mod others;
mod policies;
mod reading;
mod reads;
mod rows;
mod tls;
mod waits;
