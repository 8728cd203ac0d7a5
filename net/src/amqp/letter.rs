//! A dead letter as a message: the one that failed, with headers that say why.

use millstream_core::contracts::{Error, FromLetter, Letter};

use super::message::Message;
use super::value::Value;
use crate::pieces::{ERROR, reasons};

/// The headers that RabbitMQ routes by, beside the routing key.
const ROUTES: [&str; 2] = ["CC", "BCC"];

impl FromLetter for Message {
    /// The message that failed, with its routing key, properties and headers, if it was read as a whole message; else one
    /// whose body is the record's bytes. The headers `millstream.error.source`, `.position`, `.stage` and `.reason` say
    /// why, in 4,096 bytes each at most. What is left out: who sent it (`user_id`), since the broker takes no other user
    /// than the one that is logged in; when it expires and whether it is persistent (`delivery_mode`, which is the
    /// exchange's then), since a letter should stay; and the headers `CC` and `BCC`, by which it would be routed again.
    fn from_letter(letter: &Letter) -> Result<Self, Error> {
        let made = || Self::new(letter.bytes.clone());
        let mut message = letter.original.as_a::<Self>().cloned().unwrap_or_else(made);
        let properties = &mut message.properties;
        (properties.user_id, properties.expiration, properties.delivery_mode) = (None, None, None);
        let headers = &mut properties.headers;
        headers.retain(|name, _| !name.starts_with(ERROR) && !ROUTES.contains(&name.as_str()));
        headers.extend(reasons(letter).map(|(name, why)| (name, Value::from(why))));
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::data::{EventTime, Original};

    use super::super::message::Properties;
    use super::*;

    fn letter(original: Original) -> Letter {
        Letter {
            time: EventTime { micros: 0, ingested: true },
            source: "AMQP-QUEUE".into(),
            position: "queue orders, delivery tag 7".into(),
            stage: "JSON-DECODER".into(),
            reason: "no number".into(),
            bytes: b"body".to_vec(),
            original,
        }
    }

    #[test]
    fn a_letter_is_the_message_that_failed_and_stays() {
        let mut properties = Properties { content_type: Some("text/xml".into()), ..Properties::default() };
        (properties.user_id, properties.expiration) = (Some("guest".into()), Some("1000".into()));
        properties.delivery_mode = Some(1);
        properties.headers.insert("CC".into(), "another queue".into());
        properties.headers.insert("trace".into(), Value::I64(1));
        properties.headers.insert("millstream.error.reason".into(), "another".into());
        let failed = Message { routing_key: "eu".into(), properties, ..Message::new("body") };
        let message = Message::from_letter(&letter(Original::new(failed))).expect("it is one");
        assert_eq!((&*message.body, &*message.routing_key), (&b"body"[..], "eu"));
        let Properties { content_type, user_id, expiration, delivery_mode, headers, .. } = message.properties;
        assert_eq!((content_type.as_deref(), user_id, expiration), (Some("text/xml"), None, None));
        assert_eq!(delivery_mode, None);
        let header = |name: &str| headers.get(name).cloned();
        assert_eq!((headers.len(), header("trace")), (5, Some(Value::I64(1))));
        assert_eq!(header("millstream.error.reason"), Some("no number".into()));
        assert_eq!(header("millstream.error.position"), Some("queue orders, delivery tag 7".into()));
    }

    #[test]
    fn a_letter_of_bytes_is_a_message_of_them() {
        let message = Message::from_letter(&letter(Original::default())).expect("it is one");
        assert_eq!((&*message.body, message.properties.headers.len()), (&b"body"[..], 4));
    }
}
