//! [`Hand`]: the forms at hand at one point of the pipeline.

use millstream_core::data::Form;
use millstream_core::plan::Slot;

use crate::paths::{At, Chain, Coders, NoChain, Origin};

/// The forms at hand: the current value, and the views made of it by coders that are still valid because nobody has
/// changed it since.
#[derive(Debug, Clone)]
pub(crate) struct Hand {
    held: Vec<Held>,
    current: usize,
}

/// A form at hand.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    /// The form, and what became of the value on the way to it.
    pub(crate) at: At,
    /// The column of the segment that has it.
    pub(crate) slot: Slot,
}

impl Held {
    /// Whether it is this form for a stage: what was made for network stages is none.
    fn is(&self, form: &Form) -> bool {
        self.at.form == *form && !self.at.origin.is_wire()
    }
}

impl Hand {
    /// Nothing but the current value.
    pub(crate) fn of(at: At, slot: Slot) -> Self {
        Self { held: vec![Held { at, slot }], current: 0 }
    }

    /// This form, if it is at hand for stages.
    pub(crate) fn find(&self, form: &Form) -> Option<&Held> {
        self.held.iter().find(|held| held.is(form))
    }

    /// Exactly this, if it is at hand.
    pub(crate) fn find_exactly(&self, at: &At) -> Option<&Held> {
        self.held.iter().find(|held| held.at == *at)
    }

    /// What is at hand, the current value first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &At> {
        self.held.iter().map(|held| &held.at)
    }

    /// The current value.
    pub(crate) fn current(&self) -> &Held {
        &self.held[self.current]
    }

    /// Form number `index`, as chains name their beginning.
    pub(crate) fn at(&self, index: usize) -> &Held {
        &self.held[index]
    }

    /// The chain that makes `form`; an empty one if it is at hand.
    pub(crate) fn reach(&self, form: &Form, coders: &Coders) -> Result<Chain, NoChain> {
        match self.held.iter().position(|held| held.is(form)) {
            Some(start) => Ok(Chain { start, ..Chain::default() }),
            None => coders.cheapest(&self.ats(), form),
        }
    }

    /// The chain that makes exactly this for a network stage; an empty one if it is at hand.
    pub(crate) fn reach_exactly(&self, at: &At, coders: &Coders) -> Result<Chain, NoChain> {
        match self.held.iter().position(|held| held.at == *at) {
            Some(start) => Ok(Chain { start, ..Chain::default() }),
            None => coders.to_exactly(&self.ats(), at),
        }
    }

    fn ats(&self) -> Vec<At> {
        self.all().cloned().collect()
    }

    /// Adds a view of the current value.
    pub(crate) fn add(&mut self, at: At, slot: Slot) {
        let known = if at.origin.is_wire() { self.find_exactly(&at) } else { self.find(&at.form) };
        if known.is_none() {
            self.held.push(Held { at, slot });
        }
    }

    /// The names of the forms at hand, the current one first, with what they were encoded from.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |held: &Held| match &held.at.origin {
            Origin::Encoded(from, _) => format!("[{}] (encoded from [{from}])", held.at.form),
            Origin::Wired(from, _) => format!("[{from}]"),
            Origin::Plain | Origin::Sides(_) => format!("[{}]", held.at.form),
        };
        let others = self.held.iter().enumerate().filter(|(i, _)| *i != self.current).map(|(_, held)| held);
        let mut names: Vec<String> = std::iter::once(self.current()).chain(others).map(name).collect();
        // A value and the bytes that carried it are told by one name.
        names.dedup();
        names
    }
}
