//! Logs: to standard error, if `RUST_LOG` says which.

use std::io::{self, IsTerminal as _, Write};

use tracing_subscriber::EnvFilter;

use super::progress::Progress;

/// Writes logs from now on, if `RUST_LOG` asks for any and the program has not set up logs of its own.
pub(super) fn begin(progress: &Progress) {
    if std::env::var_os(EnvFilter::DEFAULT_ENV).is_none_or(|filter| filter.is_empty()) {
        return;
    }
    let progress = progress.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
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
