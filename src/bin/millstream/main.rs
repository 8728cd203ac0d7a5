//! The command `millstream`: what is done around pipelines, which themselves are programs.
//!
//! ```sh
//! millstream certs new certs --instances 3
//! ```

mod certs;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Does what is to be done around pipelines.
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Certificates, by which the instances of a pipeline know each other
    #[command(subcommand)]
    Certs(certs::Command),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Certs(command) => certs::run(command),
    };
    let written = match done {
        Ok(text) => io::stdout().lock().write_all(text.as_bytes()),
        Err(error) => {
            // Where nobody reads standard error, nothing is left to be told.
            let _ = writeln!(io::stderr().lock(), "error: {}", error.chain());
            return ExitCode::FAILURE;
        }
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
