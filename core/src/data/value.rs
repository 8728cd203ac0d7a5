//! [`Data`]: what may travel through a pipeline. [`View`]: how a stage may look at it.

use super::{Bytes, Column, Form, Packed, Typed};

/// A type that may travel through a pipeline.
///
/// Opt in with its name and one line, or with [`data!`](crate::data!):
///
/// ```
/// use millstream_core::data::{Data, Typed};
///
/// struct Order { id: u64 }
///
/// impl Data for Order {
///     const NAME: &'static str = "Order";
///     type Column = Typed<Self>;
/// }
/// ```
///
/// It is never implemented for everything: a closure that takes `&Order` where it should take `Order`, or returns a
/// `Result` where a value is expected, would otherwise compile and mean something else.
///
/// ```compile_fail,E0277
/// # use millstream::prelude::*;
/// struct Order;
/// Pipeline::source(List::new([1_u64])).map(|_: u64| Order); // `Order` can't travel through a pipeline
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't travel through a pipeline: it doesn't implement `Data`",
    label = "not pipeline data",
    note = "for a type of your own write: impl Data for {Self} {{ const NAME: &'static str = \"…\"; type Column = Typed<Self>; }}, or data!({Self});",
    note = "`map` takes its argument by value and returns a plain value: to look at a reference use `map_ref` or `filter`, to return a `Result` use `try_map`"
)]
pub trait Data: Send + Sync + Sized + 'static {
    /// The name that plans print, e.g. `Order`.
    const NAME: &'static str;

    /// How a batch of it is stored: [`Typed`] unless there is something better.
    type Column: Column<Item = Self>;

    /// The type as plans know it. Only generic types (such as [`Kv`](super::Kv)) say more than their name here.
    fn form() -> Form {
        Form::of::<Self>(Self::NAME.into(), None)
    }
}

/// How a stage may look at a value without taking it: `&T` at a `T`, `&str` at a text, `&[u8]` at bytes.
///
/// ```
/// # use millstream::prelude::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream::Error> {
/// let out = Collect::<String>::new();
/// let seen = out.collected();
/// Pipeline::source(List::new(["one".to_owned(), "two".to_owned()]))
///     .filter(|text: &str| text.starts_with('t'))
///     .filter(|bytes: &[u8]| bytes.len() == 3)
///     .filter(|owned: &String| owned.ends_with('o'))
///     .sink(out)
///     .run()
///     .await?;
/// assert_eq!(seen.values(), ["two"]);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a stage can't look at `{Self}`: it isn't a view of pipeline data",
    label = "not a view",
    note = "looking is possible at `&T` for a `T` that implements `Data`, at `&str` and at `&[u8]`; annotate the closure's argument, e.g. `|line: &str| …`",
    note = "for a type of your own write: impl Data for {Self} {{ const NAME: &'static str = \"…\"; type Column = Typed<Self>; }}, or data!({Self});"
)]
pub trait View {
    /// The type whose batches are looked at.
    type Owned: Data;

    /// Calls `look` with the value in `row` of a batch's column.
    fn at<R>(column: &<Self::Owned as Data>::Column, row: usize, look: impl FnOnce(&Self) -> R) -> R;
}

impl<T: Data> View for T {
    type Owned = T;

    #[inline]
    fn at<R>(column: &T::Column, row: usize, look: impl FnOnce(&Self) -> R) -> R {
        column.with(row, look)
    }
}

impl View for [u8] {
    type Owned = Bytes;

    #[inline]
    fn at<R>(column: &Packed<Bytes>, row: usize, look: impl FnOnce(&Self) -> R) -> R {
        look(column.get(row))
    }
}

impl View for str {
    type Owned = String;

    #[inline]
    fn at<R>(column: &Packed<String>, row: usize, look: impl FnOnce(&Self) -> R) -> R {
        look(column.text(row))
    }
}

impl Data for Bytes {
    const NAME: &'static str = "Bytes";
    type Column = Packed<Self>;
}

impl Data for String {
    const NAME: &'static str = "Text";
    type Column = Packed<Self>;
}

/// Implements [`Data`](crate::data::Data) for types of one's own, stored one by one: `data!(Order, Customer);`. The name
/// in plans is the type's own unless another is given: `data!(Order = "SalesOrder")`.
///
/// ```
/// use millstream_core::data;
/// use millstream_core::data::Data;
///
/// struct Order;
/// struct Customer;
/// data!(Order, Customer);
/// struct Line;
/// data!(Line = "OrderLine");
///
/// assert_eq!((Order::NAME, Customer::NAME, Line::NAME), ("Order", "Customer", "OrderLine"));
/// ```
#[macro_export]
macro_rules! data {
    ($type:ident = $name:literal) => {
        impl $crate::data::Data for $type {
            const NAME: &'static str = $name;
            type Column = $crate::data::Typed<Self>;
        }
    };
    ($($type:ident),+ $(,)?) => {
        $(impl $crate::data::Data for $type {
            const NAME: &'static str = stringify!($type);
            type Column = $crate::data::Typed<Self>;
        })+
    };
}

macro_rules! plain {
    ($($type:ty = $name:literal),+) => {
        $(impl Data for $type {
            const NAME: &'static str = $name;
            type Column = Typed<Self>;
        })+
    };
}

plain!(u8 = "U8", u16 = "U16", u32 = "U32", u64 = "U64", i8 = "I8", i16 = "I16", i32 = "I32", i64 = "I64");
plain!(usize = "Usize", isize = "Isize", f32 = "F32", f64 = "F64", bool = "Bool", char = "Char", () = "Unit");
