//! [`Said`]: what the client library says goes into the log, and the last of it into errors.

use std::sync::{Mutex, PoisonError};

use millstream_core::contracts::{Cause, Error};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::failure::{failed, meaning};

/// What the client library has said last, for errors that would only say that nothing came in time. What somebody has to
/// do something about, such as a wrong password, is not forgotten for what follows from it.
#[derive(Debug, Default)]
pub struct Said(Mutex<Option<(KafkaError, String)>>);

fn is_telling(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| meaning(code).cause != Cause::Outside)
}

impl Said {
    /// A line of the library's log.
    pub fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "millstream::kafka", facility, "{text}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "millstream::kafka", facility, "{text}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "millstream::kafka", facility, "{text}"),
        }
    }

    /// An error that belongs to no call. The library tries again by itself.
    pub fn error(&self, error: &KafkaError, reason: &str) {
        tracing::warn!(target: "millstream::kafka", "{error}: {reason}");
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_telling(error) || !last.as_ref().is_some_and(|(last, _)| is_telling(last)) {
            *last = Some((error.clone(), reason.to_owned()));
        }
    }

    /// An error that says `what` could not be done: because of `error`, or of what was said before and is behind it.
    pub fn failed(&self, what: &str, error: KafkaError) -> Error {
        let behind = match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((last, _)) if is_telling(last) && !is_telling(&error) => last.clone(),
            _ => error,
        };
        failed(format!("{what}{}", self.last()), behind)
    }

    /// What it said last, as the end of a sentence.
    pub fn last(&self) -> String {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((_, reason)) => format!(" (the last word on it was: {reason})"),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn a_wrong_password_is_told_and_not_what_follows_from_it() {
        let said = Said::default();
        said.error(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        said.error(&KafkaError::Global(Code::Authentication), "SASL authentication error: no");
        said.error(&KafkaError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        let error = said.failed("can't ask", KafkaError::MetadataFetch(Code::OperationTimedOut));
        assert_eq!((error.cause(), error.is_retryable()), (Cause::User, false));
        assert!(error.message().contains("SASL authentication error"), "{error}");
    }
}
