//! Files: one that is replaced or kept exactly-once ([`Output::create`]), or one that is appended to
//! ([`Output::append`]).
//!
//! - `create` in a run without a state folder: records arrive in `.NAME.millstream-partial`, which replaces the output
//!   at the end. After a crash the old output is there, whole.
//! - `create` in a run with a state folder: records arrive in the output, which a restart cuts back to what was
//!   committed. Exactly-once: nothing is lost and nothing is doubled.
//! - `append`: records arrive behind what the output holds. At-least-once: after a crash what was not committed is
//!   appended again.
//!
//! With a state folder, `OUTPUT.millstream-positions` stands beside the output and says how much of it belongs to which
//! positions; its format is drawn in the module `held`. While an output is open, `.NAME.millstream-lock` keeps other
//! processes away from it. An output that is no regular file (a pipe, a device) is written to as it is, without any of
//! this.

mod append;
mod config;
mod held;
mod kept;
mod lock;
mod place;
mod replaced;
mod sink;

use std::path::PathBuf;

use millstream_core::contracts::{SinkFactory, SinkTraits, Where};

pub use config::Output;
pub use sink::FileSink;

use config::Begin;

impl SinkFactory for Output {
    type Sink = FileSink;

    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        let transactional = match (&self.begin, keeps_positions) {
            (Begin::Anew, true) => Ok(()),
            (Begin::Anew, false) => Err("without a state folder nothing tells how much of the output is there"),
            (Begin::AtEnd, _) => Err("what was appended to a file before a crash is appended again after it"),
        };
        SinkTraits {
            kind: "FILE".into(),
            output: self.describe(),
            place: Where::Last,
            ordered: true,
            positions_in: None,
            commits_at: None,
            durable_at_close: matches!(self.begin, Begin::Anew) && !keeps_positions,
            local_state: transactional.is_ok(),
            transactional: transactional.map_err(String::from),
            blocking: true,
        }
    }

    fn check(&self) -> Vec<String> {
        self.mistakes()
    }

    fn writes(&self) -> Option<PathBuf> {
        Some(self.path.clone())
    }

    fn make(&self) -> FileSink {
        FileSink::new(self.clone())
    }
}

#[cfg(test)]
mod tests;
