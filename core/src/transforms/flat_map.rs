//! `flat_map`: any number of rows of each.

use std::marker::PhantomData;
use std::sync::Arc;

use crate::contracts::{Emit, Faults, Make, Rows, Shape, each_row, mistyped};
use crate::data::{AnyColumn, Column, Data, View};

/// Looks at each row and makes any number of it.
pub struct FlatMap<U: ?Sized, B, F> {
    f: Arc<F>,
    types: PhantomData<fn(&U) -> B>,
}

impl<U: ?Sized, B, F> FlatMap<U, B, F> {
    /// Maps by `f`.
    pub fn new(f: Arc<F>) -> Self {
        Self { f, types: PhantomData }
    }
}

impl<U: View + ?Sized, B: Data, F: Fn(&U, &mut Emit<'_, B>) + Send + Sync> Make for FlatMap<U, B, F> {
    fn make(&mut self, from: &mut dyn AnyColumn, rows: &Rows, to: &mut dyn AnyColumn, faults: &mut Faults) -> Shape {
        let (Some(from), Some(to)) = (from.cast::<<U::Owned as Data>::Column>(), to.cast_mut::<B::Column>()) else {
            mistyped(rows, faults);
            return Shape::From(Vec::new());
        };
        let f = &*self.f;
        let mut index = Vec::with_capacity(rows.len());
        each_row(rows, faults, |row, _| {
            take_back(to, index.len());
            U::at(from, row as usize, |value| f(value, &mut Emit::new(to)));
            index.resize(to.len(), row);
        });
        take_back(to, index.len());
        Shape::From(index)
    }
}

/// What was emitted before a failure doesn't count: it is cut off before the next row.
pub(super) fn take_back<C: Column>(to: &mut C, whole: usize) {
    if to.len() > whole {
        drop(to.split_off(whole));
    }
}
