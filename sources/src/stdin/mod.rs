//! Standard input: [`Stdin`].

mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use millstream_core::contracts::{Commits, Ends, Framing, Places, SourceFactory, SourceTraits, Where};

pub use source::StdinSource;

/// What the program is given on standard input: `Stdin::new(framing)`.
///
/// It has no positions: what has been read can't be read again. Records come as soon as they are there, however few. A
/// thread of its own does the reading; it is ahead by 512 KiB at most, and doesn't keep the process from exiting. What
/// it has read ahead is lost to any other reader of standard input: there should be one such source in a process.
#[derive(Clone)]
pub struct Stdin {
    framing: Arc<dyn Framing>,
}

impl Stdin {
    /// The records that `framing` finds in standard input.
    pub fn new(framing: impl Framing) -> Self {
        Self { framing: Arc::new(framing) }
    }
}

impl SourceFactory for Stdin {
    type Source = StdinSource;

    fn traits(&self) -> SourceTraits {
        SourceTraits {
            kind: "STD-IN".into(),
            input: format!("standard input; {}", self.framing.name()),
            identity: None,
            ends: Ends::Bounded,
            commits: Commits::None,
            keeps_positions: false,
            server: None,
            places: Places::Exclusive(Where::First),
            unacknowledged: None,
            resumable: true,
            visibility: None,
            blocking: false,
        }
    }

    fn make(&self) -> StdinSource {
        StdinSource::new(self.framing.clone(), std::io::stdin())
    }
}
