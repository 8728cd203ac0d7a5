//! [`Kv`]: a key and a value, stored side by side so that each can be coded by itself.

use std::sync::Arc;

use super::form::{BothSides, BothSidesMut};
use super::{AnyColumn, Column, Data, Form, Sides};

/// A key and a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kv<K, V> {
    /// The key.
    pub key: K,
    /// The value.
    pub value: V,
}

impl<K, V> Kv<K, V> {
    /// A pair.
    pub fn new(key: K, value: V) -> Self {
        Self { key, value }
    }
}

impl<K: Data + Clone, V: Data + Clone> Data for Kv<K, V> {
    const NAME: &'static str = "Kv";
    type Column = KvColumn<K, V>;

    fn form() -> Form {
        let (key, value) = (K::form(), V::form());
        let name = format!("Kv<{key}, {value}>");
        let sides = Sides {
            key,
            value,
            split: KvColumn::<K, V>::split,
            join: KvColumn::<K, V>::join,
            look: KvColumn::<K, V>::look,
            fill: KvColumn::<K, V>::fill,
            copy_keys: copy::<K>,
            copy_values: copy::<V>,
        };
        Form::of::<Self>(name.into(), Some(Arc::new(sides)))
    }
}

/// Keys beside values.
pub struct KvColumn<K: Data, V: Data> {
    /// The keys.
    pub keys: K::Column,
    /// The values, as many as there are keys.
    pub values: V::Column,
}

impl<K: Data, V: Data> Default for KvColumn<K, V> {
    fn default() -> Self {
        Self { keys: K::Column::default(), values: V::Column::default() }
    }
}

impl<K: Data + Clone, V: Data + Clone> KvColumn<K, V> {
    fn split(column: Box<dyn AnyColumn>) -> (Box<dyn AnyColumn>, Box<dyn AnyColumn>) {
        let column = column.into_any().downcast::<Self>().expect("the plan calls it with this form's own column");
        (Box::new(column.keys), Box::new(column.values))
    }

    fn join(keys: Box<dyn AnyColumn>, values: Box<dyn AnyColumn>) -> Box<dyn AnyColumn> {
        let keys = keys.into_any().downcast::<K::Column>().expect("the plan calls it with a column of the key's form");
        let values =
            values.into_any().downcast::<V::Column>().expect("the plan calls it with a column of the value's form");
        debug_assert_eq!(keys.len(), values.len(), "a pair has both sides");
        Box::new(Self { keys: *keys, values: *values })
    }

    fn look(column: &dyn AnyColumn) -> Option<BothSides<'_>> {
        let column = column.cast::<Self>()?;
        Some((&column.keys, &column.values))
    }

    fn fill(column: &mut dyn AnyColumn) -> Option<BothSidesMut<'_>> {
        let column = column.cast_mut::<Self>()?;
        Some((&mut column.keys, &mut column.values))
    }
}

fn copy<T: Data + Clone>(from: &dyn AnyColumn, to: &mut dyn AnyColumn) {
    if let (Some(from), Some(to)) = (from.cast::<T::Column>(), to.cast_mut::<T::Column>()) {
        (0..from.len()).for_each(|row| to.push(from.with(row, T::clone)));
    }
}

impl<K: Data + Clone, V: Data + Clone> Column for KvColumn<K, V> {
    type Item = Kv<K, V>;

    fn len(&self) -> usize {
        self.keys.len()
    }

    fn push(&mut self, item: Kv<K, V>) {
        self.keys.push(item.key);
        self.values.push(item.value);
    }

    fn with<R>(&self, row: usize, look: impl FnOnce(&Kv<K, V>) -> R) -> R {
        let pair = Kv { key: self.keys.with(row, K::clone), value: self.values.with(row, V::clone) };
        look(&pair)
    }

    fn drain(&mut self) -> impl Iterator<Item = Kv<K, V>> + '_ {
        self.keys.drain().zip(self.values.drain()).map(|(key, value)| Kv { key, value })
    }

    fn select(&mut self, rows: &[u32]) {
        self.keys.select(rows);
        self.values.select(rows);
    }

    fn split_off(&mut self, row: usize) -> Self {
        Self { keys: self.keys.split_off(row), values: self.values.split_off(row) }
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
    }

    fn weight(&self) -> usize {
        self.keys.weight() + self.values.weight()
    }
}

#[cfg(test)]
mod tests;
