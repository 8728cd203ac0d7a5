//! What a program needs around a pipeline: signals, a summary, a progress line, logs, and an exit code.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use millstream::prelude::*;
//! use millstream::terminal;
//!
//! fn main() -> ExitCode {
//!     terminal::run(Pipeline::source(Files::new(["a.log"], Lines::default())).sink(Stdout::new(Lines::default())))
//! }
//! ```
//!
//! - **Signals.** SIGTERM and SIGINT (on Windows: Ctrl-C) drain: the source reads no more, what is in flight goes
//!   through and is committed. A second one ends the process at once, with exit code 130, whatever hangs.
//! - **Standard error** gets one summary at the end, and the error if there is one; while the run is under way a progress
//!   line, if standard error is a terminal and no records are printed to the same one. Standard output belongs to the
//!   pipeline.
//! - **Logs** go to standard error too: those that `RUST_LOG` says (such as `RUST_LOG=info`); without it, that a broker or a
//!   registry is waited for, and nothing more.
//! - **Exit codes**: 0 if the run ended or was drained, or if whoever read its output went away; 1 if it failed; 2 if it
//!   can't be planned; 130 after a second signal.

mod logs;
mod progress;
mod report;
mod signals;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Instant;

use millstream_core::declare::Pipeline;
use millstream_core::runtime::{Running, Settings};
use millstream_planner::explain;

use crate::{Engine, Error};
use progress::Progress;
use report::{Account, Report};
use signals::Signals;

/// The exit code of a program that was started in a wrong way, or whose pipeline can't be planned.
pub const USAGE: u8 = 2;

/// Threads for I/O. Work that computes or blocks has threads of its own.
const IO_THREADS: usize = 2;

/// How a program runs its pipeline.
#[derive(Clone, Default)]
pub struct Options {
    /// Neither summary nor progress line; `false` by default. Errors are printed all the same.
    pub quiet: bool,
    /// How the pipeline runs.
    pub settings: Settings,
}

/// What a plan is printed as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Text, for people.
    #[default]
    Text,
    /// JSON, for programs.
    Json,
}

/// Runs a pipeline to its end as this module's head describes, on a runtime of its own. Must not be called within one.
pub fn run(pipeline: Pipeline) -> ExitCode {
    run_with(pipeline, Options::default())
}

/// Like [`run`], with options.
pub fn run_with(pipeline: Pipeline, options: Options) -> ExitCode {
    let progress = Progress::new(&pipeline, options.quiet);
    logs::begin(&progress);
    let began = signals::listen().and_then(|signals| Ok((signals, runtime()?)));
    let (signals, runtime) = match began {
        Ok(began) => began,
        Err(error) => {
            say(&format!("error: the program can't get from the system what it runs on: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let report = runtime.block_on(watch(pipeline, options.settings, &signals, &progress));
    progress.end();
    // Code of stages that still hangs somewhere doesn't keep the process from ending.
    runtime.shutdown_background();
    report.tell(options.quiet);
    report.exit_code()
}

/// Prints the plan for this many instances to standard output, and runs nothing.
pub fn explain(pipeline: &Pipeline, instances: usize, form: Form) -> ExitCode {
    let plan = match pipeline.plan_for(instances) {
        Ok(plan) => plan,
        Err(mistakes) => {
            say(&format!("error: {mistakes}"));
            return ExitCode::from(USAGE);
        }
    };
    let printed = match form {
        Form::Text => print(&explain::text(&plan)),
        Form::Json => print(&format!("{}\n", explain::json(&plan))),
    };
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("error: the plan can't be printed: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints a line to standard error. Where nobody reads that, nothing is left to be told.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(IO_THREADS).thread_name("io").enable_all().build()
}

/// Runs the pipeline; drains it at the first signal.
async fn watch(pipeline: Pipeline, settings: Settings, signals: &Signals, progress: &Progress) -> Report {
    let started = tokio::select! {
        biased;
        started = pipeline.start(settings) => started,
        () = signals.first() => return Report::NotBegun,
    };
    match started {
        Ok(running) => follow(running, signals, progress).await,
        Err(Error::Plan(mistakes)) => Report::Unplanned(mistakes),
        Err(Error::Run(error)) => Report::Unopened(error),
    }
}

async fn follow(mut running: Running, signals: &Signals, progress: &Progress) -> Report {
    let began = Instant::now();
    let mut ticks = progress.ticks();
    loop {
        tokio::select! {
            biased;
            ended = running.ended() => return match ended {
                Ok(summary) => Report::Ended(summary.ended, Account::of(summary)),
                Err(error) => Report::Failed(error, Account::of_failed(&running, began.elapsed())),
            },
            () = signals.first() => {
                progress.draining();
                running.drain();
            }
            _ = ticks.tick(), if progress.is_shown() => progress.show(&running.metrics()),
        }
    }
}
