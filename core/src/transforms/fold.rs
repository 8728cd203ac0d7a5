//! `fold` and `count`: what many rows come to, for all of them or for each key.

use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::Arc;

use indexmap::IndexMap;

use crate::contracts::{Emission, Faults, Fold, Rows, each_row, mistyped};
use crate::data::{AnyColumn, Column, Data, Kv};

/// One state for all rows.
pub struct FoldAll<A, S, F> {
    state: S,
    f: Arc<F>,
    changed: bool,
    emitted: bool,
    rows: PhantomData<fn(A)>,
}

impl<A, S, F> FoldAll<A, S, F> {
    /// Folds by `f`, from `init` on.
    pub fn new(init: S, f: Arc<F>) -> Self {
        Self { state: init, f, changed: false, emitted: false, rows: PhantomData }
    }
}

impl<A: Data, S: Data + Clone, F: Fn(&mut S, A) + Send + Sync> Fold for FoldAll<A, S, F> {
    fn absorb(&mut self, from: &mut dyn AnyColumn, _turns: Option<&[i64]>, faults: &mut Faults) {
        let rows = Rows::all(from.rows());
        let Some(from) = from.cast_mut::<A::Column>() else { return mistyped(&rows, faults) };
        self.changed |= !rows.is_empty();
        let mut values = from.drain();
        each_row(&rows, faults, |_, _| {
            if let Some(value) = values.next() {
                (self.f)(&mut self.state, value);
            }
        });
    }

    fn emit(&mut self, last: bool) -> Emission {
        let mut out = S::Column::default();
        if self.changed || (last && !self.emitted) {
            out.push(self.state.clone());
            self.emitted = true;
            self.changed = false;
        }
        Emission::of(Box::new(out))
    }
}

/// One state for each key, at most `max_keys` of them.
pub struct FoldByKey<K, V, S, F> {
    init: S,
    f: Arc<F>,
    max_keys: usize,
    states: IndexMap<K, S>,
    /// Which keys have changed since the last emission, by their number, with the turn of the row that changed each first.
    changed: IndexMap<usize, i64>,
    /// Whether rows have turns.
    in_turn: bool,
    rows: PhantomData<fn(V)>,
}

impl<K, V, S, F> FoldByKey<K, V, S, F> {
    /// Folds by `f`, from `init` on for each key.
    pub fn new(init: S, f: Arc<F>, max_keys: usize) -> Self {
        Self { init, f, max_keys, states: IndexMap::new(), changed: IndexMap::new(), in_turn: false, rows: PhantomData }
    }
}

impl<K, V, S, F> Fold for FoldByKey<K, V, S, F>
where
    K: Data + Clone + Eq + Hash,
    V: Data + Clone,
    S: Data + Clone,
    F: Fn(&mut S, V) + Send + Sync,
{
    fn absorb(&mut self, from: &mut dyn AnyColumn, turns: Option<&[i64]>, faults: &mut Faults) {
        let rows = Rows::all(from.rows());
        let Some(from) = from.cast_mut::<<Kv<K, V> as Data>::Column>() else { return mistyped(&rows, faults) };
        let mut pairs = from.drain();
        self.in_turn |= turns.is_some();
        each_row(&rows, faults, |row, faults| {
            let Some(Kv { key, value }) = pairs.next() else { return };
            let full = self.states.len() >= self.max_keys;
            if full && !self.states.contains_key(&key) {
                let message = format!(
                    "this key would be one more than the {} that the fold may keep: raise max_keys, or have fewer keys",
                    self.max_keys
                );
                return faults.push((row, message.into()));
            }
            let entry = self.states.entry(key);
            let number = entry.index();
            (self.f)(entry.or_insert_with(|| self.init.clone()), value);
            let turn = turns.map_or(0, |turns| turns[row as usize]);
            self.changed.entry(number).or_insert(turn);
        });
    }

    fn emit(&mut self, _last: bool) -> Emission {
        let mut out = <Kv<K, S> as Data>::Column::default();
        let mut turns = Vec::new();
        for (number, turn) in self.changed.drain(..) {
            if let Some((key, state)) = self.states.get_index(number) {
                out.push(Kv { key: key.clone(), value: state.clone() });
                turns.extend(self.in_turn.then_some(turn));
            }
        }
        Emission { column: Box::new(out), turns: self.in_turn.then_some(turns) }
    }
}
