//! Signals: the first one drains, the second one ends the process.
//!
//! They are awaited on a thread of their own with a runtime of its own, so that they are heard whatever the code of
//! stages does to the threads of the other one.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

/// The exit code after a second signal: what shells give after Ctrl-C.
const ABORTED: i32 = 130;

/// The signals that a process is sent.
#[derive(Default)]
pub(super) struct Signals {
    first: Notify,
}

impl Signals {
    /// Waits for the first signal. May be dropped at any time; is ready once.
    pub(super) async fn first(&self) {
        self.first.notified().await;
    }
}

/// Listens from now on.
pub(super) fn listen() -> io::Result<Arc<Signals>> {
    let signals = Arc::new(Signals::default());
    let heard = signals.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Here and not on the thread: from when this returns on, no signal ends the process unheard.
    let mut sent = {
        let _within = runtime.enter();
        Sent::new()?
    };
    let thread = std::thread::Builder::new().name("signals".to_owned());
    thread.spawn(move || {
        runtime.block_on(async {
            sent.next().await;
            heard.first.notify_one();
            sent.next().await;
            // Nothing stands between the signal and the end: a terminal that is stopped would hold up a last word.
            std::process::exit(ABORTED);
        });
    })?;
    Ok(signals)
}

#[cfg(unix)]
struct Sent {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Sent {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Sent(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Sent {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
