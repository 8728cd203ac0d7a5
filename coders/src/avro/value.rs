//! [`Value`]: a value of any shape, with its schema.

use std::fmt;
use std::sync::LazyLock;

use apache_avro::types;
use millstream_core::contracts::CodeError;
use millstream_core::data::{Data, Recycled, Reuse};

use super::json::{self, Style};
use super::{Schema, write};

/// A value of any shape, with its schema at hand: so it can be written in every form without being told again what it is.
///
/// ```
/// use millstream_coders::avro::{Schema, Value, types};
///
/// let order: Schema = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}"#.parse()?;
/// let value = Value::new(&order, types::Value::Record(vec![("id".to_owned(), types::Value::Long(7))]))?;
/// assert_eq!(value.to_json()?, r#"{"id":7}"#);
/// assert_eq!(value.get("id"), Some(&types::Value::Long(7)));
/// # Ok::<(), millstream_core::contracts::CodeError>(())
/// ```
#[derive(Clone)]
pub struct Value {
    schema: Schema,
    value: types::Value,
    /// How many bytes it was read of.
    read: usize,
}

/// Values that were read of more bytes than these give up their memory before they are filled again, and so do those that
/// were not read at all.
const KEPT: usize = 4 << 10;

/// What values are of before they are of something.
static NULL: LazyLock<Schema> = LazyLock::new(|| Schema::parse("\"null\"").expect("the schema of null is one"));

impl Value {
    /// A value of this schema; an error says in which part it is of another.
    pub fn new(schema: &Schema, value: types::Value) -> Result<Self, CodeError> {
        let graph = schema.graph();
        let fits = write::value(graph, graph.root, &value, &mut Vec::new());
        fits.map_err(|flaw| CodeError::new(flaw.to_string()))?;
        Ok(Self::known(schema, value))
    }

    /// A value that is said to be of this schema. It isn't looked at before it is written.
    pub fn unchecked(schema: &Schema, value: types::Value) -> Self {
        Self::known(schema, value)
    }

    /// A value that was read by this schema.
    pub(crate) fn known(schema: &Schema, value: types::Value) -> Self {
        Self { schema: schema.clone(), value, read: 0 }
    }

    /// Makes it one of this schema, which `read` makes of as many bytes. What it held before is there to be filled again.
    pub(crate) fn filled<E>(
        &mut self,
        schema: &Schema,
        bytes: usize,
        read: impl FnOnce(&mut types::Value) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.schema.is(schema) {
            self.schema = schema.clone();
        }
        self.read = bytes;
        read(&mut self.value).inspect_err(|_| self.value = types::Value::Null)
    }

    /// Its schema.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The value itself.
    pub fn value(&self) -> &types::Value {
        &self.value
    }

    /// The value itself, to be changed. What it is changed into is looked at when it is written.
    pub fn value_mut(&mut self) -> &mut types::Value {
        &mut self.value
    }

    /// The value itself, without its schema.
    pub fn into_value(self) -> types::Value {
        self.value
    }

    /// What stands in the field that a path of names leads to, such as `customer.city`: through records, maps and the
    /// branches of unions.
    pub fn get(&self, path: &str) -> Option<&types::Value> {
        path.split('.').try_fold(inside(&self.value), |part, name| {
            let found = match part {
                types::Value::Record(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value),
                types::Value::Map(entries) => entries.get(name),
                types::Value::Array(items) => items.get(name.parse::<usize>().ok()?),
                _ => None,
            };
            found.map(inside)
        })
    }

    /// It in Avro's JSON encoding, compact.
    pub fn to_json(&self) -> Result<String, CodeError> {
        self.json(Style::Avro)
    }

    /// It as programs expect JSON that know nothing of Avro, compact: see [`Choice::plain_json`](super::Choice::plain_json).
    ///
    /// ```
    /// use millstream_coders::avro::{Schema, Value, types};
    ///
    /// let note: Schema = r#"["null", "string"]"#.parse()?;
    /// let value = Value::new(&note, types::Value::Union(1, Box::new(types::Value::String("a".to_owned()))))?;
    /// assert_eq!(value.to_json()?, r#"{"string":"a"}"#);
    /// assert_eq!(value.to_plain_json()?, r#""a""#);
    /// # Ok::<(), millstream_core::contracts::CodeError>(())
    /// ```
    pub fn to_plain_json(&self) -> Result<String, CodeError> {
        self.json(Style::Plain)
    }

    fn json(&self, style: Style) -> Result<String, CodeError> {
        let (graph, mut out) = (self.schema.graph(), Vec::new());
        let written = json::encode(graph, graph.root, &self.value, style, &mut out);
        written.map_err(|flaw| CodeError::new(flaw.to_string()))?;
        Ok(String::from_utf8(out).unwrap_or_default())
    }
}

/// What a union holds.
fn inside(value: &types::Value) -> &types::Value {
    match value {
        types::Value::Union(_, inner) => inside(inner),
        value => value,
    }
}

impl Data for Value {
    const NAME: &'static str = "Avro";
    type Column = Recycled<Self>;
}

/// Null.
impl Default for Value {
    fn default() -> Self {
        Self::known(&NULL, types::Value::Null)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema && self.value == other.value
    }
}

impl Reuse for Value {
    fn reuse(&mut self) {
        if !(1..=KEPT).contains(&self.read) {
            self.value = types::Value::Null;
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.value, f)
    }
}
