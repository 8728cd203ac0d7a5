//! The defaults of fields: tried once when a schema is parsed, made into bytes when something is to be read by it.

use serde_json::Value as Json;

use super::cursor::{Flaw, Result};
use super::graph::{Graph, Id};
use super::json::{Budget, Decode};
use super::write;

/// How many values the defaults of a schema may come to, beyond one for each byte of its text. A default may leave fields
/// to their own defaults, which do the same: by that a schema of forty short records comes to more than memory holds.
const VALUES: usize = 1 << 16;

/// How many values the defaults that one plan needs may come to.
pub(super) const PLANNED: usize = 1 << 20;

/// Whether each default of a schema, whose text has so many bytes, is of its field's type.
pub(super) fn check(graph: &Graph, bytes: usize) -> Result<()> {
    let (left, mut datum) = (Budget::of(bytes.saturating_add(VALUES)), Vec::new());
    for (name, fields) in graph.records() {
        for field in fields {
            let Some(default) = &field.default else { continue };
            datum.clear();
            let within = |flaw: Box<Flaw>| flaw.within(format!("{}.{}", name.full, field.name));
            let written = write(graph, field.node, default, &left, &mut datum);
            written.map_err(|flaw| within(Flaw::new(format!("the field's default is not of its type: {flaw}"))))?;
        }
    }
    Ok(())
}

/// Adds the bytes of a default to `out`.
pub(super) fn write(graph: &Graph, id: Id, default: &Json, left: &Budget, out: &mut Vec<u8>) -> Result<()> {
    let value = Decode { graph, default: true, left }.value(id, default, 0)?;
    write::value(graph, id, &value, out)
}
