//! [`Form`]: what becomes of a message.

use std::sync::Arc;

use millstream_core::contracts::{Refused, guarded};
use millstream_core::data::{Bytes, Data, Kv, KvColumn, Packed};
use millstream_net::kafka::{Message, MessageColumn};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Headers as _};

/// What a Kafka source may give: values, keys and values, or whole messages.
pub trait Form: Data + Clone + sealed::Sealed {
    /// What it is of a message, for people.
    const WHAT: &'static str;

    /// Adds what `message` becomes to `column`; a message that can't become one adds what there is of it, and says why.
    #[doc(hidden)]
    fn append(column: &mut Self::Column, message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Option<Refused>;

    /// All messages of the batch have been added.
    #[doc(hidden)]
    fn seal(column: &mut Self::Column);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Bytes {}
    impl Sealed for super::Kv<super::Bytes, super::Bytes> {}
    impl Sealed for super::Message {}
}

impl Form for Bytes {
    const WHAT: &'static str = "values";

    fn append(column: &mut Packed<Bytes>, message: &BorrowedMessage<'_>, _: &Arc<str>) -> Option<Refused> {
        column.append_bytes(message.payload().unwrap_or_default());
        message.payload().is_none().then(tombstone)
    }

    fn seal(column: &mut Packed<Bytes>) {
        column.freeze();
    }
}

impl Form for Kv<Bytes, Bytes> {
    const WHAT: &'static str = "keys and values";

    fn append(column: &mut KvColumn<Bytes, Bytes>, message: &BorrowedMessage<'_>, _: &Arc<str>) -> Option<Refused> {
        column.keys.append_bytes(message.key().unwrap_or_default());
        column.values.append_bytes(message.payload().unwrap_or_default());
        match (message.key(), message.payload()) {
            (_, None) => Some(tombstone()),
            (None, _) => Some(Refused("the message has no key: read whole messages, by `.messages()`".into())),
            _ => None,
        }
    }

    fn seal(column: &mut KvColumn<Bytes, Bytes>) {
        column.keys.freeze();
        column.values.freeze();
    }
}

fn tombstone() -> Refused {
    Refused("the message is a tombstone, it has no value: read whole messages, by `.messages()`".into())
}

impl Form for Message {
    const WHAT: &'static str = "messages";

    fn append(column: &mut MessageColumn, message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Option<Refused> {
        let mut append = |headers: Option<&BorrowedHeaders>| {
            let origin = MessageColumn::origin(topic, message.partition(), message.offset());
            let headers = headers.iter().flat_map(|headers| headers.iter()).map(|header| (header.key, header.value));
            column.append(message.key(), message.payload(), headers, message.timestamp().to_millis(), Some(origin));
        };
        // Brokers take any bytes for a header's name; the client gives it as text, and panics where it is none.
        guarded(|| append(message.headers())).err()?;
        append(None);
        Some(Refused("the name of one of its headers is not UTF-8: read values alone, without `.messages()`".into()))
    }

    fn seal(column: &mut MessageColumn) {
        column.freeze();
    }
}
