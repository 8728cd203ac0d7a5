//! [`Story`]: what happened when, in sentences.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use millstream::contracts::Clock;

/// What happened when, in sentences. Clones share it.
#[derive(Clone)]
pub(crate) struct Story {
    clock: Arc<dyn Clock>,
    lines: Arc<Mutex<Vec<(Duration, String)>>>,
}

impl Story {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, lines: Arc::default() }
    }

    pub(crate) fn tell(&self, what: impl Into<String>) {
        let line = (self.clock.elapsed(), what.into());
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    /// All of it, a line each.
    pub(crate) fn told(&self) -> String {
        let mut told = String::new();
        for (at, what) in self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Writing to a string can't fail.
            let _ = writeln!(told, "{:8.3} s  {what}", at.as_secs_f64());
        }
        told
    }
}

/// Says which seed hangs, and ends the test: simulated time stands still while somebody is busy for ever.
pub(crate) struct Watch(std::sync::mpsc::Sender<()>);

impl Watch {
    /// The longest time that a seed may take on the real clock.
    const LONGEST: Duration = Duration::from_secs(60);

    pub(crate) fn over(seed: u64, story: Story) -> Self {
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if end.recv_timeout(Self::LONGEST) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{}seed {seed} is busy for ever: after {:?} it has not ended", story.told(), Self::LONGEST);
                std::process::exit(101);
            }
        });
        Self(ended)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
