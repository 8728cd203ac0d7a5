//! Runs a graph: tasks, channels, commits, drain. It knows no connector, no coder and no planner; it sees what it runs as
//! a [`Graph`](crate::plan::Graph) and a table of [`Factory`](crate::plan::Factory).
//!
//! This module imports `data`, `commit`, `contracts` and `plan`; it never meets `declare`.

mod assembly;
mod channel;
mod committer;
mod control;
mod end;
mod fault;
mod fold;
mod gate;
mod job;
mod keep;
mod ledger;
mod letters;
mod map_async;
mod metrics;
mod nowhere;
mod parcel;
mod passing;
mod pump;
mod resolve;
mod run;
mod segment;
mod sink_end;
mod source_end;
mod summary;

pub use job::{Job, Settings};
pub use metrics::{Metrics, StageMetrics};
pub use run::{Running, start};
pub use summary::{Ended, Summary};
