//! [`Exchange`]: which exchange, and how it is written to.

use std::fmt;
use std::sync::Arc;

use millstream_core::contracts::{SinkFactory, SinkTraits};
use millstream_core::data::Bytes;
use millstream_net::amqp::{Broker, DeclaredExchange, Message, Properties, Value};

use super::record::Record;
use super::sink::ExchangeSink;

/// The most messages that may wait for their confirms.
const MOST: usize = 100_000;

/// An exchange of a broker: `Exchange::new("amqp://user:password@host:5672/vhost", "events").routing_key("order.new")`.
///
/// A record has arrived when the broker has confirmed it: then it is in a queue, and on disk where the queue is durable. A
/// message that no queue takes is returned by the broker, and fails. Both meet the stage's error policy. Delivery is
/// at-least-once: what was published when a connection or this process ended, and not confirmed, is published again.
///
/// It takes [`Bytes`], which become bodies. [`messages`](Self::messages) and [`keyed`](Self::keyed) take more.
pub struct Exchange<T = Bytes> {
    settings: Settings<T>,
}

/// A text that a record says.
pub(super) type Says<T> = Arc<dyn Fn(&T) -> String + Send + Sync>;

/// What an [`Exchange`] was told.
pub(super) struct Settings<T> {
    pub(super) broker: Broker,
    pub(super) exchange: String,
    pub(super) exchange_by: Option<Says<T>>,
    pub(super) key: Option<String>,
    pub(super) key_by: Option<Says<T>>,
    pub(super) properties: Properties,
    pub(super) event_times: bool,
    pub(super) mandatory: bool,
    pub(super) window: usize,
    pub(super) declared: Option<DeclaredExchange>,
}

impl Exchange {
    /// The exchange of this name; the default one has the name `""`, and leads to the queue whose name the routing key is.
    pub fn new(broker: impl Into<Broker>, exchange: impl Into<String>) -> Self {
        let settings = Settings {
            broker: broker.into(),
            exchange: exchange.into(),
            exchange_by: None,
            key: None,
            key_by: None,
            properties: Properties { delivery_mode: Some(2), ..Properties::default() },
            event_times: false,
            mandatory: true,
            window: 1_024,
            declared: None,
        };
        Self { settings }
    }

    /// Takes whole messages: body, properties, headers, and routing key unless one is set here. To be called before a
    /// function of the record is given.
    pub fn messages(self) -> Exchange<Message> {
        self.of()
    }

    /// Takes pairs: the routing key, unless one is set here, and the body. To be called before a function of the record is
    /// given.
    pub fn keyed(self) -> Exchange<millstream_core::data::Kv<String, Bytes>> {
        self.of()
    }

    /// The same, of other records.
    fn of<T: Record>(self) -> Exchange<T> {
        let Settings { broker, exchange, exchange_by: _, key, key_by: _, properties, event_times, .. } = self.settings;
        let Settings { mandatory, window, declared, .. } = self.settings;
        let (exchange_by, key_by) = (None, None);
        let settings = Settings {
            broker,
            exchange,
            exchange_by,
            key,
            key_by,
            properties,
            event_times,
            mandatory,
            window,
            declared,
        };
        Exchange { settings }
    }
}

impl<T: Record> Exchange<T> {
    /// All messages have this routing key. Default: the record's own, or an empty one where it has none.
    #[must_use]
    pub fn routing_key(mut self, key: impl Into<String>) -> Self {
        self.settings.key = Some(key.into());
        self
    }

    /// A message has the routing key that this makes of its record.
    #[must_use]
    pub fn routing_key_by(mut self, key: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        self.settings.key_by = Some(Arc::new(key));
        self
    }

    /// A message goes to the exchange whose name this makes of its record, in place of the one that was given; that has to
    /// be there all the same.
    #[must_use]
    pub fn exchange_by(mut self, exchange: impl Fn(&T) -> String + Send + Sync + 'static) -> Self {
        self.settings.exchange_by = Some(Arc::new(exchange));
        self
    }

    /// What messages say of themselves, where their records say nothing, in place of all that was given of that before:
    /// headers are added to those of the record. Default: that they are persistent, and nothing else.
    #[must_use]
    pub fn properties(mut self, properties: Properties) -> Self {
        let delivery_mode = properties.delivery_mode.or(self.settings.properties.delivery_mode);
        self.settings.properties = Properties { delivery_mode, ..properties };
        self
    }

    /// The MIME type of bodies. Default: none.
    #[must_use]
    pub fn content_type(mut self, mime: impl Into<String>) -> Self {
        self.settings.properties.content_type = Some(mime.into());
        self
    }

