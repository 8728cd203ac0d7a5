//! [`Unfit`]: what AMQP can't say.

use std::fmt;

use lapin::types::ShortString;

/// A message that AMQP can't say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(String);

impl Unfit {
    pub(super) fn new(why: String) -> Self {
        Self(why)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unfit {}

/// A text as the protocol takes it.
pub fn short(what: &str, text: &str) -> Result<ShortString, Unfit> {
    let found = text.len();
    ShortString::try_new(text).map_err(|_| Unfit(format!("{what} has {found} bytes: expected 255 at most")))
}
