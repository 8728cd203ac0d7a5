//! Queues and exchanges that are declared when a pipeline starts. Declaring what is there in the same way changes nothing;
//! what is there in another way is an error.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, ExchangeKind};
use millstream_core::contracts::{Cause, Error, Result};

use super::link::short;
use super::value::{Headers, Value, to_table};
use super::wrong::wrong;

/// How a queue is declared: durable, of the type [quorum](Self::quorum) or [classic](Self::classic).
///
/// ```
/// use millstream_net::amqp::{DeclaredQueue, Kind};
///
/// let orders = DeclaredQueue::quorum()
///     .single_active_consumer()
///     .argument("x-delivery-limit", 20)
///     .exchange("events", Kind::Topic)
///     .bind("events", "order.*");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredQueue {
    arguments: Headers,
    exchanges: Vec<(String, DeclaredExchange)>,
    bindings: Vec<Binding>,
}

/// What a queue gets of an exchange.
#[derive(Debug, Clone, PartialEq)]
struct Binding {
    exchange: String,
    key: String,
    arguments: Headers,
}

/// How an exchange is declared: durable unless said otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredExchange {
    kind: Kind,
    arguments: Headers,
}

/// What an exchange goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The routing key is the binding's.
    Direct,
    /// All bindings.
    Fanout,
    /// The routing key matches the binding's pattern: `*` is a word, `#` any number of them.
    Topic,
    /// The headers match the binding's arguments ([`DeclaredQueue::bind_headers`]).
    Headers,
    /// What a plugin brings, such as `x-consistent-hash`.
    Other(String),
}

impl DeclaredQueue {
    /// A quorum queue: replicated, and never lost while most of its nodes live; it counts deliveries.
    pub fn quorum() -> Self {
        Self::of("quorum")
    }

    /// A classic queue.
    pub fn classic() -> Self {
        Self::of("classic")
    }

    fn of(kind: &str) -> Self {
        let arguments = Headers::from([("x-queue-type".to_owned(), kind.into())]);
        Self { arguments, exchanges: Vec::new(), bindings: Vec::new() }
    }

    /// Only one consumer at a time gets messages, and another takes over when it is gone. What runs on several instances
    /// needs it, or order is lost.
    #[must_use]
    pub fn single_active_consumer(self) -> Self {
        self.argument("x-single-active-consumer", true)
    }

    /// An argument, such as `x-max-length` or `x-dead-letter-exchange`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.arguments.insert(name.into(), value.into());
        self
    }

    /// Declares this exchange too, before the bindings.
    #[must_use]
    pub fn exchange(mut self, name: impl Into<String>, declared: impl Into<DeclaredExchange>) -> Self {
        self.exchanges.push((name.into(), declared.into()));
        self
    }

    /// Binds it to an exchange by this key; may be given several times.
    #[must_use]
    pub fn bind(mut self, exchange: impl Into<String>, key: impl Into<String>) -> Self {
        self.bindings.push(Binding { exchange: exchange.into(), key: key.into(), arguments: Headers::new() });
        self
    }

    /// Binds it to an exchange of the kind [`Kind::Headers`], for messages that have all of these headers; with
    /// `("x-match", "any")` among them, one is enough. May be given several times.
    ///
    /// ```
    /// use millstream_net::amqp::{DeclaredQueue, Kind};
    ///
    /// let orders = DeclaredQueue::quorum().exchange("events", Kind::Headers);
    /// let german = orders.bind_headers("events", [("type", "order"), ("country", "DE")]);
    /// ```
    #[must_use]
    pub fn bind_headers<N, V>(mut self, exchange: impl Into<String>, headers: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<Value>,
    {
        let arguments = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        self.bindings.push(Binding { exchange: exchange.into(), key: String::new(), arguments });
        self
    }

    /// What is wrong with it, one message each with what to do.
    pub fn check(&self) -> Vec<String> {
        let names = self.exchanges.iter().map(|(name, _)| name).chain(self.bindings.iter().map(|it| &it.exchange));
        let mut wrong: Vec<_> = names.filter_map(|name| named("exchange", name)).collect();
        wrong.extend(self.bindings.iter().flat_map(Binding::check));
        wrong.extend(to_table(&self.arguments).err().map(|unfit| format!("the queue's arguments: {unfit}")));
        wrong.extend(self.exchanges.iter().flat_map(|(_, exchange)| exchange.check()));
        wrong
    }

    /// Declares the queue of this name, its exchanges and its bindings.
    pub async fn declare(&self, channel: &Channel, queue: &str) -> Result<()> {
        for (name, exchange) in &self.exchanges {
            exchange.declare(channel, name).await?;
        }
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(short(queue, "the queue's name")?, options, table(&self.arguments)?).await;
        declared.map_err(|error| wrong(format!("queue {queue} can't be declared"), error))?;
        for Binding { exchange, key, arguments } in &self.bindings {
            let (from, key) = (short(exchange, "the exchange's name")?, short(key, "the binding's key")?);
            let options = QueueBindOptions::default();
            let name = short(queue, "the queue's name")?;
            let bound = channel.queue_bind(name, from, key, options, table(arguments)?).await;
            bound.map_err(|error| wrong(format!("queue {queue} can't be bound to exchange {exchange}"), error))?;
        }
        Ok(())
    }
}