    /// A header that all messages have unless their records say otherwise; may be given several times.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.settings.properties.headers.insert(name.into(), value.into());
        self
    }

    /// Messages are lost when the broker restarts, and cost it less. Default: they are persistent, which lasts in a durable
    /// queue.
    #[must_use]
    pub fn transient(mut self) -> Self {
        self.settings.properties.delivery_mode = Some(1);
        self
    }

    /// A message's `timestamp` is its event time, in whole seconds, unless its record has one. Default: it has none.
    #[must_use]
    pub fn event_times(mut self) -> Self {
        self.settings.event_times = true;
        self
    }

    /// A message that no queue takes is gone, and counts as delivered. Default: it fails.
    #[must_use]
    pub fn unroutable_is_fine(mut self) -> Self {
        self.settings.mandatory = false;
        self
    }

    /// How many messages may be published before their confirms are awaited, 1 to 100,000; 1,024 by default. It bounds what
    /// is published twice after a loss, and what of a batch stands at the broker before a record of it that is retried:
    /// with 1 the order is kept even then, at the price of a wait for each message.
    #[must_use]
    pub fn confirm_window(mut self, messages: usize) -> Self {
        self.settings.window = messages;
        self
    }

    /// Declares the exchange each time that a connection is opened. Default: it is looked for, and has to be there.
    #[must_use]
    pub fn declare(mut self, declared: impl Into<DeclaredExchange>) -> Self {
        self.settings.declared = Some(declared.into());
        self
    }
}

impl<T: Record> SinkFactory for Exchange<T> {
    type Sink = ExchangeSink<T>;

    fn traits(&self, _: bool) -> SinkTraits {
        let repeats = "what a broker has confirmed can't be taken back, and is published again after a crash";
        SinkTraits::new("AMQP-EXCHANGE", self.describe(), repeats)
    }

    fn check(&self) -> Vec<String> {
        let Settings { broker, exchange, key, properties, window, declared, .. } = &self.settings;
        let mut wrong = broker.check();
        let texts = [("exchange's name", exchange), ("routing key", key.as_ref().unwrap_or(exchange))];
        for (what, text) in texts {
            if text.len() > 255 {
                wrong.push(format!("the {what} has {} bytes: expected 255 at most", text.len()));
            }
        }
        if *window == 0 || *window > MOST {
            wrong.push(format!("a confirm window of {window}: expected 1 to {MOST}; leave it out for 1,024"));
        }
        wrong.extend(properties.to_client().err().map(|unfit| format!("the properties of messages: {unfit}")));
        if declared.is_some() && exchange.is_empty() {
            wrong.push("the default exchange can't be declared: leave `declare` out".to_owned());
        }
        wrong.extend(declared.iter().flat_map(DeclaredExchange::check));
        wrong
    }

    fn check_letters(&self) -> Vec<String> {
        let Settings { exchange, key, key_by, exchange_by, .. } = &self.settings;
        let leads_back = exchange.is_empty() && exchange_by.is_none() && key.is_none() && key_by.is_none();
        let text = "dead letters to the default exchange without a routing key: a message's own may lead back to the queue \
                    that it was read from, for ever; give the queue of the letters by `routing_key`";
        leads_back.then(|| text.to_owned()).into_iter().collect()
    }

    fn make(&self) -> ExchangeSink<T> {
        let mut settings = self.settings.clone();
        settings.broker.name_unless(|| format!("AMQP-EXCHANGE {}", self.settings.exchange));
        ExchangeSink::new(settings)
    }
}

impl<T> Exchange<T> {
    fn describe(&self) -> String {
        let Settings { broker, exchange, .. } = &self.settings;
        match &**exchange {
            "" => format!("the default exchange of {broker}"),
            exchange => format!("{exchange} of {broker}"),
        }
    }
}

impl<T> Clone for Settings<T> {
    fn clone(&self) -> Self {
        Self {
            broker: self.broker.clone(),
            exchange: self.exchange.clone(),
            exchange_by: self.exchange_by.clone(),
            key: self.key.clone(),
            key_by: self.key_by.clone(),
            properties: self.properties.clone(),
            event_times: self.event_times,
            mandatory: self.mandatory,
            window: self.window,
            declared: self.declared.clone(),
        }
    }
}

impl<T> Clone for Exchange<T> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone() }
    }
}

impl<T> fmt::Debug for Exchange<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchange({})", self.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_to_the_default_exchange_need_a_key_of_their_own() {
        let to = |exchange: &str| Exchange::new("amqp://localhost", exchange).messages();
        let wrong = to("").check_letters();
        assert!(matches!(&*wrong, [text] if text.contains("routing_key")), "{wrong:?}");
        assert_eq!(to("").routing_key("dead").check_letters(), [""; 0]);
        assert_eq!(to("events").check_letters(), [""; 0]);
    }
}
