//! `filter`: looks, and lets pass what came.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::contracts::{Faults, Look, Rows, each_row_with, mistyped};
use crate::data::{AnyColumn, Data, View};

/// Lets those rows live on for which `f` says so.
pub struct Filter<U: ?Sized, F> {
    f: Arc<F>,
    alive: Vec<u32>,
    view: PhantomData<fn(&U)>,
}

impl<U: ?Sized, F> Filter<U, F> {
    /// Filters by `f`.
    pub fn new(f: Arc<F>) -> Self {
        Self { f, alive: Vec::new(), view: PhantomData }
    }
}

impl<U: View + ?Sized, F: Fn(&U) -> bool + Send + Sync> Look for Filter<U, F> {
    fn look(&mut self, column: &dyn AnyColumn, rows: &mut Rows, faults: &mut Faults) {
        let Some(column) = column.cast::<<U::Owned as Data>::Column>() else { return mistyped(rows, faults) };
        let mut alive = std::mem::take(&mut self.alive);
        alive.resize(rows.len(), 0);
        let f = &*self.f;
        let mut passed = (&mut alive[..], 0);
        each_row_with(rows, faults, &mut passed, |(alive, count), row, _| {
            let passes = U::at(column, row as usize, f);
            // No branch on the answer: data decides it, and a wrong guess costs more than the store.
            if let Some(place) = alive.get_mut(*count) {
                *place = row;
            }
            *count += usize::from(passes);
        });
        let count = passed.1;
        alive.truncate(count);
        self.alive = rows.set(alive);
    }
}
