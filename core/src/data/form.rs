//! [`Form`]: a type as the plan knows it.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::{AnyColumn, Data};

/// A type as the plan knows it: an identity, a name, and how to make an empty column of it.
#[derive(Clone)]
pub struct Form {
    id: TypeId,
    name: Cow<'static, str>,
    empty: fn() -> Box<dyn AnyColumn>,
    sides: Option<Arc<Sides>>,
}

/// What the planner needs of a pair to code each of its sides.
pub struct Sides {
    /// The key's type.
    pub key: Form,
    /// The value's type.
    pub value: Form,
    /// Takes a column of pairs apart.
    pub split: fn(Box<dyn AnyColumn>) -> Columns,
    /// Puts a column of keys and a column of values, of the same length, together.
    pub join: Join,
    /// The keys and the values of a column of pairs; `None` if it is not one.
    pub look: fn(&dyn AnyColumn) -> Option<BothSides<'_>>,
    /// The keys and the values of a column of pairs, to add to; whoever does gives each as many rows as the other.
    pub fill: fn(&mut dyn AnyColumn) -> Option<BothSidesMut<'_>>,
    /// Adds copies of all keys of one column of keys to another.
    pub copy_keys: CopyRows,
    /// Adds copies of all values of one column of values to another.
    pub copy_values: CopyRows,
}

/// The column of keys and the column of values within a column of pairs.
pub type BothSides<'a> = (&'a dyn AnyColumn, &'a dyn AnyColumn);

/// The column of keys and the column of values within a column of pairs, to add to.
pub type BothSidesMut<'a> = (&'a mut dyn AnyColumn, &'a mut dyn AnyColumn);

/// Adds copies of all rows of the first column to the second; neither changes if they are of other types.
pub type CopyRows = fn(&dyn AnyColumn, &mut dyn AnyColumn);

/// A column of keys and one of values.
pub type Columns = (Box<dyn AnyColumn>, Box<dyn AnyColumn>);

/// Puts two columns together.
pub type Join = fn(Box<dyn AnyColumn>, Box<dyn AnyColumn>) -> Box<dyn AnyColumn>;

impl Form {
    /// The form of `T` under `name`. Types say theirs by [`Data::form`].
    pub fn of<T: Data>(name: Cow<'static, str>, sides: Option<Arc<Sides>>) -> Self {
        Self { id: TypeId::of::<T>(), name, empty: || Box::new(T::Column::default()), sides }
    }

    /// The name that plans print.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An empty column of this type.
    pub fn empty(&self) -> Box<dyn AnyColumn> {
        (self.empty)()
    }

    /// The sides, if this is a pair.
    pub fn sides(&self) -> Option<&Sides> {
        self.sides.as_deref()
    }

    /// Whether this is the form of `T`.
    pub fn is<T: Data>(&self) -> bool {
        self.id == TypeId::of::<T>()
    }
}

impl PartialEq for Form {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Form {}

impl std::hash::Hash for Form {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.name)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
