//! Millstream moves records from a source, through a chain of transforms, into a sink: declared, planned, run.
//!
//! ```
//! use millstream::prelude::*;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let paid = Collect::<String>::new();
//! let out = paid.collected();
//! let summary = Pipeline::source(List::new(vec!["a paid".to_owned(), "b open".to_owned()]))
//!     .filter(|order: &str| order.ends_with("paid"))
//!     .sink(paid)
//!     .run()
//!     .await?;
//! assert_eq!(out.values(), ["a paid"]);
//! assert_eq!((summary.records_in, summary.filtered, summary.records_out), (2, 1, 1));
//! # Ok(())
//! # }
//! ```
//!
//! This package is the facade: it re-exports what programs need, each connector and coder behind the feature of its
//! name, and joins what the others may not (the planner, the runtime and the list of default coders) in [`Engine`].

#[cfg(doctest)]
mod doc_tests;
mod engine;
#[cfg(feature = "terminal")]
pub mod terminal;

pub use engine::{Engine, Error};

pub use millstream_coders as coders;
pub use millstream_core::{commit, contracts, data, declare, plan, runtime, testkit, transforms};
pub use millstream_net::store;
#[cfg(feature = "instances")]
pub use millstream_net::{instances, link};
pub use millstream_planner::explain;
pub use millstream_sinks as sinks;
pub use millstream_sources as sources;

/// AMQP 0.9.1: queues of a broker such as RabbitMQ as sources, its exchanges as sinks.
#[cfg(feature = "amqp")]
pub mod amqp {
    pub use millstream_net::amqp::{
        Backoff, Broker, DeclaredExchange, DeclaredQueue, Headers, Kind, Message, Properties, Value,
    };
    pub use millstream_sinks::amqp::Exchange;
    pub use millstream_sources::amqp::Queue;
}

/// Kafka: topics as sources and as sinks.
#[cfg(feature = "kafka")]
pub mod kafka {
    pub use millstream_net::kafka::{Cluster, Header, Message, Origin};
    pub use millstream_sinks::kafka::Topic;
    pub use millstream_sources::kafka::{Expired, Fallback, Start, Topics};
}

/// What a program that declares and runs pipelines needs.
pub mod prelude {
    pub use crate::Engine;
    #[cfg(feature = "amqp")]
    pub use crate::amqp;
    #[cfg(feature = "kafka")]
    pub use crate::kafka;
    #[cfg(feature = "embedded-store")]
    pub use millstream_net::store::Embedded;
    #[cfg(feature = "instances")]
    pub use millstream_net::{instances::Instances, link::Peers};

    #[cfg(feature = "avro")]
    pub use millstream_coders::avro;
    #[cfg(feature = "gzip")]
    pub use millstream_coders::gzip;
    #[cfg(feature = "json")]
    pub use millstream_coders::json;
    #[cfg(feature = "xml")]
    pub use millstream_coders::xml;
    pub use millstream_coders::{lines::Lines, whole::Whole, wire};

    pub use millstream_core::contracts::{Emit, Transform, Where};
    pub use millstream_core::data;
    pub use millstream_core::data::{Bytes, Data, Kv, Typed};
    pub use millstream_core::declare::{OnError, Pipeline, Stream};
    pub use millstream_core::plan::{Guarantee, Mistakes, Plan};
    pub use millstream_core::runtime::{Running, Settings, Summary};

    #[cfg(feature = "collect")]
    pub use millstream_sinks::collect::Collect;
    #[cfg(feature = "file")]
    pub use millstream_sinks::file::Output;
    #[cfg(feature = "null")]
    pub use millstream_sinks::null::Null;
    #[cfg(feature = "stdout")]
    pub use millstream_sinks::stdout::Stdout;

    #[cfg(feature = "file")]
    pub use millstream_sources::file::Files;
    #[cfg(feature = "generate")]
    pub use millstream_sources::generate::Generate;
    #[cfg(feature = "list")]
    pub use millstream_sources::list::List;
    #[cfg(feature = "stdin")]
    pub use millstream_sources::stdin::Stdin;
}
