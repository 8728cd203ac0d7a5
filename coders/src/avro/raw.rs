//! The JSON of a schema, before the library parses it and after.
//!
//! A schema may come from outside, and the library trusts it: it tries each default as a value, with the defaults that
//! this one leaves out, so that a few kilobytes keep it busy for years; it copies what it has read for each name and
//! alias; and it goes as deep as texts refer to each other. So
//!
//! - what a schema refers to in other texts is put where it is first named, and the depth of the whole is bounded;
//! - what the library will copy is counted, and bounded;
//! - defaults are set aside and put back behind the parser: they are tried by [`defaults`](super::defaults).

use std::collections::{HashMap, HashSet};

use apache_avro::Schema;
use apache_avro::schema::UnionSchema;
use millstream_core::contracts::CodeError;
use serde_json::{Map, Value as Json};

/// The most bytes of a schema that comes from outside, together with those that it refers to.
pub(crate) const MOST: usize = 4 << 20;

/// How deep a schema's JSON may be nested: as deep as JSON is read.
const DEPTH: usize = 128;

/// The most bytes that the library may copy of a schema's text: for each name that a part has, all of that part.
const COPIED: usize = 4 * MOST;

/// The most bytes of a name, in full: generic values have the names of fields and of symbols with them, each its own.
const NAME: usize = 1024;

/// Where a field's default waits, as an attribute that means nothing to the library.
const ASIDE: &str = "\u{1}default";

/// The types that have no name of their own.
const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

type Parts = Map<String, Json>;

/// The JSON of a schema and of those that it refers to, each where it is first named.
pub(super) fn whole(text: &str, others: &[&str]) -> Result<Json, CodeError> {
    let read = |text: &str| serde_json::from_str::<Json>(text).map_err(wrong);
    let mut json = read(text)?;
    let mut walk = Walk { others: HashMap::new(), defined: HashSet::new(), copied: 0 };
    for other in others {
        walk.refer_to(read(other)?)?;
    }
    walk.schema(&mut json, "", 0)?;
    if !others.is_empty() {
        // It has to be read again wherever its values go.
        read(&json.to_string())?;
    }
    Ok(json)
}

/// The schema that a whole JSON is. Its defaults have not been looked at.
pub(super) fn parsed(mut json: Json) -> Result<Schema, CodeError> {
    set_aside(&mut json);
    Schema::parse(&json).and_then(put_back).map_err(wrong)
}

#[cold]
pub(super) fn wrong(why: impl std::fmt::Display) -> CodeError {
    CodeError::new(format!("expected an Avro schema: {why}"))
}

/// Goes through a schema in the order in which the library will.
struct Walk {
    /// What may be referred to and has not been yet, by its full name.
    others: HashMap<String, Json>,
    /// The full names of what has been defined so far.
    defined: HashSet<String>,
    copied: usize,
}

impl Walk {
    fn refer_to(&mut self, other: Json) -> Result<(), CodeError> {
        let name = match &other {
            Json::Object(parts) => full_name(parts, ""),
            _ => None,
        };
        let name = name.ok_or_else(|| wrong("what a schema refers to has to have a name, and this has none"))?;
        match self.others.insert(name.clone(), other) {
            None => Ok(()),
            Some(_) => Err(wrong(format!("`{name}`, which it refers to, is there twice"))),
        }
    }

    /// Goes through a type. Returns about how many bytes its text has.
    fn schema(&mut self, json: &mut Json, namespace: &str, depth: usize) -> Result<usize, CodeError> {
        if depth > DEPTH {
            return Err(wrong(format!("its types are nested deeper than {DEPTH}, with those that it refers to")));
        }
        match json {
            Json::String(name) => match self.referred(name, namespace)? {
                Some(definition) => {
                    *json = definition;
                    self.schema(json, "", depth)
                }
                None => Ok(name.len() + 2),
            },
            Json::Array(branches) => {
                let mut bytes = 2;
                for branch in branches {
                    bytes += self.schema(branch, namespace, depth + 1)?;
                }
                self.copies(bytes)
            }
            Json::Object(parts) => self.object(parts, namespace, depth),
            other => Ok(size(other)),
        }
    }

