//! [`Tries`]: how often it was tried to connect, and nothing came of it.

/// See the module. A message that comes proves nothing: what ends a channel may do so each time that this message has come.
/// Something has come of a channel when something was acknowledged on it.
#[derive(Debug, Default)]
pub(super) struct Tries {
    vain: u32,
    /// Something was acknowledged on this channel.
    proven: bool,
}

impl Tries {
    /// How many were in vain since something was acknowledged.
    pub(super) fn vain(&self) -> u32 {
        self.vain
    }

    /// Something was acknowledged.
    pub(super) fn acknowledged(&mut self) {
        *self = Self { vain: 0, proven: true };
    }

    /// The channel is lost, or none could be opened.
    pub(super) fn lost(&mut self) {
        if !std::mem::take(&mut self.proven) {
            self.vain = self.vain.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_until_something_is_acknowledged() {
        let mut tries = Tries::default();
        for vain in 1..5 {
            tries.lost();
            assert_eq!(tries.vain(), vain);
        }
        tries.acknowledged();
        assert_eq!(tries.vain(), 0);
        // Of a channel that was good the first try is made at once.
        tries.lost();
        assert_eq!(tries.vain(), 0);
        tries.lost();
        assert_eq!(tries.vain(), 1);
    }
}
