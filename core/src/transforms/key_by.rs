//! `key_by`: each row with its key.

use std::marker::PhantomData;
use std::sync::Arc;

use super::map::take_each;
use crate::contracts::{Faults, Make, Rows, Shape};
use crate::data::{AnyColumn, Data, Kv};

/// Puts a key beside each row.
pub struct KeyBy<K, T, F> {
    f: Arc<F>,
    types: PhantomData<fn(&T) -> K>,
}

impl<K, T, F> KeyBy<K, T, F> {
    /// The key is what `f` says.
    pub fn new(f: Arc<F>) -> Self {
        Self { f, types: PhantomData }
    }
}

impl<K: Data + Clone, T: Data + Clone, F: Fn(&T) -> K + Send + Sync> Make for KeyBy<K, T, F> {
    fn make(&mut self, from: &mut dyn AnyColumn, rows: &Rows, to: &mut dyn AnyColumn, faults: &mut Faults) -> Shape {
        let f = &*self.f;
        take_each::<T, Kv<K, T>>(from, rows, to, faults, |value| Ok(Kv { key: f(&value), value }))
    }
}
