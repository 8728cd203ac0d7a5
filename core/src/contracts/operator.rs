//! What the stages between source and sink do to a batch: one call a batch, a typed loop inside.

use super::Faults;
use super::source::BoxFuture;
use crate::data::AnyColumn;

/// The rows of a column that are still alive, ascending.
#[derive(Debug, Default)]
pub struct Rows {
    all: u32,
    some: Vec<u32>,
    partial: bool,
}

impl Rows {
    /// All of `count` rows.
    pub fn all(count: usize) -> Self {
        Self { all: count as u32, some: Vec::new(), partial: false }
    }

    /// Makes it all of `count` rows, keeping its memory.
    pub fn reset(&mut self, count: usize) {
        self.all = count as u32;
        self.partial = false;
    }

    /// How many are alive.
    pub fn len(&self) -> usize {
        if self.partial { self.some.len() } else { self.all as usize }
    }

    /// Whether none is alive.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The living row number `i`.
    #[inline]
    pub fn at(&self, i: usize) -> u32 {
        if self.partial { self.some[i] } else { i as u32 }
    }

    /// The living rows if some are not.
    pub fn partial(&self) -> Option<&[u32]> {
        self.partial.then_some(&self.some)
    }

    /// Leaves only these alive; gives back the memory of what was there.
    pub fn set(&mut self, alive: Vec<u32>) -> Vec<u32> {
        if alive.len() == self.len() && !self.partial {
            return alive;
        }
        self.partial = true;
        std::mem::replace(&mut self.some, alive)
    }
}

/// A stage that looks at rows and says which live on.
pub trait Look: Send {
    /// Looks at the living `rows` of `column` and takes those out that don't pass, and those that failed, which it also
    /// adds to `faults`.
    fn look(&mut self, column: &dyn AnyColumn, rows: &mut Rows, faults: &mut Faults);
}

/// How the rows that were made answer to the rows they were made from.
#[derive(Debug, PartialEq, Eq)]
pub enum Shape {
    /// One row for each living row that did not fail.
    OneEach,
    /// For each new row the row it was made from, ascending.
    From(Vec<u32>),
}

/// A stage that makes new rows.
pub trait Make: Send {
    /// Makes rows of the living `rows` of `from`, which it may take, and adds them to `to`; rows that failed make none
    /// and are added to `faults`.
    fn make(&mut self, from: &mut dyn AnyColumn, rows: &Rows, to: &mut dyn AnyColumn, faults: &mut Faults) -> Shape;
}

/// What an asynchronous stage makes of one row.
pub type Made = Result<Box<dyn AnyColumn>, Box<dyn std::error::Error + Send + Sync>>;

/// A stage that makes one new row of each, asynchronously.
pub trait MakeAsync: Send {
    /// One future a row of `from`, none of them started. Each makes a column of one row.
    fn begin(&mut self, from: Box<dyn AnyColumn>) -> Vec<BoxFuture<'static, Made>>;

    /// Adds a column that one of the futures made to the end of `to`.
    fn gather(&self, made: Box<dyn AnyColumn>, to: &mut dyn AnyColumn);

    /// An empty column of what it makes.
    fn empty(&self) -> Box<dyn AnyColumn>;
}

/// A stage that takes rows in and emits what it has made of them when it is told to.
pub trait Fold: Send {
    /// Takes in all rows of `from`; rows that failed are added to `faults`. `turns`: where each row stands among all that
    /// the folds of several instances take in (ascending), if what those emit has to be put in one order.
    fn absorb(&mut self, from: &mut dyn AnyColumn, turns: Option<&[i64]>, faults: &mut Faults);

    /// What has changed since the last time: a copy of the state, or of each key's that has changed. At the end of the
    /// input (`last`) a fold without keys that never emitted emits its initial state.
    fn emit(&mut self, last: bool) -> Emission;
}

/// What a fold emits.
pub struct Emission {
    /// The rows.
    pub column: Box<dyn AnyColumn>,
    /// If it was given turns: that of the first row that each of these rows is made of. Ascending.
    pub turns: Option<Vec<i64>>,
}

impl Emission {
    /// Rows that nobody orders.
    pub fn of(column: Box<dyn AnyColumn>) -> Self {
        Self { column, turns: None }
    }
}
