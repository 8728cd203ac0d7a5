//! [`Subject`]: under which subject a schema is registered.

use millstream_core::contracts::CodeError;

use crate::avro::Schema;

/// Under which subject a schema is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The topic's name and `-value`, or `-key`.
    Topic {
        /// The topic.
        topic: String,
        /// Whether it is the schema of keys.
        key: bool,
    },
    /// The full name of the schema.
    Record,
    /// The topic's name, `-`, and the full name of the schema.
    TopicRecord(String),
    /// This one.
    Named(String),
}

impl Subject {
    /// That of a topic's values.
    pub fn value_of(topic: impl Into<String>) -> Self {
        Self::Topic { topic: topic.into(), key: false }
    }

    /// That of a topic's keys.
    pub fn key_of(topic: impl Into<String>) -> Self {
        Self::Topic { topic: topic.into(), key: true }
    }

    /// What it is for a schema; `None`: for the latest, whichever that is.
    pub(crate) fn of(&self, schema: Option<&Schema>) -> Result<String, CodeError> {
        let name = || {
            schema.and_then(Schema::name).ok_or_else(|| {
                CodeError::new(
                    "a subject is to be named after the schema, and that has no name: name the subject after the topic, or \
                     give a schema that is a record, an enum or a fixed",
                )
            })
        };
        Ok(match self {
            Self::Topic { topic, key } => format!("{topic}-{}", if *key { "key" } else { "value" }),
            Self::Record => name()?.to_owned(),
            Self::TopicRecord(topic) => format!("{topic}-{}", name()?),
            Self::Named(subject) => subject.clone(),
        })
    }
}
