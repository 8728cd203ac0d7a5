//! Runs a graph: tasks, channels, commits, drain. It knows no connector, no coder and no planner; it sees what it runs as
//! a [`Graph`](crate::plan::Graph) and a table of [`Factory`](crate::plan::Factory).
//!
//! This module imports `data`, `commit`, `contracts` and `plan`; it never meets `declare`.

mod alone;
mod arrivals;
mod assembly;
mod backoff;
mod behind;
mod channel;
mod committer;
mod control;
mod end;
mod entry_end;
mod exit_end;
mod fault;
mod fold;
mod gate;
mod instance;
mod job;
mod keep;
mod kept;
mod ledger;
mod letters;
mod locator;
mod map_async;
mod metrics;
mod nowhere;
mod open_sink;
mod origin;
mod parcel;
mod part;
mod passing;
mod prefix;
mod promises;
mod pump;
mod resolve;
mod run;
mod running;
mod segment;
mod setup;
mod sink_end;
mod source_end;
mod steps;
mod summary;
mod tally;
mod turns;
mod upstream;

pub use job::{Job, Settings};
pub use metrics::{Metrics, StageMetrics};
pub use run::start;
pub use running::Running;
pub use summary::{Ended, Summary};
