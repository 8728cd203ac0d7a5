//! [`OnError`]: what the user says is to become of a record that failed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::contracts::{DynSinkFactory, FromLetter, LetterForm, Shares, Sink, SinkFactory, SinkTraits};

/// What is to become of a record that a stage could not process. A record is what the source gave: where a one-to-many
/// stage made several of it, and one of these fails, they all share its fate.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream::Error> {
/// use millstream::prelude::*;
///
/// let numbers = || Pipeline::source(List::new(["1", "one", "2"].map(str::to_owned)));
/// let parsed = |policy| numbers().try_map(|text: String| text.parse::<u64>()).on_error(policy).sink(Null::<u64>::new());
///
/// assert!(parsed(OnError::Fail).run().await.is_err());
/// assert_eq!(parsed(OnError::Skip).run().await?.skipped, 1);
/// let letters = Null::<Bytes>::new();
/// assert_eq!(parsed(OnError::dead_letter(letters)).run().await?.dead_lettered, 1);
/// # Ok(())
/// # }
/// ```
///
/// ```
/// # use millstream::prelude::*;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), millstream::Error> {
/// let out = Collect::<u64>::new();
/// let seen = out.collected();
/// let summary = Pipeline::source(List::new(["1 one", "2 3"].map(str::to_owned)))
///     .flat_map(|line: &str, emit: &mut Emit<String>| line.split(' ').for_each(|word| emit.text(word)))
///     .try_map(|word: String| word.parse::<u64>())
///     .on_error(OnError::Skip)
///     .sink(out)
///     .run()
///     .await?;
/// assert_eq!(seen.values(), [2, 3]); // not 1: its record was skipped
/// assert_eq!(summary.skipped, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub enum OnError {
    /// The run stops with the error; nothing past the record is committed. The default.
    #[default]
    Fail,
    /// The record is left out and counted.
    Skip,
    /// A dead letter is written to this sink, durably, before the record settles.
    DeadLetter(Arc<dyn DynSinkFactory>),
}

impl OnError {
    /// Dead letters to `sink`: as lines of JSON where it takes bytes (see [`Letter`](crate::contracts::Letter)), or as what
    /// else a letter can [become](FromLetter), such as a message that has the reason in its headers. Give each destination
    /// a sink that appends: a run that is started again goes on with the same letters.
    ///
    /// ```
    /// # use millstream::prelude::*;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), millstream::Error> {
    /// let letters = Collect::<Bytes>::new();
    /// let seen = letters.collected();
    /// Pipeline::source(List::new([Bytes::from("{}"), Bytes::from("{")]))
    ///     .filter(|_: &json::Value| true)
    ///     .on_error(OnError::dead_letter(letters))
    ///     .sink(Null::<Bytes>::new())
    ///     .run()
    ///     .await?;
    /// let letter = String::from_utf8_lossy(&seen.values()[0]).into_owned();
    /// assert!(letter.contains(r#""stage":"JSON-DECODER""#) && letter.contains(r#""text":"{""#), "{letter}");
    /// # Ok(())
    /// # }
    /// ```
    pub fn dead_letter<F>(sink: F) -> Self
    where
        F: SinkFactory,
        F::Sink: Sink<In: FromLetter>,
    {
        Self::DeadLetter(Arc::new(OfLetters(sink)))
    }
}

/// A sink of dead letters. It hands on all that a factory says.
struct OfLetters<F>(F);

impl<F: SinkFactory<Sink: Sink<In: FromLetter>>> SinkFactory for OfLetters<F> {
    type Sink = F::Sink;

    fn traits(&self, keeps_positions: bool) -> SinkTraits {
        self.0.traits(keeps_positions)
    }

    fn check(&self) -> Vec<String> {
        let mut wrong = self.0.check();
        wrong.extend(self.0.check_letters());
        wrong
    }

    fn writes(&self) -> Option<PathBuf> {
        self.0.writes()
    }

    fn shares(&self) -> Option<Shares> {
        self.0.shares()
    }

    fn joins(&self, sink: &Shares) -> bool {
        self.0.joins(sink)
    }

    fn letters(&self) -> LetterForm {
        LetterForm::of::<<F::Sink as Sink>::In>()
    }

    fn make(&self) -> F::Sink {
        self.0.make()
    }
}
