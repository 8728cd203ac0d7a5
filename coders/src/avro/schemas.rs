//! [`Schemas`]: the schemas that a pipeline has met, by what its records call them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::Schema;

/// How many are remembered of those that came from outside.
const MOST: usize = 1024;

/// Shared by those who read schemas and those who need them.
#[derive(Clone, Default)]
pub(crate) struct Schemas(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    by_identity: HashMap<u64, Schema>,
    /// Those that came from outside, the oldest first.
    met: VecDeque<u64>,
}

impl Schemas {
    /// Never forgets it.
    pub(crate) fn keep(&self, schema: &Schema) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.met.retain(|met| *met != schema.identity());
        known.by_identity.insert(schema.identity(), schema.clone());
    }

    /// Remembers it. Returns the one that says the same if there is one.
    pub(crate) fn meet(&self, schema: Schema) -> Schema {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.by_identity.get(&schema.identity()) {
            return same.clone();
        }
        if known.met.len() == MOST
            && let Some(oldest) = known.met.pop_front()
        {
            known.by_identity.remove(&oldest);
        }
        known.met.push_back(schema.identity());
        known.by_identity.insert(schema.identity(), schema.clone());
        schema
    }

    pub(crate) fn get(&self, identity: u64) -> Option<Schema> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_identity.get(&identity).cloned()
    }
}
