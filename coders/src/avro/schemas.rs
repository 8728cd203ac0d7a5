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

    /// Remembers it. Returns the one that says the same if there is one; nothing if another is known by its identity:
    /// whoever wants to can make such a schema, and have values read by the wrong one.
    pub(crate) fn meet(&self, schema: Schema) -> Option<Schema> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.by_identity.get(&schema.identity()) {
            return (*same == schema).then(|| same.clone());
        }
        if known.met.len() == MOST
            && let Some(oldest) = known.met.pop_front()
        {
            known.by_identity.remove(&oldest);
        }
        known.met.push_back(schema.identity());
        known.by_identity.insert(schema.identity(), schema.clone());
        Some(schema)
    }

    pub(crate) fn get(&self, identity: u64) -> Option<Schema> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_identity.get(&identity).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Schema, Schemas};

    fn of(doc: &str, size: usize) -> Schema {
        format!(r#"{{"type":"fixed","name":"F","size":{size},"doc":"{doc}"}}"#).parse().unwrap()
    }

    /// A doc by which a schema of this size has the identity of another: of letters that differ in one bit, chosen by
    /// elimination, since a CRC is linear in bits.
    fn forged(size: usize, wanted: u64) -> String {
        let mut doc = vec![b'a'; 80];
        let identity = |doc: &[u8]| of(std::str::from_utf8(doc).unwrap(), size).identity();
        let without = identity(&doc);
        // What each letter changes, and which letters came to it.
        let mut rows: Vec<(u64, u128)> = Vec::new();
        let reduced = |mut change: u64, mut letters: u128, rows: &[(u64, u128)]| {
            for (other, with) in rows {
                if change ^ other < change {
                    (change, letters) = (change ^ other, letters ^ with);
                }
            }
            (change, letters)
        };
        for at in 0..doc.len() {
            doc[at] = b'c';
            let row = reduced(identity(&doc) ^ without, 1 << at, &rows);
            doc[at] = b'a';
            if row.0 != 0 {
                rows.push(row);
                rows.sort_unstable_by_key(|(change, _)| std::cmp::Reverse(*change));
            }
        }
        let (left, letters) = reduced(wanted ^ without, 0, &rows);
        assert_eq!(left, 0);
        for (at, letter) in doc.iter_mut().enumerate() {
            *letter = if letters >> at & 1 == 1 { b'c' } else { b'a' };
        }
        String::from_utf8(doc).unwrap()
    }

    #[test]
    fn a_schema_is_not_taken_for_another_of_the_same_identity() {
        let good = of("good", 4);
        let bad = of(&forged(5, good.identity()), 5);
        assert_eq!(bad.identity(), good.identity());
        assert_ne!(bad, good);
        let schemas = Schemas::default();
        assert_eq!(schemas.meet(bad.clone()), Some(bad));
        assert_eq!(schemas.meet(good.clone()), None);
        let again = Schemas::default();
        assert_eq!(again.meet(good.clone()), Some(good.clone()));
        assert_eq!(again.meet(of("good", 4)), Some(good));
    }
}
