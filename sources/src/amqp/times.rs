//! When a message happened.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::AMQPValue;
use millstream_core::data::Times;

/// What says when a message happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clocked {
    /// Its `timestamp` property.
    Timestamp,
    /// This header.
    Header(String),
    /// Nothing: it happens when it is read.
    Arrival,
}

impl Clocked {
    /// The times of these messages; `None`: none of them says.
    pub(super) fn times(&self, messages: &[Delivery]) -> Option<Times> {
        if *self == Self::Arrival || !messages.iter().any(|message| self.micros(&message.properties).is_some()) {
            return None;
        }
        let now = now();
        let times: Arc<[i64]> =
            messages.iter().map(|message| self.micros(&message.properties).unwrap_or(now)).collect();
        Some(Times::Each(times))
    }

    /// In microseconds since the Unix epoch.
    fn micros(&self, properties: &BasicProperties) -> Option<i64> {
        match self {
            Self::Timestamp => properties.timestamp().and_then(seconds),
            Self::Header(name) => match properties.headers().as_ref()?.inner().get(name.as_str())? {
                AMQPValue::Timestamp(time) => seconds(*time),
                AMQPValue::LongLongInt(time) => millis(*time),
                AMQPValue::LongInt(time) => millis((*time).into()),
                AMQPValue::LongUInt(time) => millis((*time).into()),
                AMQPValue::LongString(text) => millis(std::str::from_utf8(text.as_bytes()).ok()?.parse().ok()?),
                _ => None,
            },
            Self::Arrival => None,
        }
    }
}

fn seconds(time: u64) -> Option<i64> {
    i64::try_from(time).ok()?.checked_mul(1_000_000)
}

fn millis(time: i64) -> Option<i64> {
    time.checked_mul(1_000)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lapin::types::FieldTable;

    fn with(name: &str, value: AMQPValue) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(name.into(), value);
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn a_property_or_a_header_says_when() {
        let stamped = BasicProperties::default().with_timestamp(1_700_000_000);
        assert_eq!(Clocked::Timestamp.micros(&stamped), Some(1_700_000_000_000_000));
        assert_eq!(Clocked::Arrival.micros(&stamped), None);
        let header = Clocked::Header("at".into());
        for (value, micros) in [
            (AMQPValue::Timestamp(7), Some(7_000_000)),
            (AMQPValue::LongLongInt(7), Some(7_000)),
            (AMQPValue::LongInt(-7), Some(-7_000)),
            (AMQPValue::LongString("7".into()), Some(7_000)),
            (AMQPValue::LongString("noon".into()), None),
            (AMQPValue::Timestamp(u64::MAX), None),
            (AMQPValue::LongLongInt(i64::MAX), None),
        ] {
            assert_eq!(header.micros(&with("at", value.clone())), micros, "{value:?}");
        }
        assert_eq!(header.micros(&with("other", AMQPValue::Timestamp(7))), None);
    }

    #[test]
    fn where_some_say_the_others_happened_when_they_were_read() {
        let mut messages: Vec<_> =
            (1..=2).map(|tag| Delivery::mock(tag, "".into(), "".into(), false, Vec::new())).collect();
        assert!(Clocked::Timestamp.times(&messages).is_none());
        messages[0].properties = BasicProperties::default().with_timestamp(7);
        let times = Clocked::Timestamp.times(&messages).expect("one says");
        assert_eq!(times.at(0).micros, 7_000_000);
        assert!(times.at(1).micros > 1_700_000_000_000_000);
    }
}
