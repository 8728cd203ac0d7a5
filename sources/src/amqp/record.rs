//! [`Record`]: what becomes of a message.

use lapin::message::Delivery;
use millstream_core::contracts::Refused;
use millstream_core::data::{Bytes, Column, Data, Packed};
use millstream_net::amqp::{Message, Messages, Properties};

/// What a queue may give: the bodies of its messages ([`Bytes`]), or whole messages ([`Message`]).
pub trait Record: Data + sealed::Record {}

impl Record for Bytes {}

impl Record for Message {}

pub(super) mod sealed {
    use super::{Data, Delivery, Refused};

    /// Makes batches of it.
    pub trait Record: Data {
        /// The records of these messages, a row each, and those that can't be given.
        fn batch(messages: Vec<Delivery>) -> (Self::Column, Vec<(u32, Refused)>);
    }
}

impl sealed::Record for Bytes {
    fn batch(messages: Vec<Delivery>) -> (Packed<Self>, Vec<(u32, Refused)>) {
        (packed(&messages), Vec::new())
    }
}

impl sealed::Record for Message {
    fn batch(messages: Vec<Delivery>) -> (Messages, Vec<(u32, Refused)>) {
        let bodies = packed(&messages);
        let (mut column, mut refused) = (Messages::default(), Vec::new());
        for (row, message) in messages.into_iter().enumerate() {
            let properties = Properties::of_client(&message.properties).unwrap_or_else(|unfit| {
                refused.push((row as u32, Refused(unfit.to_string())));
                Properties::default()
            });
            column.push(Self {
                body: bodies.share(row),
                exchange: message.exchange.to_string(),
                routing_key: message.routing_key.to_string(),
                redelivered: message.redelivered,
                properties,
            });
        }
        (column, refused)
    }
}

/// The bodies in one block.
fn packed(messages: &[Delivery]) -> Packed<Bytes> {
    let mut packed = Packed::default();
    messages.iter().for_each(|message| packed.append_bytes(&message.data));
    packed.freeze();
    packed
}
