//! [`Cut`]: when a sink that keeps positions with its data may commit.

/// A sink that stores positions in one transaction with its data commits only at a cut: it is fed no further than a
/// batch's end, every outcome of what it was fed is awaited, and then it is handed the positions. This decides when;
/// the caller feeds, waits and commits.
#[derive(Debug, Default)]
pub struct Cut {
    asked: bool,
    fed: u64,
    settled: u64,
    committed: u64,
}

impl Cut {
    /// Nothing fed.
    pub fn new() -> Self {
        Self::default()
    }

    /// A commit is wanted: from now on nothing is fed until it is done.
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// Whether the sink may be given the next batch.
    pub fn may_feed(&self) -> bool {
        !self.asked
    }

    /// The sink was given a batch.
    pub fn fed(&mut self) {
        debug_assert!(self.may_feed(), "a sink is not fed past a cut");
        self.fed += 1;
    }

    /// All outcomes of one batch that the sink was given are known.
    pub fn settled(&mut self) {
        debug_assert!(self.settled < self.fed, "only what was fed settles");
        self.settled += 1;
    }

    /// Whether everything the sink was given has settled, so that the prefix describes exactly what it holds.
    pub fn is_ready(&self) -> bool {
        self.asked && self.settled == self.fed
    }

    /// The positions are stored. Returns how many batches the commit covers.
    pub fn committed(&mut self) -> u64 {
        debug_assert!(self.is_ready(), "a commit waits for the cut");
        self.asked = false;
        let covered = self.settled - self.committed;
        self.committed = self.settled;
        covered
    }
}

#[cfg(test)]
mod tests;
