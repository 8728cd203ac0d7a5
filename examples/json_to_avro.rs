//! Writes lines of JSON, in Avro's own JSON encoding, to an Avro object container file: exactly once with `--state`.
//!
//! ```sh
//! cargo run --release --example json_to_avro -- --schema examples/data/weather.avsc --input examples/data/weather.json --output weather.avro --codec zstandard
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use millstream::sinks::file;
use support::{Common, Errors, Input, State, Workers};

/// Write lines of JSON to an Avro container file
#[derive(Parser)]
#[command(name = "json_to_avro", version)]
struct Flags {
    /// File with the schema of the values
    #[arg(long, value_name = "F")]
    schema: PathBuf,
    #[command(flatten)]
    input: Input,
    /// File to write; `-` is standard output
    #[arg(long, value_name = "F")]
    output: PathBuf,
    /// How blocks are compressed: null, deflate, snappy or zstandard
    #[arg(long, value_name = "C", default_value_t = avro::Codec::Null)]
    codec: avro::Codec,
    #[command(flatten)]
    workers: Workers,
    #[command(flatten)]
    errors: Errors,
    #[command(flatten)]
    state: State,
    #[command(flatten)]
    common: Common,
}

fn main() -> ExitCode {
    let Flags { schema, input, output, codec, workers, errors, state, common } = Flags::parse();
    let schema = support::schema(&schema);
    let container = avro::Container::of(&schema).codec(codec);
    let values = input
        .read("json_to_avro", Lines::default())
        .decode_as(avro::values().json(&schema))
        .par(workers.workers)
        .encode_as(avro::values().container(&container));
    let pipeline = match support::is_standard(&output) {
        true => values.sink(Stdout::new(container)),
        false => values.sink(file::Output::create(&output, container)),
    };
    common.run(errors.apply(state.keep(pipeline, &input)))
}
