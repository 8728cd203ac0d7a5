//! The flag that says what is to become of records that fail: `--on-error`.

use std::path::PathBuf;

use millstream::prelude::*;
use millstream::sinks::file;

/// What is to become of records that fail.
#[derive(clap::Args)]
pub(crate) struct Errors {
    /// What becomes of a record that fails: `fail` ends the run before it, `skip` leaves it out, `dead-letter:FILE`
    /// writes it to FILE, with the reason, as a line of JSON
    #[arg(long = "on-error", value_name = "POLICY", default_value = "fail", value_parser = policy)]
    policy: Policy,
}

#[derive(Clone)]
enum Policy {
    Fail,
    Skip,
    DeadLetter(PathBuf),
}

fn policy(text: &str) -> Result<Policy, String> {
    match (text, text.strip_prefix("dead-letter:")) {
        ("fail", _) => Ok(Policy::Fail),
        ("skip", _) => Ok(Policy::Skip),
        (_, Some("" | "-")) => Err("dead letters have to last: name the file to write them to".to_owned()),
        (_, Some(file)) => Ok(Policy::DeadLetter(file.into())),
        _ => Err("expected fail, skip or dead-letter:FILE".to_owned()),
    }
}

impl Errors {
    /// Sets it for every stage of the pipeline, the source among them.
    pub(crate) fn apply(self, pipeline: Pipeline) -> Pipeline {
        pipeline.on_any_error(match self.policy {
            Policy::Fail => OnError::Fail,
            Policy::Skip => OnError::Skip,
            Policy::DeadLetter(file) => OnError::dead_letter(file::Output::append(file, Lines::default())),
        })
    }
}
