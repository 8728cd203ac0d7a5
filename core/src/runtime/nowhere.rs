//! Marks of records that can't be read again from anywhere: what folds emit, and letters.

use crate::data::{Marks, Position};

/// Letters and what folds emit can't be read again from anywhere.
pub(super) struct Nowhere;

impl Marks for Nowhere {
    fn position(&self, _: u32) -> Result<Option<Position>, String> {
        Ok(None)
    }

    fn place(&self, index: u32, _: &[u8], _: usize) -> String {
        format!("record {index} of a batch")
    }
}
