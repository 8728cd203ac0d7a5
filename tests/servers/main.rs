//! Connectors against the real servers, which this test starts: RabbitMQ, Kafka, and a schema registry with the
//! Confluent API. What they need is fetched by `tests/servers/install`; each has free ports and a folder of its own, and
//! ends with this process, however that ends.
//!
//! Where a server can't be had, its tests are skipped, and say so with the reason; in CI that is a failure.
//!
//! ```sh
//! cargo test --all-features --test servers -- --nocapture
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what passed and what landed is part of the result")]
#![cfg(target_os = "linux")]

#[macro_use]
#[path = "../kill/told.rs"]
mod told;

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "avro")]
mod avro;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod log;
#[cfg(any(feature = "amqp", feature = "kafka"))]
mod moment;
mod processes;
mod proxies;
#[cfg(any(feature = "amqp", feature = "kafka"))]
#[path = "../kill/random.rs"]
mod random;
mod starts;
#[allow(dead_code, reason = "the tests of each feature use a part of it")]
mod support;

/// Says what a conformance suite has seen, and that it holds.
#[cfg(any(feature = "amqp", feature = "kafka"))]
#[track_caller]
fn conforms(report: &millstream::testkit::conformance::Report) {
    told!("{report}");
    report.assert_holds();
}
