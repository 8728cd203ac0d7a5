//! [`Error`]: what went wrong while running, classified once.

use std::fmt;
use std::sync::Arc;

/// Who has to do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Whoever declared or started the pipeline: a wrong setting, a missing file, the code of a stage.
    User,
    /// A record that is not what its stage expects.
    Record,
    /// Something outside: a disk, a network, a server.
    Outside,
    /// State that is damaged, lost, held by another, or of another pipeline.
    State,
    /// This library.
    Bug,
}

/// What went wrong while running. The message says where, what was expected, what was found, and what to do; the cause
/// below it is its [`source`](std::error::Error::source) and not repeated in the text. A copy tells the same: what is broken
/// for good says so to each who asks.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    cause: Cause,
    message: String,
    stage: Option<String>,
    place: Option<String>,
    retry: bool,
    anew: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this cause. What is outside is worth a retry unless said otherwise; nothing else is.
    pub fn new(cause: Cause, message: impl Into<String>) -> Self {
        let retry = cause == Cause::Outside;
        Self(Box::new(Inner {
            cause,
            message: message.into(),
            stage: None,
            place: None,
            retry,
            anew: false,
            source: None,
        }))
    }

    /// With the error that lies below it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// With the place of the record, such as `orders.xml line 12, byte 4711`, unless it has one.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place.get_or_insert_with(|| place.into());
        self
    }

    /// With the name of the stage, unless it has one: it is added once, on the way up.
    #[must_use]
    pub fn in_stage(mut self, stage: impl Into<String>) -> Self {
        self.0.stage.get_or_insert_with(|| stage.into());
        self
    }

    /// Whether it is worth a retry, where the cause alone does not say so.
    #[must_use]
    pub fn retryable(mut self, retry: bool) -> Self {
        self.0.retry = retry;
        self
    }

    /// What was given since the last commit can't be committed, and all goes on from there: source and sink are made and
    /// opened anew. For sinks that keep positions with their data.
    #[must_use]
    pub fn begin_anew(mut self) -> Self {
        self.0.anew = true;
        self
    }

    /// Whether source and sink are to be opened anew.
    pub fn begins_anew(&self) -> bool {
        self.0.anew
    }

    /// Who has to do something about it.
    pub fn cause(&self) -> Cause {
        self.0.cause
    }

    /// Whether doing the same again may succeed.
    pub fn is_retryable(&self) -> bool {
        self.0.retry
    }

    /// The stage it happened in.
    pub fn stage(&self) -> Option<&str> {
        self.0.stage.as_deref()
    }

    /// Where the record stands that it happened to.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// The message without stage and place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The message with those of all errors below it, in one line: for logs, letters and terminals.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut below = std::error::Error::source(self);
        while let Some(error) = below {
            text.push_str(": ");
            text.push_str(&error.to_string());
            below = error.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stage) = &self.0.stage {
            write!(f, "{stage}: ")?;
        }
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// A panic that was caught, with its message.
#[derive(Debug, thiserror::Error)]
#[error("the stage's own code panicked: {0}")]
pub struct Panicked(String);

impl Panicked {
    /// What `catch_unwind` caught.
    pub fn new(payload: Box<dyn std::any::Any + Send>) -> Self {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Self(text.unwrap_or_else(|| "(no message)".to_owned()))
    }
}
