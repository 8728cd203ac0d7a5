//! [`Registered`]: how a coder uses a registry.

use std::fmt;
use std::sync::Arc;

use millstream_core::contracts::{CodeError, Halt, Local};

use super::asked::{self, Question, Referring};
use super::{Registry, Subject};
use crate::avro::Schema;

/// How long what stands before the value is.
pub(crate) const PREFIX: usize = 5;

/// What a record begins with.
const MAGIC: u8 = 0;

/// Records that say by an id which of a registry's schemas they were written by.
#[derive(Clone)]
pub struct Registered {
    registry: Registry,
    written: Option<(Subject, Written)>,
    registers: bool,
    referring: Option<Arc<Referring>>,
}

/// By which schema values are written.
#[derive(Debug, Clone)]
pub(crate) enum Written {
    By(Schema),
    /// The latest of the subject.
    Latest,
    /// Each value's own.
    Own,
}

impl Registered {
    pub(super) fn new(registry: Registry, written: Option<(Subject, Written)>) -> Self {
        Self { registry, written, registers: false, referring: None }
    }

    /// Registers the schema under the subject when it isn't. By default it has to be there: who may change what a topic
    /// holds is not a matter of who writes to it.
    #[must_use]
    pub fn registering(self) -> Self {
        Self { registers: true, ..self }
    }

    /// Looks up, or registers, this text in place of the schema: the same schema, but referring to types that other
    /// subjects hold, each by its name, its subject and its version.
    #[must_use]
    pub fn referring<'a>(
        self,
        text: impl Into<String>,
        references: impl IntoIterator<Item = (&'a str, &'a str, u32)>,
    ) -> Self {
        let references = references.into_iter();
        let references = references.map(|(name, subject, version)| (name.to_owned(), subject.to_owned(), version));
        Self { referring: Some(Arc::new(Referring { text: text.into(), references: references.collect() })), ..self }
    }

    pub(crate) fn writes(&self) -> bool {
        self.written.is_some()
    }

    /// The schema of this id.
    pub(crate) fn by_id(&self, id: u32, halt: &Halt) -> Result<Schema, CodeError> {
        let known = self.registry.ask(&Question::Id(id), halt);
        known.map(|known| known.schema).map_err(|refusal| CodeError::new(refusal.message))
    }

    /// The id and the schema that a value is written by, which has `own` with it if it is a generic one.
    pub(crate) fn written(&self, own: Option<&Schema>, halt: &Halt) -> Result<asked::Known, CodeError> {
        let none =
            || CodeError::new("these records are only read: say by `Registry::writing` what they are written by");
        let (subject, written) = self.written.as_ref().ok_or_else(none)?;
        let schema = match written {
            Written::By(schema) => Some(schema),
            Written::Own => Some(own.ok_or_else(|| {
                CodeError::new("only generic values have a schema with them: say which by `Registry::writing`")
            })?),
            Written::Latest => None,
        };
        let subject = subject.of(schema)?;
        let question = match schema {
            None => Question::Version(subject, None),
            Some(schema) => {
                let written = asked::Written { schema: schema.clone(), referring: self.referring.clone() };
                if self.registers { Question::Register(subject, written) } else { Question::LookUp(subject, written) }
            }
        };
        self.registry.ask(&question, halt).map_err(|refusal| CodeError::new(refusal.message))
    }
}

/// The id that a record says.
pub(crate) fn id(record: &[u8]) -> Result<u32, CodeError> {
    match record.split_first_chunk::<PREFIX>() {
        Some(([MAGIC, id @ ..], _)) => Ok(u32::from_be_bytes(*id)),
        _ => {
            let found = format!("{:02x?}", &record[..record.len().min(PREFIX)]);
            let message = format!("expected a record with the id of a schema, 00 and four bytes, found {found}");
            Err(CodeError::new(message).at(Local::of(record, 0)))
        }
    }
}

/// What a record of this schema begins with.
pub(crate) fn prefix(id: u32) -> [u8; PREFIX] {
    let mut prefix = [MAGIC; PREFIX];
    prefix[1..].copy_from_slice(&id.to_be_bytes());
    prefix
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registered")
            .field("registry", &self.registry)
            .field("written", &self.written)
            .field("registers", &self.registers)
            .finish_non_exhaustive()
    }
}
