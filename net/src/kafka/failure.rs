//! What librdkafka's errors mean: who has to do something about them, and whether it is worth a retry.

use millstream_core::contracts::{Cause, Error};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Who has to do something about it.
    pub cause: Cause,
    /// Whether the same may succeed later.
    pub retry: bool,
    /// What to do, as half a sentence.
    pub way_out: &'static str,
}

/// What this code means. What isn't known is taken for something outside that may go away.
pub fn meaning(code: RDKafkaErrorCode) -> Meaning {
    use RDKafkaErrorCode as Code;
    let (cause, retry, way_out) = match code {
        Code::MessageSizeTooLarge => {
            (Cause::Record, false, "raise `message.max.bytes` here and `max.message.bytes` of the topic, or send less")
        }
        Code::InvalidMessageSize | Code::InvalidMessage | Code::InvalidRecord => {
            (Cause::Record, false, "see what the topic asks of its records (a compacted one asks for a key)")
        }
        Code::InvalidTimestamp => (Cause::Record, false, "its timestamp is further off than the topic allows"),
        Code::UnknownPartition => (Cause::Record, false, "send it to a partition that the topic has"),
        Code::UnknownTopicOrPartition | Code::UnknownTopic => {
            (Cause::User, false, "create the topic, or name one that there is")
        }
        Code::InvalidTopic => (Cause::User, false, "give a name that Kafka allows"),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => (Cause::User, false, "give this user the right to it"),
        Code::SaslAuthenticationFailed
        | Code::Authentication
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => (Cause::User, false, "see to user name, password and mechanism"),
        Code::SSL => (Cause::User, false, "see to the certificates and `security.protocol`"),
        Code::FencedInstanceId => {
            (Cause::State, false, "another member has this `static_member` name: give each its own")
        }
        Code::ProducerFenced | Code::Fenced | Code::InvalidProducerEpoch => {
            (Cause::State, false, "another run of this pipeline has taken over: stop one of them")
        }
        Code::InvalidConfig | Code::InvalidArgument | Code::PolicyViolation => {
            (Cause::User, false, "see to the settings")
        }
        _ => (Cause::Outside, true, "see to the brokers and the way to them"),
    };
    Meaning { cause, retry, way_out }
}

/// An error that says `what` could not be done, why, and what to do about it.
pub fn failed(what: impl AsRef<str>, error: KafkaError) -> Error {
    let code = error.rdkafka_error_code();
    let known = match code {
        Some(code) => meaning(code),
        None => Meaning { cause: Cause::User, retry: false, way_out: "see to the settings" },
    };
    let message = format!("{}: {}", what.as_ref(), known.way_out);
    Error::new(known.cause, message).retryable(known.retry).because(Hidden(error))
}

/// A Kafka error without the values of properties, which may be secrets.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
struct Hidden(KafkaError);

impl Hidden {
    fn text(&self) -> String {
        match &self.0 {
            KafkaError::ClientConfig(_, _, name, _) => format!("the property `{name}` was not taken"),
            error => match error.rdkafka_error_code() {
                Some(code) => code.to_string(),
                None => error.to_string(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_records_are_told_from_those_of_users_and_of_the_network() {
        let of = |code| failed("can't send a record to orders", KafkaError::MessageProduction(code));
        let large = of(RDKafkaErrorCode::MessageSizeTooLarge);
        assert_eq!((large.cause(), large.is_retryable()), (Cause::Record, false));
        assert!(large.chain().contains("message.max.bytes"), "{}", large.chain());
        assert_eq!(of(RDKafkaErrorCode::TopicAuthorizationFailed).cause(), Cause::User);
        assert_eq!(of(RDKafkaErrorCode::UnknownTopicOrPartition).cause(), Cause::User);
        let lost = of(RDKafkaErrorCode::BrokerTransportFailure);
        assert_eq!((lost.cause(), lost.is_retryable()), (Cause::Outside, true));
    }

    #[test]
    fn values_of_properties_are_not_told() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("linger.ms", "s3cret");
        let error = failed("can't make a client", config.create_native_config().err().expect("no number"));
        assert!(!error.chain().contains("s3cret"), "{}", error.chain());
    }
}
