//! Logs: to standard error, those that `RUST_LOG` says; else that something outside is waited for, and nothing more.

use std::io::{self, IsTerminal as _, Write};

use millstream_core::contracts::WAITS;
use tracing_subscriber::EnvFilter;

use super::progress::Progress;

/// Writes logs from now on, if the program has not set up logs of its own.
pub(super) fn begin(progress: &Progress) {
    let asked = std::env::var_os(EnvFilter::DEFAULT_ENV).is_some_and(|filter| !filter.is_empty());
    // Who waits for a broker or a registry would seem to hang.
    let filter = if asked { EnvFilter::from_default_env() } else { EnvFilter::new(format!("{WAITS}=warn")) };
    let progress = progress.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || Above(progress.clone()));
    // An error means that the program has logs already.
    let _ = subscriber.try_init();
}

/// Standard error, above the progress line.
struct Above(Progress);

impl Write for Above {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.aside(|| io::stderr().lock().write(buffer))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
