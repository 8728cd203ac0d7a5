//! Changing a value: the source text is cut and put together again, so that everything beside the change stays as it was.

use std::ops::Range;

use serde::Serialize;

use millstream_core::contracts::CodeError;

use super::path::Wanted;
use super::scan::{is_space, trim};
use super::{Kind, Path, Ref, Value, typed};

impl Value {
    /// Puts what serde makes of `value` where the path leads to, written compactly. What stood there is replaced; a
    /// member that is not there is added at its object's end, with objects for all steps that are missing; an index one
    /// past an array's end adds an item. Of several members with the same key the last is replaced.
    ///
    /// An error, which changes nothing, says why `value` has no JSON or which step leads nowhere.
    pub fn set(&mut self, path: impl Into<Path>, value: impl Serialize) -> Result<(), CodeError> {
        let path = path.into();
        let new = typed::write(&value)?;
        let mut at = trim(self.bytes());
        let mut steps = path.steps();
        while let Some(step) = steps.next() {
            let part = Ref::new(&self.bytes()[at.clone()]);
            match part.locate(step) {
                Some(found) => at = at.start + found.start..at.start + found.end,
                None => {
                    can_add(part, step, &path)?;
                    let (place, text) = addition(part, step, &nested(steps, new)?)?;
                    self.splice(at.start + place..at.start + place, &text);
                    return Ok(());
                }
            }
        }
        self.splice(at, &new);
        Ok(())
    }

    /// Takes out what the path leads to, with its name and its comma, and returns it; `None` and no change if there is
    /// nothing, or if the path is empty. Of several members with the same key all are taken out, and the last is
    /// returned.
    pub fn remove(&mut self, path: impl Into<Path>) -> Option<Value> {
        let path = path.into();
        let steps: Vec<_> = path.steps().collect();
        let (&last, before) = steps.split_last()?;
        let mut at = trim(self.bytes());
        for &step in before {
            let found = Ref::new(&self.bytes()[at.clone()]).locate(step)?;
            at = at.start + found.start..at.start + found.end;
        }
        let container = self.bytes().slice(at.clone());
        let found = Ref::new(&container).locate(last)?;
        let rest = without(&container, last);
        self.splice(at, &rest);
        Some(Value::checked(container.slice(found)))
    }

    fn splice(&mut self, at: Range<usize>, new: &[u8]) {
        let old = self.bytes();
        let mut text = Vec::with_capacity(old.len() - at.len() + new.len());
        text.extend_from_slice(&old[..at.start]);
        text.extend_from_slice(new);
        text.extend_from_slice(&old[at.end..]);
        *self = Self::checked(text);
    }
}

fn can_add(part: Ref<'_>, step: Wanted<'_>, path: &Path) -> Result<(), CodeError> {
    let found = match part.kind() {
        Kind::Object => return Ok(()),
        Kind::Array => {
            let len = part.items().count();
            if step.index() == Some(len) {
                return Ok(());
            }
            format!("an array of {len}, which takes the indices 0 to {len}")
        }
        Kind::Null => "null".to_owned(),
        Kind::Bool => "a truth value".to_owned(),
        Kind::Number => "a number".to_owned(),
        Kind::String => "a string".to_owned(),
    };
    let key = step.key();
    Err(CodeError::new(format!("can't set `{path}`: expected something that `{key}` can be put into, found {found}")))
}

/// `value` inside an object for each of these steps.
fn nested<'p>(steps: impl Iterator<Item = Wanted<'p>>, value: Vec<u8>) -> Result<Vec<u8>, CodeError> {
    let (mut text, mut depth) = (Vec::new(), 0);
    for step in steps {
        text.push(b'{');
        text.extend(typed::write(step.key())?);
        text.push(b':');
        depth += 1;
    }
    text.extend(value);
    text.extend(std::iter::repeat_n(b'}', depth));
    Ok(text)
}

/// Where in the container a new last part goes, and its text.
fn addition(container: Ref<'_>, step: Wanted<'_>, value: &[u8]) -> Result<(usize, Vec<u8>), CodeError> {
    let text = container.raw().as_bytes();
    let inside = &text[..text.len().saturating_sub(1)];
    let last = inside.iter().rposition(|&byte| !is_space(byte)).unwrap_or_default();
    let mut part = Vec::new();
    if last > 0 {
        part.push(b',');
    }
    if container.kind() == Kind::Object {
        part.extend(typed::write(step.key())?);
        part.push(b':');
    }
    part.extend_from_slice(value);
    Ok((last + 1, part))
}

/// The container without the parts that the step names. A part goes with all up to the next one; the last goes with all
/// since the one before.
fn without(container: &[u8], step: Wanted<'_>) -> Vec<u8> {
    let whole = Ref::new(container);
    let is_array = whole.kind() == Kind::Array;
    let mut rest = Vec::with_capacity(container.len());
    let (mut copied, mut kept_end, mut cut, mut end) = (0, None, None, 0);
    for (index, part) in whole.parts().enumerate() {
        end = part.value.end;
        let goes = if is_array { step.index() == Some(index) } else { part.is_named(container, step.key()) };
        if goes {
            cut.get_or_insert(part.key.start);
        } else {
            if let Some(cut) = cut.take() {
                rest.extend_from_slice(&container[copied..cut]);
                copied = part.key.start;
            }
            kept_end = Some(end);
        }
    }
    if let Some(cut) = cut {
        rest.extend_from_slice(&container[copied..kept_end.unwrap_or(cut)]);
        copied = end;
    }
    rest.extend_from_slice(&container[copied..]);
    rest
}
