//! [`Mistakes`]: everything that is wrong with a declaration, all at once.

use std::fmt;

use super::Line;

/// One thing that is wrong with a declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The stages it concerns, by name.
    pub stages: Vec<String>,
    /// The line of code that declared the stage to change.
    pub line: Option<Line>,
    /// What is wrong.
    pub wrong: String,
    /// What to do; empty where `wrong` says it already.
    pub advice: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = &self.line {
            write!(f, "{line}: ")?;
        }
        if !self.stages.is_empty() {
            write!(f, "{}: ", self.stages.join(", "))?;
        }
        f.write_str(&self.wrong)?;
        if self.advice.is_empty() { Ok(()) } else { write!(f, "; {}", self.advice) }
    }
}

/// All mistakes of a declaration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [one] => write!(f, "the pipeline can't be planned: {one}"),
            many => {
                write!(f, "the pipeline can't be planned, for {} reasons:", many.len())?;
                many.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
            }
        }
    }
}

impl std::error::Error for Mistakes {}
