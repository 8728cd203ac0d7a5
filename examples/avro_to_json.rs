//! Writes the values of Avro object container files as lines of JSON: in Avro's own JSON encoding, or as plain JSON.
//!
//! ```sh
//! cargo run --release --example avro_to_json -- --input examples/data/weather.avro --output -
//! ```

mod support;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use millstream::prelude::*;
use support::{Common, Errors, Input, Output, State, Workers};

/// Write Avro container files as lines of JSON
#[derive(Parser)]
#[command(name = "avro_to_json", version)]
struct Flags {
    #[command(flatten)]
    input: Input,
    /// File with the schema to read by: fields are left out, renamed by aliases, filled in by defaults, and widened, as
    /// it says
    #[arg(long, value_name = "F")]
    reader_schema: Option<PathBuf>,
    /// File with the schema of inputs, to the letter as they begin with it; may be given several times. Where several
    /// instances share the work, each has to know it: only who reads a file sees how it begins
    #[arg(long, value_name = "F")]
    writer_schema: Vec<PathBuf>,
    /// Write plain JSON: values of unions without the names of their branches, decimals as their digits
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    output: Output,
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
    let Flags { input, reader_schema, writer_schema, plain, output, workers, errors, state, common } = Flags::parse();
    let known = writer_schema.iter().map(|path| support::schema(path));
    let container = known.fold(avro::Container::new(), |container, schema| container.knowing(&schema));
    let mut format = avro::values().container(&container);
    if let Some(path) = reader_schema {
        format = format.reader(&support::schema(&path));
    }
    let json = if plain { avro::values().plain_json() } else { avro::values().own_json() };
    let values = input.read("avro_to_json", container).decode_as(format).par(workers.workers);
    let pipeline = support::write(values.encode_as(json), &output.path);
    common.run(errors.apply(state.keep(pipeline, &input)))
}
