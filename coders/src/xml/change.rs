//! Changing a [`Node`]: its bytes are changed in one place, and it is read anew, so that all the rest stays as it was
//! written, byte for byte.

use std::fmt::Write;
use std::ops::Range;

use millstream_core::contracts::CodeError;

use super::chars::is_name;
use super::{Node, Path, path};

impl Node {
    /// Puts `text` between the tags of the first element on `path`, in place of all that stands there. An element that
    /// has elements in it is an error (they would be lost), and so is a path on which there is no element, a path of an
    /// attribute, and a text that XML can't hold. After an error the node is as it was.
    pub fn set_text(&mut self, path: &str, text: &str) -> Result<(), CodeError> {
        let index = self.element(path)?;
        let entry = self.entry(index);
        if entry.end as usize > index + 1 {
            return Err(CodeError::new(format!("{path} has elements in it, which a text would replace")));
        }
        let mut with = String::with_capacity(text.len());
        if entry.close < entry.stop {
            escape(text, "\r", &mut with);
            return self.splice(entry.open as usize..entry.close as usize, &with);
        }
        with.push('>');
        escape(text, "\r", &mut with);
        with.push_str("</");
        with.push_str(&String::from_utf8_lossy(self.slice(entry.name)));
        with.push('>');
        self.splice(entry.stop as usize - 2..entry.stop as usize, &with)
    }

    /// Gives the first element on `path` (`.` is the root) an attribute, or another value for one that it has. A path on
    /// which there is no element is an error, and so are a name that is none and a value that XML can't hold. After an
    /// error the node is as it was.
    pub fn set_attribute(&mut self, path: &str, name: &str, value: &str) -> Result<(), CodeError> {
        if !is_name(name.as_bytes()) {
            return Err(CodeError::new(format!("{name:?} is not a name for an attribute")));
        }
        let index = self.element(path)?;
        let attributes = self.tree.attributes_of(index);
        let mut with = String::with_capacity(value.len() + name.len() + 4);
        if let Some(found) = attributes.iter().find(|found| self.slice(found.name) == name.as_bytes()) {
            escape(value, "\r\n\t\"'", &mut with);
            return self.splice(found.raw.start as usize..found.raw.end as usize, &with);
        }
        let last = attributes.last().map(|last| last.raw.end + 1);
        let at = last.unwrap_or(self.entry(index).name.end) as usize;
        let _ = write!(with, " {name}=\"");
        escape(value, "\r\n\t\"'", &mut with);
        with.push('"');
        self.splice(at..at, &with)
    }

    /// Removes the first element or attribute on `path` and says whether there was one; white space around an element
    /// stays. The root element can't be removed. After an error the node is as it was.
    pub fn remove(&mut self, path: &str) -> Result<bool, CodeError> {
        Path::parse(path).map_err(|error| CodeError::new(error.to_string()))?;
        let Some((index, attribute)) = path::find(self, path) else { return Ok(false) };
        let entry = self.entry(index);
        let range = match attribute {
            None if index == 0 => return Err(CodeError::new("a record's root element can't be removed")),
            None => entry.name.start as usize - 1..entry.stop as usize,
            Some(place) => {
                let attributes = self.tree.attributes_of(index);
                let before = place.checked_sub(1).map(|before| attributes[before].raw.end + 1);
                before.unwrap_or(entry.name.end) as usize..attributes[place].raw.end as usize + 1
            }
        };
        self.splice(range, "")?;
        Ok(true)
    }

    /// The first element on a path of elements.
    fn element(&self, path: &str) -> Result<usize, CodeError> {
        Path::parse(path).map_err(|error| CodeError::new(error.to_string()))?;
        match path::find(self, path) {
            Some((index, None)) => Ok(index),
            Some((_, Some(_))) => Err(CodeError::new(format!("{path} is an attribute: set_attribute changes it"))),
            None => Err(CodeError::new(format!("there is no {path} in <{}>", self.name()))),
        }
    }

    fn splice(&mut self, range: Range<usize>, with: &str) -> Result<(), CodeError> {
        let mut changed = Vec::with_capacity(self.source.len() + with.len());
        changed.extend_from_slice(&self.source[..range.start]);
        changed.extend_from_slice(with.as_bytes());
        changed.extend_from_slice(&self.source[range.end..]);
        *self = Self::parse_within(changed, &self.limits)?;
        Ok(())
    }
}

/// Writes text so that it is read back as it is; `also` are characters to be written by their number.
fn escape(text: &str, also: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            _ if also.contains(character) => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests;
