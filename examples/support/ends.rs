//! The flags of sources and sinks: `--input`, `--output`, `--state`.

use std::path::{Path, PathBuf};

use millstream::coders;
use millstream::contracts::Framing;
use millstream::declare::Root;
use millstream::prelude::*;

/// What stands for standard input and standard output.
const STANDARD: &str = "-";

/// Where records come from.
#[derive(clap::Args)]
pub(crate) struct Input {
    /// Files to read, one after the other, compressed by gzip or not; `-` is standard input
    #[arg(long = "input", value_name = "F", required = true, num_args = 1..)]
    paths: Vec<PathBuf>,
}

impl Input {
    /// Begins a pipeline of this name that reads them.
    #[track_caller]
    pub(crate) fn read(&self, name: &str, framing: impl Framing) -> Stream<Bytes, Root> {
        let pipeline = Pipeline::called(name);
        if !self.is_standard() {
            return pipeline.source(Files::new(&*self.paths, framing).compressions(coders::compressions()));
        }
        if self.paths.len() > 1 {
            super::refuse("`--input -` is standard input, and can't be read together with files");
        }
        pipeline.source(Stdin::new(framing))
    }

    fn is_standard(&self) -> bool {
        self.paths.iter().any(|path| path == Path::new(STANDARD))
    }
}

/// Where records go, unless it is said: standard output.
#[derive(clap::Args)]
pub(crate) struct Output {
    /// File to write; `-` is standard output
    #[arg(long = "output", value_name = "F", default_value = STANDARD)]
    pub(crate) path: PathBuf,
}

/// Whether a path stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new(STANDARD)
}

/// The Avro schema in a file.
pub(crate) fn schema(path: &Path) -> avro::Schema {
    avro::Schema::from_file(path).unwrap_or_else(|error| super::refuse(error.chain()))
}

/// Ends a pipeline by writing its records there, a line each.
#[track_caller]
pub(crate) fn write<T: Data, M>(records: Stream<T, M>, path: &Path) -> Pipeline {
    if is_standard(path) {
        records.sink(Stdout::new(Lines::default()))
    } else {
        records.sink(millstream::sinks::file::Output::create(path, Lines::default()))
    }
}

/// Ends a pipeline that reads what a server forgets once it is told: with a state folder the file is made, and holds just
/// what the positions there say; without one it is appended to.
#[track_caller]
pub(crate) fn write_or_append<T: Data, M>(records: Stream<T, M>, path: &Path, state: Option<PathBuf>) -> Pipeline {
    match state {
        Some(folder) => write(records, path).store(Embedded::at(folder)),
        None if is_standard(path) => write(records, path),
        None => records.sink(millstream::sinks::file::Output::append(path, Lines::default())),
    }
}

/// Where positions are kept.
#[derive(clap::Args)]
pub(crate) struct State {
    /// Keep in this folder how far the input has been read, and go on from there when started again
    #[arg(long = "state", value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl State {
    /// Keeps the positions of a pipeline that reads `input`.
    pub(crate) fn keep(self, pipeline: Pipeline, input: &Input) -> Pipeline {
        match self.folder {
            None => pipeline,
            Some(_) if input.is_standard() => {
                super::refuse("`--state` can't go with standard input: what was read from it can't be read again")
            }
            Some(folder) => pipeline.store(Embedded::at(folder)),
        }
    }
}
