//! What the examples share: the flags, what they mean for a pipeline, and the end of `main`.

#![allow(dead_code, unused_imports, reason = "each example takes the flags that act in it, and leaves the others")]

mod condition;
mod ends;
mod errors;
mod peers;

use std::fmt::Display;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use millstream::prelude::*;
use millstream::terminal::{self, Form, Options};

pub(crate) use condition::{Condition, Test};
pub(crate) use ends::{Input, Output, State, write};
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
    /// Plan for N instances
    #[arg(long, value_name = "N", requires = "explain", conflicts_with = "peers")]
    instances: Option<usize>,
    #[command(flatten)]
    peers: peers::Peers,
    /// Print no summary and no progress to standard error
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
        let instances = self.instances.unwrap_or(self.peers.count());
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

/// The flags of an example that takes no others.
#[derive(Parser)]
#[command(version)]
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
