//! `millstream certs`.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use millstream::contracts::Result;
use millstream_net::link::Certs;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Makes a private authority, and a certificate and a key for each instance
    New(New),
}

#[derive(Args)]
pub(super) struct New {
    /// The folder to write them into; made if it isn't there, and no file in it is written over
    dir: PathBuf,
    /// How many instances there are (1 to 256)
    #[arg(long, value_name = "N")]
    instances: usize,
    /// How many days they hold (1 to 3650)
    #[arg(long, value_name = "N", default_value_t = 365)]
    days: u32,
}

/// Does it, and gives what is to be printed.
pub(super) fn run(command: Command) -> Result<String> {
    match command {
        Command::New(new) => {
            let written = Certs::new(&new.dir, new.instances).days(new.days).write()?;
            Ok(told(&new, &written))
        }
    }
}

fn told(new: &New, written: &[PathBuf]) -> String {
    let mut text = String::new();
    for path in written {
        // Writing into a text can't fail.
        let _ = writeln!(text, "{}", path.display());
    }
    let dir = Path::new(&new.dir).display();
    let _ = writeln!(
        text,
        "They hold for {} days. Instances on this machine share {dir}; each other machine gets ca.pem, and the .pem and \
         .key\nof its instance: instance 1 is the first of the list of peers. The authority's key is kept nowhere: for \
         more\ninstances or more days make a new folder, and start all instances with it.",
        new.days
    );
    text
}
