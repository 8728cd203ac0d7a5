//! Records that the program has at hand: [`List`].

mod source;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use millstream_core::contracts::{Commits, Ends, Places, SourceFactory, SourceTraits, Where};
use millstream_core::data::Data;

pub use source::ListSource;

/// A list of records, given in order: `List::new(vec!["a".to_owned(), "b".to_owned()])`.
///
/// The list is taken to be the same at each run: a position is an index into it, and a list of another length is
/// another list.
pub struct List<T> {
    items: Arc<[T]>,
}

impl<T> List<T> {
    /// These records.
    pub fn new(items: impl Into<Vec<T>>) -> Self {
        Self { items: items.into().into() }
    }
}

impl<T> Clone for List<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone() }
    }
}

impl<T: Data + Clone + Sync> SourceFactory for List<T> {
    type Source = ListSource<T>;

    fn traits(&self) -> SourceTraits {
        SourceTraits {
            kind: "LIST".into(),
            input: format!("a list of {} {}", self.items.len(), T::form()),
            identity: None,
            ends: Ends::Bounded,
            commits: Commits::Optimistic,
            keeps_positions: false,
            server: None,
            places: Places::Exclusive(Where::First),
            unacknowledged: None,
            resumable: true,
            visibility: None,
            blocking: false,
        }
    }

    fn make(&self) -> ListSource<T> {
        ListSource::new(self.items.clone())
    }
}
