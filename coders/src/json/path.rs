//! [`Path`]: which part of a value is meant.

use std::fmt;

use memchr::memmem;

/// The way to a part of a value: keys of objects and indices of arrays, from the outside in, such as `a.b.0`. A number is
/// an index where an array stands, and a key where an object does. A dot in a key is written `\.`, a backslash before a
/// dot or another one `\\`. The empty path is the whole value.
#[derive(Clone)]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Clone)]
struct Step {
    key: String,
    /// The key in quotes, ready to be searched for.
    quoted: memmem::Finder<'static>,
}

impl Path {
    /// The path that `text` writes down. Every text is one.
    pub fn parse(text: &str) -> Self {
        if text.is_empty() {
            return Self { steps: Vec::new() };
        }
        let mut keys = vec![String::new()];
        let mut rest = text.chars().peekable();
        while let Some(char) = rest.next() {
            let last = keys.len() - 1;
            match char {
                '.' => keys.push(String::new()),
                '\\' => keys[last].push(rest.next_if(|&next| next == '.' || next == '\\').unwrap_or('\\')),
                other => keys[last].push(other),
            }
        }
        Self::of(keys)
    }

    /// The path of these keys and indices, as they are.
    pub fn of(keys: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { steps: keys.into_iter().map(|key| Step::new(key.into())).collect() }
    }

    /// The keys and indices.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &str> {
        self.steps.iter().map(|step| step.key.as_str())
    }

    pub(super) fn steps(&self) -> impl Iterator<Item = Wanted<'_>> {
        self.steps.iter().map(|step| Wanted { key: &step.key, quoted: Some(&step.quoted) })
    }
}

impl Step {
    fn new(key: String) -> Self {
        let quoted = memmem::Finder::new(format!("\"{key}\"").as_bytes()).into_owned();
        Self { key, quoted }
    }
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        Self::parse(text)
    }
}

impl From<&Path> for Path {
    fn from(path: &Path) -> Self {
        path.clone()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.keys().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{}", key.replace('\\', "\\\\").replace('.', "\\."))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Path({self})")
    }
}

/// One step of a path, as it is looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'p> {
    key: &'p str,
    quoted: Option<&'p memmem::Finder<'static>>,
}

impl<'p> Wanted<'p> {
    /// A step that is looked for once, so that preparing a search is not worth it.
    pub(super) fn once(key: &'p str) -> Self {
        Self { key, quoted: None }
    }

    pub(super) fn key(&self) -> &'p str {
        self.key
    }

    /// The step as an index: decimal digits without a leading zero.
    pub(super) fn index(&self) -> Option<usize> {
        let plain = self.key == "0" || !self.key.starts_with(['0', '+']);
        if plain { self.key.parse().ok() } else { None }
    }

    /// Whether a member of this name may be in `text`: `false` is certain. It is if the name is nowhere in the text and
    /// nothing is escaped, and finding that out is much less work than walking over the members.
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        let there = match self.quoted {
            Some(quoted) => quoted.find(text).is_some(),
            None => memmem::find(text, self.key.as_bytes()).is_some(),
        };
        there || memchr::memchr(b'\\', text).is_some()
    }
}
