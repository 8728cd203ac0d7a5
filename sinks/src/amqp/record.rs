//! [`Record`]: what of a record becomes what of a message.

use std::borrow::Cow;

use lapin::BasicProperties;
use lapin::types::ShortString;
use millstream_core::data::{Bytes, Column as _, Data, EventTime, Kv};
use millstream_net::amqp::{Message, Properties, Unfit, short_text};

use super::config::Settings;

/// What an exchange may take: bodies ([`Bytes`]), routing keys with bodies ([`Kv`]), or whole messages ([`Message`]).
pub trait Record: Data + sealed::Record {}

impl Record for Bytes {}

impl Record for Kv<String, Bytes> {}

impl Record for Message {}

/// What a record says itself.
pub struct Parts<'a> {
    body: &'a [u8],
    key: &'a str,
    properties: Option<&'a Properties>,
}

pub(super) mod sealed {
    use super::{Data, Parts};

    /// Says its parts.
    pub trait Record: Data {
        /// The parts of the record in this row.
        fn parts(column: &Self::Column, row: usize) -> Parts<'_>;
    }
}

impl sealed::Record for Bytes {
    fn parts(column: &Self::Column, row: usize) -> Parts<'_> {
        Parts { body: column.get(row), key: "", properties: None }
    }
}

impl sealed::Record for Kv<String, Bytes> {
    fn parts(column: &Self::Column, row: usize) -> Parts<'_> {
        Parts { body: column.values.get(row), key: column.keys.text(row), properties: None }
    }
}

impl sealed::Record for Message {
    fn parts(column: &Self::Column, row: usize) -> Parts<'_> {
        let message = &column.as_slice()[row];
        Parts { body: &message.body, key: &message.routing_key, properties: Some(&message.properties) }
    }
}

/// A message as it is published.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outgoing<'a> {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: &'a [u8],
}

impl<T: Record> Settings<T> {
    /// What the record in this row, which happened then, is published as. Its properties are the `usual` ones if it has
    /// none of its own.
    pub(super) fn outgoing<'a>(
        &self,
        usual: &Result<BasicProperties, Unfit>,
        column: &'a T::Column,
        row: usize,
        time: impl FnOnce() -> EventTime,
    ) -> Result<Outgoing<'a>, Unfit> {
        let Parts { body, key, properties } = T::parts(column, row);
        let key: Cow<'_, str> = match (&self.key_by, &self.key) {
            (Some(says), _) => column.with(row, |record| says(record)).into(),
            (None, Some(key)) => key.into(),
            (None, None) => key.into(),
        };
        let exchange: Cow<'_, str> = match &self.exchange_by {
            Some(says) => column.with(row, |record| says(record)).into(),
            None => (&self.exchange).into(),
        };
        let mut properties = match properties {
            Some(own) => merged(own, &self.properties).to_client()?,
            None => usual.clone()?,
        };
        if self.event_times && properties.timestamp().is_none() {
            properties = properties.with_timestamp(u64::try_from(time().micros / 1_000_000).unwrap_or_default());
        }
        let (exchange, key) = (short_text("the exchange's name", &exchange)?, short_text("the routing key", &key)?);
        Ok(Outgoing { exchange, key, properties, body })
    }
}

/// The record's own properties, and where it has none the others. How often the broker has delivered it is not passed on:
/// that begins anew.
fn merged(own: &Properties, others: &Properties) -> Properties {
    let mut all = own.clone();
    all.headers.remove("x-delivery-count");
    for (name, value) in &others.headers {
        all.headers.entry(name.clone()).or_insert_with(|| value.clone());
    }
    macro_rules! fill {
        ($($name:ident),+) => { $(all.$name = all.$name.or_else(|| others.$name.clone());)+ };
    }
    fill!(content_type, content_encoding, delivery_mode, priority, correlation_id, reply_to, expiration, message_id);
    fill!(timestamp, kind, user_id, app_id, cluster_id);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use millstream_net::amqp::Value;

    #[test]
    fn what_a_record_says_wins_over_what_is_set() {
        let mut own = Properties { content_type: Some("text/xml".into()), ..Properties::default() };
        own.headers.insert("a".into(), Value::I32(1));
        own.headers.insert("x-delivery-count".into(), Value::I64(3));
        let mut others = Properties { content_type: Some("text/plain".into()), ..Properties::default() };
        (others.delivery_mode, others.app_id) = (Some(2), Some("app".into()));
        others.headers.insert("a".into(), Value::I32(2));
        others.headers.insert("b".into(), Value::I32(3));
        let all = merged(&own, &others);
        assert_eq!((all.content_type.as_deref(), all.delivery_mode), (Some("text/xml"), Some(2)));
        assert_eq!(all.app_id.as_deref(), Some("app"));
        assert_eq!(all.headers, [("a".to_owned(), Value::I32(1)), ("b".to_owned(), Value::I32(3))].into());
    }
}
