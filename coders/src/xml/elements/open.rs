//! [`Open`]: the elements that are open outside records.

/// The names of the open elements, outermost first. They are part of every position, so they are bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Open {
    names: Vec<u8>,
    /// Where in `names` each begins.
    starts: Vec<u16>,
}

impl Open {
    /// The most bytes that the names may have together.
    pub(super) const NAMES: usize = 1_600;
    /// The most elements, whatever the limits say: with the names they have to fit into a position.
    pub(super) const DEPTH: usize = 128;

    pub(super) fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    pub(super) fn depth(&self) -> usize {
        self.starts.len()
    }

    /// The innermost.
    pub(super) fn last(&self) -> Option<&[u8]> {
        self.starts.last().map(|&start| &self.names[usize::from(start)..])
    }

    /// All, outermost first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.starts.iter().skip(1).map(|&end| usize::from(end)).chain([self.names.len()]);
        self.starts.iter().zip(ends).map(|(&start, end)| &self.names[usize::from(start)..end])
    }

    /// Opens one more; `None` if the names get too long.
    pub(super) fn push(&mut self, name: &[u8]) -> Option<()> {
        let start = u16::try_from(self.names.len()).ok().filter(|_| self.names.len() + name.len() <= Self::NAMES)?;
        self.starts.push(start);
        self.names.extend_from_slice(name);
        Some(())
    }

    pub(super) fn pop(&mut self) {
        if let Some(start) = self.starts.pop() {
            self.names.truncate(usize::from(start));
        }
    }
}
