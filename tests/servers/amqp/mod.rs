//! `amqp::Queue` and `amqp::Exchange` on RabbitMQ.

mod acks;
mod client;
mod conformance;
mod declares;
mod deep;
mod faults;
mod flood;
mod flow;
mod instances;
mod kills;
mod letters;
mod lines;
mod listings;
mod marks;
mod memory;
mod policies;
mod python;
mod says;
mod timeout;
mod times;
mod tls;
#[cfg(feature = "kafka")]
mod to_kafka;
#[cfg(feature = "kafka")]
mod transactions;
#[cfg(feature = "kafka")]
mod walk;
