//! `map`, `try_map` and `map_ref`: one row of each.

use std::error::Error;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::contracts::{Faults, Make, Panicked, Rows, Shape, each_row, mistyped};
use crate::data::{AnyColumn, Column, Data, View};

/// Takes each row by value and makes one of it.
pub struct Map<A, B, F> {
    f: Arc<F>,
    types: PhantomData<fn(A) -> B>,
}

impl<A, B, F> Map<A, B, F> {
    /// Maps by `f`.
    pub fn new(f: Arc<F>) -> Self {
        Self { f, types: PhantomData }
    }
}

impl<A: Data, B: Data, F: Fn(A) -> B + Send + Sync> Make for Map<A, B, F> {
    fn make(&mut self, from: &mut dyn AnyColumn, rows: &Rows, to: &mut dyn AnyColumn, faults: &mut Faults) -> Shape {
        let f = &*self.f;
        take_all::<A, B>(from, rows, to, faults, f)
    }
}

/// Like [`Map`], but `f` may fail.
pub struct TryMap<A, B, F> {
    f: Arc<F>,
    types: PhantomData<fn(A) -> B>,
}

impl<A, B, F> TryMap<A, B, F> {
    /// Maps by `f`.
    pub fn new(f: Arc<F>) -> Self {
        Self { f, types: PhantomData }
    }
}

impl<A, B, E, F> Make for TryMap<A, B, F>
where
    A: Data,
    B: Data,
    E: Into<Box<dyn Error + Send + Sync>>,
    F: Fn(A) -> Result<B, E> + Send + Sync,
{
    fn make(&mut self, from: &mut dyn AnyColumn, rows: &Rows, to: &mut dyn AnyColumn, faults: &mut Faults) -> Shape {
        let f = &*self.f;
        take_each::<A, B>(from, rows, to, faults, |value| f(value).map_err(Into::into))
    }
}

/// Looks at each row and makes one of it.
pub struct MapRef<U: ?Sized, B, F> {
    f: Arc<F>,
    types: PhantomData<fn(&U) -> B>,
}

impl<U: ?Sized, B, F> MapRef<U, B, F> {
    /// Maps by `f`.
    pub fn new(f: Arc<F>) -> Self {
        Self { f, types: PhantomData }
    }
}

impl<U: View + ?Sized, B: Data, F: Fn(&U) -> B + Send + Sync> Make for MapRef<U, B, F> {
    fn make(&mut self, from: &mut dyn AnyColumn, rows: &Rows, to: &mut dyn AnyColumn, faults: &mut Faults) -> Shape {
        let (Some(from), Some(to)) = (from.cast::<<U::Owned as Data>::Column>(), to.cast_mut::<B::Column>()) else {
            mistyped(rows, faults);
            return Shape::OneEach;
        };
        let f = &*self.f;
        each_row(rows, faults, |row, _| to.push(U::at(from, row as usize, f)));
        Shape::OneEach
    }
}

/// Takes the living rows of `from` by value, in order.
pub(super) fn take_each<A: Data, B: Data>(
    from: &mut dyn AnyColumn,
    rows: &Rows,
    to: &mut dyn AnyColumn,
    faults: &mut Faults,
    f: impl Fn(A) -> Result<B, Box<dyn Error + Send + Sync>>,
) -> Shape {
    let (Some(from), Some(to)) = (from.cast_mut::<A::Column>(), to.cast_mut::<B::Column>()) else {
        mistyped(rows, faults);
        return Shape::OneEach;
    };
    let mut values = living(from, rows);
    each_row(rows, faults, |row, faults| match values.next().map(&f) {
        Some(Ok(made)) => to.push(made),
        Some(Err(error)) => faults.push((row, error)),
        None => {}
    });
    Shape::OneEach
}

/// The living rows by value, in order. The others are left out beforehand: taking and dropping them one by one makes
/// each of them for nothing.
fn living<C: Column>(column: &mut C, rows: &Rows) -> impl Iterator<Item = C::Item> {
    if let Some(alive) = rows.partial() {
        column.select(alive);
    }
    column.drain()
}

/// Like [`take_each`], for what can't fail but by a panic: the rows are added in one go.
fn take_all<A: Data, B: Data>(
    from: &mut dyn AnyColumn,
    rows: &Rows,
    to: &mut dyn AnyColumn,
    faults: &mut Faults,
    f: impl Fn(A) -> B,
) -> Shape {
    let (Some(from), Some(to)) = (from.cast_mut::<A::Column>(), to.cast_mut::<B::Column>()) else {
        mistyped(rows, faults);
        return Shape::OneEach;
    };
    let mut values = living(from, rows);
    let mut taken = 0;
    // Once more after each panic, and so no more often than there are rows.
    for _ in 0..=rows.len() {
        let counted = |value| {
            taken += 1;
            f(value)
        };
        let run = catch_unwind(AssertUnwindSafe(|| to.extend(values.by_ref().map(counted))));
        let Err(payload) = run else { break };
        faults.push((rows.at(taken.max(1) - 1), Box::new(Panicked::new(payload))));
    }
    Shape::OneEach
}
