//! `amqp::Queue` and `amqp::Exchange` on RabbitMQ.

mod client;
mod conformance;
mod deep;
mod faults;
mod flow;
mod instances;
mod kills;
mod listings;
mod memory;
mod policies;
mod python;
mod tls;
