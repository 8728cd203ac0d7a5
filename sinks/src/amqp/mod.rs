//! Exchanges of a broker that speaks AMQP 0.9.1, such as RabbitMQ: [`Exchange`].
//!
//! A batch is published in windows: a window's messages go out one after the other, and then the broker's confirms are
//! awaited, all of them. Only then is it known what was returned, because the broker returns a message before it confirms
//! it, and doesn't say which one it was. So `write` returns when its batch has arrived, and a message that the broker did
//! not take meets the stage's policy like any other record that fails.
//!
//! ```text
//! config      which exchange, and how it is written to
//! record      what of a record becomes what of a message
//! sink        publishes, reconnects, publishes again
//! returned    which of the published messages came back
//! ahead       what was confirmed behind a record that was not
//! ```

mod ahead;
mod config;
mod record;
mod returned;
mod sink;

pub use config::Exchange;
pub use record::Record;
pub use sink::ExchangeSink;
