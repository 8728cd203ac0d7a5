//! [`Queue`]: which queue, and how it is read.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use millstream_core::contracts::{Active, Commits, Ends, Places, SourceFactory, SourceTraits};
use millstream_core::data::Bytes;
use millstream_net::amqp::{Broker, DeclaredQueue, Message};

use super::record::Record;
use super::source::QueueSource;
use super::times::Clocked;

/// The most messages that the protocol can let be unacknowledged.
const MOST: u32 = u16::MAX as u32;

/// A queue of a broker: `Queue::new("amqp://user:password@host:5672/vhost", "orders")`.
///
/// By default it gives the bodies of messages ([`Bytes`]) and acknowledges all of them up to a point at once, whenever the
/// pipeline commits. It declares nothing at the broker: the queue has to be there.
///
/// It runs on every instance. The broker has to let one consumer at a time be active, so the queue has to be one with a
/// *single active consumer* (`x-single-active-consumer`) where there are several instances: otherwise order is lost.
///
/// What the broker gives again, because it was not acknowledged when a connection was lost, comes again: delivery is
/// at-least-once.
pub struct Queue<T = Bytes> {
    settings: Settings,
    gives: PhantomData<fn() -> T>,
}

/// What a [`Queue`] was told.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) broker: Broker,
    pub(super) queue: String,
    pub(super) prefetch: u32,
    pub(super) pessimistic: bool,
    pub(super) declared: Option<DeclaredQueue>,
    pub(super) clocked: Clocked,
    pub(super) timeout: Duration,
}

impl Queue {
    /// The bodies of the messages in this queue.
    pub fn new(broker: impl Into<Broker>, queue: impl Into<String>) -> Self {
        let settings = Settings {
            broker: broker.into(),
            queue: queue.into(),
            prefetch: 20_000,
            pessimistic: false,
            declared: None,
            clocked: Clocked::Timestamp,
            timeout: Duration::from_secs(30 * 60),
        };
        Self { settings, gives: PhantomData }
    }
}

impl<T> Queue<T> {
    /// Gives whole messages: properties, headers, routing key, exchange, delivery count, body. Default: bodies.
    #[must_use]
    pub fn messages(self) -> Queue<Message> {
        Queue { settings: self.settings, gives: PhantomData }
    }

    /// The most messages that may be given to this consumer and not acknowledged, 1 to 65,535; 20,000 by default. They
    /// lie in this process's memory, so with large messages it should be lower: it is the only bound that the protocol has.
    /// What is acknowledged is so once a commit: with less than passes in a commit interval (250 ms) the broker waits for
    /// us.
    #[must_use]
    pub fn prefetch(mut self, messages: u32) -> Self {
        self.settings.prefetch = messages;
        self
    }

    /// Acknowledges each message by itself, as soon as it and whatever came of it has arrived, however its neighbours do;
    /// what nobody can say the outcome of goes back to the queue at once. Default: all up to a point at once, which costs
    /// less; a message that takes long then keeps those behind it unacknowledged.
    #[must_use]
    pub fn pessimistic(mut self) -> Self {
        self.settings.pessimistic = true;
        self
    }

    /// Declares the queue, its exchanges and its bindings each time that a connection is opened. Default: the queue is
    /// looked for, and has to be there.
    #[must_use]
    pub fn declare(mut self, declared: DeclaredQueue) -> Self {
        self.settings.declared = Some(declared);
        self
    }

    /// A message happened when this header says: a timestamp (seconds), or a number or text of milliseconds since the Unix
    /// epoch, such as `timestamp_in_ms`. Default: when its `timestamp` property says. What doesn't have it happened when it
    /// was read.
    #[must_use]
    pub fn event_time_header(mut self, header: impl Into<String>) -> Self {
        self.settings.clocked = Clocked::Header(header.into());
        self
    }

    /// A message happens when it is read. Default: when its `timestamp` property says.
    #[must_use]
    pub fn event_time_arrival(mut self) -> Self {
        self.settings.clocked = Clocked::Arrival;
        self
    }

    /// How long the broker lets a message be unacknowledged (`consumer_timeout`), 30 minutes by default as with RabbitMQ.
    /// After that it closes the channel, and what was in flight comes again. Nothing is sent to the broker: when a message
    /// has been in flight for two thirds of this time, counted from when the broker sent it as far as that can be told,
    /// that is said in the log.
    #[must_use]
    pub fn broker_timeout(mut self, time: Duration) -> Self {
        self.settings.timeout = time;
        self
    }
}

impl<T: Record> SourceFactory for Queue<T> {
    type Source = QueueSource<T>;

    fn traits(&self) -> SourceTraits {
        let Settings { broker, queue, prefetch, pessimistic, .. } = &self.settings;
        SourceTraits {
            ends: Ends::Unbounded,
            commits: if *pessimistic { Commits::Pessimistic } else { Commits::Optimistic },
            keeps_positions: true,
            resumable: false,
            places: Places::Everywhere(Active::One),
            unacknowledged: Some((*prefetch).into()),
            ..SourceTraits::new("AMQP-QUEUE", format!("{queue} of {broker}"))
        }
    }

    fn check(&self) -> Vec<String> {
        let mut wrong = self.settings.broker.check();
        match self.settings.queue.len() {
            0 => wrong.push("no queue to read: give its name".to_owned()),
            1..=255 => {}
            found => wrong.push(format!("the queue's name has {found} bytes: expected 255 at most")),
        }
        if self.settings.prefetch == 0 || self.settings.prefetch > MOST {
            let found = self.settings.prefetch;
            wrong.push(format!("a prefetch of {found}: expected 1 to {MOST}; leave it out for 20,000"));
        }
        if matches!(&self.settings.clocked, Clocked::Header(header) if header.is_empty()) {
            wrong.push("event time from a header without a name: give its name".to_owned());
        }
        if self.settings.timeout.is_zero() {
            wrong.push("a broker's time-out of 0 s: leave it out for 30 minutes".to_owned());
        }
        wrong.extend(self.settings.declared.iter().flat_map(DeclaredQueue::check));
        wrong
    }

    fn make(&self) -> QueueSource<T> {
        let mut settings = self.settings.clone();
        settings.broker.name_unless(|| format!("AMQP-QUEUE {}", self.settings.queue));
        QueueSource::new(settings)
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), gives: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} of {})", self.settings.queue, self.settings.broker)
    }
}
