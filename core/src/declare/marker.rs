//! What kind of stage was declared last: decides which options it may have.

use std::marker::PhantomData;

use crate::data::{AnyColumn, Data};

/// The source.
pub struct Root;
/// A stage that looks at its argument.
pub struct Looking;
/// A stage that takes an `A` by value.
pub struct Taking<A>(PhantomData<fn(A)>);
/// `encode_as` and `decode_as`.
pub struct Coding;
/// `map_async`.
pub struct Asynchronous;
/// `fold` and `count`.
pub struct Folding;

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Root {}
    impl Sealed for super::Looking {}
    impl<A> Sealed for super::Taking<A> {}
    impl Sealed for super::Coding {}
    impl Sealed for super::Asynchronous {}
    impl Sealed for super::Folding {}
}

/// Stages that the plan may put coders before: all but the source.
#[diagnostic::on_unimplemented(
    message = "nothing is coded before a source",
    label = "`coder_par` needs a stage before it that takes something",
    note = "what a source gives is coded before the stage that takes it: say `coder_par` behind that one"
)]
pub trait Coded: sealed::Sealed {}
impl Coded for Looking {}
impl<A> Coded for Taking<A> {}
impl Coded for Coding {}
impl Coded for Asynchronous {}
impl Coded for Folding {}

/// Stages that several workers may run.
#[diagnostic::on_unimplemented(
    message = "this stage can't be run by several workers",
    label = "`par` needs an element-wise stage before it",
    note = "sources and folds run on one worker; `map_async` says by its own argument how many run at once"
)]
pub trait Parallel: sealed::Sealed {}
impl Parallel for Looking {}
impl<A> Parallel for Taking<A> {}
impl Parallel for Coding {}

/// Stages that emit when a trigger says so.
#[diagnostic::on_unimplemented(
    message = "this stage has no trigger",
    label = "`trigger_each` and `trigger_every` need a fold or a sink before them"
)]
pub trait Triggered: sealed::Sealed {}
impl Triggered for Folding {}

/// Stages whose failed records may run again.
#[diagnostic::on_unimplemented(
    message = "this stage's failed records can't run again",
    label = "`retry` needs an element-wise stage before it, and a stage that takes its argument by value needs it to be `Clone`",
    note = "implement `Clone` for the argument's type, or look at it instead: `map_ref`, `filter`, `flat_map`"
)]
pub trait Repeatable: sealed::Sealed {
    /// Copies what the stage takes by value; `None` where nothing is taken.
    fn copy(column: &dyn AnyColumn) -> Option<Box<dyn AnyColumn>>;
}

impl Repeatable for Looking {
    fn copy(_: &dyn AnyColumn) -> Option<Box<dyn AnyColumn>> {
        None
    }
}

impl Repeatable for Coding {
    fn copy(_: &dyn AnyColumn) -> Option<Box<dyn AnyColumn>> {
        None
    }
}

impl<A: Data + Clone> Repeatable for Taking<A> {
    fn copy(column: &dyn AnyColumn) -> Option<Box<dyn AnyColumn>> {
        use crate::data::Column as _;
        let from = column.cast::<A::Column>()?;
        let mut copy = A::Column::default();
        (0..from.len()).for_each(|row| copy.push(from.with(row, A::clone)));
        Some(Box::new(copy))
    }
}
