//! [`Message`]: what a queue holds.

use std::sync::Arc;

use lapin::BasicProperties;
use lapin::types::ShortString;
use millstream_core::data::{Bytes, Column, Data, Originals};

use super::unfit::{Unfit, short};
use super::value::{Headers, Value, of_table, to_table};

/// A message: its body, and all that AMQP says about it.
///
/// A source gives the bodies of a batch in one shared block. A sink takes body and properties from it, and routing key and
/// exchange where it was told nothing else.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// What it is about.
    pub body: Bytes,
    /// The exchange that it was published to; empty for the default one, which leads to the queue of the routing key.
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Whether the broker has given it to somebody before who didn't acknowledge it. It may have been dealt with.
    pub redelivered: bool,
    /// Its properties, headers among them.
    pub properties: Properties,
}

/// What a message says of itself. Texts are at most 255 bytes of UTF-8.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    /// MIME type of the body.
    pub content_type: Option<String>,
    /// MIME encoding of the body, such as `gzip`.
    pub content_encoding: Option<String>,
    /// Headers, by name.
    pub headers: Headers,
    /// 2: survives a restart of the broker in a durable queue. 1: doesn't.
    pub delivery_mode: Option<u8>,
    /// From 0 to what the queue knows.
    pub priority: Option<u8>,
    /// Which request it answers.
    pub correlation_id: Option<String>,
    /// Where an answer should go.
    pub reply_to: Option<String>,
    /// Milliseconds after which the broker drops it, as text.
    pub expiration: Option<String>,
    /// The application's name for it.
    pub message_id: Option<String>,
    /// When it was made: seconds since the Unix epoch.
    pub timestamp: Option<u64>,
    /// The application's name for its kind (`type`).
    pub kind: Option<String>,
    /// Who sent it: the broker takes only the user that is logged in.
    pub user_id: Option<String>,
    /// The application that sent it.
    pub app_id: Option<String>,
    /// Not used any more.
    pub cluster_id: Option<String>,
}

impl Message {
    /// One of this body, and nothing else.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// The same message with the body that `change` makes of its own.
    ///
    /// ```
    /// use millstream_core::data::Bytes;
    /// use millstream_net::amqp::Message;
    ///
    /// fn doubled(body: Bytes) -> Result<String, Box<dyn std::error::Error>> {
    ///     Ok((str::from_utf8(&body)?.parse::<u64>()? * 2).to_string())
    /// }
    ///
    /// let message = Message { routing_key: "k".into(), ..Message::new("21") };
    /// let changed = message.clone().try_map_body(doubled).unwrap();
    /// assert_eq!(changed, Message { body: "42".into(), ..message });
    /// ```
    ///
    /// # Errors
    /// Those of `change`.
    pub fn try_map_body<B: Into<Bytes>, E>(mut self, change: impl FnOnce(Bytes) -> Result<B, E>) -> Result<Self, E> {
        self.body = change(self.body)?.into();
        Ok(self)
    }

    /// How often it was given to a consumer and came back; `None` where the queue doesn't count (only quorum queues do).
    pub fn delivery_count(&self) -> Option<u64> {
        let count = self.properties.headers.get("x-delivery-count").and_then(Value::as_i64);
        count.and_then(|count| u64::try_from(count).ok())
    }

    /// About how many bytes of memory it holds.
    pub fn weight(&self) -> usize {
        let headers: usize = self.properties.headers.iter().map(|(name, value)| name.len() + weight(value)).sum();
        size_of::<Self>() + self.body.len() + self.exchange.len() + self.routing_key.len() + headers
    }
}

fn weight(value: &Value) -> usize {
    let below = match value {
        Value::Text(text) => text.len(),
        Value::Octets(bytes) | Value::ByteArray(bytes) => bytes.len(),
        Value::List(values) => values.iter().map(weight).sum(),
        Value::Table(headers) => headers.iter().map(|(name, value)| name.len() + weight(value)).sum(),
        _ => 0,
    };
    size_of::<Value>() + below
}

impl Properties {
    /// As the client has them.
    pub fn to_client(&self) -> Result<BasicProperties, Unfit> {
        let mut to = BasicProperties::default();
        macro_rules! texts {
            ($($name:ident by $with:ident = $what:literal),+ $(,)?) => {
                $(if let Some(text) = &self.$name {
                    to = to.$with(short($what, text)?);
                })+
            };
        }
        texts!(
            content_type by with_content_type = "the content type",
            content_encoding by with_content_encoding = "the content encoding",
            correlation_id by with_correlation_id = "the correlation id",
            reply_to by with_reply_to = "`reply_to`",
            expiration by with_expiration = "the expiration",
            message_id by with_message_id = "the message id",
            kind by with_type = "the type",
            user_id by with_user_id = "the user id",
            app_id by with_app_id = "the application id",
            cluster_id by with_cluster_id = "the cluster id",
        );
        if !self.headers.is_empty() {
            to = to.with_headers(to_table(&self.headers)?);
        }
        if let Some(mode) = self.delivery_mode {
            to = to.with_delivery_mode(mode);
        }
        if let Some(priority) = self.priority {
            to = to.with_priority(priority);
        }
        if let Some(timestamp) = self.timestamp {
            to = to.with_timestamp(timestamp);
        }
        Ok(to)
    }

