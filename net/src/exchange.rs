//! The network stages of one instance at work.
//!
//! ```text
//! origin     where records began                     message    what instances tell each other beside records
//! piece      records on their way                    frame      both as bytes
//! outbox     an exit: deals, keeps copies, deals anew
//! merge      an entry that brings records together
//! view       who is here; when a run begins          teller     what people are told of that
//! node       one instance: composes the above; decides opening, loss and end. Pure: events in, acts out
//! settler    what tickets of pieces from elsewhere are settled with
//! local      what is said between the node and its ends
//! ends       the exits and entries that the runtime holds
//! actor      the task around the node: links, channels, time
//! ```

mod actor;
mod ends;
mod frame;
#[cfg(fuzzing)]
pub mod fuzzing;
mod local;
mod merge;
mod message;
mod node;
mod origin;
mod outbox;
mod piece;
mod settler;
mod teller;
mod view;

pub(crate) use actor::join;
pub(crate) use frame::{MAX_MESSAGES_FRAME, PROTOCOL};
pub(crate) use node::Limits;
pub(crate) use teller::OnWaiting;