impl Binding {
    fn check(&self) -> impl Iterator<Item = String> {
        let unfit = to_table(&self.arguments).err().map(|unfit| format!("a binding's headers: {unfit}"));
        too_long("a binding's key", &self.key).into_iter().chain(unfit)
    }
}

impl DeclaredExchange {
    /// A durable one of this kind.
    pub fn new(kind: Kind) -> Self {
        Self { kind, arguments: Headers::new() }
    }

    /// An argument, such as `alternate-exchange`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.arguments.insert(name.into(), value.into());
        self
    }

    /// What is wrong with it, one message each with what to do.
    pub fn check(&self) -> Vec<String> {
        let unfit = to_table(&self.arguments).err().map(|unfit| format!("the exchange's arguments: {unfit}"));
        let kind = match &self.kind {
            Kind::Other(kind) => too_long("the exchange's kind", kind),
            _ => None,
        };
        unfit.into_iter().chain(kind).collect()
    }

    /// Declares the exchange of this name.
    pub async fn declare(&self, channel: &Channel, name: &str) -> Result<()> {
        let kind = match &self.kind {
            Kind::Direct => ExchangeKind::Direct,
            Kind::Fanout => ExchangeKind::Fanout,
            Kind::Topic => ExchangeKind::Topic,
            Kind::Headers => ExchangeKind::Headers,
            Kind::Other(other) => ExchangeKind::Custom(other.clone()),
        };
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let short_name = short(name, "the exchange's name")?;
        let declared = channel.exchange_declare(short_name, kind, options, table(&self.arguments)?).await;
        declared.map_err(|error| wrong(format!("exchange {name} can't be declared"), error))
    }
}

impl From<Kind> for DeclaredExchange {
    fn from(kind: Kind) -> Self {
        Self::new(kind)
    }
}

fn table(arguments: &Headers) -> Result<FieldTable> {
    to_table(arguments).map_err(|unfit| Error::new(Cause::User, format!("arguments: {unfit}")))
}

fn named(what: &str, name: &str) -> Option<String> {
    if name.is_empty() {
        return Some(format!("an {what} without a name: the default one can't be declared or bound to"));
    }
    too_long(&format!("the {what}'s name"), name)
}

fn too_long(what: &str, text: &str) -> Option<String> {
    (text.len() > 255).then(|| format!("{what} has {} bytes: expected 255 at most", text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_found_before_anything_is_opened() {
        let good = DeclaredQueue::quorum().exchange("e", Kind::Topic).bind("e", "a.*").argument("x-max-length", 5);
        assert_eq!(good.check(), Vec::<String>::new());
        let long = "l".repeat(256);
        let wrong = [
            DeclaredQueue::classic().bind("", "k"),
            DeclaredQueue::classic().bind(&long, "k"),
            DeclaredQueue::classic().bind("e", &long),
            DeclaredQueue::classic().bind_headers("e", [(&*long, 1)]),
            DeclaredQueue::classic().exchange("", Kind::Fanout),
            DeclaredQueue::classic().exchange("e", Kind::Other(long.clone())),
            DeclaredQueue::classic().argument(&long, 1),
        ];
        for declared in wrong {
            assert_eq!(declared.check().len(), 1, "{declared:?}");
        }
    }
}
