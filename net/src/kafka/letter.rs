//! A dead letter as a message: the one that failed, with headers that say why.

use millstream_core::contracts::{Error, FromLetter, Letter};

use super::message::{Header, Message};
use crate::pieces::{ERROR, reasons};

impl FromLetter for Message {
    /// The message that failed, with its key, headers and timestamp, if it was read as a whole message; else one of the
    /// record's bytes and its event time. The headers `millstream.error.source`, `.position`, `.stage` and `.reason` say
    /// why, in place of those that an earlier failure has left.
    fn from_letter(letter: &Letter) -> Result<Self, Error> {
        let made = || {
            let timestamp = (!letter.time.ingested).then(|| letter.time.micros.div_euclid(1_000));
            Self { timestamp, ..Self::new(letter.bytes.clone()) }
        };
        let mut message = letter.original.as_a::<Self>().cloned().unwrap_or_else(made);
        message.headers.retain(|header| !header.name.starts_with(ERROR));
        let whys = reasons(letter).map(|(name, why)| Header { name, value: Some(why.as_bytes().to_vec().into()) });
        message.headers.extend(whys);
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use millstream_core::data::{EventTime, Original};

    use super::*;

    fn letter(original: Original) -> Letter {
        Letter {
            time: EventTime { micros: 1_234_567, ingested: false },
            source: "KAFKA".into(),
            position: "orders/0 offset 7".into(),
            stage: "JSON-DECODER".into(),
            reason: "no number".into(),
            bytes: b"value".to_vec(),
            original,
        }
    }

    fn whys(message: &Message) -> Vec<&[u8]> {
        let names = ["source", "position", "stage", "reason"];
        names.iter().filter_map(|name| message.header(&format!("millstream.error.{name}"))).map(|why| &**why).collect()
    }

    #[test]
    fn a_letter_is_the_message_that_failed_with_the_latest_reason() {
        let failed = Message::new("value").with_key("k").with_header("trace", "1").with_timestamp(5);
        let old = failed.clone().with_header("millstream.error.reason", "another").with_header("last", "2");
        let message = Message::from_letter(&letter(Original::new(old))).expect("it is one");
        assert_eq!((message.key, message.value, message.timestamp), (failed.key, failed.value, Some(5)));
        let names: Vec<_> = message.headers.iter().map(|header| &*header.name).collect();
        let errors = ["source", "position", "stage", "reason"].map(|name| format!("millstream.error.{name}"));
        assert_eq!(names, [&["trace", "last"][..], &errors.each_ref().map(|name| &**name)].concat());
        let message = Message { headers: message.headers, ..Message::default() };
        assert_eq!(whys(&message), [&b"KAFKA"[..], b"orders/0 offset 7", b"JSON-DECODER", b"no number"]);
        let tombstone = Message::from_letter(&letter(Original::new(Message::tombstone("k")))).expect("it is one");
        assert_eq!((tombstone.value, tombstone.key.as_deref()), (None, Some(&b"k"[..])));
    }

    #[test]
    fn a_letter_of_bytes_is_a_message_of_them() {
        let message = Message::from_letter(&letter(Original::default())).expect("it is one");
        assert_eq!(
            (message.value.as_deref(), message.timestamp, message.key.is_some()),
            (Some(&b"value"[..]), Some(1_234), false)
        );
        assert_eq!(whys(&message).len(), 4);
        // Two bytes each: as many as 4,096 bytes hold behind the first.
        let long = Letter { reason: "a".to_owned() + &"é".repeat(3_000), ..letter(Original::default()) };
        let message = Message::from_letter(&long).expect("it is one");
        assert_eq!(message.header("millstream.error.reason").map(|why| why.len()), Some(4_095));
        let mut read = letter(Original::new("of another type"));
        read.time.ingested = true;
        let message = Message::from_letter(&read).expect("it is one");
        assert_eq!((message.value.as_deref(), message.timestamp), (Some(&b"value"[..]), None));
    }
}
