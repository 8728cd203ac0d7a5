//! [`Outcome`]: what became of a record.

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It arrived in the sink, or a filter let nothing of it through.
    Delivered,
    /// An error policy skipped it, or wrote it to the dead letters.
    Disposed,
    /// A fold took it in: it no longer counts as in flight, but a hold keeps the commit behind it.
    Absorbed,
    /// Nobody said what became of it: it has to run again, and meets no error policy.
    Abandoned,
}
