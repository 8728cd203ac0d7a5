//! [`Backoff`]: how long to wait before the next try.

use std::time::Duration;

/// The wait before each try: it doubles from `first` up to `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second try; the first one is made at once.
    pub first: Duration,
    /// Never longer than this.
    pub cap: Duration,
}

impl Default for Backoff {
    /// From 100 ms up to 10 s.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), cap: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The wait before try number `tries`, counted from 0.
    pub fn wait(&self, tries: u32) -> Duration {
        match tries.checked_sub(1) {
            None => Duration::ZERO,
            Some(doubled) => self.first.saturating_mul(2_u32.saturating_pow(doubled)).min(self.cap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_cap() {
        let backoff = Backoff { first: Duration::from_millis(100), cap: Duration::from_secs(1) };
        let waits: Vec<_> = (0..7).map(|tries| backoff.wait(tries).as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(backoff.wait(u32::MAX), backoff.cap);
    }
}
