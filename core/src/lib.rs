//! The middle of Millstream: it imports no other package of the workspace, and all others import it.
#![warn(unreachable_pub)]

pub mod commit;
pub mod contracts;
pub mod data;
pub mod transforms;
pub mod declare;
pub mod plan;
pub mod runtime;
pub mod testkit;
