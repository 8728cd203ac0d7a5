//! [`Original`]: a record as its source gave it, for dead letters.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::Column;

/// A record as its source gave it, whatever its type is; or nothing, where that is not kept.
#[derive(Clone, Default)]
pub struct Original(Option<Arc<dyn Any + Send + Sync>>);

impl Original {
    /// This record.
    pub fn new<T: Any + Send + Sync>(record: T) -> Self {
        Self(Some(Arc::new(record)))
    }

    /// The record, if it is kept and of this type.
    pub fn as_a<T: Any>(&self) -> Option<&T> {
        self.0.as_ref()?.downcast_ref()
    }
}

impl fmt::Debug for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Original(…)" } else { "Original" })
    }
}

/// Two are the same if they share the record, or both have none.
impl PartialEq for Original {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Eq for Original {}

/// The rows of a column as they were, kept as long as one of them may become a dead letter.
pub trait Originals: Send + Sync {
    /// The one in `row`.
    fn original(&self, row: usize) -> Original;
}

impl<C: Column<Item: Clone + Send + Sync + 'static>> Originals for C {
    fn original(&self, row: usize) -> Original {
        Original::new(self.with(row, Clone::clone))
    }
}
