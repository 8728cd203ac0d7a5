//! How instances reach each other: [`Peers`], a [`Network`](millstream_core::contracts::Network) over QUIC with mutual
//! TLS.
//!
//! Between each pair of instances there is one connection, which the one that stands first in the list dials. On it:
//!
//! ```text
//! one stream both ways    who is there, then now and then: are you there?      module `greeting`
//! one stream a lane       each way, opened when the lane is first used         module `lane`
//! ```
//!
//! TLS 1.3 only, no early data and no resumption: each connection shows both certificates anew. The application protocol
//! is `millstream/1`. A certificate carries the name `instance-N.millstream`, where N is the place in the list of peers,
//! from 1: addresses don't matter to it. A connection ends with a code that says why:
//!
//! ```text
//! 0 has left     1 given up      2 protocol    3 pipeline    4 peers    5 settings
//! 6 identity     7 runs already  8 malformed   9 replaced   10 silent
//! ```
//!
//! What stands where:
//!
//! ```text
//! peers      the declaration            certs      makes certificates        identity   reads and judges them
//! address    names and sockets          check      all mistakes at once      tls, quic  what QUIC and TLS are told
//! hub        what all tasks share       dial       reaches those behind      accept     lets in those before
//! greeting   the first words            live       one link that is up       lane       frames on a stream
//! inbox      what came in, in turn      links      what the exchange sees    why        errors in words
//! spare      memory for frames
//! ```

mod accept;
mod address;
mod certs;
mod check;
mod dial;
mod greeting;
mod hub;
mod identity;
mod inbox;
mod lane;
mod links;
mod live;
mod peers;
mod quic;
mod spare;
mod tls;
mod why;

pub use certs::Certs;
pub use peers::Peers;

#[cfg(test)]
mod tests;
