//! [`Message`]: a Kafka message as data that travels.

use std::sync::Arc;

use bytes::Bytes;
use millstream_core::data::Data;

use super::column::MessageColumn;

/// A whole Kafka message. Without a value it is a *tombstone*: it says that its key is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// The key; no key is another thing than an empty one.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone, which is another thing than an empty value.
    pub value: Option<Bytes>,
    /// The headers, in order; a name may come several times.
    pub headers: Vec<Header>,
    /// When it happened, in milliseconds since the Unix epoch: for a sink, `None` means when it is sent.
    pub timestamp: Option<i64>,
    /// Where it was read. Sinks don't look at it.
    pub origin: Option<Origin>,
}

/// A header of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The value, if it has one.
    pub value: Option<Bytes>,
}

/// Where a message was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl Message {
    /// A message of this value, without a key.
    pub fn new(value: impl Into<Bytes>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    /// One that says that `key` is gone.
    pub fn tombstone(key: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), ..Self::default() }
    }

    /// With this key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With one more header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.headers.push(Header { name: name.into(), value: Some(value.into()) });
        self
    }

    /// With this time, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn with_timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    /// The same message with the value that `change` makes of its own; a tombstone stays one.
    ///
    /// ```
    /// use millstream_core::data::Bytes;
    /// use millstream_net::kafka::Message;
    ///
    /// fn doubled(value: Bytes) -> Result<String, Box<dyn std::error::Error>> {
    ///     Ok((str::from_utf8(&value)?.parse::<u64>()? * 2).to_string())
    /// }
    ///
    /// let message = Message::new("21").with_key("k").with_header("trace", "1");
    /// let changed = message.clone().try_map_value(doubled).unwrap();
    /// assert_eq!(changed, Message { value: Some("42".into()), ..message });
    /// assert!(Message::new("x").try_map_value(doubled).is_err());
    /// assert_eq!(Message::tombstone("k").try_map_value(doubled).unwrap(), Message::tombstone("k"));
    /// ```
    ///
    /// # Errors
    /// Those of `change`.
    pub fn try_map_value<V: Into<Bytes>, E>(mut self, change: impl FnOnce(Bytes) -> Result<V, E>) -> Result<Self, E> {
        self.value = self.value.map(|value| change(value).map(Into::into)).transpose()?;
        Ok(self)
    }

    /// The value of the first header of this name that has one.
    pub fn header(&self, name: &str) -> Option<&Bytes> {
        self.headers.iter().filter(|header| header.name == name).find_map(|header| header.value.as_ref())
    }
}

impl Data for Message {
    const NAME: &'static str = "KafkaMessage";
    type Column = MessageColumn;
}