    /// What stands in another text under this name, if it is to be put here.
    fn referred(&mut self, name: &str, namespace: &str) -> Result<Option<Json>, CodeError> {
        if PRIMITIVES.contains(&name) {
            return Ok(None);
        }
        let full = within(name, namespace);
        self.copies(full.len())?;
        if self.defined.contains(&full) {
            return Ok(None);
        }
        let mut found = self.others.remove(&full);
        if let Some(Json::Object(parts)) = &mut found
            && !namespace.is_empty()
        {
            // It was written outside of the namespace that it is put in.
            parts.entry("namespace").or_insert_with(|| Json::from(""));
        }
        Ok(found)
    }

    fn object(&mut self, parts: &mut Parts, namespace: &str, depth: usize) -> Result<usize, CodeError> {
        match kind(parts) {
            "record" => self.record(parts, namespace, depth),
            "enum" => self.plain(parts, namespace, "enum", "symbols"),
            "fixed" => self.plain(parts, namespace, "fixed", "size"),
            kind => {
                let bytes = self.around(parts, inner(kind), namespace, depth)?;
                if parts.contains_key("logicalType") { self.copies(bytes) } else { Ok(bytes) }
            }
        }
    }

    /// What has a type within, under this key.
    fn around(&mut self, parts: &mut Parts, key: &str, namespace: &str, depth: usize) -> Result<usize, CodeError> {
        let mut bytes = 2;
        for (name, part) in parts.iter_mut() {
            bytes += name.len() + 4;
            bytes += if name == key { self.schema(part, namespace, depth + 1)? } else { size(part) };
        }
        Ok(bytes)
    }

    /// A type with a name and without parts.
    fn plain(&mut self, parts: &Parts, namespace: &str, kind: &str, has: &str) -> Result<usize, CodeError> {
        let name = self.named(parts, namespace, kind, has)?;
        let symbols = parts.get("symbols").and_then(Json::as_array).into_iter().flatten();
        symbols.filter_map(Json::as_str).try_for_each(|symbol| short_enough("a symbol", symbol))?;
        let bytes = parts.iter().map(|(key, part)| key.len() + 4 + size(part)).sum();
        self.copies_of(parts, &name, bytes)
    }

    fn record(&mut self, parts: &mut Parts, namespace: &str, depth: usize) -> Result<usize, CodeError> {
        let name = self.named(parts, namespace, "record", "fields")?;
        let namespace = name.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        let mut bytes: usize =
            parts.iter().filter(|(key, _)| *key != "fields").map(|(key, part)| key.len() + 4 + size(part)).sum();
        let Some(Json::Array(fields)) = parts.get_mut("fields") else {
            return Err(wrong(format!("the fields of the record {name} are no list")));
        };
        for field in fields {
            let Json::Object(field) = field else {
                return Err(wrong(format!("a field of the record {name} is no object")));
            };
            short_enough("a field's name", field.get("name").and_then(Json::as_str).unwrap_or_default())?;
            // Fields lie in a list, and are objects.
            bytes += self.around(field, "type", namespace, depth + 2)?;
        }
        self.copies_of(parts, &name, bytes)
    }

    /// The full name of what is defined here, from now on.
    fn named(&mut self, parts: &Parts, namespace: &str, kind: &str, has: &str) -> Result<String, CodeError> {
        let Some(name) = full_name(parts, namespace) else {
            return Err(wrong(format!("it has a type without a name, which is of the kind {kind}")));
        };
        if !parts.contains_key(has) {
            return Err(wrong(format!("the {kind} {name} has no `{has}`")));
        }
        short_enough("a name", &name)?;
        match self.defined.insert(name.clone()) {
            true => Ok(name),
            false => Err(wrong(format!("it defines `{name}` twice"))),
        }
    }

    /// The library will copy this for its name and for each of its aliases.
    fn copies_of(&mut self, parts: &Parts, name: &str, bytes: usize) -> Result<usize, CodeError> {
        let aliases = parts.get("aliases").and_then(Json::as_array).map_or(0, Vec::len);
        self.copies((bytes + name.len()).saturating_mul(1 + aliases))?;
        Ok(bytes)
    }

