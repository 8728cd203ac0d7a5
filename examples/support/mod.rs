//! What the examples share: the flags, what they mean for a pipeline, and the end of `main`.

#![allow(dead_code, unused_imports, reason = "each example takes the flags that act in it, and leaves the others")]

#[cfg(feature = "amqp")]
pub(crate) mod amqp;
mod condition;
mod ends;
mod errors;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
mod peers;
#[cfg(feature = "registry")]
pub(crate) mod registry;

use std::fmt::Display;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use millstream::prelude::*;
use millstream::terminal::{self, Form, Options};

pub(crate) use condition::{Condition, Test};
pub(crate) use ends::{Input, Output, State, is_standard, schema, write, write_or_append};
pub(crate) use errors::Errors;

/// The library chooses no allocator; programs do well with this one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What every example takes.
#[derive(clap::Args)]
pub(crate) struct Common {
    /// Print the plan and run nothing: as text, or as JSON by `--explain=json`
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "text")]
    explain: Option<Explain>,
    /// Plan for N instances, up to 256
    #[arg(long, value_name = "N", requires = "explain", conflicts_with = "peers", value_parser = clap::value_parser!(u16).range(1..=256))]
    instances: Option<u16>,
    #[command(flatten)]
    peers: peers::Peers,
    /// Print to standard error no summary, no progress, and of other instances only what keeps this one from joining
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Explain {
    Text,
    Json,
}

impl Common {
    /// Prints the plan, or runs the pipeline to its end.
    pub(crate) fn run(self, pipeline: Pipeline) -> ExitCode {
        let instances = self.instances.map_or(self.peers.count(), usize::from);
        match self.explain {
            Some(Explain::Text) => terminal::explain(&pipeline, instances, Form::Text),
            Some(Explain::Json) => terminal::explain(&pipeline, instances, Form::Json),
            None => {
                let settings = Settings { exchange: self.peers.exchange(self.quiet), ..Settings::default() };
                terminal::run_with(pipeline, Options { quiet: self.quiet, settings })
            }
        }
    }
}

// The flags of an example that takes no others.
#[derive(Parser)]
#[command(version, about = concat!("Run the pipeline of examples/", env!("CARGO_BIN_NAME"), ".rs, or print its plan"))]
struct Flags {
    #[command(flatten)]
    common: Common,
}

/// All of `main`, for an example that takes no flags of its own.
pub(crate) fn run(pipeline: Pipeline) -> ExitCode {
    Flags::parse().common.run(pipeline)
}

/// The flag of stages that several workers may run.
#[derive(clap::Args)]
pub(crate) struct Workers {
    /// Let N workers share the work; the order of records stays
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: usize,
}

/// Ends the program because of how it was started.
pub(crate) fn refuse(why: impl Display) -> ! {
    clap::Error::raw(ErrorKind::ArgumentConflict, format!("{why}\n")).exit()
}
