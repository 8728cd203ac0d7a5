//! The Parsing Canonical Form: a schema without what doesn't change how bytes are read, always written the same.
//!
//! The library's keeps what it doesn't know of fields, such as `order`, by which fingerprints come out as others than
//! everyone else's.

use std::collections::HashSet;

use super::graph::{Graph, Id, Kind};

/// The canonical form of a schema.
pub(crate) fn form(graph: &Graph) -> String {
    let mut writing = Writing { graph, defined: HashSet::new(), out: String::new() };
    writing.node(graph.root);
    writing.out
}

struct Writing<'a> {
    graph: &'a Graph,
    defined: HashSet<Id>,
    out: String,
}

impl Writing<'_> {
    fn node(&mut self, id: Id) {
        let graph = self.graph;
        match graph.kind(id) {
            Kind::Array(items) => self.parts(r#"{"type":"array","items":"#, *items),
            Kind::Map(values) => self.parts(r#"{"type":"map","values":"#, *values),
            Kind::Union(branches) => self.list(branches.iter(), |writing, branch| writing.node(*branch)),
            Kind::Fixed { name, size } if self.defined.insert(id) => {
                self.begin(&name.full, "fixed", "size");
                self.out.push_str(&format!("{size}}}"));
            }
            Kind::Enum { name, symbols, .. } if self.defined.insert(id) => {
                self.begin(&name.full, "enum", "symbols");
                self.list(symbols.iter(), |writing, symbol| writing.text(symbol));
                self.out.push('}');
            }
            Kind::Record { name, fields } if self.defined.insert(id) => {
                self.begin(&name.full, "record", "fields");
                self.list(fields.iter(), |writing, field| {
                    writing.out.push_str(r#"{"name":"#);
                    writing.text(&field.name);
                    writing.out.push_str(r#","type":"#);
                    writing.node(field.node);
                    writing.out.push('}');
                });
                self.out.push('}');
            }
            _ => self.text(graph.branch_name(id)),
        }
    }

    fn parts(&mut self, before: &str, part: Id) {
        self.out.push_str(before);
        self.node(part);
        self.out.push('}');
    }

    fn begin(&mut self, name: &str, kind: &str, last: &str) {
        self.out.push_str(r#"{"name":"#);
        self.text(name);
        self.out.push_str(&format!(r#","type":"{kind}","{last}":"#));
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.out.push('[');
        for (at, part) in items.enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            item(self, part);
        }
        self.out.push(']');
    }

    fn text(&mut self, text: &str) {
        self.out.push_str(&serde_json::Value::from(text).to_string());
    }
}
