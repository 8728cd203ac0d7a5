//! What may be committed: pure bookkeeping, with no clock, no I/O and no tasks.
//!
//! This module imports `data` alone.

mod cut;
mod outcome;
mod owed;
mod ranges;
mod ticket;
mod tracker;

pub use cut::Cut;
pub use outcome::Outcome;
pub use owed::Owed;
pub use ranges::Ranges;
pub use ticket::{Burial, Hold, HoldId, Note, RemoteHold, Settle, Share, Ticket};
pub use tracker::{Blocking, Bounds, Point, Tracker};
