//! [`Said`]: what the client library says goes into the log, and the last of it into errors.

use std::sync::{Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

/// What the client library has said last, for errors that would only say that nothing came in time.
#[derive(Debug, Default)]
pub struct Said(Mutex<Option<String>>);

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
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }

    /// What it said last, as the end of a sentence.
    pub fn last(&self) -> String {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(reason) => format!(" (the last word on it was: {reason})"),
            None => String::new(),
        }
    }
}
