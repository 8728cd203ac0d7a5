//! [`Form`]: what a record is in Kafka.

use millstream_core::data::{Bytes, Data, Kv, KvColumn, Packed};
use millstream_net::kafka::{Message, MessageColumn};
use rdkafka::message::{Header, OwnedHeaders};

/// What a Kafka sink may take: values, keys and values, or whole messages.
pub trait Form: Data + Clone + sealed::Sealed {
    /// What it is of a message, for people.
    const WHAT: &'static str;

    /// What the record in `row` is in Kafka.
    #[doc(hidden)]
    fn view(column: &Self::Column, row: usize) -> View<'_>;
}

/// A record as Kafka has it.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct View<'a> {
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: Option<OwnedHeaders>,
    pub(super) timestamp: When,
}

/// When a record happened.
#[derive(Debug, Default, Clone, Copy)]
pub(super) enum When {
    /// At its event time, if its source has said one; else when it is sent.
    #[default]
    EventTime,
    /// When it is sent.
    Sent,
    /// At this time, in milliseconds since the Unix epoch.
    At(i64),
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Bytes {}
    impl Sealed for super::Kv<super::Bytes, super::Bytes> {}
    impl Sealed for super::Message {}
}

impl Form for Bytes {
    const WHAT: &'static str = "values";

    fn view(column: &Packed<Bytes>, row: usize) -> View<'_> {
        View { value: Some(column.get(row)), ..View::default() }
    }
}

impl Form for Kv<Bytes, Bytes> {
    const WHAT: &'static str = "keys and values";

    fn view(column: &KvColumn<Bytes, Bytes>, row: usize) -> View<'_> {
        View { key: Some(column.keys.get(row)), value: Some(column.values.get(row)), ..View::default() }
    }
}

impl Form for Message {
    const WHAT: &'static str = "messages";

    fn view(column: &MessageColumn, row: usize) -> View<'_> {
        let message = column.view(row);
        let headers = message.has_headers().then(|| {
            message.headers().fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value }))
        });
        View {
            key: message.key,
            value: message.value,
            headers,
            timestamp: message.timestamp.map_or(When::Sent, When::At),
        }
    }
}
