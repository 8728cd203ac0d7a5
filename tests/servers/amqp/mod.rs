//! `amqp::Queue` and `amqp::Exchange` on RabbitMQ.

mod client;
mod conformance;
mod declares;
mod deep;
mod faults;
mod flood;
mod flow;
mod instances;
mod kills;
mod lines;
mod listings;
mod marks;
mod memory;
mod policies;
mod python;
mod timeout;
mod times;
mod tls;
#[cfg(feature = "kafka")]
mod transactions;