    /// What the client has.
    #[doc(hidden)]
    pub fn of_client(of: &BasicProperties) -> Result<Self, Unfit> {
        let text = |text: &Option<ShortString>| text.as_ref().map(ShortString::to_string);
        Ok(Self {
            content_type: text(of.content_type()),
            content_encoding: text(of.content_encoding()),
            headers: of.headers().clone().map_or_else(|| Ok(Headers::new()), of_table)?,
            delivery_mode: *of.delivery_mode(),
            priority: *of.priority(),
            correlation_id: text(of.correlation_id()),
            reply_to: text(of.reply_to()),
            expiration: text(of.expiration()),
            message_id: text(of.message_id()),
            timestamp: *of.timestamp(),
            kind: text(of.kind()),
            user_id: text(of.user_id()),
            app_id: text(of.app_id()),
            cluster_id: text(of.cluster_id()),
        })
    }
}

impl Data for Message {
    const NAME: &'static str = "Message";
    type Column = Messages;
}

/// The messages of a batch. Their bodies share a block where a source made them.
#[derive(Debug, Clone, Default)]
pub struct Messages(Vec<Message>);

impl Messages {
    /// The rows.
    pub fn as_slice(&self) -> &[Message] {
        &self.0
    }
}

impl Column for Messages {
    type Item = Message;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, message: Message) {
        self.0.push(message);
    }

    #[inline]
    fn with<R>(&self, row: usize, look: impl FnOnce(&Message) -> R) -> R {
        look(&self.0[row])
    }

    fn drain(&mut self) -> impl Iterator<Item = Message> + '_ {
        self.0.drain(..)
    }

    fn select(&mut self, rows: &[u32]) {
        debug_assert!(rows.is_sorted_by(|a, b| a < b), "rows are selected in ascending order");
        rows.iter().enumerate().for_each(|(to, &from)| self.0.swap(to, from as usize));
        self.0.truncate(rows.len());
    }

    fn split_off(&mut self, row: usize) -> Self {
        Self(self.0.split_off(row))
    }

    fn clear(&mut self) {
        self.0.clear();
    }

    fn weight(&self) -> usize {
        self.0.iter().map(Message::weight).sum()
    }

    fn originals(&self) -> Option<Arc<dyn Originals>> {
        Some(Arc::new(self.clone()))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn properties() -> impl Strategy<Value = Properties> {
        let text = || prop::option::of("\\PC{0,9}");
        let headers = prop::collection::btree_map("[a-z]{1,5}", any::<i64>().prop_map(Value::I64), 0..3);
        let texts = (text(), text(), text(), text(), text(), text());
        let more = (text(), text(), text(), text());
        (texts, more, headers, any::<Option<(u8, u8, u64)>>()).prop_map(|(texts, more, headers, numbers)| Properties {
            content_type: texts.0,
            content_encoding: texts.1,
            correlation_id: texts.2,
            reply_to: texts.3,
            expiration: texts.4,
            message_id: texts.5,
            kind: more.0,
            user_id: more.1,
            app_id: more.2,
            cluster_id: more.3,
            headers,
            delivery_mode: numbers.map(|numbers| numbers.0),
            priority: numbers.map(|numbers| numbers.1),
            timestamp: numbers.map(|numbers| numbers.2),
        })
    }

    proptest! {
        #[test]
        fn properties_are_what_they_were(properties in properties()) {
            let there = properties.to_client().expect("it fits");
            prop_assert_eq!(Properties::of_client(&there).expect("it fits"), properties);
        }
    }

    #[test]
    fn a_long_text_is_told_by_its_name() {
        let properties = Properties { app_id: Some("a".repeat(256)), ..Properties::default() };
        let unfit = properties.to_client().expect_err("it is too long").to_string();
        assert_eq!(unfit, "the application id has 256 bytes: expected 255 at most");
    }

    #[test]
    fn a_quorum_queue_says_how_often_a_message_came_back() {
        let mut message = Message::new("body");
        assert_eq!(message.delivery_count(), None);
        message.properties.headers.insert("x-delivery-count".into(), Value::I64(3));
        assert_eq!(message.delivery_count(), Some(3));
    }

    #[test]
    fn rows_are_selected_and_cut() {
        let mut column = Messages::default();
        (0..6_u8).for_each(|number| column.push(Message::new(vec![number])));
        let light = column.weight();
        column.select(&[0, 2, 3, 5]);
        let rest = column.split_off(3);
        let bodies = |column: &Messages| column.as_slice().iter().map(|one| one.body[0]).collect::<Vec<_>>();
        assert_eq!((bodies(&column), bodies(&rest)), (vec![0, 2, 3], vec![5]));
        assert!(column.weight() < light && column.weight() > 3);
        assert_eq!(column.drain().count(), 3);
        assert!(column.is_empty());
    }
}
