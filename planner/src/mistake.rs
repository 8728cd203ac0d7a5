//! [`Gather`]: all mistakes at once.

use millstream_core::plan::{Mistake, Mistakes, Stage};

/// The mistakes found so far.
#[derive(Default)]
pub(crate) struct Gather(Vec<Mistake>);

impl Gather {
    /// A mistake of the pipeline as a whole.
    pub(crate) fn general(&mut self, wrong: impl Into<String>, advice: impl Into<String>) {
        self.put(Mistake { stages: Vec::new(), line: None, wrong: wrong.into(), advice: advice.into() });
    }

    /// A mistake of these stages; the last is the one to change.
    pub(crate) fn of(&mut self, stages: &[&Stage], wrong: impl Into<String>, advice: impl Into<String>) {
        self.put(Mistake {
            stages: stages.iter().map(|stage| stage.name.clone()).collect(),
            line: stages.last().map(|stage| stage.line),
            wrong: wrong.into(),
            advice: advice.into(),
        });
    }

    /// A message of a connector about its own settings, which says what to do itself.
    pub(crate) fn setting(&mut self, stages: &[&Stage], message: String) {
        self.of(stages, message, "");
    }

    /// Whether there are none.
    pub(crate) fn none(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them; never empty.
    pub(crate) fn all(mut self) -> Mistakes {
        if self.0.is_empty() {
            self.general("no graph came of it, and no pass says why", "report this: it is a fault of the planner");
        }
        Mistakes(self.0)
    }

    /// Adds it unless it is known.
    pub(crate) fn put(&mut self, mistake: Mistake) {
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }
}
