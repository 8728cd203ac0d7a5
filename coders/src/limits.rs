//! [`Limits`]: what is taken from outside is bounded in every length and depth.

/// The most that is taken of what comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of one record in bytes; 16 MiB by default. More memory is needed in proportion.
    pub record: usize,
    /// How deep elements, objects and arrays may be nested; 128 by default.
    pub depth: usize,
    /// How many attributes one XML element may have; 256 by default.
    pub attributes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { record: 16 << 20, depth: 128, attributes: 256 }
    }
}
