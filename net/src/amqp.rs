//! AMQP 0.9.1: what a source and a sink of a broker share.
//!
//! ```text
//! broker      how a broker is reached: a URL or parts, TLS, heartbeat, backoff
//! url         amqp:// and amqps://, without ever repeating what may be secret
//! link        a connection that is open
//! reach       which of a host's addresses answers
//! stream      what the client reads from and writes to
//! shallow     what a broker sends, so that the client can read it
//! unfit       what AMQP can't say
//! utf8        bytes that are to be a text
//! backoff     how long to wait before the next try
//! declared    queues and exchanges that are declared when a pipeline starts
//! message     a message: properties, headers, routing, body
//! value       what a header may hold
//! coder       a message as its body
//! letter      a dead letter as a message
//! wire        a message between instances
//! wrong       what went wrong at the broker, classified
//! ```
//!
//! The client is `lapin`; its types reach the connectors in `sources` and `sinks`, and no user.

mod backoff;
mod broker;
mod coder;
mod declared;
mod letter;
mod link;
mod message;
mod reach;
mod shallow;
mod stream;
mod unfit;
mod url;
mod utf8;
mod value;
mod wire;
mod wrong;

pub use backoff::Backoff;
pub use broker::Broker;
pub use coder::coders;
pub use declared::{DeclaredExchange, DeclaredQueue, Kind};
pub use link::{Link, short};
pub use message::{Message, Messages, Properties};
pub use unfit::{Unfit, short as short_text};
pub use value::{Headers, Value};
pub use wrong::{Refusal, wrong};
