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

impl Hand {
    /// Nothing but the current value.
    pub(crate) fn of(at: At, slot: Slot) -> Self {
        Self { held: vec![Held { at, slot }], current: 0 }
    }

    /// This form, if it is at hand.
    pub(crate) fn find(&self, form: &Form) -> Option<&Held> {
        self.held.iter().find(|held| held.at.form == *form)
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
        if let Some(start) = self.held.iter().position(|held| held.at.form == *form) {
            return Ok(Chain { start, ..Chain::default() });
        }
        let from: Vec<At> = self.held.iter().map(|held| held.at.clone()).collect();
        coders.cheapest(&from, form)
    }

    /// Adds a view of the current value.
    pub(crate) fn add(&mut self, at: At, slot: Slot) {
        if self.find(&at.form).is_none() {
            self.held.push(Held { at, slot });
        }
    }

    /// The names of the forms at hand, the current one first, with what they were encoded from.
    pub(crate) fn names(&self) -> Vec<String> {
        let name = |held: &Held| match &held.at.origin {
            Origin::Encoded(from, _) => format!("[{}] (encoded from [{from}])", held.at.form),
            Origin::Plain | Origin::Sides(_) => format!("[{}]", held.at.form),
        };
        let others = self.held.iter().enumerate().filter(|(i, _)| *i != self.current).map(|(_, held)| held);
        std::iter::once(self.current()).chain(others).map(name).collect()
    }
}
