//! `amqp::Queue` and `amqp::Exchange` on RabbitMQ.

mod client;
mod conformance;
