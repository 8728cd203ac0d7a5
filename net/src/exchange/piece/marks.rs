//! [`RemoteMarks`]: what is known of the places of records that began on another instance.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_core::data::{Marks, Position};

use super::{Reached, Span};
use crate::exchange::origin::Origin;

/// The marks of a span that began on another instance: they know the position that travelled with it, and what the
/// origin has answered since.
pub(super) struct RemoteMarks {
    origin: Arc<Origin>,
    first: u64,
    /// Whether there are none at all.
    nowhere: bool,
    /// The positions after so many records.
    known: Mutex<BTreeMap<u32, Option<Position>>>,
}

impl RemoteMarks {
    pub(super) fn of(span: &Span) -> Self {
        let known = match &span.reached {
            Reached::Unsaid | Reached::Nowhere => BTreeMap::new(),
            Reached::At(count, position) => BTreeMap::from([(*count, Some(position.clone()))]),
        };
        let nowhere = span.reached == Reached::Nowhere;
        Self { origin: span.origin.clone(), first: span.first, nowhere, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<u32, Option<Position>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks for RemoteMarks {
    fn position(&self, count: u32) -> Result<Option<Position>, String> {
        if self.nowhere {
            return Ok(None);
        }
        self.known().get(&count).cloned().ok_or_else(|| {
            let (sequence, origin) = (self.first + u64::from(count), &self.origin);
            format!("the position before record {sequence} of {origin} is not known here: ask its origin")
        })
    }

    fn knows(&self, count: u32) -> bool {
        self.nowhere || self.known().contains_key(&count)
    }

    fn learn(&self, count: u32, position: Option<Position>) {
        self.known().insert(count, position);
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        let Origin { partition, instance, .. } = &*self.origin;
        // As people count.
        format!("record {} of {partition}, read on instance {}", self.first + u64::from(index) + 1, instance + 1)
    }
}
