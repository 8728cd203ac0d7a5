//! The expressions of `--where`.
//!
//! ```text
//! PATH=VALUE    a value on the path is this one
//! PATH!=VALUE   a value on the path is another one
//! PATH          there is a value on the path
//! ```
//!
//! VALUE begins after the first `=`, and may hold more of them. What looks like another language's comparison (`==`, `<`,
//! spaces around `=`) is refused: it would be true of nothing.

use std::fmt::Display;

/// One expression; `P` is the kind of path.
#[derive(Clone)]
pub(crate) struct Condition<P> {
    pub(crate) path: P,
    pub(crate) test: Test,
    text: String,
}

/// What is asked of a value on the path.
#[derive(Clone)]
pub(crate) enum Test {
    Is(String),
    IsNot(String),
    IsThere,
}

impl<P> Condition<P> {
    /// Reads an expression, its path by `path`.
    pub(crate) fn parse<E: Display>(text: &str, path: impl Fn(&str) -> Result<P, E>) -> Result<Self, String> {
        let (left, test) = match text.split_once('=') {
            None => (text, Test::IsThere),
            Some((left, value)) => match left.strip_suffix('!') {
                Some(left) => (left, Test::IsNot(value.to_owned())),
                None => (left, Test::Is(value.to_owned())),
            },
        };
        let value = match &test {
            Test::Is(value) | Test::IsNot(value) => value,
            Test::IsThere => "",
        };
        if left.trim() != left || left.contains(['<', '>']) || value.starts_with(['=', ' ']) {
            return Err(format!(
                "expected PATH=VALUE, PATH!=VALUE or PATH, without spaces around one `=`: found `{text}`"
            ));
        }
        let path = path(left).map_err(|error| format!("expected PATH=VALUE, PATH!=VALUE or PATH: {error}"))?;
        Ok(Self { path, test, text: text.to_owned() })
    }

    /// A stage's name that says what it filters by: another filter does not go on over the state of this one.
    pub(crate) fn name(what: &str, conditions: &[Self]) -> String {
        let texts: Vec<_> = conditions.iter().map(|condition| &*condition.text).collect();
        if texts.is_empty() { what.to_owned() } else { format!("{what}({})", texts.join(", ")) }
    }
}

impl Test {
    /// Whether a value that is there passes; `None` is one that is no text, such as an object.
    pub(crate) fn passes(&self, value: Option<&str>) -> bool {
        match self {
            Self::Is(wanted) => value == Some(wanted),
            Self::IsNot(unwanted) => value.is_some_and(|value| value != unwanted),
            Self::IsThere => true,
        }
    }
}
