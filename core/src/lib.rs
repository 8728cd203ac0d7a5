//! The middle of Millstream: it imports no other package of the workspace, and all others import it.
#![warn(unreachable_pub)]

pub mod commit;
pub mod contracts;
pub mod data;
