//! [`Promise`]: which delivery guarantee a pipeline has, and why.

use std::fmt;

/// A delivery guarantee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// What a crash leaves unread can't be read again; while it runs nothing is lost.
    WhileRunning,
    /// Every record arrives; after a crash some may arrive twice.
    AtLeastOnce,
    /// Every record arrives, and its effect is there once.
    ExactlyOnce,
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WhileRunning => "at-least-once while it runs",
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
        })
    }
}

/// The guarantee derived for a pipeline, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The guarantee.
    pub guarantee: Guarantee,
    /// Why, as half a sentence: `standard output can't take back what it printed`.
    pub reason: String,
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.guarantee, self.reason)
    }
}
