//! [`Path`]: which values of a document are meant.
//!
//! ```text
//! path   = "." | "@" name | names [ "/@" name ]
//! names  = name { "/" name }
//! ```

use std::fmt;
use std::str::FromStr;

use super::chars::is_name;
use super::{Element, Node};

/// A path that was checked, relative to a record's root element: `customer/name` are the texts of all `name` elements in
/// all `customer` elements in the root, `glob/@pattern` the values of an attribute, `@id` an attribute of the root, and
/// `.` is the root's own text. Names match as they are written, prefix included.
///
/// [`Node::text_of`] and [`Node::texts`] take a text as well; a path says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path(Box<str>);

/// A text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} is no path: {reason}; write a path like customer/name, item/@id or @id")]
pub struct PathError {
    path: String,
    reason: String,
}

impl Path {
    /// Checks a path. What is wrong with it is said in the error.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        match mistake(path) {
            None => Ok(Self(path.into())),
            Some(reason) => Err(PathError { path: path.to_owned(), reason }),
        }
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn mistake(path: &str) -> Option<String> {
    if path.is_empty() {
        return Some("it is empty".into());
    }
    if path.starts_with('/') {
        return Some("it begins with /, but paths are relative to the record".into());
    }
    let (elements, attribute) = take_apart(path);
    let names = elements.into_iter().flat_map(|elements| elements.split('/'));
    let wrong = names.chain(attribute).find(|name| !is_name(name.as_bytes()));
    wrong.map(|name| match name {
        "" => "a name is missing".into(),
        _ if name.starts_with('@') => format!("the attribute {name} is not its last part"),
        _ => format!("{name:?} is not a name"),
    })
}

/// The elements of a path, unless it stays at the root, and the attribute if it ends with one.
fn take_apart(path: &str) -> (Option<&str>, Option<&str>) {
    match path.rsplit_once('/') {
        Some((elements, last)) if last.starts_with('@') => (Some(elements), Some(&last[1..])),
        None if path.starts_with('@') => (None, Some(&path[1..])),
        None if path == "." => (None, None),
        _ => (Some(path), None),
    }
}

impl AsRef<str> for Path {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for Path {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        Self::parse(path)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The values on a path of a [`Node`], in the order of the document.
#[derive(Debug, Clone)]
pub struct Texts<'n, P> {
    node: &'n Node,
    path: P,
    walk: Walk,
}

impl<'n, P: AsRef<str>> Texts<'n, P> {
    pub(super) fn new(node: &'n Node, path: P) -> Self {
        Self { node, path, walk: Walk::default() }
    }
}

impl<'n, P: AsRef<str>> Iterator for Texts<'n, P> {
    type Item = &'n str;

    fn next(&mut self) -> Option<&'n str> {
        let (elements, attribute) = take_apart(self.path.as_ref());
        loop {
            let element = Element::new(self.node, self.walk.step(self.node, elements)?);
            match attribute {
                None => return Some(element.text()),
                Some(name) => match element.attribute(name) {
                    None => {}
                    value => return value,
                },
            }
        }
    }
}

/// Goes from one element on a path to the next. It needs no memory: an element knows the one it is in.
#[derive(Debug, Clone, Default)]
pub(super) struct Walk {
    /// The innermost element that the path led into.
    within: usize,
    /// How many names of the path led there.
    level: usize,
    /// The element to look at next.
    next: usize,
}

impl Walk {
    /// The index of the next element on the path.
    pub(super) fn step(&mut self, node: &Node, elements: Option<&str>) -> Option<usize> {
        let entries = node.tree.entries.as_slice();
        let Some(elements) = elements else {
            return (std::mem::replace(&mut self.next, 1) == 0 && !entries.is_empty()).then_some(0);
        };
        self.next = self.next.max(1);
        loop {
            while self.next >= entries.get(self.within)?.end as usize {
                self.level = self.level.checked_sub(1)?;
                self.within = entries[self.within].parent as usize;
            }
            let (index, entry) = (self.next, entries[self.next]);
            let mut names = elements.split('/').skip(self.level);
            if names.next().map(str::as_bytes) != Some(node.slice(entry.name)) {
                self.next = entry.end as usize;
            } else if names.next().is_none() {
                self.next = entry.end as usize;
                return Some(index);
            } else {
                (self.within, self.level, self.next) = (index, self.level + 1, index + 1);
            }
        }
    }
}

/// The first element on a path that, if the path ends with an attribute, has it.
pub(super) fn find(node: &Node, path: &str) -> Option<(usize, Option<usize>)> {
    let (elements, attribute) = take_apart(path);
    let mut walk = Walk::default();
    loop {
        let index = walk.step(node, elements)?;
        let Some(name) = attribute else { return Some((index, None)) };
        let attributes = node.tree.attributes_of(index);
        if let Some(place) = attributes.iter().position(|found| node.slice(found.name) == name.as_bytes()) {
            return Some((index, Some(place)));
        }
    }
}

#[cfg(test)]
mod tests;
