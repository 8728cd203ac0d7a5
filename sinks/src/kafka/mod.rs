//! Kafka topics, written to: [`Topic`].
//!
//! Records are handed to librdkafka, which sends them in batches of its own; a batch of the engine settles once the
//! brokers have acknowledged each of its records. Many are under way at once, and records of one partition arrive in the
//! order in which they were written.
//!
//! ```text
//! config     which topic, and what becomes of a record
//! form       what a record is in Kafka
//! delivery   what is under way, and what became of it
//! name       what transactions are called, one client at a time
//! poison     the records that broke a transaction
//! row        a record as it is handed over
//! limits     what a topic asks of its records
//! admin      what is asked of the brokers about topics
//! producer   the client, and the thread that hears its reports
//! transactions  records and positions, committed together
//! positions  the topic that positions are kept in
//! sink       what the engine asks for
//! ```

mod admin;
mod config;
mod delivery;
mod form;
mod limits;
mod name;
mod poison;
mod positions;
mod producer;
mod row;
mod sink;
#[cfg(test)]
mod tests;
mod transactions;

pub use config::Topic;
pub use form::Form;
pub use sink::KafkaSink;
