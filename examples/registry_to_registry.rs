//! Copies a topic whose values are Avro under one schema registry to one whose values are Avro under another: the schemas
//! are registered there, and get ids of their own.
//!
//! ```sh
//! cargo run --release --features kafka --example registry_to_registry -- --brokers 127.0.0.1:9092 --group mirror \
//!     --from orders --registry http://127.0.0.1:8081 --to mirrored --to-registry http://127.0.0.1:8082
//! ```

mod support;

use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::kafka::{Brokers, Group};
use support::{Common, Errors, registry};

/// Copy a topic's values from under one schema registry to under another
#[derive(Parser)]
#[command(name = "registry_to_registry", version)]
struct Flags {
    #[command(flatten)]
    brokers: Brokers,
    /// Topic to read
    #[arg(long, value_name = "T")]
    from: String,
    #[command(flatten)]
    registry: registry::One,
    /// Topic to write
    #[arg(long, value_name = "T")]
    to: String,
    #[command(flatten)]
    to_registry: registry::Other,
    #[command(flatten)]
    group: Group,
    /// Messages have keys, which are copied as they are
    #[arg(long)]
    keyed: bool,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { brokers, from, registry, to, to_registry, group, keyed, errors, common } = Flags::parse();
    let read = group.read(&brokers, from);
    let subject = avro::Subject::value_of(&to);
    let one = avro::values().registered(&registry.registry().reading());
    let other = avro::values().registered(&to_registry.registry().writing_own(subject).registering());
    let (topic, pipeline) = (kafka::Topic::new(brokers.cluster(), to), Pipeline::called("registry_to_registry"));
    let pipeline = if keyed {
        // Of a pair each side is coded by itself: the keys stay the bytes that they are.
        let pairs = pipeline.source(read.keyed()).map(|pair: Kv<Bytes, avro::Value>| pair).named("VALUES");
        pairs.sink(topic.keyed()).with(one).with(avro::Writes(other))
    } else {
        pipeline.source(read).decode_as(one).encode_as(other).sink(topic)
    };
    common.run(errors.apply(pipeline))
}
