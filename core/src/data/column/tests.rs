use proptest::prelude::*;

use super::*;

/// What may be done to any column.
#[derive(Debug, Clone)]
pub(in crate::data) enum Act {
    Push(u8),
    /// Keeps the rows whose place in this is true (it is repeated).
    Select(Vec<bool>),
    /// Cuts before this row (or the end), and goes on with the rest, or with what stays.
    SplitOff(usize, bool),
    Clear,
    /// Takes this many out.
    Drain(usize),
}

pub(in crate::data) fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => any::<u8>().prop_map(Act::Push),
        2 => prop::collection::vec(any::<bool>(), 1..9).prop_map(Act::Select),
        2 => (0..12usize, any::<bool>()).prop_map(|(row, rest)| Act::SplitOff(row, rest)),
        1 => Just(Act::Clear),
        1 => (0..8usize).prop_map(Act::Drain),
    ]
}

pub(in crate::data) fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 0..60)
}

/// A column beside the vector that it should look like.
pub(in crate::data) struct Pair<C: Column> {
    pub(in crate::data) column: C,
    pub(in crate::data) model: Vec<C::Item>,
}

impl<C: Column<Item: Clone + PartialEq + std::fmt::Debug>> Pair<C> {
    pub(in crate::data) fn new() -> Self {
        Self { column: C::default(), model: Vec::new() }
    }

    pub(in crate::data) fn act(&mut self, act: Act, make: fn(u8) -> C::Item) {
        match act {
            Act::Push(seed) => {
                self.column.push(make(seed));
                self.model.push(make(seed));
            }
            Act::Select(mask) => self.select(&mask),
            Act::SplitOff(row, rest) => self.split_off(row, rest),
            Act::Clear => {
                self.column.clear();
                self.model.clear();
            }
            Act::Drain(count) => {
                let taken: Vec<_> = self.column.drain().take(count).collect();
                assert_eq!(taken, self.model.drain(..).take(count).collect::<Vec<_>>());
            }
        }
        self.check();
    }

    fn select(&mut self, mask: &[bool]) {
        let rows = (0..self.model.len()).filter(|row| mask[row % mask.len()]);
        let rows: Vec<u32> = rows.map(|row| row as u32).collect();
        self.column.select(&rows);
        self.model = rows.iter().map(|&row| self.model[row as usize].clone()).collect();
    }

    fn split_off(&mut self, row: usize, go_on_with_rest: bool) {
        let row = row.min(self.model.len());
        let mut other = Self { column: self.column.split_off(row), model: self.model.split_off(row) };
        other.check();
        self.check();
        if go_on_with_rest {
            std::mem::swap(self, &mut other);
        }
        // What becomes of one half is nothing to the other.
        other.column.clear();
    }

    pub(in crate::data) fn check(&self) {
        assert_eq!(self.column.len(), self.model.len());
        assert_eq!(self.column.is_empty(), self.model.is_empty());
        for (row, item) in self.model.iter().enumerate() {
            self.column.with(row, |found| assert_eq!(found, item, "row {row}"));
        }
    }
}

/// Runs `acts` on a column and on a vector.
pub(in crate::data) fn agree<C>(acts: Vec<Act>, make: fn(u8) -> C::Item)
where
    C: Column<Item: Clone + PartialEq + std::fmt::Debug>,
{
    let mut pair = Pair::<C>::new();
    for act in acts {
        pair.act(act, make);
    }
}

impl Reuse for u8 {
    fn reuse(&mut self) {}
}

impl Reuse for u64 {
    fn reuse(&mut self) {}
}

proptest! {
    #[test]
    fn typed_is_like_a_vector(acts in acts()) {
        agree::<Typed<String>>(acts, |seed| seed.to_string());
    }

    #[test]
    fn recycled_is_like_a_vector(acts in acts()) {
        agree::<Recycled<String>>(acts, |seed| seed.to_string());
    }
}

#[test]
fn a_column_of_an_unknown_type_does_what_the_typed_one_does() {
    let mut column: Box<dyn AnyColumn> = Box::new(Typed::from(vec![1u64, 2, 3, 4, 5]));
    column.keep(&[0, 2, 3, 4]);
    let rest = column.cut(2);
    assert_eq!(column.cast::<Typed<u64>>().unwrap().as_slice(), [1, 3]);
    assert_eq!((column.rows(), column.bytes()), (2, 16));
    assert_eq!(rest.into_any().downcast::<Typed<u64>>().unwrap().as_slice(), [4, 5]);
    assert!(column.cast::<Typed<u32>>().is_none() && column.cast_mut::<Typed<u32>>().is_none());
    column.reset();
    assert_eq!(column.rows(), 0);
}

#[test]
fn recycled_rows_keep_their_memory() {
    let mut column = Recycled::<Vec<u8>>::default();
    column.next().extend_from_slice(&[0; 100]);
    column.next().extend_from_slice(&[1; 200]);
    column.select(&[1]);
    assert_eq!(column.as_slice(), [vec![1; 200]]);
    column.clear();
    assert_eq!((column.next().capacity(), column.next().capacity()), (200, 100));
}

#[test]
fn a_recycled_row_that_could_not_be_filled_is_taken_back() {
    let mut column = Recycled::<u8>::default();
    column.undo();
    column.push(1);
    *column.next() = 2;
    column.undo();
    assert_eq!(column.as_slice(), [1]);
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn recycled_rows_that_are_gone_are_not_selected_again() {
    let mut column = Recycled::<u8>::default();
    column.push(1);
    column.push(2);
    column.clear();
    column.push(3);
    column.select(&[0, 1]);
}

#[test]
fn weight_counts_rows_not_what_is_kept_for_later() {
    let mut column = Recycled::<u64>::default();
    column.push(1);
    column.push(2);
    assert_eq!(column.weight(), 16);
    column.select(&[1]);
    assert_eq!(column.weight(), 8);
}
