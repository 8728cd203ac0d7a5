//! `amqp::Queue` and `amqp::Exchange` on RabbitMQ.

mod client;
mod conformance;
mod faults;
mod flow;
mod policies;
mod python;
mod tls;
