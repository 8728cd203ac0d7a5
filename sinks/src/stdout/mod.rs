//! Standard output ([`Stdout`]).
//!
//! What is printed is handed to the operating system at the end of each batch; it can't be taken back, and nobody says
//! whether it was read. A reader that goes away ends the run quietly.

mod sink;

use std::fmt;
use std::sync::Arc;

use millstream_core::contracts::{Framing, SinkFactory, SinkTraits, Where};

pub use sink::StdoutSink;

/// Standard output of this process.
#[derive(Clone)]
pub struct Stdout {
    framing: Arc<dyn Framing>,
}

impl Stdout {
    /// Records printed in this framing, such as lines.
    pub fn new(framing: impl Framing) -> Self {
        Self { framing: Arc::new(framing) }
    }
}

impl fmt::Debug for Stdout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stdout({})", self.framing.name())
    }
}

impl SinkFactory for Stdout {
    type Sink = StdoutSink;

    fn traits(&self, _: bool) -> SinkTraits {
        SinkTraits {
            kind: "STD-OUT".into(),
            output: format!("standard output ({})", self.framing.name()),
            place: Where::LastJoined,
            ordered: true,
            transactional: Err("standard output can't take back what it printed".into()),
            positions_in: None,
            commits_at: None,
            durable_at_close: false,
            local_state: false,
            blocking: true,
        }
    }

    fn make(&self) -> StdoutSink {
        StdoutSink::new(self.framing.writer())
    }
}

#[cfg(test)]
mod tests;
