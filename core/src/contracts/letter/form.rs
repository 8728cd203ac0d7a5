//! [`FromLetter`]: what a dead letter is as a record of the sink that it goes to.

use std::fmt;

use super::Letter;
use crate::contracts::Result;
use crate::data::{AnyColumn, Bytes, Column as _, Data, Form, Packed};

/// A type that a sink of dead letters may take.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream::Error> {
/// use millstream::contracts::{FromLetter, Letter, Result};
/// use millstream::prelude::*;
///
/// #[derive(Clone)]
/// struct Complaint {
///     at: String,
///     why: String,
/// }
/// data!(Complaint);
///
/// impl FromLetter for Complaint {
///     fn from_letter(letter: &Letter) -> Result<Self> {
///         Ok(Self { at: letter.position.clone(), why: letter.reason.clone() })
///     }
/// }
///
/// let complaints = Collect::<Complaint>::new();
/// let seen = complaints.collected();
/// Pipeline::source(List::new(["1", "one"].map(str::to_owned)))
///     .try_map(|text: String| text.parse::<u64>())
///     .on_error(OnError::dead_letter(complaints))
///     .sink(Null::<u64>::new())
///     .run()
///     .await?;
/// let Complaint { at, why } = seen.values().remove(0);
/// assert_eq!((&*at, &*why), ("list record 1", "invalid digit found in string"));
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a dead letter can't become `{Self}`",
    label = "a sink that takes no dead letters",
    note = "give `dead_letter` a sink of bytes, of whole messages, or of a type of your own that implements `FromLetter`"
)]
pub trait FromLetter: Data {
    /// The record that a letter is.
    ///
    /// # Errors
    /// If it can't be one.
    fn from_letter(letter: &Letter) -> Result<Self>;
}

/// A line of JSON, without its end: [`Letter::to_json`].
impl FromLetter for Bytes {
    fn from_letter(letter: &Letter) -> Result<Self> {
        letter.to_json().map(Self::from)
    }
}

/// How dead letters become records of a sink.
#[derive(Clone)]
pub struct LetterForm {
    form: Form,
    column: fn(&[Letter]) -> Result<Box<dyn AnyColumn>>,
}

impl LetterForm {
    /// As lines of JSON.
    pub fn lines() -> Self {
        Self { form: Bytes::form(), column: lines }
    }

    /// As the type says.
    pub fn of<T: FromLetter>() -> Self {
        match T::form().is::<Bytes>() {
            true => Self::lines(),
            false => Self { form: T::form(), column: records::<T> },
        }
    }

    /// What they become.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The records that these letters are.
    ///
    /// # Errors
    /// If one of them can't be a record.
    pub fn column(&self, letters: &[Letter]) -> Result<Box<dyn AnyColumn>> {
        (self.column)(letters)
    }
}

impl fmt::Debug for LetterForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LetterForm({})", self.form)
    }
}

fn lines(letters: &[Letter]) -> Result<Box<dyn AnyColumn>> {
    let mut column = Packed::<Bytes>::default();
    for letter in letters {
        column.append_bytes(letter.to_json()?.as_bytes());
    }
    column.freeze();
    Ok(Box::new(column))
}

fn records<T: FromLetter>(letters: &[Letter]) -> Result<Box<dyn AnyColumn>> {
    let mut column = T::Column::default();
    for letter in letters {
        column.push(T::from_letter(letter)?);
    }
    Ok(Box::new(column))
}
