//! [`Transform`]: a stage of one's own, and [`Emit`]: how one record becomes many.

use crate::data::{Bytes, Column, Data};

/// A stage of one's own, given to `apply`. Each worker has its own, made by cloning the declared one.
pub trait Transform: Clone + Send + Sync + 'static {
    /// What it takes.
    type In: Data;
    /// What it gives.
    type Out: Data;

    /// What plans print, e.g. `DEDUPE`.
    fn name(&self) -> String;

    /// Makes any number of records of one. An error, or a panic, is the record's failure and meets the stage's error
    /// policy; what was emitted before it is taken back.
    fn apply(
        &mut self,
        record: Self::In,
        emit: &mut Emit<'_, Self::Out>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Where a one-to-many stage puts what it makes of a record.
pub struct Emit<'a, B: Data>(&'a mut B::Column);

impl<'a, B: Data> Emit<'a, B> {
    /// Adds to the end of `column`.
    pub fn new(column: &'a mut B::Column) -> Self {
        Self(column)
    }

    /// Emits a record.
    #[inline]
    pub fn push(&mut self, record: B) {
        self.0.push(record);
    }

    /// How many records are in the batch that is being made.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is in the batch that is being made.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Emit<'_, Bytes> {
    /// Emits a record by copying it into the batch's block: no allocation.
    #[inline]
    pub fn bytes(&mut self, record: &[u8]) {
        self.0.append_bytes(record);
    }
}

impl Emit<'_, String> {
    /// Emits a text by copying it into the batch's block: no allocation.
    #[inline]
    pub fn text(&mut self, record: &str) {
        self.0.append_text(record);
    }
}
