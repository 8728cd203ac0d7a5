//! `JSON-DECODER`: bytes to [`Value`]. It checks and keeps the bytes; it builds nothing.

use millstream_core::contracts::{CodeError, Decoder};
use millstream_core::data::{Bytes, Column, Typed};

use super::Value;
use crate::limits::Limits;

pub(super) struct ToValue {
    pub(super) limits: Limits,
}

impl Decoder for ToValue {
    type Out = Value;

    fn name(&self) -> String {
        "JSON-DECODER".to_owned()
    }

    fn decode(&self, bytes: Bytes, column: &mut Typed<Value>) -> Result<(), CodeError> {
        column.push(Value::parse_within(bytes, &self.limits)?);
        Ok(())
    }
}
