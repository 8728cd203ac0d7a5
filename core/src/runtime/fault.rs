//! A stage's own error as the failure of a record.

use crate::contracts::{Cause, Error};

/// A stage's own error as the record's failure; the text is the error's, the error itself its cause.
pub(super) fn fault(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => {
            let below = error.source().is_some();
            let message = error.to_string();
            let fault = Error::new(Cause::Record, message);
            if below { fault.because(Below(error)) } else { fault }
        }
    }
}

/// What lies below an error whose own text is already told.
#[derive(Debug)]
struct Below(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for Below {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.source() {
            Some(source) => std::fmt::Display::fmt(source, f),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Below {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source().and_then(std::error::Error::source)
    }
}
