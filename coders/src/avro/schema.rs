//! [`Schema`]: what Avro's bytes mean, parsed once and shared.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use apache_avro::rabin::Rabin;
use digest::Digest as _;
use millstream_core::contracts::{Cause, CodeError, Error, Result};

use super::cursor::Flaw;
use super::graph::{Graph, Kind};
use super::raw::MOST;
use super::{canonical, defaults, raw};

/// A schema. Cloning it costs nothing.
///
/// ```
/// use millstream_coders::avro::Schema;
///
/// let order: Schema = r#"{"type": "record", "name": "Order", "fields": [{"name": "id", "type": "long"}]}"#.parse()?;
/// assert_eq!(order.name(), Some("Order"));
/// # Ok::<(), millstream_core::contracts::CodeError>(())
/// ```
#[derive(Clone)]
pub struct Schema(Arc<Inner>);

struct Inner {
    text: String,
    /// The same without white space, its keys in order: those say nothing.
    compact: String,
    parsed: apache_avro::Schema,
    graph: Arc<Graph>,
    fingerprint: u64,
    identity: u64,
}

impl Schema {
    /// The schema that this JSON is. An error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        Self::parse_with(text, &[])
    }

    /// The schema that this JSON is, which may refer to types that `others` define (each a schema with a name).
    pub fn parse_with(text: &str, others: &[&str]) -> Result<Self, CodeError> {
        let found = others.iter().fold(text.len(), |sum, other| sum.saturating_add(other.len()));
        if found > MOST {
            return Err(CodeError::new(format!("expected a schema of {MOST} bytes at most, found {found}")));
        }
        let json = raw::whole(text, others)?;
        let compact = json.to_string();
        let text = if others.is_empty() { text.to_owned() } else { compact.clone() };
        Self::of(text, compact, raw::parsed(json)?).map_err(raw::wrong)
    }

    /// The schema that a file holds.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let refuse = |why: &str| Error::new(Cause::User, format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| refuse("can't be read").because(error))?;
        Self::parse(&text).map_err(|error| refuse("is no Avro schema; mend it, or name another file").because(error))
    }

    /// Of its text, and of the same without white space and with its keys in order.
    fn of(text: String, compact: String, parsed: apache_avro::Schema) -> Result<Self, Box<Flaw>> {
        let graph = Arc::new(Graph::of(&parsed)?);
        defaults::check(&graph, text.len())?;
        let fingerprint = rabin(canonical::form(&graph).as_bytes());
        let identity = rabin(compact.as_bytes());
        Ok(Self(Arc::new(Inner { text, compact, parsed, graph, fingerprint, identity })))
    }

    /// The JSON that it was made of; if that referred to others, with those in their places.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Its Parsing Canonical Form: JSON without what doesn't change how bytes are read.
    pub fn canonical_form(&self) -> String {
        canonical::form(&self.0.graph)
    }

    /// The 64-bit Rabin fingerprint of its canonical form: what single-object encoding knows it by.
    pub fn fingerprint(&self) -> u64 {
        self.0.fingerprint
    }

    /// Its full name, if it has one: that of a record, an enum or a fixed.
    pub fn name(&self) -> Option<&str> {
        match self.0.graph.kind(self.0.graph.root) {
            Kind::Record { name, .. } | Kind::Enum { name, .. } | Kind::Fixed { name, .. } => Some(&name.full),
            _ => None,
        }
    }

    /// It as the library `apache_avro` has it.
    pub fn parsed(&self) -> &apache_avro::Schema {
        &self.0.parsed
    }

    pub(crate) fn graph(&self) -> &Arc<Graph> {
        &self.0.graph
    }

    /// What tells it from every other schema, its defaults and logical types among what counts.
    pub(crate) fn identity(&self) -> u64 {
        self.0.identity
    }

    /// Whether it is the same one, not only one that says the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// What messages call it.
    pub(crate) fn shown(&self) -> String {
        self.0.graph.shown(self.0.graph.root)
    }
}

fn rabin(bytes: &[u8]) -> u64 {
    let mut rabin = Rabin::default();
    rabin.update(bytes);
    let mut sum = [0; 8];
    sum.copy_from_slice(&rabin.finalize());
    u64::from_le_bytes(sum)
}

impl std::str::FromStr for Schema {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        Self::parse(text)
    }
}

/// Two schemas are equal when they say the same, defaults, aliases and documentation included.
impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.is(other) || self.0.compact == other.0.compact
    }
}

impl Eq for Schema {}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({})", self.0.text)
    }
}

impl fmt::Display for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}