    /// The library will copy so many bytes.
    fn copies(&mut self, bytes: usize) -> Result<usize, CodeError> {
        self.copied = self.copied.saturating_add(bytes);
        if self.copied <= COPIED {
            return Ok(bytes);
        }
        Err(wrong(format!(
            "its parts, each counted once for each of its names and for each level that it lies in, come to more than \
             {COPIED} bytes: give it fewer aliases, shorter namespaces, or fewer levels"
        )))
    }
}

fn short_enough(what: &str, name: &str) -> Result<(), CodeError> {
    if name.len() <= NAME {
        return Ok(());
    }
    let shown = &name[..name.floor_char_boundary(40)];
    Err(wrong(format!("{what} of {NAME} bytes at most was expected, found one of {}: {shown}…", name.len())))
}

/// About how many bytes a JSON value's text has.
fn size(json: &Json) -> usize {
    match json {
        Json::String(text) => text.len() + 2,
        Json::Array(items) => 2 + items.iter().map(|item| size(item) + 1).sum::<usize>(),
        Json::Object(parts) => 2 + parts.iter().map(|(key, part)| key.len() + 4 + size(part)).sum::<usize>(),
        _ => 8,
    }
}

fn full_name(parts: &Parts, namespace: &str) -> Option<String> {
    let name = parts.get("name")?.as_str()?;
    Some(within(name, parts.get("namespace").and_then(Json::as_str).unwrap_or(namespace)))
}

/// A name in full.
fn within(name: &str, namespace: &str) -> String {
    match name.strip_prefix('.') {
        Some(bare) => bare.to_owned(),
        None if namespace.is_empty() || name.contains('.') => name.to_owned(),
        None => format!("{namespace}.{name}"),
    }
}

/// What a type's JSON says that it is; nothing if that is a type in turn.
fn kind(parts: &Parts) -> &'static str {
    let said = parts.get("type").and_then(Json::as_str).unwrap_or_default();
    ["record", "enum", "fixed", "array", "map"].into_iter().find(|kind| *kind == said).unwrap_or_default()
}

/// Under which key a type of this kind has another.
fn inner(kind: &str) -> &'static str {
    match kind {
        "array" => "items",
        "map" => "values",
        _ => "type",
    }
}

/// Puts the defaults of fields where the library doesn't see them.
fn set_aside(json: &mut Json) {
    let parts = match json {
        Json::Array(branches) => return branches.iter_mut().for_each(set_aside),
        Json::Object(parts) => parts,
        _ => return,
    };
    if kind(parts) != "record" {
        let inner = inner(kind(parts));
        return parts.get_mut(inner).into_iter().for_each(set_aside);
    }
    let fields = parts.get_mut("fields").and_then(Json::as_array_mut);
    for field in fields.into_iter().flatten().filter_map(Json::as_object_mut) {
        field.remove(ASIDE);
        if let Some(default) = field.remove("default") {
            field.insert(ASIDE.to_owned(), default);
        }
        field.get_mut("type").into_iter().for_each(set_aside);
    }
}

/// Gives fields their defaults back.
fn put_back(schema: Schema) -> Result<Schema, apache_avro::Error> {
    Ok(match schema {
        Schema::Record(mut record) => {
            for field in &mut record.fields {
                field.default = field.custom_attributes.remove(ASIDE);
                field.schema = put_back(std::mem::replace(&mut field.schema, Schema::Null))?;
            }
            Schema::Record(record)
        }
        Schema::Array(mut array) => {
            *array.items = put_back(std::mem::replace(&mut *array.items, Schema::Null))?;
            Schema::Array(array)
        }
        Schema::Map(mut map) => {
            *map.types = put_back(std::mem::replace(&mut *map.types, Schema::Null))?;
            Schema::Map(map)
        }
        Schema::Union(union) => {
            let branches = union.variants().iter().cloned().map(put_back).collect::<Result<_, _>>()?;
            Schema::Union(UnionSchema::new(branches)?)
        }
        other => other,
    })
}
