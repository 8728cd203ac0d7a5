//! How the values of a batch are stored.

use std::any::Any;
use std::sync::Arc;

use super::Originals;

/// The values of a batch, in order. Rows are numbered from 0.
pub trait Column: Default + Send + Sync + 'static {
    /// What is stored.
    type Item;

    /// How many rows there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a row at the end.
    fn push(&mut self, item: Self::Item);

    /// Adds rows at the end. When `items` panics, those that it gave before are rows.
    fn extend(&mut self, items: impl Iterator<Item = Self::Item>) {
        items.for_each(|item| self.push(item));
    }

    /// Calls `look` with the value in `row`.
    fn with<R>(&self, row: usize, look: impl FnOnce(&Self::Item) -> R) -> R;

    /// Takes the values out in order; what is not taken is dropped. The column is empty afterwards.
    fn drain(&mut self) -> impl Iterator<Item = Self::Item> + '_;

    /// Keeps only these rows: ascending, none twice.
    fn select(&mut self, rows: &[u32]);

    /// Cuts the column before `row` and returns the rest.
    fn split_off(&mut self, row: usize) -> Self;

    /// Forgets all rows, keeping what can be used again.
    fn clear(&mut self);

    /// About how many bytes of memory the rows hold.
    fn weight(&self) -> usize;

    /// The rows as they are now, for dead letters that want more of a record than its bytes: where there is more (a
    /// message has headers), a copy of the column, which should be cheap. By default nothing.
    fn originals(&self) -> Option<Arc<dyn Originals>> {
        None
    }
}

/// A column whose type is not known: what batches carry. Every [`Column`] is one; the methods have names of their own so
/// that both can be in scope.
pub trait AnyColumn: Any + Send + Sync {
    /// How many rows there are.
    fn rows(&self) -> usize;
    /// [`Column::select`].
    fn keep(&mut self, rows: &[u32]);
    /// [`Column::split_off`].
    fn cut(&mut self, row: usize) -> Box<dyn AnyColumn>;
    /// [`Column::clear`].
    fn reset(&mut self);
    /// [`Column::weight`].
    fn bytes(&self) -> usize;
    /// [`Column::originals`].
    fn kept(&self) -> Option<Arc<dyn Originals>>;
    /// For a cast to the typed column.
    fn as_any(&self) -> &dyn Any;
    /// For a cast to the typed column.
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// For a cast to the typed column.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<C: Column> AnyColumn for C {
    fn rows(&self) -> usize {
        self.len()
    }
    fn keep(&mut self, rows: &[u32]) {
        self.select(rows);
    }
    fn cut(&mut self, row: usize) -> Box<dyn AnyColumn> {
        Box::new(self.split_off(row))
    }
    fn reset(&mut self) {
        self.clear();
    }
    fn bytes(&self) -> usize {
        self.weight()
    }
    fn kept(&self) -> Option<Arc<dyn Originals>> {
        self.originals()
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl dyn AnyColumn {
    /// The column as the type it is, or `None`.
    pub fn cast<C: Column>(&self) -> Option<&C> {
        self.as_any().downcast_ref()
    }

    /// The column as the type it is, or `None`.
    pub fn cast_mut<C: Column>(&mut self) -> Option<&mut C> {
        self.as_any_mut().downcast_mut()
    }
}

/// One value after the other: what a type is stored in unless there is something better.
#[derive(Debug, Clone)]
pub struct Typed<T>(Vec<T>);

impl<T> Default for Typed<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> From<Vec<T>> for Typed<T> {
    fn from(values: Vec<T>) -> Self {
        Self(values)
    }
}

impl<T> Typed<T> {
    /// The values.
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The values, to fill.
    pub fn as_vec_mut(&mut self) -> &mut Vec<T> {
        &mut self.0
    }
}

impl<T: Send + Sync + 'static> Column for Typed<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn push(&mut self, item: T) {
        self.0.push(item);
    }

    #[inline]
    fn extend(&mut self, items: impl Iterator<Item = T>) {
        self.0.extend(items);
    }

    #[inline]
    fn with<R>(&self, row: usize, look: impl FnOnce(&T) -> R) -> R {
        look(&self.0[row])
    }

    fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        self.0.drain(..)
    }

    fn select(&mut self, rows: &[u32]) {
        select_by_swap(&mut self.0, rows);
        self.0.truncate(rows.len());
    }

    fn split_off(&mut self, row: usize) -> Self {
        Self(self.0.split_off(row))
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn weight(&self) -> usize {
        self.0.len() * size_of::<T>()
    }
}

/// A value that can be filled again.
pub trait Reuse: Default {
    /// Lets go of what it holds (a share of a source's block, say), keeping its memory.
    fn reuse(&mut self);
}

impl<T> Reuse for Vec<T> {
    fn reuse(&mut self) {
        self.clear();
    }
}

impl Reuse for String {
    fn reuse(&mut self) {
        self.clear();
    }
}

/// Like [`Typed`], but values that are cleared or selected away stay allocated and are filled again: for decoded
/// trees, whose arenas are worth keeping.
#[derive(Debug)]
pub struct Recycled<T> {
    values: Vec<T>,
    len: usize,
}

impl<T> Default for Recycled<T> {
    fn default() -> Self {
        Self { values: Vec::new(), len: 0 }
    }
}

impl<T: Reuse> Recycled<T> {
    /// Adds a row and returns it to be filled. It may hold what it held before.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "it is the next row to be filled; a column is no iterator")]
    pub fn next(&mut self) -> &mut T {
        if self.len == self.values.len() {
            self.values.push(T::default());
        }
        self.len += 1;
        &mut self.values[self.len - 1]
    }

    /// Takes back the row that [`next`](Self::next) added last, because it could not be filled.
    pub fn undo(&mut self) {
        self.len = self.len.saturating_sub(1);
    }

    /// The rows.
    pub fn as_slice(&self) -> &[T] {
        &self.values[..self.len]
    }
}

impl<T: Reuse + Send + Sync + 'static> Column for Recycled<T> {
    type Item = T;

    fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, item: T) {
        *self.next() = item;
    }

    #[inline]
    fn with<R>(&self, row: usize, look: impl FnOnce(&T) -> R) -> R {
        look(&self.as_slice()[row])
    }

    fn drain(&mut self) -> impl Iterator<Item = T> + '_ {
        let len = std::mem::take(&mut self.len);
        self.values[..len].iter_mut().map(std::mem::take)
    }

    fn select(&mut self, rows: &[u32]) {
        select_by_swap(&mut self.values[..self.len], rows);
        self.len = rows.len();
    }

    fn split_off(&mut self, row: usize) -> Self {
        self.values.truncate(self.len);
        let values = self.values.split_off(row);
        self.len = row;
        Self { len: values.len(), values }
    }

    fn clear(&mut self) {
        // The rows that were selected away too: a source takes its block back only when nothing holds on to it.
        self.values.iter_mut().for_each(T::reuse);
        self.len = 0;
    }

    fn weight(&self) -> usize {
        self.len * size_of::<T>()
    }
}

fn select_by_swap<T>(values: &mut [T], rows: &[u32]) {
    debug_assert!(rows.is_sorted_by(|a, b| a < b), "rows are selected in ascending order");
    for (to, &from) in rows.iter().enumerate() {
        values.swap(to, from as usize);
    }
}

#[cfg(test)]
pub(super) mod tests;
