//! `apply`: a [`Transform`] of the user's own.

use super::flat_map::take_back;
use crate::contracts::{Emit, Faults, Make, Rows, Shape, Transform, each_row, mistyped};
use crate::data::{AnyColumn, Column, Data};

/// Runs a user's own transform.
pub struct Apply<X>(X);

impl<X> Apply<X> {
    /// Runs `transform`.
    pub fn new(transform: X) -> Self {
        Self(transform)
    }
}

impl<X: Transform> Make for Apply<X> {
    fn make(&mut self, from: &mut dyn AnyColumn, rows: &Rows, to: &mut dyn AnyColumn, faults: &mut Faults) -> Shape {
        let from = from.cast_mut::<<X::In as Data>::Column>();
        let (Some(from), Some(to)) = (from, to.cast_mut::<<X::Out as Data>::Column>()) else {
            mistyped(rows, faults);
            return Shape::From(Vec::new());
        };
        let mut index = Vec::with_capacity(rows.len());
        let mut values = from.drain();
        let mut passed = 0;
        each_row(rows, faults, |row, faults| {
            take_back(to, index.len());
            let gap = row - passed;
            passed = row + 1;
            let Some(value) = values.nth(gap as usize) else { return };
            match self.0.apply(value, &mut Emit::new(to)) {
                Ok(()) => index.resize(to.len(), row),
                Err(error) => faults.push((row, error)),
            }
        });
        take_back(to, index.len());
        Shape::From(index)
    }
}
