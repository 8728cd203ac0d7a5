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

/// How many bytes are kept of a record that is refused because of its size.
pub(crate) const KEPT: usize = 64 << 10;

impl Limits {
    /// The largest record that a framing gives: places in a batch have 32 bits.
    pub(crate) fn framed(&self) -> usize {
        self.record.min(u32::MAX as usize - 1)
    }
}

/// As much of `data` as places in a batch can name, and whether the stream ends after that.
pub(crate) fn addressable(data: &[u8], at_end: bool) -> (&[u8], bool) {
    const MOST: usize = u32::MAX as usize;
    if data.len() > MOST { (&data[..MOST], false) } else { (data, at_end) }
}
